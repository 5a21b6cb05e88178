"""The cipher of what is kept: AES-256-GCM or SM4-GCM (RFC 8998) with a ring of keys by id, of which the first one seals.

A sealed content is: version (1 byte, 1), cipher (1: AES-256-GCM, 2: SM4-GCM), length of the key id and the id, nonce
(96 bits, random), ciphertext with its tag (128 bits). The header is authenticated with what the content is bound to. With
random nonces one key seals at most 2^32 contents (SP 800-38D §8.3): rotate long before, say once a year.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from gateway.adapters.crypto.keys import MODULE_SCHEME, archive_key_id, read_key, shown_reference
from gateway.adapters.crypto.module import ModuleArchiveKey
from gateway.domain.errors import CorruptRecordError, SigningUnavailableError

AES: Final = "AES-256-GCM"
SM4_GCM: Final = "SM4-GCM"
KEY_BYTES: Final = {AES: 32, SM4_GCM: 16}
_CODES: Final = {AES: 1, SM4_GCM: 2}
_NAMES: Final = {code: name for name, code in _CODES.items()}
_VERSION: Final = 1
_NONCE: Final = 12
_TAG: Final = 16


class ArchiveKey(Protocol):
    """A key of the archive, wherever it stands."""

    @property
    def key_id(self) -> str:
        """Names the key."""
        ...

    @property
    def cipher(self) -> str:
        """Names the cipher it is for."""
        ...

    def seal(self, nonce: bytes, content: bytes, bound_to: bytes) -> bytes:
        """Gives the ciphertext and its tag."""
        ...

    def open(self, nonce: bytes, body: bytes, bound_to: bytes) -> bytes:
        """Gives the content; raises InvalidTag."""
        ...


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that this process holds."""

    key_id: str
    cipher: str
    key: bytes

    def seal(self, nonce: bytes, content: bytes, bound_to: bytes) -> bytes:
        """Gives the ciphertext and its tag."""
        return gcm_seal(self.cipher, self.key, nonce, content, bound_to)

    def open(self, nonce: bytes, body: bytes, bound_to: bytes) -> bytes:
        """Gives the content; raises InvalidTag."""
        return gcm_open(self.cipher, self.key, nonce, body, bound_to)


class KeyringCipher:
    """Seals with the first key by the suite's cipher; opens with whichever key and cipher a content names.

    A key's length says its cipher, so that what another suite sealed still opens after the suite was changed.
    """

    def __init__(self, cipher: str, references: Sequence[str]) -> None:
        self._cipher = cipher
        self._references = tuple(references)
        self._lock = threading.Lock()
        self._held: dict[str, ArchiveKey] = {}

    @property
    def key_id(self) -> str:
        """Names the key that seals; raises SigningUnavailableError while it cannot be had."""
        return self._sealing().key_id

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names all keys, the sealing one first; raises SigningUnavailableError where one cannot be had."""
        return tuple(self._at(reference).key_id for reference in self._references)

    def seal(self, content: bytes, bound_to: bytes) -> bytes:
        """Gives the encrypted content; raises SigningUnavailableError."""
        key = self._sealing()
        name = key.key_id.encode()
        header = bytes([_VERSION, _CODES[key.cipher], len(name)]) + name
        nonce = os.urandom(_NONCE)
        return header + nonce + key.seal(nonce, content, header + bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Gives the content; raises CorruptRecordError where it was altered, SigningUnavailableError without its key."""
        end = 3 + sealed[2] if len(sealed) > 2 else 0
        if len(sealed) < max(end, 3) + _NONCE + _TAG or sealed[0] != _VERSION or sealed[1] not in _NAMES:
            raise CorruptRecordError("a sealed record has no header that is known")
        cipher, name = _NAMES[sealed[1]], sealed[3:end].decode("ascii", "replace")
        key = self._named(name)
        if key.cipher != cipher:
            raise CorruptRecordError("a sealed record names a cipher that is not its key's")
        nonce, body = sealed[end : end + _NONCE], sealed[end + _NONCE :]
        try:
            return key.open(nonce, body, sealed[:end] + bound_to)
        except InvalidTag:
            raise CorruptRecordError("a sealed record was altered, or is not the one it stands for") from None

    def _sealing(self) -> ArchiveKey:
        key = self._at(self._references[0])
        if key.cipher != self._cipher:
            raise SigningUnavailableError(f"{shown_reference(self._references[0])}: not a key of {self._cipher}")
        return key

    def _named(self, name: str) -> ArchiveKey:
        for reference in self._references:
            if (key := self._at(reference)).key_id == name:
                return key
        raise SigningUnavailableError("no key of evidence.archive_keys opens this record; add the old key's reference")

    def _at(self, reference: str) -> ArchiveKey:
        with self._lock:
            if (held := self._held.get(reference)) is None:
                held = self._held[reference] = _parsed(reference)
            return held


def _parsed(reference: str) -> ArchiveKey:
    if reference.startswith(MODULE_SCHEME):
        return ModuleArchiveKey(reference, AES)
    try:
        key = bytes.fromhex(read_key(reference))
        cipher = next(name for name, length in KEY_BYTES.items() if length == len(key))
    except (ValueError, StopIteration):
        raise SigningUnavailableError(
            f"{reference}: not a key of the archive: 64 hexadecimal characters ({AES}) or 32 ({SM4_GCM})"
        ) from None
    return HeldKey(archive_key_id(cipher, key), cipher, key)


def gcm_seal(cipher: str, key: bytes, nonce: bytes, content: bytes, bound_to: bytes) -> bytes:
    """Gives the ciphertext and its tag."""
    if cipher == AES:
        return AESGCM(key).encrypt(nonce, content, bound_to)
    encryptor = Cipher(SM4(key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(bound_to)
    return encryptor.update(content) + encryptor.finalize() + encryptor.tag


def gcm_open(cipher: str, key: bytes, nonce: bytes, body: bytes, bound_to: bytes) -> bytes:
    """Gives the content; raises InvalidTag."""
    if cipher == AES:
        return AESGCM(key).decrypt(nonce, body, bound_to)
    decryptor = Cipher(SM4(key), modes.GCM(nonce, body[-_TAG:])).decryptor()
    decryptor.authenticate_additional_data(bound_to)
    return decryptor.update(body[:-_TAG]) + decryptor.finalize()
