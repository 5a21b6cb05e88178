"""Answer ids (回执): UUIDv7 (RFC 9562 §5.7), unique and ordered by time."""

from __future__ import annotations

import os
from datetime import datetime


def new_answer_id(at: datetime) -> str:
    """Gives a new id for a query admitted at that moment."""
    milliseconds = int(at.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10))  # one call to the system for all 74 random bits
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | (random & (2**62 - 1))
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
