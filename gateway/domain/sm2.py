"""SM2 signatures (GB/T 32918.2-2016) behind one small interface.

Implementations in order: libcrypto by ctypes (OpenSSL 3), then plain Python. The first
that passes the standard's vector serves; `serving_implementation()` names it. Some distributions build OpenSSL without
SM2, hence the probe. Signatures are ASN.1 DER or raw r‖s; the signer id enters the digest Z and differs by platform.

It stands in the domain because it is pure computation that both the connectors' dialects and the deployment's own evidence
need; libcrypto is reached as `hashlib` reaches it, without a file or a wire of ours.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import secrets
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Protocol

from gateway.domain import sm2_plain

DEFAULT_ID: Final = b"1234567812345678"
_VECTOR_KEY: Final = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"
_VECTOR_POINT: Final = (
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
_VECTOR_SIGNATURE: Final = (
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)


class Sm2Backend(Protocol):
    """Signs and verifies with DER signatures; keys are the 32-byte scalar and the 64-byte point."""

    name: str

    def sign(self, scalar: bytes, point: bytes, signer_id: bytes, message: bytes) -> bytes:
        """Gives a DER signature."""
        ...

    def verify(self, point: bytes, signer_id: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a DER signature is the key's over the message."""
        ...


class Sm2Signer:
    """Signs with one key; `encoding` is "der" or "raw"."""

    def __init__(self, private_key_hex: str, *, signer_id: bytes = DEFAULT_ID, encoding: str = "der") -> None:
        self._scalar = _key_bytes(private_key_hex, 32, "an SM2 private key")
        self._point = sm2_plain.public_point(self._scalar)
        self._signer_id = signer_id
        self._is_raw = _is_raw(encoding)
        self._backend = backend()

    @property
    def public_key_hex(self) -> str:
        """The public point, 128 hexadecimal characters without the leading 04."""
        return self._point.hex()

    def sign(self, message: bytes) -> bytes:
        """Gives the signature over the message."""
        signature = self._backend.sign(self._scalar, self._point, self._signer_id, message)
        return sm2_plain.raw_of_der(signature) if self._is_raw else signature


class Sm2Verifier:
    """Verifies signatures of one public key, given as 128 hexadecimal characters with or without a leading 04."""

    def __init__(self, public_key_hex: str, *, signer_id: bytes = DEFAULT_ID, encoding: str = "der") -> None:
        trimmed = public_key_hex[2:] if len(public_key_hex) == 130 else public_key_hex
        self._point = _key_bytes(trimmed, 64, "an SM2 public key")
        self._signer_id = signer_id
        self._is_raw = _is_raw(encoding)
        self._backend = backend()

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is the key's over the message; anything malformed is simply not."""
        if self._is_raw:
            if len(signature) != 64:
                return False
            signature = sm2_plain.der_of_raw(signature)
        return self._backend.verify(self._point, self._signer_id, message, signature)


def _key_bytes(text: str, length: int, what: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{what} must be hexadecimal") from None
    if len(key) != length:
        raise ValueError(f"{what} has {length} bytes, this one {len(key)}")
    return key


def _is_raw(encoding: str) -> bool:
    if encoding not in ("der", "raw"):
        raise ValueError(f"SM2 signature encoding {encoding!r}; use der or raw")
    return encoding == "raw"


def probe(candidate: Sm2Backend) -> bool:
    """Whether the implementation verifies the standard's vector, refuses a changed one, and verifies what it signs."""
    scalar, point = bytes.fromhex(_VECTOR_KEY), bytes.fromhex(_VECTOR_POINT)
    signature = sm2_plain.der_of_raw(bytes.fromhex(_VECTOR_SIGNATURE))
    message = b"message digest"
    return (
        candidate.verify(point, DEFAULT_ID, message, signature)
        and not candidate.verify(point, DEFAULT_ID, message + b".", signature)
        and not candidate.verify(point, b"another-id", message, signature)
        and candidate.verify(point, DEFAULT_ID, message, candidate.sign(scalar, point, DEFAULT_ID, message))
    )


@cache
def backend() -> Sm2Backend:
    """Gives the first implementation that passes the probe."""
    for make in _MAKERS:
        try:
            candidate = make()
            if probe(candidate):
                return candidate
        except (OSError, AttributeError, ImportError, ValueError):
            continue  # not on this machine; the next one is asked, and the plain one always answers
    return PlainBackend()


def serving_implementation() -> str:
    """Names the implementation that serves."""
    return backend().name


class PlainBackend:
    """Plain Python: slow (milliseconds), always there."""

    name = "plain Python (slow: install an OpenSSL 3 with SM2)"

    def sign(self, scalar: bytes, point: bytes, signer_id: bytes, message: bytes) -> bytes:
        """Gives a DER signature."""
        nonce = secrets.randbelow(sm2_plain.ORDER - 1) + 1
        return sm2_plain.der_of_raw(sm2_plain.sign(scalar, point, signer_id, message, nonce))

    def verify(self, point: bytes, signer_id: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a DER signature is the key's over the message."""
        try:
            raw = sm2_plain.raw_of_der(signature)
        except ValueError:
            return False
        return sm2_plain.verify(point, signer_id, message, raw)


class LibcryptoBackend:
    """OpenSSL 3 through ctypes: parsed keys are kept, since parsing costs more than signing."""

    def __init__(self) -> None:
        found = ctypes.util.find_library("crypto")
        self._lib = ctypes.CDLL(found or "libcrypto.so.3")
        for name in (
            "d2i_AutoPrivateKey", "d2i_PUBKEY", "EVP_MD_CTX_new", "EVP_PKEY_CTX_new", "EVP_sm3",
        ):  # fmt: skip
            getattr(self._lib, name).restype = ctypes.c_void_p
        self._lib.OpenSSL_version.restype = ctypes.c_char_p
        version = self._lib.OpenSSL_version(0).decode()
        self.name = f"libcrypto ({version})"
        self._sm3 = ctypes.c_void_p(self._lib.EVP_sm3())
        self._keys: dict[bytes, Any] = {}

    def sign(self, scalar: bytes, point: bytes, signer_id: bytes, message: bytes) -> bytes:
        """Gives a DER signature."""
        key = self._key(scalar, lambda: self._private(scalar, point))
        length = ctypes.c_size_t(80)
        out = ctypes.create_string_buffer(80)

        def run(context: Any) -> int:
            return int(
                self._lib.EVP_DigestSign(context, out, ctypes.byref(length), message, ctypes.c_size_t(len(message)))
            )

        if self._with_context(key, signer_id, self._lib.EVP_DigestSignInit, run) != 1:
            raise OSError("libcrypto could not sign with SM2")
        return out.raw[: length.value]

    def verify(self, point: bytes, signer_id: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a DER signature is the key's over the message."""
        key = self._key(point, lambda: self._public(point))

        def run(context: Any) -> int:
            return int(
                self._lib.EVP_DigestVerify(
                    context,
                    signature,
                    ctypes.c_size_t(len(signature)),
                    message,
                    ctypes.c_size_t(len(message)),
                )
            )

        verdict = self._with_context(key, signer_id, self._lib.EVP_DigestVerifyInit, run)
        self._lib.ERR_clear_error()
        return verdict == 1

    def _with_context(self, key: Any, signer_id: bytes, init: Any, run: Callable[[Any], int]) -> int:
        lib = self._lib
        context = ctypes.c_void_p(lib.EVP_MD_CTX_new())
        key_context = ctypes.c_void_p(lib.EVP_PKEY_CTX_new(key, None))
        try:
            lib.EVP_PKEY_CTX_set1_id(key_context, signer_id, ctypes.c_int(len(signer_id)))
            lib.EVP_MD_CTX_set_pkey_ctx(context, key_context)
            if init(context, None, self._sm3, None, key) != 1:
                return 0
            return run(context)
        finally:
            lib.EVP_MD_CTX_free(context)
            lib.EVP_PKEY_CTX_free(key_context)

    def _key(self, name: bytes, make: Callable[[], Any]) -> Any:
        key = self._keys.get(name)
        if key is None:
            key = make()
            if not key:
                raise ValueError("libcrypto does not take the SM2 key")
            self._keys[name] = key
        return key

    def _private(self, scalar: bytes, point: bytes) -> Any:
        der = sm2_plain.pkcs8(scalar, point)
        pointer = ctypes.cast(ctypes.create_string_buffer(der, len(der)), ctypes.c_void_p)
        found = self._lib.d2i_AutoPrivateKey(None, ctypes.byref(pointer), ctypes.c_long(len(der)))
        return ctypes.c_void_p(found)

    def _public(self, point: bytes) -> Any:
        der = sm2_plain.subject_public_key(point)
        pointer = ctypes.cast(ctypes.create_string_buffer(der, len(der)), ctypes.c_void_p)
        found = self._lib.d2i_PUBKEY(None, ctypes.byref(pointer), ctypes.c_long(len(der)))
        return ctypes.c_void_p(found)


_MAKERS: Final[tuple[Callable[[], Sm2Backend], ...]] = (LibcryptoBackend, PlainBackend)
