"""A development authority (开发用证书机构): a folder with a P-256 root and the certificates it issued; for no real bank.

    ca.pem ca.key            the authority; after it was renewed, ca.pem also holds its forerunner, so that both are trusted
    NAME.pem NAME.key        one certificate and its key each, readable by their owner alone
    profiles.toml            for `xinyidai query` and the like: where each name's certificate, key and authority stand

Everything is written beside its place and moved there, so that a reader never sees half a file. A real deployment has an
authority of its own and needs none of this: the gateway reads PEM files, whoever wrote them.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.adapters.identity.certificates import TlsFiles, fingerprint, names
from gateway.adapters.identity.kinds import DEMO_BANK, DEMO_OPERATOR, PROFILES, Kind

CA: Final = "ca"
SERVER: Final = "server"
CA_DAYS: Final = 1_825
DAYS: Final = 397
_BACK: Final = timedelta(minutes=5)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class AuthorityError(Exception):
    """The folder does not allow what was asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate of the folder: its file's name without ending, whose it is, its names, and until when it is valid."""

    name: str
    kind: str
    names: tuple[str, ...]
    not_after: datetime
    fingerprint: str


def san_of(kind: Kind, holder: str) -> str:
    """Gives the URI by which a holder's certificates are known in banks.toml; the holder of three kinds is a bank."""
    return f"urn:xinyidai:{kind}:{holder}"


class Authority:
    """The authority in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        """Whether the folder holds an authority."""
        return self._pem(CA).exists() and self._key(CA).exists()

    def server_files(self) -> TlsFiles:
        """Gives what a gateway serves with."""
        return TlsFiles(self._pem(SERVER), self._key(SERVER), self._pem(CA))

    def init(self, hosts: Sequence[str] = (), *, now: datetime | None = None) -> list[Issued]:
        """Makes the authority, a server's certificate, and those of the demonstration bank, its reviewer, and the operator.

        Raises AuthorityError where there is one already.
        """
        if self.exists:
            raise AuthorityError(f"{self.folder} holds an authority already; use issue or rotate")
        now = now or datetime.now(UTC)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._make_ca(now, forerunner=b"")
        self.issue(Kind.SERVER, SERVER, hosts=hosts, now=now)
        self.issue(Kind.BANK, DEMO_BANK, now=now)
        self.issue(Kind.REVIEWER, DEMO_BANK, now=now)
        self.issue(Kind.OPERATOR, DEMO_OPERATOR, now=now)
        return self.list()

    def issue(
        self,
        kind: Kind,
        holder: str,
        *,
        name: str = "",
        hosts: Sequence[str] = (),
        days: int = DAYS,
        now: datetime | None = None,
    ) -> Issued:
        """Issues a certificate with a new key, in the place of an earlier one of its name; raises AuthorityError.

        `hosts` are names and addresses of a server beside those of this machine.
        """
        if not _NAME.fullmatch(holder) or (name and not _NAME.fullmatch(name)):
            raise AuthorityError(f"{name or holder!r} is no name: small letters, digits, dots and hyphens, at most 63")
        name = name or _file_name(kind, holder)
        if name == CA or (self._pem(name).exists() and self.read(name).kind != kind):
            raise AuthorityError(f"{self._pem(name)} is another's already; choose another name")
        if kind is Kind.SERVER:
            sans: list[x509.GeneralName] = [_host(host) for host in dict.fromkeys([*_LOCAL, *hosts])]
        else:
            sans = [x509.UniformResourceIdentifier(san_of(kind, holder))]
        self._write(name, kind, holder, sans, days, now or datetime.now(UTC))
        issued = self.read(name)
        self._write_profiles()
        return issued

    def rotate(self, name: str, *, now: datetime | None = None) -> Issued:
        """Issues a certificate of the folder anew, with a new key and for as long as the old one; raises AuthorityError."""
        now = now or datetime.now(UTC)
        if name == CA:
            self._make_ca(now, forerunner=self._newest_ca())
            return self.read(CA)
        old = self._certificate(name)
        stated = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        holder = str(old.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        days = max((old.not_valid_after_utc - old.not_valid_before_utc).days, 1)
        self._write(name, _kind(old), holder, list(stated), days, now)
        return self.read(name)

    def list(self) -> list[Issued]:
        """Gives every certificate of the folder, the authority's own first."""
        found = sorted(path.stem for path in self.folder.glob("*.pem"))
        return [self.read(name) for name in sorted(found, key=lambda name: (name != CA, name))]

    def read(self, name: str) -> Issued:
        """Gives one certificate of the folder; raises AuthorityError."""
        certificate = self._certificate(name)
        kind = CA if name == CA else _kind(certificate)
        return Issued(name, kind, names(certificate), certificate.not_valid_after_utc, fingerprint(certificate))

    def _make_ca(self, now: datetime, forerunner: bytes) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        # A name of its own each time: a successor of the same name would be taken for its forerunner.
        title = f"Xinyidai development authority {secrets.token_hex(4)}"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
        certificate = (
            _begun(subject, subject, key.public_key(), now, CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_ca=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        self._put_key(CA, key)
        _put(self._pem(CA), certificate.public_bytes(Encoding.PEM) + forerunner)

    def _write(
        self, name: str, kind: Kind, holder: str, sans: Sequence[x509.GeneralName], days: int, now: datetime
    ) -> None:
        ca, ca_key = self._certificate(CA), self._ca_key()
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, kind.value),
                x509.NameAttribute(NameOID.COMMON_NAME, holder),
            ]
        )
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if kind is Kind.SERVER else ExtendedKeyUsageOID.CLIENT_AUTH
        certificate = (
            _begun(subject, ca.subject, key.public_key(), now, days, not_beyond=ca.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(list(sans)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        self._put_key(name, key)
        _put(self._pem(name), certificate.public_bytes(Encoding.PEM))

    def _write_profiles(self) -> None:
        tables = [
            f'[{_quoted(one.name)}]\nkind = "{one.kind}"\ncert = "{one.name}.pem"\nkey = "{one.name}.key"\nca = "{CA}.pem"\n'
            for one in self.list()
            if one.kind not in (CA, Kind.SERVER)
        ]
        head = "# Written by `xinyidai certs`: with what `xinyidai query` and the like show who they are.\n\n"
        _put(self.folder / PROFILES, (head + "\n".join(tables)).encode())

    def _certificate(self, name: str) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self._pem(name).read_bytes())
        except OSError as error:
            raise AuthorityError(f"{self._pem(name)}: {error.strerror}; see xinyidai certs list") from error
        except ValueError as error:
            raise AuthorityError(f"{self._pem(name)}: holds no certificate") from error

    def _newest_ca(self) -> bytes:
        return self._certificate(CA).public_bytes(Encoding.PEM)

    def _ca_key(self) -> ec.EllipticCurvePrivateKey:
        try:
            key = load_pem_private_key(self._key(CA).read_bytes(), None)
        except (OSError, ValueError) as error:
            raise AuthorityError(f"{self._key(CA)}: cannot be read; run xinyidai certs init first") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"{self._key(CA)}: is no key of this authority")
        return key

    def _put_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> None:
        _put(self._key(name), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def _pem(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def _key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def _file_name(kind: Kind, holder: str) -> str:
    return holder if kind in (Kind.BANK, Kind.OPERATOR) or holder == SERVER else f"{holder}-{kind}"


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
    *,
    not_beyond: datetime | None = None,
) -> x509.CertificateBuilder:
    ends = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACK)  # clocks differ by a little
        .not_valid_after(min(ends, not_beyond) if not_beyond is not None else ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _kind(certificate: x509.Certificate) -> Kind:
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    try:
        return Kind(str(units[0].value)) if units else Kind.SERVER
    except ValueError:
        return Kind.SERVER


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _put(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
