"""The development authority: what it issues, who may read it, and that a rotation breaks nothing."""

from __future__ import annotations

import stat
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.adapters.identity.authority import CA, SERVER, Authority, AuthorityError
from gateway.adapters.identity.certificates import read_tls
from gateway.adapters.identity.kinds import DEMO_BANK, DEMO_OPERATOR, Kind
from tests.shipped import shipped_settings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "certs")
    made.init(["gateway.example", "10.0.0.7"], now=NOW)
    return made


def certificate(authority: Authority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((authority.folder / f"{name}.pem").read_bytes())


def test_it_makes_what_a_gateway_and_its_first_callers_need(authority: Authority) -> None:
    assert [(one.name, one.kind) for one in authority.list()] == [
        (CA, CA),
        (DEMO_BANK, Kind.BANK),
        (f"{DEMO_BANK}-reviewer", Kind.REVIEWER),
        (DEMO_OPERATOR, Kind.OPERATOR),
        (SERVER, Kind.SERVER),
    ]
    assert [e.name for e in read_tls(authority.server_files(), NOW).expiries] == ["server", "client_ca"]


def test_private_things_are_their_owner_s_alone(authority: Authority) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in authority.folder.iterdir()}

    assert modes == {0o600}
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700


def test_a_server_s_certificate_bears_its_hosts_and_is_for_servers_only(authority: Authority) -> None:
    server = certificate(authority, SERVER)

    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    purposes = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "gateway.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1", "10.0.0.7"]
    assert list(purposes) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    key = server.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


@pytest.mark.parametrize("kind", [Kind.BANK, Kind.REVIEWER, Kind.AUDITOR])
def test_the_shipped_banks_file_knows_what_is_issued_for_the_demonstration_bank(
    authority: Authority, kind: Kind
) -> None:
    issued = authority.issue(kind, DEMO_BANK)

    holder = shipped_settings().banks.register.holders[issued.names[0]]

    assert holder.bank == DEMO_BANK


def test_the_shipped_banks_file_knows_the_demonstration_operator(authority: Authority) -> None:
    holder = shipped_settings().banks.register.holders[authority.read(DEMO_OPERATOR).names[0]]

    assert (holder.bank, {role.value for role in holder.roles}) == ("", {"platform-operator"})


def test_profiles_name_the_files_of_clients_only(authority: Authority) -> None:
    authority.issue(Kind.BANK, "bank.b")

    profiles = tomllib.loads((authority.folder / "profiles.toml").read_text())

    assert profiles["bank.b"] == {"kind": "bank", "cert": "bank.b.pem", "key": "bank.b.key", "ca": "ca.pem"}
    assert sorted(profiles) == ["bank.b", DEMO_BANK, f"{DEMO_BANK}-reviewer", DEMO_OPERATOR]


def test_a_rotation_renews_the_key_and_keeps_names_and_term(authority: Authority) -> None:
    before = authority.issue(Kind.BANK, "b", days=30, now=NOW)

    after = authority.rotate("b", now=NOW + timedelta(days=20))

    assert (after.name, after.kind, after.names) == (before.name, before.kind, before.names)
    assert after.fingerprint != before.fingerprint
    assert after.not_after == NOW + timedelta(days=50)
    assert not [path for path in authority.folder.iterdir() if path.name.startswith(".")]


def test_a_renewed_authority_is_trusted_beside_its_forerunner(authority: Authority) -> None:
    old, bank = certificate(authority, CA), certificate(authority, DEMO_BANK)

    authority.rotate(CA, now=NOW)
    authority.rotate(SERVER, now=NOW)

    bundle = x509.load_pem_x509_certificates((authority.folder / "ca.pem").read_bytes())
    assert bundle[1] == old
    bank.verify_directly_issued_by(bundle[1])
    certificate(authority, SERVER).verify_directly_issued_by(bundle[0])
    assert len(read_tls(authority.server_files(), NOW).expiries) == 3
    authority.rotate(CA, now=NOW)
    assert len(x509.load_pem_x509_certificates((authority.folder / "ca.pem").read_bytes())) == 2


def test_nothing_is_issued_beyond_the_authority_s_own_end(authority: Authority) -> None:
    issued = authority.issue(Kind.BANK, "b", days=1_825, now=NOW + timedelta(days=1_000))

    assert issued.not_after == authority.read(CA).not_after


@pytest.mark.parametrize("holder", ["", "A", "a/b", "../a", "a b", "-a", "x" * 64, "银行"])
def test_a_holder_that_is_no_name_is_refused(authority: Authority, holder: str) -> None:
    with pytest.raises(AuthorityError, match="is no name"):
        authority.issue(Kind.BANK, holder)


@pytest.mark.parametrize(("kind", "holder"), [(Kind.BANK, "ca"), (Kind.BANK, "server"), (Kind.OPERATOR, DEMO_BANK)])
def test_one_s_certificate_is_not_written_over_another_s(authority: Authority, kind: Kind, holder: str) -> None:
    with pytest.raises(AuthorityError, match="is another's already"):
        authority.issue(kind, holder)


def test_without_an_authority_or_with_two_there_is_a_reason(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="xinyidai certs"):
        Authority(tmp_path / "none").issue(Kind.BANK, "b")
    with pytest.raises(AuthorityError, match="holds an authority already"):
        authority.init()
    with pytest.raises(AuthorityError, match="xinyidai certs list"):
        authority.rotate("nobody")
