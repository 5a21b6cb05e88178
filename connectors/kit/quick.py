"""The same values, sooner: how the common ones are written without all the rules, which have the last word on all others.

Days, claims, coded values and public bodies repeat endlessly and say nothing of a person: how they were read is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from connectors.kit.values import LARGEST_WHOLE, NULLS
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money
from gateway.domain.wire import delimited, encoder, short_heads, varint

Write = Callable[[Any], bytes]
"""Gives the bytes of what a value says of a field, none where it says nothing; raises Flaw."""

_KEPT: Final = 10_000
_LONGEST_KEPT: Final = 64


class _Remembered(dict[Any, bytes]):
    """How texts, or pairs of them, without a flaw were read; asked as a mapping, since that costs no call of Python."""

    __slots__ = ("_read",)

    def __init__(self, read: Write) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, raw: Any) -> bytes:
        written = self._read(raw)
        parts = raw if type(raw) is tuple else (raw,)
        # Nothing else than texts, since 1, 1.0 and True are one key.
        is_kept = all(part is None or (type(part) is str and len(part) <= _LONGEST_KEPT) for part in parts)
        if is_kept and len(self) < _KEPT:
            self[raw] = written
        return written


def remembering(read: Write) -> Write:
    """For what is a text, or two, and says nothing of a person."""
    return _Remembered(read).__getitem__


def as_read(read: Write) -> Write:
    """For what is read by all the rules each time."""
    return read


def clean_texts(field: FieldDescriptor) -> Callable[[Write], Write]:
    """For texts that need no cleaning, as most do: `text` has the rules and the last word on all others."""
    heads, encode = short_heads(field), delimited(field)

    def quicken(read: Write) -> Write:
        def write(raw: Any) -> bytes:
            if type(raw) is str:
                encoded: bytes = raw.encode()
                length = len(encoded)
                if (
                    (length > _LONGEST_NULL or raw not in NULLS)
                    and raw.isprintable()
                    and encoded[0] != _SPACE != encoded[-1]
                    and "\ufffd" not in raw
                ):
                    return heads[length] + encoded if length < 512 else encode(encoded)
            return read(raw)

        return write

    return quicken


_LONGEST_NULL: Final = max(len(null.encode()) for null in NULLS)
_SPACE: Final = ord(" ")


def whole_money(field: FieldDescriptor, factor: int, *, least: int) -> Callable[[Write], Write]:
    """For amounts sent as whole numbers, as most are: written without a message in between, down to `least`."""
    tag = b"\x08"  # Money.minor_units
    currency = Money(currency="CNY").SerializeToString()
    around = len(tag) + len(currency)
    heads = [head + currency + tag for head in short_heads(field)[around:]]  # by the length of the number

    def quicken(read: Write) -> Write:
        def write(raw: Any) -> bytes:
            if type(raw) is int and least <= raw < LARGEST_WHOLE:
                number = varint(raw * factor)
                return heads[len(number)] + number
            return read(raw)

        return write

    return quicken


def small_counts(field: FieldDescriptor) -> Callable[[Write], Write]:
    """For counts sent as whole numbers that fit any field."""
    encode = encoder(field)

    def quicken(read: Write) -> Write:
        def write(raw: Any) -> bytes:
            return encode(raw) if type(raw) is int and 0 <= raw < 2**32 else read(raw)

        return write

    return quicken


def remembering_texts(read: Write) -> Write:
    """For what comes as a text or as a list: the text is kept."""
    seen = _Remembered(read)
    return lambda raw: seen[raw] if type(raw) is str else read(raw)
