"""A provenance as it stands in a view, on the wire: what the platform's record says of itself, completed by what was read.

A view's bytes are canonical, so the fields stand by ascending number: data time and digest go between those of a connector.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import MatchMethod, RecordStatus
from gateway.domain.wire import delimited, encoder

_FIELDS: Final = envelope_pb2.Provenance.DESCRIPTOR.fields_by_name
_PROVENANCES: Final = delimited(envelope_pb2.RecordEnvelope.DESCRIPTOR.fields_by_name["provenances"])
_NAMED: Final = encoder(_FIELDS["platform"])
_PLATFORM: Final = _NAMED("")[0]
_NO_DIGEST: Final = bytes(32)
_RECORD_KEY: Final = encoder(_FIELDS["platform_record_key"])("")[0]
_DIGEST: Final = encoder(_FIELDS["digest"])(bytes(32))[:-32]
_MATCHED: Final = frozenset({b"", *map(encoder(_FIELDS["match_method"]), MatchMethod.values()[1:])})
_STATUS: Final = {status: encoder(_FIELDS["status"])(status) if status else b"" for status in RecordStatus.values()}


Complete = Callable[[bytes, bytes, RecordStatus.ValueType], bytes]
"""Gives the field `provenances` of an envelope from the provenance in a record's deterministic bytes, digest and status."""


@lru_cache(maxsize=4096)
def completing(platform: str, data_time: bytes) -> Complete:
    """Gives what completes the provenances of one platform with one data time, as `as_of_field` gives it."""
    head = _NAMED(platform) if platform else b""
    plain: dict[tuple[bytes, int], tuple[bytes, bytes]] = {}
    for matched in _MATCHED:
        for status in _STATUS:
            field = provenance_field(head + matched, data_time, _NO_DIGEST, status)
            before, after = field.split(_NO_DIGEST)
            plain[head + matched, status] = before, after

    def complete(stated: bytes, digest: bytes, status: RecordStatus.ValueType) -> bytes:
        around = plain.get((stated, status))  # but for a key of the platform's own, a record has nothing to add
        if around is not None:
            return around[0] + digest + around[1]
        return provenance_field(stated, data_time, digest, status)

    return complete


def provenance_field(stated: bytes, data_time: bytes, digest: bytes, status: RecordStatus.ValueType) -> bytes:
    """Gives the field `provenances` of an envelope.

    `stated` is the provenance of a record's deterministic bytes, `data_time` as `as_of_field` gives it; both data time and
    digest take the place of what stands there.
    """
    # A connector states platform, record key and how it matched; the first two are texts of mostly less than 128 bytes.
    size, end = len(stated), 0
    if size > 1 and stated[0] == _PLATFORM and stated[1] < 0x80:
        end = 2 + stated[1]
    if end + 1 < size and stated[end] == _RECORD_KEY and stated[end + 1] < 0x80:
        end += 2 + stated[end + 1]
    matched = stated[end:]
    told = _STATUS.get(status)
    if matched in _MATCHED and told is not None:
        return _PROVENANCES(stated[:end] + data_time + _DIGEST + digest + matched + told)
    completed = envelope_pb2.Provenance.FromString(stated + data_time)
    completed.digest = digest
    if status:
        completed.status = status
    return _PROVENANCES(completed.SerializeToString(deterministic=True))


@lru_cache(maxsize=4096)
def as_of_field(seconds: int, nanos: int) -> bytes:
    """Gives the data time as a field of a provenance, nothing when it is not stated."""
    if not seconds:
        return b""
    provenance = envelope_pb2.Provenance()
    provenance.as_of.seconds, provenance.as_of.nanos = seconds, nanos
    return provenance.SerializeToString()
