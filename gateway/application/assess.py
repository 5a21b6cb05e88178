"""The green review's use cases: one view is asked for, its facts are judged by the tables of the day and the bank's policy.

The view comes by the main story, with purpose GREEN_REVIEW and its own entries in the trail; the proposal is written to the
trail too, with the digests of everything it rests on, before it leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.application.query_credit import CreditQueries
from gateway.application.story import Admission
from gateway.domain.audit import AssessmentEntry
from gateway.domain.audit_entries import assessment_audit_entry
from gateway.domain.crosswalk import Crosswalk
from gateway.domain.dates import china_date
from gateway.domain.decision_table import FactKind
from gateway.domain.errors import InvalidRequestError
from gateway.domain.green import Assessment, Assessor, facts_digest
from gateway.domain.green_policy import GreenPolicies
from gateway.domain.identifiers import Uscc
from gateway.domain.joint_lists import JointList
from gateway.domain.platform import Platform
from gateway.domain.purposes import PurposeMatrix
from gateway.domain.query import CreditQuery
from gateway.domain.recognition import Recognition, recognise
from gateway.ports import Clock, DecisionTables
from gateway.store_ports import AuditLog


class TablesByDay(Protocol):
    """Whoever knows which version of each table is in force on a day."""

    @property
    def facts(self) -> Mapping[str, FactKind]:
        """Gives the facts that tables may read."""
        ...

    def at(self, day: date) -> DecisionTables:
        """Gives the tables in force on a day."""
        ...


@dataclass(frozen=True, slots=True)
class AssessedBy:
    """Who asks, and how: `is_fresh` takes no kept answers; `sent` are the request's own bytes, for its digest."""

    bank: str
    operator: str = ""
    branch: str = ""
    loan_reference: str = ""
    is_fresh: bool = False
    is_batch: bool = False
    sent: bytes = b""


@dataclass(frozen=True, slots=True)
class Assessed:
    """An assessment with what the reader needs beside it."""

    assessment: Assessment
    name: str
    answer_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the criteria say, with what the reader needs beside it."""

    recognition: Recognition
    of: JointList
    name: str
    answer_id: str
    view_id: str


class Assessments:
    """Assesses enterprises; built once by the composition root."""

    def __init__(
        self,
        queries: CreditQueries,
        tables: TablesByDay,
        policies: GreenPolicies,
        purposes: PurposeMatrix,
        crosswalk: Crosswalk,
        platforms: Mapping[str, Platform],
        audit: AuditLog,
        clock: Clock,
        lists: Mapping[str, JointList],
    ) -> None:
        self._queries = queries
        self._tables = tables
        self._policies = policies
        self._categories = tuple(sorted(purposes.allowed(view_pb2.PURPOSE_GREEN_REVIEW)))
        self._crosswalk = crosswalk
        self._platforms = platforms
        self._audit = audit
        self._clock = clock
        self._lists = {code: one for code, one in lists.items() if one.criteria}
        self._assessors: dict[tuple[str, int], Assessor] = {}

    async def assess(self, uscc: Uscc, by: AssessedBy, admission: Admission) -> Assessed:
        """Gives the assessment of one enterprise; raises as `CreditQueries.answer` does, and StoreError."""
        query = self._query(uscc, by)
        if by.is_batch:  # the stream was let in when it began
            await self._queries.require_proven(query, admission)
        answered = await self._queries.answer(query, admission)
        day = china_date(admission.at)
        assessment = self._assessor(by.bank, day).assess(answered.view)
        now = self._clock.now()
        await self._audit.append(
            assessment_audit_entry(
                query,
                AssessmentEntry(
                    measure=assessment.measure,
                    at_least=assessment.at_least,
                    admission=assessment.admission,
                    decision_digest=assessment.decision_digest,
                    facts_digest=facts_digest(assessment.facts),
                    as_of=assessment.as_of,
                    rules=tuple([f"{r.table}@{r.version} {r.digest}" for r in (assessment.policy, *assessment.rules)]),
                    missing=len(assessment.missing),
                ),
                answer_id=answered.answer_id,
                view_id=assessment.view_id,
                at=now,
                certificate=admission.caller.certificate if admission.caller is not None else "",
            )
        )
        return Assessed(assessment, _name(answered.view), answered.answer_id, now)

    async def recognise(
        self,
        uscc: Uscc,
        by: AssessedBy,
        admission: Admission,
        list_code: str,
    ) -> Recognised:
        """Gives what each criterion of a list says of an enterprise; raises as `CreditQueries.answer` does.

        Raises InvalidRequestError for a list that is unknown or states no criteria.
        """
        of = self._lists.get(list_code)
        if of is None:
            known = ", ".join(self._lists) or "none"
            raise InvalidRequestError("list_code", f"{list_code!r} is no list with criteria; those are: {known}")
        answered = await self._queries.answer(self._query(uscc, by), admission)
        day = china_date(admission.at)
        found = self._assessor(by.bank, day).field_facts(answered.view, of.field)
        recognition = recognise(found, of.criteria, self._tables.at(day).evaluate, self._tables.facts)
        return Recognised(recognition, of, _name(answered.view), answered.answer_id, answered.view.view_id)

    def _query(self, uscc: Uscc, by: AssessedBy) -> CreditQuery:
        return CreditQuery(
            uscc=uscc,
            purpose=view_pb2.PURPOSE_GREEN_REVIEW,
            categories=self._categories,
            platforms=tuple(sorted(self._platforms)),
            bank=by.bank,
            oldest_acceptable_age_s=0.0 if by.is_fresh else None,
            loan_reference=by.loan_reference,
            operator=by.operator,
            branch=by.branch,
            is_batch=by.is_batch,
            sent=by.sent,
        )

    def _assessor(self, bank: str, day: date) -> Assessor:
        """Gives the bank's assessor of a day, kept while it is that day."""
        policy = self._policies.of(bank)
        key = (policy.name, day.toordinal())
        found = self._assessors.get(key)
        if found is None:
            self._assessors = {kept: each for kept, each in self._assessors.items() if kept[1] == key[1]}
            found = Assessor(
                policy, self._tables.at(day).evaluate, self._tables.facts, self._platforms, self._crosswalk
            )
            self._assessors[key] = found
        return found


def _name(view: view_pb2.CreditView) -> str:
    return view.records.subjects[0].name if view.records.subjects else ""
