"""Configuration: every fault at once, with file and key; secrets are references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.adapters.resilience.quota import MaintenanceWindow
from gateway.bootstrap import connector_faults, find_plugins
from gateway.domain.errors import ConfigError
from gateway.domain.platform import Platform, PlatformLimits, Tier
from gateway.resilience_settings import QuotaTable
from gateway.settings import load_settings, resolve_secret


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
    (tmp_path / "lists.toml").write_text('[list.X]\ntitle_zh = "名单"\n')

    found = "\n".join(faults_of(tmp_path))

    for place in (
        "gateway.toml: server.listen_port",
        "gateway.toml: deadline.default_s",
        "gateway.toml: admin.listen",
        "gateway.toml: tracing.endpoint",
        "gateway.toml: tracing.share",
        "platforms.toml: shanghai: base_url",
        "platforms.toml: anhui: secrets",
        "resilience.toml: default: retry.attempts",
        "resilience.toml: default: bulkhead: Value error, fewest must be",
        "resilience.toml: anhui: hedge.on",
        "resilience.toml: anhui: quota: Value error, 'at night' is no maintenance window",
        "resilience.toml: beijing: platforms.toml names no such platform",
        "publication.toml: rule[0]: max_months",
        "lists.toml: list.X",
    ):
        assert place in found


def test_a_platform_to_be_told_of_traces_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('[tracing]\ntold_platforms = ["beijing", "anhui"]\n')

    assert faults_of(tmp_path) == ["gateway.toml: tracing.told_platforms: beijing is not in platforms.toml"]


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
