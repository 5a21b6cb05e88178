"""Answer ids (回执): UUIDv7 (RFC 9562 §5.7), unique and ordered by time."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime


def new_answer_id(at: datetime) -> str:
    """Gives a new id for a query admitted at that moment."""
    milliseconds = int(at.timestamp() * 1000)
    value = (
        (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    )
    return str(uuid.UUID(int=value))
