"""The name of a record (记录键): the same that every view gives it, from what the record states itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.domain.catalogue import Catalogue, RecordPlan
from gateway.domain.errors import InvalidRequestError
from gateway.domain.resolve import record_key_of
from gateway.domain.standing import authority_of
from gateway.domain.statement import WEAK, AuthorityIds, key_function


class NamedRecord(NamedTuple):
    """A record with its plan and name, and who recognised it: the canonical id, and two digits of the province or "".

    It is weak where its name is made of circumstances only: another copy, with others, has another name.
    """

    plan: RecordPlan
    record: Any
    record_key: bytes
    is_weak: bool
    authority: str
    province: str


class RecordKeys:
    """Names records as the merge does."""

    def __init__(self, catalogue: Catalogue, authority_ids: AuthorityIds) -> None:
        self._plans = catalogue.by_records_field
        self._authority_ids = authority_ids
        self._keys = {plan.records_field: key_function(plan, authority_ids) for plan in catalogue.plans}

    def name(self, uscc: str, records: view_pb2.Records) -> NamedRecord:
        """Names the only record in `records`; raises InvalidRequestError where there is none, another, or no key."""
        found = [(field.name, record) for field, rows in records.ListFields() for record in rows]
        if len(found) != 1:
            raise InvalidRequestError("record", f"state one record; these are {len(found)}")
        ((name, record),) = found
        plan = self._plans[name]
        key = self._keys[name](record)
        if key is None:
            raise InvalidRequestError("record", "states nothing by which it could be told from others")
        authority = authority_of(plan, record, self._authority_ids)
        province = self._authority_ids.province_of(authority) or ""
        return NamedRecord(plan, record, record_key_of(uscc, plan.category, key), key[0] is WEAK, authority, province)
