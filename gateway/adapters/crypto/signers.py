"""Signers whose keys are read from a file or a variable: Ed25519, and SM2 with SM3.

A key that cannot be had yet is asked for again at the next signature; nothing is signed meanwhile (fail closed).
"""

from __future__ import annotations

import threading
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.adapters.crypto.keys import read_key
from gateway.adapters.crypto.verify import ED25519, SM2_SM3, PublicKey, public_key_of
from gateway.domain import sm2_plain
from gateway.domain.errors import SigningUnavailableError
from gateway.domain.sm2 import Sm2Signer


class _Signs(Protocol):
    def sign(self, message: bytes) -> bytes: ...


class ReferredSigner:
    """Signs with the key behind a reference; made without reading it, so that a start does not depend on the key."""

    def __init__(self, algorithm: str, reference: str) -> None:
        self._algorithm = algorithm
        self._reference = reference
        self._lock = threading.Lock()
        self._held: tuple[PublicKey, _Signs] | None = None

    @property
    def key_id(self) -> str:
        """Names the key; raises SigningUnavailableError while it was never had."""
        return self.public_key.key_id

    @property
    def algorithm(self) -> str:
        """Names the signature."""
        return self._algorithm

    @property
    def public_key(self) -> PublicKey:
        """What verifiers need; raises SigningUnavailableError while the key was never had."""
        return self._key()[0]

    def sign(self, message: bytes) -> bytes:
        """Gives the signature; raises SigningUnavailableError."""
        try:
            return self._key()[1].sign(message)
        except OSError as error:
            raise SigningUnavailableError("the library that signs failed; nothing is signed") from error

    def _key(self) -> tuple[PublicKey, _Signs]:
        with self._lock:
            if self._held is None:
                self._held = _parsed(self._algorithm, read_key(self._reference), self._reference)
            return self._held


def _parsed(algorithm: str, text: str, reference: str) -> tuple[PublicKey, _Signs]:
    try:
        if algorithm == SM2_SM3:
            scalar = sm2_plain.scalar_of_pem(text)
            point = sm2_plain.public_point(scalar)
            return public_key_of(SM2_SM3, point), Sm2Signer(scalar.hex())
        key = load_pem_private_key(text.encode(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("of another kind")
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningUnavailableError(
            f"{reference}: not a private key of {algorithm} in PEM (PKCS#8); xinyidai keys generate makes one"
        ) from None
    return public_key_of(ED25519, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)), key
