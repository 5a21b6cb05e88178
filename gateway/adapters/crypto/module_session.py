"""Sessions of a hardware module (PKCS#11): opened when a key of it is needed, thrown away when one fails.

A module reads its tokens when its library is initialised, initialising ends every session there is, and a process logs in to
a token once. So all keys of a process share one library, one session for each token, and one lock: after a failure the next
use initialises anew, and the other keys notice by the epoch. A module that comes back is used without a restart.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, TypeVar

from gateway.adapters.crypto.keys import ModuleReference, read_key
from gateway.domain.errors import SigningUnavailableError

_T = TypeVar("_T")


class _Library:
    """What all keys in modules share in one process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.epoch = 0
        self.is_broken = True
        self.wrong_pins: set[tuple[str, str]] = set()
        self._sessions: dict[str, tuple[Any, str]] = {}

    def session(self, at: ModuleReference) -> Any:
        """Gives the token's session; raises what the binding raises, SigningUnavailableError for a PIN known to be wrong."""
        library = binding().lib(at.module)
        if self.is_broken:
            self._sessions.clear()
            library.reinitialize()
            self.epoch += 1
            self.is_broken = False
        pin = read_key(at.pin)
        if (open_now := self._sessions.get(at.token)) is not None:
            if pin != open_now[1]:
                raise SigningUnavailableError(f"pkcs11: token {at.token}: two references state different PINs")
            return open_now[0]
        if (at.token, pin) in self.wrong_pins:  # a module locks itself after a few wrong tries
            raise SigningUnavailableError(f"pkcs11: token {at.token}: the PIN is wrong; it is not tried again")
        try:
            opened = library.get_token(token_label=at.token).open(user_pin=pin)
        except binding().PinIncorrect:
            self.wrong_pins.add((at.token, pin))
            raise
        self._sessions[at.token] = (opened, pin)
        return opened


_LIBRARY: Final = _Library()


class ModuleKey(ABC):
    """A key that stays in a module; a kind of key adds what it finds in a session and what it does with it."""

    def __init__(self, reference: str) -> None:
        self._at = ModuleReference.parse(reference)
        self._session: Any = None
        self._epoch = 0

    def _use(self, work: Callable[[], _T]) -> _T:
        """Gives what the work gives with an open session, one at a time; raises what it raises, SigningUnavailableError."""
        pkcs11 = binding()
        with _LIBRARY.lock:
            try:
                if self._session is None or self._epoch != _LIBRARY.epoch:
                    self._session = _LIBRARY.session(self._at)
                    self._epoch = _LIBRARY.epoch
                    self._find()
                return work()
            except (pkcs11.PKCS11Error, OSError, RuntimeError) as error:
                self._session = None
                _LIBRARY.is_broken = True
                what = type(error).__name__
                raise SigningUnavailableError(
                    f"pkcs11: token {self._at.token}, key {self._at.key}: {what}; nothing is signed or sealed"
                ) from error
            except SigningUnavailableError:
                self._session = None
                raise

    @abstractmethod
    def _find(self) -> None:
        """Finds the key in the session just opened."""

    def _key(self, kind: Any) -> Any:
        return self._session.get_key(object_class=kind, label=self._at.key)


def binding() -> Any:
    """Gives the package, which is loaded only where a key stands in a module."""
    try:
        import pkcs11
    except ImportError as error:
        raise SigningUnavailableError("pkcs11: install the extra xinyidai-gateway[hsm]") from error
    return pkcs11
