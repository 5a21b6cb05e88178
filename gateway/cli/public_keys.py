"""Public keys that a command checks signatures with: the gateway's list of them, or one key in PEM or hexadecimal."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.adapters.crypto.verify import ED25519, SM2_SM3, PublicKey, read_public_keys
from gateway.cli.words import say

_LENGTHS: Final = {ED25519: 32, SM2_SM3: 64}
_POINT: Final = 65


def read_keys(path: Path) -> Sequence[PublicKey]:
    """Gives the keys of a file, one without an id where it holds a single one; raises ValueError saying what to do."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            say(
                f"{path}: no public keys to check with; get them from the gateway's operator and state --public-key",
                f"{path}：无可用公钥；请向网关运营方获取，并以 --public-key 指定",
            )
        ) from error
    if content.lstrip().startswith(b"{"):
        try:
            return tuple(read_public_keys(path).values())
        except ValueError as error:  # whose words are for the gateway, which writes that file
            raise ValueError(say(f"{path}: is no file of public keys", f"{path}：不是公钥文件")) from error
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            der = base64.b64decode("".join(content.decode("ascii").strip().splitlines()[1:-1]), validate=True)
        else:
            der = bytes.fromhex(content.decode("ascii").strip())
    except ValueError as error:
        raise ValueError(say(f"{path}: is no public key", f"{path}：不是公钥文件")) from error
    if len(der) == _POINT and der[0] == 4:
        der = der[1:]  # an uncompressed point
    # The end of a SubjectPublicKeyInfo is the key itself: both algorithms have keys of one length.
    keys = tuple(
        PublicKey("", algorithm, der[-length:])
        for algorithm, length in _LENGTHS.items()
        if _is_key(der, algorithm, length)
    )
    if not keys:
        raise ValueError(say(f"{path}: is no public key", f"{path}：不是公钥文件"))
    return keys


def _is_key(der: bytes, algorithm: str, length: int) -> bool:
    raw = der[-length:]
    return len(raw) == length and der in (raw, PublicKey("", algorithm, raw).spki)
