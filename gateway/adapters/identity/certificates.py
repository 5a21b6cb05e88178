"""Certificates read: those of callers after the handshake, and the files the server shows and trusts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.domain.caller import PeerCertificate


@lru_cache(maxsize=4_096)
def peer_certificate(pem: bytes) -> PeerCertificate:
    """Gives what is known of a caller's certificate; kept by its bytes, since reading one takes a hundred times a look-up.

    Raises ValueError where it cannot be read.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    return PeerCertificate(fingerprint(certificate), names(certificate), certificate.not_valid_after_utc)


def fingerprint(certificate: x509.Certificate) -> str:
    """Gives the SHA-256 of its DER form in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Gives its SANs as "URI:…" and "DNS:…"; DNS names in lower case, since case means nothing in them."""
    try:
        stated = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return ()  # nobody's name: the handshake's library may read what this one does not
    return (
        *(f"URI:{name}" for name in stated.get_values_for_type(x509.UniformResourceIdentifier)),
        *(f"DNS:{name.lower()}" for name in stated.get_values_for_type(x509.DNSName)),
    )


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the server's certificate (with its chain), its key, and the authorities of its clients stand."""

    certificate: Path
    key: Path
    client_ca: Path


@dataclass(frozen=True, slots=True)
class Expiry:
    """Until when one certificate of the server is valid; `name` is "server" or "client_ca", numbered from the second on."""

    name: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """The files' contents, checked; the key is not shown."""

    certificate: bytes
    key: bytes
    client_ca: bytes
    expiries: tuple[Expiry, ...]

    def __repr__(self) -> str:
        return f"TlsMaterial({', '.join(e.name for e in self.expiries)})"


class TlsFilesError(Exception):
    """The files cannot serve; `faults` are (key of [server.tls], what is wrong), and hold nothing of a file's contents."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {text}" for key, text in faults))
        self.faults = tuple(faults)


def read_tls(files: TlsFiles, now: datetime) -> TlsMaterial:
    """Reads the three files and checks that they fit each other at that moment; raises TlsFilesError with every fault."""
    faults: list[tuple[str, str]] = []
    chain_pem = _read("certificate", files.certificate, faults)
    key_pem = _read("key", files.key, faults)
    ca_pem = _read("client_ca", files.client_ca, faults)
    chain = _certificates("certificate", files.certificate, chain_pem, faults)
    authorities = _certificates("client_ca", files.client_ca, ca_pem, faults)
    if chain:
        leaf = chain[0]
        if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
            begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
            faults.append(("certificate", f"{files.certificate}: is valid from {begins:%F} to {ends:%F} only"))
    if key_pem:
        _check_key(files.key, key_pem, chain[0] if chain else None, faults)
    if authorities and all(ca.not_valid_after_utc <= now for ca in authorities):
        faults.append(("client_ca", f"{files.client_ca}: every authority in it has expired"))
    faults += [
        ("client_ca", f"{files.client_ca}: {_subject(ca)} is no authority") for ca in authorities if not _is_ca(ca)
    ]
    if faults:
        raise TlsFilesError(faults)
    return TlsMaterial(chain_pem, key_pem, ca_pem, (*_expiries("server", chain), *_expiries("client_ca", authorities)))


def exposed_key(path: Path) -> bool:
    """Whether others than the owner may read a key's file."""
    return bool(path.stat().st_mode & 0o077)


def soon(not_after: datetime, now: datetime, days: int) -> bool:
    """Whether less than so many days are left."""
    return not_after - now < timedelta(days=days)


def _read(key: str, path: Path, faults: list[tuple[str, str]]) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        faults.append((key, f"{path}: cannot be read: {error.strerror}"))
        return b""
    if not content:
        faults.append((key, f"{path}: is empty"))
    return content


def _certificates(key: str, path: Path, pem: bytes, faults: list[tuple[str, str]]) -> list[x509.Certificate]:
    if not pem:
        return []
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        faults.append((key, f"{path}: holds no certificate in PEM form"))
        return []


def _check_key(path: Path, pem: bytes, leaf: x509.Certificate | None, faults: list[tuple[str, str]]) -> None:
    try:
        public = load_pem_private_key(pem, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        faults.append(("key", f"{path}: holds no private key in PEM form without a passphrase"))
        return
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf is not None and public.public_bytes(*form) != leaf.public_key().public_bytes(*form):
        faults.append(("key", f"{path}: is not the key of the certificate"))


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or fingerprint(certificate)[:16]


def _expiries(name: str, certificates: Sequence[x509.Certificate]) -> list[Expiry]:
    return [
        Expiry(name if number == 1 else f"{name}_{number}", certificate.not_valid_after_utc)
        for number, certificate in enumerate(certificates, 1)
    ]
