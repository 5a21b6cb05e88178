"""banks.toml and [server.tls]: every fault with file and key, and nothing that would let a wrong one in."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.caller import CertificateHolder, Role
from gateway.domain.errors import ConfigError
from gateway.settings import Settings, load_settings

BANK = """
[banks.bank-a]
name_zh = "甲银行"
name_en = "Bank A"
province = "31"
certificates = [{ san = "DNS:Gate.Bank-A.example", roles = ["bank-query"] }]
"""


def load(folder: Path, banks: str = "", gateway: str = "") -> Settings:
    if banks:
        (folder / "banks.toml").write_text(banks, encoding="utf-8")
    if gateway:
        (folder / "gateway.toml").write_text(gateway, encoding="utf-8")
    return load_settings(folder)


def faults(folder: Path, banks: str = "", gateway: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, banks, gateway)
    return str(caught.value)


def test_a_bank_is_read_with_its_names_in_the_form_certificates_have(tmp_path: Path) -> None:
    settings = load(tmp_path, BANK)

    assert settings.banks.register.holders == {
        "DNS:gate.bank-a.example": CertificateHolder("bank-a", frozenset({Role.BANK_QUERY}), "31")
    }
    assert settings.banks.banks["bank-a"].name_zh == "甲银行"


def test_revoked_certificates_are_read_as_openssl_prints_them_of_banks_and_operators(tmp_path: Path) -> None:
    operator = '[operators.ops]\nname_zh = "运维"\nname_en = "Operations"\nrevoked = ["' + "0f" * 32 + '"]\n'
    settings = load(tmp_path, BANK + f'revoked = ["{":".join(["AB"] * 32)}"]\n' + operator)

    assert settings.banks.register.revoked == {"ab" * 32, "0f" * 32}


@pytest.mark.parametrize(
    ("banks", "fault"),
    [
        (
            BANK + 'revoked = ["abc"]',
            "banks.toml: banks.bank-a.revoked: entry 1 must be a certificate's SHA-256",
        ),
        (BANK.replace("bank-a]", "Bank A]").replace("Bank A]", '"Bank A"]'), "banks.toml: banks.Bank A"),
        (BANK + 'color = "red"', "banks.toml: banks.bank-a.color"),
        (BANK.replace('"bank-query"', '"root"'), "banks.toml: banks.bank-a.certificates.0.roles"),
        (BANK.replace('"bank-query"', ""), "banks.toml: banks.bank-a.certificates.0.roles"),
        (BANK.replace('"bank-query"', '"platform-operator"'), "cannot be held by one of [banks]"),
        (BANK.replace('"bank-query"', '"bank-query", "bank-auditor"'), "are apart: "),
        (BANK.replace("DNS:", ""), "banks.toml: banks.bank-a.certificates.0.san"),
        (BANK.replace("Gate.", "*."), "no pattern"),
        (BANK.replace('"31"', '"Shanghai"'), "banks.toml: banks.bank-a.province"),
        (BANK + BANK.replace("bank-a]", "bank-b]"), "DNS:gate.bank-a.example is another's already"),
        (BANK.replace("banks.", "operators.").replace('province = "31"', ""), "cannot be held by one of [operators]"),
        (
            BANK + '[banks.bank-a.tokens]\nissuer = "i"\naudience = "a"\njwks_url = "http://id.example/k"',
            "banks.toml: banks.bank-a.tokens.jwks_url",
        ),
        (
            BANK + '[banks.bank-a.tokens]\nissuer = "i"\naudience = "a"\njwks_url = "https://i"\nleeway_s = 901',
            "banks.toml: banks.bank-a.tokens.leeway_s",
        ),
    ],
)
def test_a_fault_of_the_banks_file_is_told_with_its_key(tmp_path: Path, banks: str, fault: str) -> None:
    assert fault in faults(tmp_path, banks)


@pytest.mark.parametrize(
    ("gateway", "fault"),
    [
        ('[server.tls]\ncertificate = "a.pem"', "key, client_ca: missing"),
        ('[server.tls]\nkey = """-----BEGIN PRIVATE KEY-----\nx"""', "gateway.toml: server.tls.key"),
        ("[server.tls]\nreload_s = 0", "gateway.toml: server.tls.reload_s"),
        ("[server]\ndevelopment = 3", "gateway.toml: server.development"),
    ],
)
def test_a_fault_of_the_certificates_is_told_with_its_key(tmp_path: Path, gateway: str, fault: str) -> None:
    told = faults(tmp_path, gateway=gateway)

    assert fault in told
    assert "BEGIN" not in told


def test_certificates_are_named_by_path_or_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINYIDAI_TEST_KEY", "/run/k.pem")
    stated = '[server.tls]\ncertificate = "c.pem"\nkey = "env:XINYIDAI_TEST_KEY"\nclient_ca = "file:/etc/ca.pem"'

    files = load(tmp_path, gateway=stated).gateway.server.tls.files()

    assert [str(path) for path in (files.certificate, files.key, files.client_ca)] == [
        "c.pem",
        "/run/k.pem",
        "/etc/ca.pem",
    ]


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    stated = '[server.tls]\ncertificate = "c.pem"\nkey = "env:XINYIDAI_NO_SUCH"\nclient_ca = "ca.pem"'

    with pytest.raises(ValueError, match="XINYIDAI_NO_SUCH"):
        load(tmp_path, gateway=stated).gateway.server.tls.files()
