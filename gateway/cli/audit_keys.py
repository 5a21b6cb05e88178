"""Public keys that a command checks signatures with: PEM, or hexadecimal."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.domain.anchor import Verify

_ED25519: Final = 32
_SM2: Final = 64
_PEM: Final = re.compile(r"-----BEGIN PUBLIC KEY-----(.+)-----END PUBLIC KEY-----", re.DOTALL)
_ED25519_HEAD: Final = bytes.fromhex("302a300506032b6570032100")


def read_key(path: Path) -> bytes:
    """Gives a public key: 32 bytes of Ed25519, or 64 of SM2 (x and y). Raises ValueError saying what is wrong."""
    try:
        text = path.read_text(encoding="ascii").strip()
        pem = _PEM.search(text)
        key = base64.b64decode(pem[1]) if pem else bytes.fromhex(text)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"{path}: neither PEM nor hexadecimal") from error
    if pem:
        key = key[-_ED25519:] if key.startswith(_ED25519_HEAD) else key[-_SM2 - 1 :]
    if len(key) == _SM2 + 1 and key[0] == 4:
        key = key[1:]
    if len(key) not in (_ED25519, _SM2):
        raise ValueError(f"{path}: neither an Ed25519 nor an SM2 public key")
    return key


def _is_ed25519_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


_CHECKS: Final[Mapping[str, tuple[int, Callable[[bytes, bytes, bytes], bool]]]] = {
    "ED25519": (_ED25519, _is_ed25519_signed),
}


def verifier(keys: Sequence[bytes]) -> Verify:
    """Gives what tells whether one of the keys signed a message; raises ValueError for a key of a kind not known here."""
    known = {size for size, _ in _CHECKS.values()}
    if any(len(key) not in known for key in keys):
        raise ValueError("SM2 signatures are not checked by this command; use docs/verifier/verify_trail.py")

    def verify(algorithm: str, message: bytes, signature: bytes) -> bool:
        check = _CHECKS.get(algorithm)
        return check is not None and any(check[1](key, message, signature) for key in keys if len(key) == check[0])

    return verify
