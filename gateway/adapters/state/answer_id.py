"""Answer ids (回执): UUIDv7 (RFC 9562 §5.7), unique and ordered by time."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Final

_VARIANT: Final = {f"{bits:x}": f"{0b1000 | bits & 0b11:x}" for bits in range(16)}
"""The digit of the variant, with the last two bits of a random one."""


def new_answer_id(at: datetime) -> str:
    """Gives a new id for a query admitted at that moment."""
    # Put together as digits: a number of 128 bits takes three times as long to work out.
    time = f"{int(at.timestamp() * 1000) & 0xFFFFFFFFFFFF:012x}"
    random = os.urandom(10).hex()  # one call to the system for all 74 random bits
    return f"{time[:8]}-{time[8:]}-7{random[:3]}-{_VARIANT[random[3]]}{random[4:7]}-{random[7:19]}"
