"""Public keys that a command checks signatures with: the gateway's list of them, PEM, or hexadecimal."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.domain.anchor import Verify

_ED25519: Final = 32
_SM2: Final = 64
_PEM: Final = re.compile(r"-----BEGIN PUBLIC KEY-----(.+)-----END PUBLIC KEY-----", re.DOTALL)
_ED25519_HEAD: Final = bytes.fromhex("302a300506032b6570032100")


class _Listed(msgspec.Struct):
    public_key: str


class _KeyList(msgspec.Struct):
    keys: list[_Listed]


def read_keys(path: Path) -> Sequence[bytes]:
    """Gives the public keys of a file, 32 bytes each of Ed25519, 64 of SM2 (x and y); raises ValueError saying what is wrong.

    The file is the gateway's own list of public keys, or holds one key.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
        pem = _PEM.search(text)
        if text.startswith("{"):
            keys = [bytes.fromhex(each.public_key) for each in msgspec.json.decode(text, type=_KeyList).keys]
        elif pem is not None:
            key = base64.b64decode(pem[1])
            keys = [key[-_ED25519:] if key.startswith(_ED25519_HEAD) else key[-_SM2:]]
        else:
            keys = [bytes.fromhex(text)]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"{path}: neither a list of keys, nor PEM, nor hexadecimal") from error
    keys = [key[1:] if len(key) == _SM2 + 1 and key[0] == 4 else key for key in keys]
    if not keys or any(len(key) not in (_ED25519, _SM2) for key in keys):
        raise ValueError(f"{path}: neither an Ed25519 nor an SM2 public key")
    return keys


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
