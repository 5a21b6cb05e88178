"""Tokens by which a watch is resumed (续传令牌): a mark, sealed for one bank and one watch by HMAC."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection
from typing import Final

from gateway.domain.errors import InvalidRequestError, Reason

_MARK_BYTES: Final = 8
_SEAL_BYTES: Final = 16


class ResumeTokens:
    """Gives tokens and reads them; `key` is the deployment's, the same in all its processes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def give(self, bank: str, list_codes: Collection[str], mark: int) -> str:
        """Gives the token of a place in the bank's watch of these lists."""
        raw = mark.to_bytes(_MARK_BYTES, "big")
        return base64.urlsafe_b64encode(raw + self._seal(bank, list_codes, raw)).decode()

    def read(self, token: str, bank: str, list_codes: Collection[str]) -> int:
        """Gives the mark; raises InvalidRequestError for what is no token of this bank and watch, whosever it is."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        place = raw[:_MARK_BYTES]
        if len(raw) == _MARK_BYTES + _SEAL_BYTES and hmac.compare_digest(
            raw[_MARK_BYTES:], self._seal(bank, list_codes, place)
        ):
            return int.from_bytes(place, "big")
        raise InvalidRequestError(
            "resume_token",
            "is no token of this bank for this watch; watch from the beginning",
            Reason.RESUME_TOKEN_REFUSED,
        )

    def _seal(self, bank: str, list_codes: Collection[str], place: bytes) -> bytes:
        bound = "\x1f".join((bank, *sorted(list_codes))).encode() + b"\x1e" + place
        return hmac.digest(self._key, bound, "sha256")[:_SEAL_BYTES]
