"""The green review's use cases: what is asked, by whose policy, and that nothing leaves without its entry in the trail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.adapters.state.clock import SystemClock
from gateway.application.assess import AssessedBy, Assessments
from gateway.application.query_credit import CreditAnswer
from gateway.application.story import Admission
from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.errors import InvalidRequestError, StoreError
from gateway.domain.evidence import Receipt, ViewCopy
from gateway.domain.figures import figures_of
from gateway.domain.green import canonical, facts_digest
from gateway.domain.green_policy import GreenPolicies, Measure
from gateway.domain.identifiers import Uscc
from gateway.domain.merge import Merged
from gateway.domain.query import CreditQuery
from tests.domain.green_worlds import PLATFORMS, SETTINGS, answer, assessor, graded, registration, view_of

USCC = Uscc.parse("91310115MA0TERT167")
ADMISSION = Admission(datetime(2026, 11, 24, 4, tzinfo=UTC), 0.0, 10.0)
RED = [answer("shanghai", registration(), graded("jiangsu", "红")), *map(answer, ("jiangsu", "zhejiang", "anhui"))]


class Queries:
    """Answers every query with the view of some answers, and keeps what was asked."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.asked: list[CreditQuery] = []
        self._view = view_of(answers)

    async def answer(self, query: CreditQuery, admission: Admission) -> CreditAnswer:
        self.asked.append(query)
        return CreditAnswer("answer-1", Merged.of(self._view), figures_of(self._view), ())


class Trail:
    """A trail in memory, or one that cannot be written."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.entries: list[AuditEntry] = []
        self._is_full = is_full

    async def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Receipt | None:
        if self._is_full:
            raise StoreError("the trail cannot be written")
        self.entries.append(entry)
        return None


def assessments(queries: Any, trail: Any, policies: GreenPolicies = SETTINGS.green) -> Assessments:
    return Assessments(
        queries, SETTINGS.rules, policies, SETTINGS.purposes, SETTINGS.crosswalk, PLATFORMS, trail, SystemClock(),
        SETTINGS.joint_lists,
    )  # fmt: skip


async def test_all_platforms_are_asked_for_the_green_review_only() -> None:
    queries = Queries(RED)

    await assessments(queries, Trail()).assess(
        USCC, AssessedBy("bank-a", operator="u7", sent=b"request", is_fresh=True), ADMISSION
    )

    asked = queries.asked[0]
    assert (asked.purpose, asked.platforms) == (view_pb2.PURPOSE_GREEN_REVIEW, tuple(sorted(PLATFORMS)))
    assert set(asked.categories) == SETTINGS.purposes.allowed(view_pb2.PURPOSE_GREEN_REVIEW)
    assert (asked.bank, asked.operator, asked.sent, asked.oldest_acceptable_age_s) == ("bank-a", "u7", b"request", 0.0)


async def test_the_trail_has_the_proposal_with_the_digests_of_what_it_rests_on() -> None:
    trail = Trail()

    found = (await assessments(Queries(RED), trail).assess(USCC, AssessedBy("bank-a"), ADMISSION)).assessment

    entry = trail.entries[0]
    assert (entry.event, entry.answer_id, entry.view_id) == ("assessed", "answer-1", found.view_id)
    assert entry.assessment is not None
    assert entry.assessment.measure == "REDUCE"
    assert entry.assessment.decision_digest == found.decision_digest
    assert entry.assessment.facts_digest == facts_digest(found.facts)
    assert [rules.split()[1] for rules in entry.assessment.rules] == [
        SETTINGS.green.default.digest, *(rules.digest for rules in found.rules)
    ]  # fmt: skip
    assert canonical(found) == canonical(assessor().assess(view_of(RED)))


async def test_nothing_leaves_when_the_trail_cannot_be_written() -> None:
    with pytest.raises(StoreError):
        await assessments(Queries(RED), Trail(is_full=True)).assess(USCC, AssessedBy("bank-a"), ADMISSION)


async def test_each_bank_is_assessed_by_its_own_policy() -> None:
    default = SETTINGS.green.default
    policies = GreenPolicies(default, {"bank-b": replace(default, name="bank-b", measures={"V3": Measure.EXIT})})
    judging = assessments(Queries(RED), Trail(), policies)

    found = [(await judging.assess(USCC, AssessedBy(bank), ADMISSION)).assessment for bank in ("bank-a", "bank-b")]

    assert [(each.measure, each.policy.table) for each in found] == [("REDUCE", "default"), ("EXIT", "bank-b")]


async def test_recognition_reads_the_same_view() -> None:
    found = await assessments(Queries(RED), Trail()).recognise(USCC, AssessedBy("bank-a"), ADMISSION, "YRD_ENV")

    assert [each.row for each in found.recognition.by_criterion] == ["R31.none", "R32.red_once", "R33.none", "R34.none"]
    assert found.view_id == view_of(RED).view_id


async def test_a_list_without_criteria_is_refused_before_anybody_is_asked() -> None:
    queries = Queries(RED)

    with pytest.raises(InvalidRequestError, match="those are: YRD_ENV, YRD_TOUR, YRD_FOOD, YRD_PROD"):
        await assessments(queries, Trail()).recognise(USCC, AssessedBy("bank-a"), ADMISSION, "SDL_COURT")

    assert queries.asked == []
