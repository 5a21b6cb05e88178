"""Configuration: every fault at once, with file and key; secrets are references."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.kit.mapping import MappingFault
from gateway.adapters.resilience.quota import MaintenanceWindow
from gateway.adapters.stores.door import open_database
from gateway.connector_bootstrap import connector_faults, find_plugins, platform_notes
from gateway.domain.errors import ConfigError
from gateway.domain.platform import Platform, PlatformLimits, Tier
from gateway.gateway_file import StoreSettings
from gateway.ports import ConnectorSetup
from gateway.resilience_settings import QuotaTable
from gateway.secret_references import resolve_secret
from gateway.settings import load_settings


def faults_of(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_settings(folder)
    return list(raised.value.faults)


def test_the_shipped_configuration_is_sound() -> None:
    settings = load_settings()

    assert connector_faults(settings, find_plugins(settings)) == []
    assert sorted(settings.platforms) == ["anhui", "jiangsu", "shanghai", "zhejiang"]


def test_every_fault_is_listed_with_file_and_key(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(
        '[server]\nlisten = "127.0.0.1:1"\nlisten_port = 3\n[deadline]\ndefault_s = -1\n[admin]\nlisten = "9464"\n'
        '[tracing]\nendpoint = "collector:4318"\nshare = 2\n'
    )
    (tmp_path / "platforms.toml").write_text(
        '[shanghai]\nbase_url = "ftp://x"\n[anhui]\nbase_url = "http://127.0.0.1:1"\nsecrets = { access_key = "plain" }\n'
    )
    (tmp_path / "resilience.toml").write_text(
        "[default.retry]\nattempts = 0\n[default.bulkhead]\nfewest = 9\nfirst = 8\n"
        '[anhui.hedge]\non = true\n[anhui.quota]\nmaintenance = ["at night"]\n[beijing.retry]\nattempts = 2\n'
    )
    (tmp_path / "publication.toml").write_text("[[rule]]\nfrom = 2026-01-01\n")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "joint.toml").write_text('[list.X]\ntitle_zh = "名单"\n')

    found = "\n".join(faults_of(tmp_path))

    for place in (
        "gateway.toml: server.listen_port: unknown key",
        "gateway.toml: deadline.default_s",
        "gateway.toml: admin.listen",
        "gateway.toml: tracing.endpoint",
        "gateway.toml: tracing.share",
        "platforms.toml: shanghai: base_url",
        "platforms.toml: anhui: secrets",
        "resilience.toml: default: retry.attempts",
        "resilience.toml: default: bulkhead: fewest must be",
        "resilience.toml: anhui: hedge.on: unknown key",
        "resilience.toml: anhui: quota: 'at night' is no maintenance window",
        "resilience.toml: beijing: platforms.toml names no such platform",
        "publication.toml: rule[0]: max_months",
        "lists/joint.toml: list.X",
    ):
        assert place in found


def test_a_platform_without_an_address_is_told_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "platforms.toml").write_text('[anhui]\nsecrets = { access_key = "plain" }\n')

    assert faults_of(tmp_path) == [
        "platforms.toml: anhui: base_url: is missing",
        "platforms.toml: anhui: secrets: access_key: write a reference (env:NAME, file:/path), never the secret",
    ]


@pytest.mark.parametrize(
    ("address", "is_noted"),
    [
        ("http://credit.example.invalid", True),
        ("https://credit.example.invalid", False),
        ("http://127.0.0.1:18034", False),
        ("http://[::1]:18034", False),
        ("http://localhost", False),
    ],
)
def test_a_platform_that_is_asked_in_plain_text_beyond_this_machine_is_noted(
    tmp_path: Path, address: str, is_noted: bool
) -> None:
    (tmp_path / "platforms.toml").write_text(f'[shanghai]\nbase_url = "{address}"\n')
    settings = load_settings(tmp_path)

    notes = platform_notes(settings, find_plugins(settings), "shanghai")

    assert [note.partition(":")[0] for note in notes] == ["plain text beyond this machine"] * is_noted


def test_a_platform_to_be_told_of_traces_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('[tracing]\ntold_platforms = ["beijing", "anhui"]\n')

    assert faults_of(tmp_path) == ["gateway.toml: tracing.told_platforms: beijing is not in platforms.toml"]


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ("enforced = true", "masking_key: is needed where consents are enforced"),
        ('masking_key = "a key written here"', "write a reference (env:NAME, file:/path), never the key"),
        ("poll_s = 5.0", "Input should be less than or equal to 0.5"),
    ],
)
def test_consents_are_enforced_with_a_key_by_reference_and_known_to_be_withdrawn_in_time(
    tmp_path: Path, stated: str, fault: str
) -> None:
    (tmp_path / "gateway.toml").write_text(f"[consent]\n{stated}\n")

    (found,) = faults_of(tmp_path)

    assert found.startswith("gateway.toml: consent")
    assert fault in found
    assert "written here" not in found


def test_a_fault_of_the_purposes_is_listed_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "purposes.toml").write_text('[PRE_LOAN]\ncategories = ["WEALTH"]\n')

    found = faults_of(tmp_path)

    assert "purposes.toml: PRE_LOAN: categories: WEALTH is no category; see CatalogueService.DescribeCatalogue" in found
    assert "purposes.toml: SELF: has no table" in found


def test_the_shipped_files_say_what_the_defaults_are(tmp_path: Path) -> None:
    (tmp_path / "resilience.toml").touch()
    (tmp_path / "gateway.toml").touch()

    shipped, bare = load_settings(), load_settings(tmp_path)

    assert (shipped.resilience, shipped.gateway) == (bare.resilience, bare.gateway)


def test_a_platforms_table_overrides_the_default_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "resilience.toml").write_text(
        "[default.retry]\nattempts = 5\nbackoff_s = 0.5\n[default.hedge]\nenabled = false\n[anhui.retry]\nattempts = 1\n"
    )

    settings = load_settings(tmp_path)

    anhui, shanghai = settings.resilience_of("anhui"), settings.resilience_of("shanghai")
    assert (anhui.retry.attempts, anhui.retry.backoff_s, anhui.hedge.enabled) == (1, 0.5, False)
    assert (shanghai.retry.attempts, shanghai.retry.backoff_s, shanghai.hedge.enabled) == (5, 0.5, False)


def test_of_the_manifests_limits_and_the_deployments_the_tighter_holds_and_all_maintenance_does() -> None:
    limits = PlatformLimits(calls_per_second=10, calls_per_day=1_000, maintenance_windows=("00:00-02:00",))
    table = QuotaTable(calls_per_s=20, calls_per_day=500, bank_calls_per_day=50, maintenance=("Sat 03:00-04:00",))

    policy = table.policy(limits)

    assert (policy.calls_per_s, policy.calls_per_day, policy.bank_calls_per_day) == (10, 500, 50)
    assert policy.maintenance == (MaintenanceWindow.parse("00:00-02:00"), MaintenanceWindow.parse("Sat 03:00-04:00"))


def test_a_manifests_maintenance_window_that_is_none_is_named() -> None:
    settings = load_settings()
    plugins = find_plugins(settings)

    class Resting:
        """A connector whose manifest names a window nobody can read."""

        platform = Platform("anhui", "", "", Tier.PROVINCE, limits=PlatformLimits(maintenance_windows=("at night",)))

    class Plugin:
        def connect(self, setup: object) -> Resting:
            return Resting()

    broken = replace(plugins, connectors={"anhui": Plugin()})  # type: ignore[dict-item]  # all that is asked of it

    assert connector_faults(settings, broken) == [
        "connector anhui: manifest.toml: limits: 'at night' is no maintenance window; write \"22:00-06:00\" or "
        '"Sat,Sun 22:00-06:00"'
    ]


@pytest.mark.parametrize(
    ("raised", "fault"),
    [
        (KeyError("s3cr3t"), r"platforms\.toml: anhui: KeyError \(.*test_settings\.py:\d+\)"),
        (
            MappingFault(["manifest.toml: wire.path: is missing"]),
            r"connector anhui: manifest\.toml: wire\.path: is missing",
        ),
        (MappingFault(["secrets.key: is missing"]), r"platforms\.toml: anhui: secrets\.key: is missing"),
    ],
)
def test_a_connector_that_cannot_be_built_is_a_fault_of_the_file_it_is_mended_in(raised: Exception, fault: str) -> None:
    settings = load_settings()

    class Plugin:
        def connect(self, setup: object) -> object:
            raise raised

    broken = replace(find_plugins(settings), connectors={"anhui": Plugin()})  # type: ignore[dict-item]  # all that is asked

    (found,) = connector_faults(settings, broken)

    assert re.fullmatch(fault, found)


def test_a_secret_that_a_connector_names_in_its_complaint_is_not_told() -> None:
    settings = load_settings()

    class Plugin:
        def connect(self, setup: ConnectorSetup) -> object:
            return int(next(iter(setup.secrets.values())))

    broken = replace(find_plugins(settings), connectors={"anhui": Plugin()})  # type: ignore[dict-item]  # all that is asked

    assert connector_faults(settings, broken) == [
        "platforms.toml: anhui: invalid literal for int() with base 10: '****'"
    ]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql+asyncpg://gw:plain@db/x", "never the password"),
        ("postgresql://gw@db/x", "postgresql+asyncpg"),
        ("mysql+aiomysql://db/x", "postgresql+asyncpg"),
        ("store.db", "postgresql+asyncpg"),
        ("postgresql+asyncpg://gw:env:PW@db:port/x", "port must be a number"),
        ("postgresql+asyncpg://gw:env:PW@db/x?sslmode=require", "sslmode is no option"),
    ],
)
@pytest.mark.parametrize("key", ["store.url", "identity.seen_tokens"])
def test_a_store_is_of_a_served_kind_and_its_password_a_reference(
    tmp_path: Path, key: str, url: str, word: str
) -> None:
    table, _, name = key.partition(".")
    (tmp_path / "gateway.toml").write_text(f'[{table}]\n{name} = "{url}"\n')

    found = faults_of(tmp_path)

    assert found[0].startswith(f"gateway.toml: {key}")
    assert word in found[0]
    assert "plain" not in found[0]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://gw@[::1]:5432/x",
        "postgresql+asyncpg://gw:file:/run/secrets/pw@/x?host=a:5432&host=b:5432&target_session_attrs=read-write",
        "postgresql+asyncpg://gw:env:PW@db/x?ssl=verify-full",
        "postgresql+asyncpg://postgres@/postgres?host=/run/postgresql",
        "sqlite+aiosqlite:////var/lib/xinyidai/store.db",
    ],
)
def test_addresses_of_databases_that_are_served_are_taken(tmp_path: Path, url: str) -> None:
    stated = StoreSettings(url=url)

    assert stated.url == url


def test_the_store_is_beside_the_trail_or_where_one_line_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TEST_SECRET", "p@ss:/word")
    url = "postgresql+asyncpg://gw:env:A_TEST_SECRET@db:5432/xinyidai"

    beside = StoreSettings().resolved(tmp_path / "audit.jsonl")
    database = open_database(*StoreSettings(url=url).resolved(tmp_path / "audit.jsonl"))

    assert beside == (f"sqlite+aiosqlite:///{tmp_path / 'store.db'}", None)
    assert (database.url.password, database.url.host, database.url.port) == ("p@ss:/word", "db", 5432)
    assert "p@ss" not in str(database.url)


def test_a_store_whose_password_is_not_there_is_a_fault(tmp_path: Path) -> None:
    stated = StoreSettings(url="postgresql+asyncpg://gw:env:NO_SUCH_VARIABLE_HERE@db/x")

    with pytest.raises(ConfigError, match=r"store\.url: set the environment variable NO_SUCH_VARIABLE_HERE"):
        stated.resolved(tmp_path / "audit.jsonl")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("[server\n")

    assert faults_of(tmp_path)[0].startswith("gateway.toml: not TOML")


def test_a_platform_without_a_connector_is_named_and_stops_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "platforms.toml").write_text(
        '[beijing]\nbase_url = "http://127.0.0.1:1"\n'
        '[shanghai]\nbase_url = "http://127.0.0.1:1"\n'
        'secrets = { app_key = "sandbox:app_key", app_secret = "sandbox:app_secret" }\n'
    )

    plugins = find_plugins(load_settings(tmp_path))

    assert list(plugins.connectors) == ["shanghai"]
    assert "beijing: no connector of that name is installed" in plugins.faults[0]


def test_missing_and_unknown_secrets_are_named(tmp_path: Path) -> None:
    (tmp_path / "platforms.toml").write_text(
        '[shanghai]\nbase_url = "http://127.0.0.1:1"\nsecrets = { app_key = "env:NO_SUCH_VARIABLE_HERE", other = "sandbox:app_key" }\n'
    )
    settings = load_settings(tmp_path)

    found = "\n".join(connector_faults(settings, find_plugins(settings)))

    assert "shanghai.secrets.app_key: set the environment variable NO_SUCH_VARIABLE_HERE" in found


def test_secrets_come_from_environment_file_or_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TEST_SECRET", "from-environment")
    (tmp_path / "secret").write_text("from-file\n")

    values = [
        resolve_secret(r, {"k": "from-sandbox"})
        for r in ("env:A_TEST_SECRET", f"file:{tmp_path / 'secret'}", "sandbox:k")
    ]

    assert values == ["from-environment", "from-file", "from-sandbox"]
