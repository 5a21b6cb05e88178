"""A signing key that stays in a hardware module (PKCS#11): Ed25519 by CKM_EDDSA.

SM2 and SM4 have no mechanism in the PKCS#11 standard that modules share (vendors define their own), so the suite "gm" takes
its keys from files or variables. A session that fails is thrown away; the next signature opens a new one, so that a module
that comes back is used again without a restart.
"""

from __future__ import annotations

import threading
from typing import Any

from gateway.adapters.crypto.keys import ModuleReference, read_key
from gateway.adapters.crypto.verify import ED25519, PublicKey, public_key_of
from gateway.domain.errors import SigningUnavailableError


class ModuleSigner:
    """Signs inside the module; one signature at a time, since a session does one thing at a time."""

    algorithm = ED25519

    def __init__(self, reference: str) -> None:
        self._at = ModuleReference.parse(reference)
        self._lock = threading.Lock()
        self._session: Any = None
        self._private: Any = None
        self._public: PublicKey | None = None
        self._wrong_pin = ""

    @property
    def key_id(self) -> str:
        """Names the key; raises SigningUnavailableError while the module was never reached."""
        return self.public_key.key_id

    @property
    def public_key(self) -> PublicKey:
        """What verifiers need; raises SigningUnavailableError while the module was never reached."""
        with self._lock:
            if self._public is None:
                self._open()
            assert self._public is not None  # _open gives it or raises
            return self._public

    def sign(self, message: bytes) -> bytes:
        """Gives the signature; raises SigningUnavailableError, also where another key answers to the label now."""
        with self._lock:
            if self._session is None:
                self._open()
            pkcs11 = _binding()
            try:
                return bytes(self._private.sign(message, mechanism=pkcs11.Mechanism.EDDSA))
            except pkcs11.PKCS11Error as error:
                self._forget()
                raise self._unavailable(error) from error

    def _open(self) -> None:
        pkcs11 = _binding()
        try:
            library = pkcs11.lib(self._at.module)
            library.reinitialize()  # a module reads its tokens when it is initialised; one that came back is seen by it
            pin = read_key(self._at.pin)
            if pin == self._wrong_pin:  # a module locks itself after a few wrong tries
                raise SigningUnavailableError(
                    f"pkcs11: token {self._at.token}: the PIN is wrong; it is not tried again"
                )
            self._session = library.get_token(token_label=self._at.token).open(user_pin=pin)
            self._private = self._key(pkcs11.ObjectClass.PRIVATE_KEY)
            point = bytes(self._key(pkcs11.ObjectClass.PUBLIC_KEY)[pkcs11.Attribute.EC_POINT])
        except (pkcs11.PKCS11Error, OSError, RuntimeError) as error:
            self._forget()
            if isinstance(error, pkcs11.PinIncorrect):
                self._wrong_pin = pin
            raise self._unavailable(error) from error
        found = public_key_of(ED25519, point[-32:])  # an OCTET STRING around the 32 bytes, or they alone
        if self._public is not None and found != self._public:
            self._forget()
            raise SigningUnavailableError(f"pkcs11: another key is labelled {self._at.key} now; start anew to use it")
        self._public = found

    def _key(self, kind: Any) -> Any:
        return self._session.get_key(object_class=kind, label=self._at.key)

    def _forget(self) -> None:
        session, self._session, self._private = self._session, None, None
        if session is not None:
            try:
                session.close()
            except _binding().PKCS11Error:
                pass  # it was broken already

    def _unavailable(self, error: Exception) -> SigningUnavailableError:
        what = type(error).__name__
        return SigningUnavailableError(f"pkcs11: token {self._at.token}, key {self._at.key}: {what}; nothing is signed")


def _binding() -> Any:
    """Gives the package, which is loaded only where a key stands in a module."""
    try:
        import pkcs11
    except ImportError as error:
        raise SigningUnavailableError("pkcs11: install the extra xinyidai-gateway[hsm]") from error
    return pkcs11
