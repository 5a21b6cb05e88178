"""What stands in the trail for a platform's answer: the SM3 of its raw body, keyed where nobody is to try guesses."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

_SHORTEST_KEY: Final = 16
DigestOf: TypeAlias = Callable[[bytes], str]
"""Gives what stands for an answer, by the SM3 of its raw body: that in hexadecimal, or keyed."""


def keyed_digest(key: bytes) -> DigestOf:
    """Gives HMAC-SM3 under a key of the deployment (GB/T 15852.2), in hexadecimal; raises ValueError for a short key.

    What the trail says of personal or authorised content then tells nobody without the key whether it was a guessed one.
    """
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"the key is too short: at least {_SHORTEST_KEY} bytes are needed")
    keyed = hmac.new(key, digestmod="sm3")

    @lru_cache(maxsize=16_384)
    def digest(content: bytes) -> str:
        if not content:
            return ""
        hashing = keyed.copy()
        hashing.update(content)
        return hashing.hexdigest()

    return digest
