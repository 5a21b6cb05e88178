"""Signatures and ciphers of the dialects: HMAC-SM3, SM3, MD5, SM4-CBC; SM2 has a file of its own.

MD5 stands here because a dialect asks for it, not because it protects anything.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.padding import PKCS7

_BLOCK: Final = 16


def sorted_parameters(parameters: Mapping[str, str]) -> str:
    """Gives "a=1&b=2": parameters sorted by name, values as they are, empty ones left out."""
    return "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if value != "")


def hmac_sm3(key: str, message: str) -> str:
    """Gives HMAC-SM3 (GM/T 0042-2015) in lower-case hexadecimal."""
    return hmac.new(key.encode(), message.encode(), "sm3").hexdigest()


def sm3_hex(message: str) -> str:
    """Gives SM3 (GB/T 32905-2016) in lower-case hexadecimal."""
    return hashlib.new("sm3", message.encode()).hexdigest()


def md5_hex(message: str) -> str:
    """Gives MD5 in lower-case hexadecimal, for dialects that sign by it."""
    return hashlib.md5(message.encode(), usedforsecurity=False).hexdigest()


def sm4_cbc_encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """Gives SM4-CBC (GB/T 32907-2016) with PKCS#7 padding."""
    padder = PKCS7(_BLOCK * 8).padder()
    encryptor = Cipher(SM4(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def sm4_cbc_decrypt(key: bytes, iv: bytes, ciphered: bytes) -> bytes:
    """Gives the plain text; raises ValueError where length or padding is wrong."""
    if not ciphered or len(ciphered) % _BLOCK:
        raise ValueError("the length is no multiple of the block")
    decryptor = Cipher(SM4(key), modes.CBC(iv)).decryptor()
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    return unpadder.update(decryptor.update(ciphered) + decryptor.finalize()) + unpadder.finalize()
