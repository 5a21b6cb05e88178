"""Credit queries read off requests: checked once for those that ask the same in the same bytes.

Whether a request breaks a rule, and what it asks, follows from its bytes and from whose user asks, and from nothing else. A
bank that looks at an enterprise again sends the same bytes again, unless it gives each question an id of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from google.protobuf.unknown_fields import UnknownFieldSet

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.rpc.requests import check_annotations, credit_query
from gateway.domain.caller import Caller
from gateway.domain.query import CreditQuery

Request: TypeAlias = pb.GetCreditViewRequest | pb.StreamCreditViewRequest | pb.BatchGetCreditViewsRequest

_MOST: Final = 4_096
_LONGEST: Final = 512
"""Bytes of a request that is remembered: far more than most have, so that all together take a few megabytes."""

_Key: TypeAlias = tuple[type, bytes, str, str, str]


class Questions:
    """Reads requests; `platforms` are those configured, `unknown_fields` is told how many fields a newer client states."""

    def __init__(self, platforms: Collection[str], unknown_fields: Callable[[int], None]) -> None:
        self._platforms = tuple(sorted(platforms))
        self._unknown_fields = unknown_fields
        self._read: OrderedDict[_Key, tuple[CreditQuery, int]] = OrderedDict()

    def read(self, request: Request, caller: Caller) -> CreditQuery:
        """Gives the checked query of a request; raises what `check_annotations` and `credit_query` do."""
        raw = request.SerializeToString(deterministic=True)
        key = (type(request), raw, caller.bank, caller.operator, caller.branch)
        found = self._read.get(key)
        if found is not None:
            query, unknown = found
            if unknown:
                self._unknown_fields(unknown)
            return query
        check_annotations(request)
        unknown = len(UnknownFieldSet(request)) + len(UnknownFieldSet(request.query))
        if unknown:  # what this gateway does not know is ignored
            self._unknown_fields(unknown)
        is_batch = isinstance(request, pb.BatchGetCreditViewsRequest)
        query = credit_query(request.query, caller, self._platforms, is_batch=is_batch)
        if len(raw) <= _LONGEST:
            if len(self._read) >= _MOST:
                self._read.popitem(last=False)
            self._read[key] = query, unknown
        return query
