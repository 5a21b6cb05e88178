"""Verification of the deployment's signatures, by anyone who holds the public key, and the file that public keys stand in.

The file is JSON, so that a verifier needs nothing of ours to read it:
`{"keys": [{"key_id", "algorithm", "public_key", "pem"}]}`, where `public_key` is hexadecimal (ED25519: 32 bytes; SM2-SM3: the
point's 64 bytes, x‖y) and `pem` the same as SubjectPublicKeyInfo. SM2 signatures are ASN.1 DER over Z‖message with the
standard's signer id 1234567812345678. Old keys stay in the file: what they signed is verified for years.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.domain import sm2_plain
from gateway.domain.anchor import Verify
from gateway.domain.sm2 import Sm2Verifier

ED25519: Final = "ED25519"
SM2_SM3: Final = "SM2-SM3"
_LENGTHS: Final = {ED25519: 32, SM2_SM3: 64}
_ED25519_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")  # RFC 8410 §4
_FOREIGN_IDS: Final = (b"", b"ALICE123@YAHOO.COM")  # what other libraries sign with by default


class Step(StrEnum):
    """The step at which a verification failed; each says what to look for."""

    ALGORITHM = "the algorithm is not one of ED25519, SM2-SM3"
    PUBLIC_KEY = "the public key is not one of this algorithm"
    ENCODING = "the signature is not encoded as the algorithm asks: SM2 in ASN.1 DER, not r‖s; ED25519 in 64 bytes"
    SIGNER_ID = "the signature was made with another SM2 signer id; the standard's 1234567812345678 is asked for"
    CANONICAL_FORM = "the signature is over another form of the message; the canonical form is asked for"
    SIGNATURE = "the signature is not this key's over this message"


class PublicKey(NamedTuple):
    """What a verifier holds of a signing key; `public_key` are the raw bytes."""

    key_id: str
    algorithm: str
    public_key: bytes

    @property
    def spki(self) -> bytes:
        """The key as X.509 SubjectPublicKeyInfo, DER."""
        if self.algorithm == SM2_SM3:
            return sm2_plain.subject_public_key(self.public_key)
        return _ED25519_PREFIX + self.public_key

    @property
    def pem(self) -> str:
        """The same in PEM."""
        body = base64.encodebytes(self.spki).decode().replace("\n", "")
        lines = [body[place : place + 64] for place in range(0, len(body), 64)]
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo, as `openssl pkey -pubin -outform DER | sha256sum` gives it."""
        return hashlib.sha256(self.spki).hexdigest()


def public_key_of(algorithm: str, public_key: bytes) -> PublicKey:
    """Gives the key with its id: the algorithm and the beginning of its fingerprint, so that two keys never share one."""
    unnamed = PublicKey("", algorithm, public_key)
    return unnamed._replace(key_id=f"{algorithm.lower()}-{unnamed.fingerprint[:16]}")


def verify(algorithm: str, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is the key's over the message; whatever is malformed is simply not."""
    if len(public_key) != _LENGTHS.get(algorithm, -1):
        return False
    if algorithm == SM2_SM3:
        try:
            return Sm2Verifier(public_key.hex()).verify(message, signature)
        except ValueError:
            return False  # not a point of the curve
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verifier(keys: Iterable[PublicKey]) -> Verify:
    """Gives what tells whether one of the keys signed a message."""
    trusted = tuple(keys)

    def is_signed(algorithm: str, message: bytes, signature: bytes) -> bool:
        return any(
            verify(algorithm, key.public_key, message, signature) for key in trusted if key.algorithm == algorithm
        )

    return is_signed


def failed_step(
    algorithm: str, public_key: bytes, message: bytes, signature: bytes, *, other_forms: Iterable[bytes] = ()
) -> Step | None:
    """Gives the step a verification fails at, None where it holds.

    `other_forms` are what the message is often mistaken for (other spacing, the hexadecimal digest), to name that mistake.
    """
    if algorithm not in _LENGTHS:
        return Step.ALGORITHM
    if not _is_key(algorithm, public_key):
        return Step.PUBLIC_KEY
    if verify(algorithm, public_key, message, signature):
        return None
    if not _is_encoded(algorithm, signature):
        return Step.ENCODING
    if algorithm == SM2_SM3 and any(
        Sm2Verifier(public_key.hex(), signer_id=foreign).verify(message, signature) for foreign in _FOREIGN_IDS
    ):
        return Step.SIGNER_ID
    if any(verify(algorithm, public_key, form, signature) for form in other_forms):
        return Step.CANONICAL_FORM
    return Step.SIGNATURE


def _is_key(algorithm: str, public_key: bytes) -> bool:
    if len(public_key) != _LENGTHS[algorithm]:
        return False
    return algorithm != SM2_SM3 or sm2_plain.is_on_curve(public_key)


def _is_encoded(algorithm: str, signature: bytes) -> bool:
    if algorithm == ED25519:
        return len(signature) == 64
    try:
        sm2_plain.raw_of_der(signature)
    except (ValueError, IndexError):
        return False
    return True


def read_public_keys(path: Path) -> dict[str, PublicKey]:
    """Gives the keys of a file by key id, none where there is no file; raises ValueError where it is not one."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        found = [PublicKey(k["key_id"], k["algorithm"], bytes.fromhex(k["public_key"])) for k in table["keys"]]
    except FileNotFoundError:
        return {}
    except (KeyError, TypeError, ValueError, OSError, RecursionError) as error:
        raise ValueError(f"{path} is not a file of public keys; keep it aside and let a new one be written") from error
    for key in found:
        if key.algorithm not in _LENGTHS or not _is_key(key.algorithm, key.public_key):
            raise ValueError(f"{path}: {key.key_id} is not a public key of {key.algorithm}")
    return {key.key_id: key for key in found}


def note_public_key(path: Path, key: PublicKey) -> Mapping[str, PublicKey]:
    """Adds a key to the file, durably and at once or not at all; gives all that stand there. Nothing is ever taken out."""
    known = read_public_keys(path)
    if known.get(key.key_id) == key:
        return known
    known[key.key_id] = key
    write_public_keys(path, known.values())
    return known


def write_public_keys(path: Path, keys: Iterable[PublicKey]) -> None:
    """Writes the file anew, whole or not at all."""
    table = {"keys": [shown(key) for key in keys]}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(json.dumps(table, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def shown(key: PublicKey) -> dict[str, str]:
    """Gives the key as it stands in the file."""
    return {"key_id": key.key_id, "algorithm": key.algorithm, "public_key": key.public_key.hex(), "pem": key.pem}
