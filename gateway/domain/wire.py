"""Fields of a message on the wire (protocol buffers' encoding), as far as records need them.

Records are put together as bytes, and an answer's or a view's are parsed at once, by the library: setting field by field
from Python costs several times as much. Two properties of the format are used: a field of a later copy of a message adds
to or overrides that of an earlier one, and fields may stand in any order. So what is written here is valid but not canonical:
whoever digests it serialises the parsed message.

Source: the encoding page of protocol buffers' documentation (varints, tags, length-delimited fields, packed enums, merging).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor

_T = TypeVar("_T")
Encode = Callable[[Any], bytes]
"""Gives one field's bytes, its tag included."""

_VARINT: Final = 0
_DELIMITED: Final = 2

# Two groups of seven bits at a time: most lengths and amounts take one step or two.
_STEP: Final = 14
_LAST: Final = [bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << _STEP)]
_MORE: Final = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << _STEP)]


def varint(number: int) -> bytes:
    """Gives a whole number of at most 64 bits; a negative one in two's complement."""
    if 0 <= number < 0x4000:  # literals, since a name is looked up and an expression reckoned at each call
        return _LAST[number]
    if 0 < number < 0x10000000:
        return _MORE[number & 0x3FFF] + _LAST[number >> 14]
    if number < 0:
        number += 1 << 64
    written = b""
    while number >= 0x4000:
        written += _MORE[number & 0x3FFF]
        number >>= 14
    return written + _LAST[number]


_SHORT: Final = 512


def _tag(field: FieldDescriptor, wire_type: int) -> bytes:
    return varint(field.number << 3 | wire_type)


def tag_of(field: FieldDescriptor) -> int:
    """Gives the tag of a text, message or repeated message, as a number."""
    return field.number << 3 | _DELIMITED


@cache
def _short_heads(number: int) -> Sequence[bytes]:
    tag = varint(number << 3 | _DELIMITED)
    return [tag + _LAST[length] for length in range(_SHORT)]


def short_heads(field: FieldDescriptor) -> Sequence[bytes]:
    """Gives tag and length of a text or message for each length below 512 bytes."""
    return _short_heads(field.number)


def heads(field: FieldDescriptor) -> Callable[[int], bytes]:
    """Gives what writes tag and length of a text or message, for content that is put after it without a copy of its own."""
    tag = _tag(field, _DELIMITED)
    return lambda length: tag + varint(length)


def delimited(field: FieldDescriptor) -> Encode:
    """Gives what writes the bytes of a text or message with tag and length."""
    tag, heads = _tag(field, _DELIMITED), short_heads(field)

    def encode(content: bytes) -> bytes:
        length = len(content)
        return heads[length] + content if length < 512 else tag + varint(length) + content

    return encode


def encoder(field: FieldDescriptor) -> Encode:
    """Gives what writes a value of this field: text, bytes, whole number, claim, enum number, message, or a list of them."""
    if field.is_repeated:
        return _repeated(field)
    if field.message_type is not None:
        write = delimited(field)
        return lambda message: write(message.SerializeToString())
    if field.type == FieldDescriptor.TYPE_BYTES:
        return delimited(field)
    if field.type == FieldDescriptor.TYPE_STRING:
        write = delimited(field)
        return lambda text: write(text.encode())
    tag = _tag(field, _VARINT)
    return lambda number: tag + varint(number)


def _repeated(field: FieldDescriptor) -> Encode:
    write = delimited(field)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda values: b"".join(map(write, values))
    if field.type == FieldDescriptor.TYPE_STRING:
        return lambda texts: b"".join([write(text.encode()) for text in texts])
    if field.message_type is not None:
        return lambda messages: b"".join([write(message.SerializeToString()) for message in messages])
    return lambda numbers: write(b"".join(map(varint, numbers))) if numbers else b""


def take_varint(raw: bytes, place: int) -> tuple[int, int]:
    """Reads a varint of well-formed bytes; gives the number and the place after it."""
    number = shift = 0
    while True:
        byte = raw[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place


def take_delimited(raw: bytes, place: int) -> tuple[int, int]:
    """Gives where the content of the length-delimited field at `place` starts and ends; its tag is of one byte."""
    length = raw[place + 1]
    if length < 128:
        return place + 2, place + 2 + length
    high = raw[place + 2]
    if high < 128:  # two bytes, as an envelope's length mostly has
        return place + 3, place + 3 + length + (high << 7) - 128
    length, start = take_varint(raw, place + 1)
    return start, start + length


def split_entries(raw: bytes) -> list[tuple[int, int, int]]:
    """Parts a message of repeated messages, such as `Records`: gives tag, start and end of each one's well-formed bytes."""
    entries: list[tuple[int, int, int]] = []
    place, end = 0, len(raw)
    while place < end:
        tag = raw[place]
        place += 1
        if tag >= 128:
            tag, place = take_varint(raw, place - 1)
        if tag & 7 != _DELIMITED:  # nothing that the schema knows
            place = _after(raw, place, tag & 7)
            continue
        length = raw[place]
        place += 1
        if length >= 128:
            if raw[place] < 128:  # two bytes, as most then have
                length += (raw[place] << 7) - 128
                place += 1
            else:
                length, place = take_varint(raw, place - 1)
        start, place = place, place + length
        entries.append((tag, start, place))
    return entries


def _after(raw: bytes, place: int, wire_type: int) -> int:
    if wire_type == _VARINT:
        return take_varint(raw, place)[1]
    return place + _FIXED[wire_type]


def split_fields(raw: bytes, like: Mapping[int, bytes] = MappingProxyType({})) -> dict[int, bytes]:
    """Parts a message's well-formed bytes into its fields by number, each with its tag; repeated ones stay together.

    Two messages of one type, both serialised deterministically, state the same in a field where its bytes are alike. `like`
    are the fields of another that mostly says the same: what stands in both is known by its bytes, and not read.
    """
    fields: dict[int, bytes] = {}
    place, end = 0, len(raw)
    for number, written in like.items():
        if raw.startswith(written, place) and number not in fields:
            fields[number] = written
            place += len(written)
            continue
        while place < end:
            own, after = _field(raw, place)
            if own > number:
                break
            fields[own] = fields.get(own, b"") + raw[place:after]  # one more of a repeated field, or one that differs
            place = after
            if own == number:
                break
    last = max(fields) if fields else 0
    while (
        place < end
    ):  # tags and lengths of one byte or two are read here: nearly all, and a call costs more than they do
        start = place
        tag = raw[place]
        place += 1
        if tag > 0x7F:
            high = raw[place]
            if high < 0x80:
                tag += (high << 7) - 0x80
                place += 1
            else:
                tag, place = take_varint(raw, start)
        wire_type = tag & 7
        if wire_type == _DELIMITED:
            length = raw[place]
            place += 1
            if length > 0x7F:
                length, place = take_varint(raw, place - 1)
            place += length
        elif wire_type == _VARINT:
            while raw[place] > 0x7F:
                place += 1
            place += 1
        else:
            place += _FIXED[wire_type]
        number = tag >> 3
        if number > last:
            fields[number] = raw[start:place]
            last = number
        else:  # one more of a repeated field, or out of order
            fields[number] = fields.get(number, b"") + raw[start:place]
    return fields


def _field(raw: bytes, place: int) -> tuple[int, int]:
    """Gives the number of the field at `place`, and the place after it."""
    tag, place = take_varint(raw, place)
    wire_type = tag & 7
    if wire_type != _DELIMITED:
        return tag >> 3, _after(raw, place, wire_type)
    length, place = take_varint(raw, place)
    return tag >> 3, place + length


def find_delimited(raw: bytes, place: int, end: int, wanted: Mapping[int, _T]) -> list[tuple[_T, int, int, int]]:
    """Looks for texts and messages, repeated ones too, by their tags in a message's well-formed bytes from `place` on.

    Gives of each what `wanted` has under its tag, where its tag stands, where its content starts, and where that ends. What
    stands after the last wanted number is not looked at: the fields the schema knows come by ascending number.
    """
    found: list[tuple[_T, int, int, int]] = []
    last = max(wanted) if wanted else 0
    while place < end:
        start = place
        tag = raw[place]
        place += 1
        if tag > 0x7F:
            tag, place = take_varint(raw, start)
        if tag > last:
            break
        wire_type = tag & 7
        if wire_type == _DELIMITED:
            length = raw[place]
            place += 1
            if length > 0x7F:
                length, place = take_varint(raw, place - 1)
            content, place = place, place + length
            if tag in wanted:
                found.append((wanted[tag], start, content, place))
        else:
            place = _after(raw, place, wire_type)
    return found


_FIXED: Final = {1: 8, 5: 4}
