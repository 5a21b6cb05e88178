"""Keys that stay in a hardware module: Ed25519 signs by CKM_EDDSA, AES-256 seals by CKM_AES_GCM.

SM2 and SM4 have no mechanism in the PKCS#11 standard that modules share (vendors define their own), so the suite "gm" takes
its keys from files or variables.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from cryptography.exceptions import InvalidTag

from gateway.adapters.crypto.module_session import ModuleKey, binding
from gateway.adapters.crypto.verify import ED25519, PublicKey, public_key_of
from gateway.domain.errors import SigningUnavailableError

_TAG_BITS: Final = 128
_ID_NONCE: Final = bytes(12)  # a key's id is a tag under this nonce; contents have random ones, and never this
_ID_BOUND: Final = b"xinyidai archive key"


class ModuleSigner(ModuleKey):
    """Signs inside the module; one signature at a time, since a session does one thing at a time."""

    algorithm = ED25519

    def __init__(self, reference: str) -> None:
        super().__init__(reference)
        self._private: Any = None
        self._public: PublicKey | None = None

    @property
    def key_id(self) -> str:
        """Names the key; raises SigningUnavailableError while the module was never reached."""
        return self.public_key.key_id

    @property
    def public_key(self) -> PublicKey:
        """What verifiers need; raises SigningUnavailableError while the module was never reached."""
        if self._public is None:
            self._use(lambda: None)
        assert self._public is not None  # opening a session gives it or raises
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Gives the signature; raises SigningUnavailableError, also where another key answers to the label now."""
        eddsa = binding().Mechanism.EDDSA
        return self._use(lambda: bytes(self._private.sign(message, mechanism=eddsa)))

    def _find(self) -> None:
        pkcs11 = binding()
        self._private = self._key(pkcs11.ObjectClass.PRIVATE_KEY)
        point = bytes(self._key(pkcs11.ObjectClass.PUBLIC_KEY)[pkcs11.Attribute.EC_POINT])
        found = public_key_of(ED25519, point[-32:])  # an OCTET STRING around the 32 bytes, or they alone
        if self._public is not None and found != self._public:
            raise SigningUnavailableError(f"pkcs11: another key is labelled {self._at.key} now; start anew to use it")
        self._public = found


class ModuleArchiveKey(ModuleKey):
    """Seals and opens inside the module, which must take the nonce it is given, by AES-256-GCM.

    Its id is of a tag that only this key makes, so that another key under the same label is known as another.
    """

    def __init__(self, reference: str, cipher: str) -> None:
        super().__init__(reference)
        self.cipher = cipher
        self._secret: Any = None
        self._key_id = ""

    @property
    def key_id(self) -> str:
        """Names the key; raises SigningUnavailableError while the module was never reached."""
        if not self._key_id:
            self._use(lambda: None)
        return self._key_id

    def seal(self, nonce: bytes, content: bytes, bound_to: bytes) -> bytes:
        """Gives the ciphertext and its tag; raises SigningUnavailableError."""
        if nonce == _ID_NONCE:
            raise ValueError("this nonce names the key")
        return self._use(lambda: self._encrypted(nonce, content, bound_to))

    def open(self, nonce: bytes, body: bytes, bound_to: bytes) -> bytes:
        """Gives the content; raises InvalidTag, SigningUnavailableError."""
        return self._use(lambda: self._decrypted(nonce, body, bound_to))

    def _encrypted(self, nonce: bytes, content: bytes, bound_to: bytes) -> bytes:
        return bytes(self._secret.encrypt(content, **_by_gcm(nonce, bound_to)))

    def _decrypted(self, nonce: bytes, body: bytes, bound_to: bytes) -> bytes:
        try:
            return bytes(self._secret.decrypt(body, **_by_gcm(nonce, bound_to)))
        except binding().PKCS11Error:
            # Modules have no common word for a wrong tag. One that still computes the key's id works: it is the content.
            if self._computed_id() == self._key_id:
                raise InvalidTag from None
            raise

    def _find(self) -> None:
        self._secret = self._key(binding().ObjectClass.SECRET_KEY)
        found = self._computed_id()
        if self._key_id and found != self._key_id:
            raise SigningUnavailableError(f"pkcs11: another key is labelled {self._at.key} now; start anew to use it")
        self._key_id = found

    def _computed_id(self) -> str:
        tag = self._encrypted(_ID_NONCE, b"", _ID_BOUND)
        return f"{self.cipher.lower()}-{hashlib.sha256(tag).hexdigest()[:16]}"


def _by_gcm(nonce: bytes, bound_to: bytes) -> dict[str, Any]:
    from pkcs11.mechanisms import GCMParams

    return {"mechanism": binding().Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, bound_to, _TAG_BITS)}
