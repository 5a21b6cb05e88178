"""Requests drawn from the contract's own descriptors: any method, any field, values that are plausible, odd or extreme.

A new service, method or field is drawn without a change here. What is plausible goes by the field's name, so that a share of the
requests gets past the first checks.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf import message_factory, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.type import date_pb2

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.gateway.v1 import (
    admin_service_pb2,
    archive_service_pb2,
    audit_service_pb2,
    catalogue_service_pb2,
    consent_service_pb2,
    credit_service_pb2,
    green_credit_service_pb2,
    joint_list_service_pb2,
    platform_service_pb2,
    repair_service_pb2,
)
from tests.faults.callers_fixtures import PLATFORMS, new_uscc

_FILES: Final = (
    admin_service_pb2, archive_service_pb2, audit_service_pb2, catalogue_service_pb2, consent_service_pb2, credit_service_pb2,
    green_credit_service_pb2, joint_list_service_pb2, platform_service_pb2, repair_service_pb2,
)  # fmt: skip
DEMO: Final = "91310115MA0TERT167"
ODD_TEXTS: Final = (
    "", " ", "\0", "a\0b", "\x1b[2J", "\r\nevent: x", "\u202egnp", "\ufeff", "\u2028", "e\u0301" * 9, "\U0001f9fe" * 40,
    "北" * 64, "x" * 65, "x" * 257, "北" * 5_000, "'; DROP TABLE consents;--", "%00", "../../etc/passwd", "{}", "[[1]]", "NaN",
    "-1", "9" * 40, "AAAA", "====", "eyJ4IjoxfQ==", "\uffff", "\ud7ff", "91310115MA0TERT168", "９１３１０１１５ＭＡ０ＴＥＲＴ１６７",
)  # fmt: skip
_INT_BITS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_PLAUSIBLE: Final = {"seconds": 1_795_000_000, "year": 2026, "month": 11, "day": 20, "list_year": 2024, "max_uses": 0}
_LEARNED: Final = ("_id", "_token", "position")
_ASKED_AS: Final = {"next_page_token": "page_token", "position": "after_position"}
_BYTES: Final = {"record_key": b"", "content": b"{}\n"}
_ENDS: Final = frozenset({"valid_to", "to_time", "to", "published_to", "due_off", "publish_end"})
_LATER: Final[Mapping[str, Message]] = {
    "google.protobuf.Timestamp": timestamp_pb2.Timestamp(seconds=1_820_000_000),
    "google.type.Date": date_pb2.Date(year=2027, month=10, day=1),
}
_RECORDS: Final = view_pb2.Records.DESCRIPTOR.full_name
_UNKNOWN_FIELD: Final = b"\xf2\x7f\x03new"  # field 2046


class DrawnCall(NamedTuple):
    """A method, and the bytes of the requests it is sent: one where it takes one."""

    method: MethodDescriptor
    requests: tuple[bytes, ...]


def methods() -> Iterator[MethodDescriptor]:
    """Yields every method of the contract."""
    for file in _FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


class Drawing:
    """Draws requests; the same seed draws the same."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        # Texts that mean something to the gateway, by the name of the field.
        self._known: dict[str, tuple[str, ...]] = {
            "uscc": (DEMO, new_uscc()),
            "usccs": (DEMO, new_uscc()),
            "platform": PLATFORMS,
            "platforms": PLATFORMS,
            "required_platforms": PLATFORMS,
            "list_code": ("YRD_ENV", "YRD_FOOD"),
            "list_codes": ("YRD_ENV", "SDL_TAX"),
            "province": ("31",),
            "scheme": ("QUALITY_YRD",),
            "certificate_serial": ("AB12",),
            **dict.fromkeys(("operator", "proposed_by"), ("teller-1", "teller-2")),
            **dict.fromkeys(("consent_id", "consent_ids"), ("c-1",)),
            **dict.fromkeys(("page_token", "after_position", "resume_token", "person_ref", "person_name"), ("",)),
            **dict.fromkeys(("institution_code", "request_id"), ("",)),
        }

    def call(self, method: MethodDescriptor) -> DrawnCall:
        """Draws a call of a method."""
        count = self._chance.choice((0, 1, 1, 2, 5)) if method.client_streaming else 1
        return DrawnCall(method, tuple(self._request(method.input_type) for _ in range(count)))

    def learn(self, message: Message) -> None:
        """Takes the ids and tokens of an answer, so that later requests name what is there."""
        for field, value in message.ListFields():
            if field.is_repeated or field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
                if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
                    for part in list(value)[:3] if field.is_repeated else [value]:
                        self.learn(part)
            elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.name.endswith(_LEARNED):
                name = _ASKED_AS.get(field.name, field.name)
                self._known[name] = (*self._known.get(name, ())[-6:], value)

    def _request(self, descriptor: Descriptor) -> bytes:
        oddness = self._chance.choice((0.0, 0.05, 0.05, 0.3, 1.0))
        raw: bytes = self._message(descriptor, oddness, 0).SerializeToString()
        whim = self._chance.random()
        if whim < 0.03:
            return raw + raw
        if whim < 0.06:
            return raw + _UNKNOWN_FIELD
        if whim < 0.09:
            return raw[: self._chance.randrange(len(raw) + 1)]
        return raw

    def _message(self, descriptor: Any, oddness: float, depth: int) -> Any:
        made = message_factory.GetMessageClass(descriptor)()
        fields = list(descriptor.fields)
        if descriptor.full_name == _RECORDS and oddness < 1:  # what states a record states one
            fields = [self._chance.choice(fields)]
        for field in fields:
            is_odd = self._chance.random() < oddness
            if depth > 4 or self._chance.random() < (0.3 if is_odd else 0.05):
                continue
            if not field.is_repeated:
                self._set(made, field, self._value(field, is_odd, oddness, depth))
                continue
            count = self._chance.choice((1, 3, 60, 600)) if is_odd and depth < 2 else 1
            value = self._value(field, is_odd, oddness, depth)
            getattr(made, field.name).extend([value] * count)
        return made

    def _set(self, made: Any, field: FieldDescriptor, value: Any) -> None:
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            getattr(made, field.name).CopyFrom(value)
        else:
            setattr(made, field.name, value)

    def _value(self, field: Any, is_odd: bool, oddness: float, depth: int) -> Any:
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_MESSAGE:
            made = self._message(field.message_type, oddness, depth + 1)
            if field.name in _ENDS and not is_odd:  # after its `_from`
                made.Clear()
                made.MergeFrom(_LATER[field.message_type.full_name])
            return made
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            odd = self._chance.choice((0, -1, 99, 2**31 - 1, -(2**31)))
            return odd if is_odd else self._chance.choice(field.enum_type.values[1:] or field.enum_type.values).number
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self._chance.random() < 0.5
        if field.type == FieldDescriptor.TYPE_BYTES:
            return (
                self._chance.randbytes(self._chance.choice((0, 1, 31, 33, 9_000)))
                if is_odd
                else _BYTES.get(field.name, bytes(32))
            )
        if kind == FieldDescriptor.CPPTYPE_STRING:
            known = self._known.get(field.name, ("text",))
            if is_odd and field.name.endswith("_token") and self._chance.random() < 0.5:
                return _forged(known[-1])
            return self._chance.choice(ODD_TEXTS if is_odd else known)
        least, most = _INT_BITS[kind]
        if is_odd:
            return self._chance.choice((0, 1, least, least + 1, most - 1, most))
        return self._chance.choice((1, 2)) if field.name == "expected_version" else _PLAUSIBLE.get(field.name, 1)


def _forged(token: str) -> str:
    """Gives a token that goes on as no gateway's does: with a number beyond every store's."""
    return base64.urlsafe_b64encode(base64.urlsafe_b64decode(token) + b"9" * 30).decode()
