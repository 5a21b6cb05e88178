"""The green assessment: each rule on a small case, and its laws over drawn ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, view_pb2
from gateway.domain.decision import TableResult
from gateway.domain.green import Assessment, Assessor, canonical, is_no_better, stored
from gateway.domain.green_policy import Admission, Measure
from gateway.domain.platform import CategoryCoverage
from tests.conftest import PROFILE
from tests.domain.green_worlds import (
    CATEGORIES,
    PLATFORMS,
    SETTINGS,
    TABLES,
    answer,
    assessor,
    body,
    day,
    drawn,
    failed,
    graded,
    listed,
    penalised,
    permit,
    registration,
    repaired,
    view_of,
)

ASSESSOR = assessor()
OTHERS = ("jiangsu", "zhejiang", "anhui")


def assess(*records: object) -> Assessment:
    """Assesses an enterprise that Shanghai knows this of, and the others nothing."""
    return ASSESSOR.assess(view_of([answer("shanghai", registration(), *records), *map(answer, OTHERS)]))


def result(found: Assessment) -> tuple[Measure, Admission]:
    return found.measure, found.admission


def test_with_all_heard_and_nothing_adverse_nothing_is_proposed() -> None:
    found = assess()

    assert result(found) == (Measure.NONE, Admission.OPEN)
    assert (found.reasons, found.missing, found.facts["env_grade"]) == ((), (), "NOT_RATED")


def test_a_good_grade_opens_the_green_channel() -> None:
    found = assess(graded("jiangsu", "蓝"))

    assert result(found) == (Measure.NONE, Admission.GREEN_CHANNEL)
    assert [reason.row for reason in found.reasons] == ["P1.good"]


@pytest.mark.parametrize(
    ("records", "row", "measure", "admission"),
    [
        ([listed(2018)], "V1.listed", Measure.EXIT, Admission.CLOSED),
        ([penalised(violation_type="污染环境罪")], "V1C.crime", Measure.EXIT, Admission.CLOSED),
        ([graded("jiangsu", "黑")], "V2.worst", Measure.REDUCE, Admission.TREATMENT_ONLY),
        ([graded("jiangsu", "红")], "V3.poor", Measure.REDUCE, Admission.TREATMENT_ONLY),
        ([penalised(kinds=[conduct_pb2.PENALTY_KIND_CLOSURE])], "V4.order", Measure.REDUCE, Admission.CLOSED),
        ([graded("jiangsu", "黄")], "V6.warning", Measure.RECTIFY, Admission.OPEN),
        ([penalised()], "W1.penalty", Measure.RECTIFY, Admission.OPEN),
        (
            [penalised(), penalised("沪环罚〔2026〕2号", decided_on=day(2026, 9))],
            "W2.repeat",
            Measure.REDUCE,
            Admission.HOLD,
        ),
    ],
)
def test_each_rule_fires_on_its_own_fact(
    records: list[object], row: str, measure: Measure, admission: Admission
) -> None:
    found = assess(*records)

    assert result(found) == (measure, admission)
    assert row in [reason.row for reason in found.reasons]
    assert all(evidence.sources for evidence in found.evidence)


def test_an_industry_that_needs_a_discharge_licence_is_held_without_one() -> None:
    def of(*records: object) -> Assessment:
        return ASSESSOR.assess(view_of([answer("shanghai", registration("C2661"), *records), *map(answer, OTHERS)]))

    assert result(of()) == (Measure.NONE, Admission.HOLD)
    assert result(of(permit())) == (Measure.NONE, Admission.OPEN)
    assert result(of(permit(licence_status=conduct_pb2.LICENCE_STATUS_SUSPENDED))) == (Measure.NONE, Admission.HOLD)


@pytest.mark.parametrize("industry", ["2661", "C", "化学原料制造", ""])
def test_an_industry_that_does_not_tell_whether_it_needs_a_licence_never_passes_as_one_that_needs_none(
    industry: str,
) -> None:
    def of(*records: object) -> Assessment:
        return ASSESSOR.assess(view_of([answer("shanghai", registration(industry), *records), *map(answer, OTHERS)]))

    missing = [(one.kind, one.category, one.detail) for one in of().missing]

    assert result(of()) == (Measure.INCOMPLETE, Admission.HOLD)
    assert missing == [("UNCLEAR" if industry else "UNKNOWN", "REGISTRATION", "industry_code")]
    assert result(of(permit())) == (Measure.NONE, Admission.OPEN)


def test_a_platform_that_was_not_heard_is_named_and_nothing_passes() -> None:
    found = ASSESSOR.assess(
        view_of(
            [answer("shanghai", registration(), graded("jiangsu", "绿")), failed("jiangsu"), *map(answer, OTHERS[1:])]
        )
    )

    assert result(found) == (Measure.INCOMPLETE, Admission.HOLD)
    assert {(m.kind, m.platform, m.category) for m in found.missing} == {
        ("PLATFORM", "jiangsu", c) for c in ("REGISTRATION", "LICENCE", "PENALTY", "LIST_ENTRY", "EVALUATION")
    }


def test_missing_list_years_make_it_incomplete_unless_the_bank_waived_them_with_a_reason() -> None:
    covered: dict[int, CategoryCoverage] = {
        c: CategoryCoverage(c, missing_years=(2019,) if c == CATEGORIES[4] else ()) for c in CATEGORIES
    }
    platforms = {**PLATFORMS, "jiangsu": replace(PLATFORMS["jiangsu"], coverage=covered)}
    view = view_of([answer("shanghai", registration()), *map(answer, OTHERS)])
    entry = next(c for c in view.coverage if c.category == CATEGORIES[4])
    entry.missing_years.add(platform="jiangsu", year=2019)
    waiving = replace(SETTINGS.green.default, waived={("jiangsu", 2019): "江苏无此名单"})

    strict, waived = assessor(platforms=platforms).assess(view), assessor(waiving, platforms).assess(view)

    assert (strict.measure, [m.detail for m in strict.missing]) == (Measure.INCOMPLETE, ["2019"])
    assert (waived.measure, waived.waived) == (Measure.NONE, ("jiangsu 2019: 江苏无此名单",))


def test_what_is_known_stands_beside_what_is_missing() -> None:
    poor = [answer("shanghai", registration()), answer("jiangsu", graded("jiangsu", "红")), *map(failed, OTHERS[1:])]
    on_list = [answer("shanghai", registration()), answer("jiangsu", listed()), *map(failed, OTHERS[1:])]

    found, utmost = ASSESSOR.assess(view_of(poor)), ASSESSOR.assess(view_of(on_list))

    assert (found.measure, found.at_least, found.admission) == (
        Measure.INCOMPLETE,
        Measure.REDUCE,
        Admission.TREATMENT_ONLY,
    )
    assert result(utmost) == (Measure.EXIT, Admission.CLOSED)
    assert utmost.missing


@pytest.mark.parametrize("label", ["未知等级", "环保黄金级", ""])
def test_an_unknown_grade_never_counts_as_good(label: str) -> None:
    found = assess(graded("anhui", label))

    assert found.measure is Measure.INCOMPLETE
    assert "UNCLEAR" in [missing.kind for missing in found.missing]


def test_a_grade_too_old_is_neither_good_nor_bad() -> None:
    assert assess(graded("jiangsu", "绿", day(2021))).admission is Admission.OPEN
    assert assess(graded("jiangsu", "黑", day(2021))).measure is Measure.NONE


def test_repair_takes_the_entry_out_and_the_assessment_changes() -> None:
    before = [
        answer("shanghai", registration()),
        answer("zhejiang", listed()),
        answer("jiangsu"),
        answer("anhui", listed()),
    ]
    after = [
        answer("shanghai", registration()),
        answer("zhejiang", repaired(listed())),
        answer("jiangsu"),
        answer("anhui", listed()),
    ]

    assert result(ASSESSOR.assess(view_of(before))) == (Measure.EXIT, Admission.CLOSED)
    assert result(ASSESSOR.assess(view_of(after))) == (Measure.NONE, Admission.OPEN)


def test_a_disputed_record_still_counts_and_is_marked() -> None:
    entry = penalised()
    entry.envelope.status = 5
    found = assess(entry)

    assert found.measure is Measure.RECTIFY
    assert found.facts["disputed"] is True


def test_a_bank_states_its_own_measures_and_how_it_reads_memoranda() -> None:
    own = replace(SETTINGS.green.default, is_memo_reference=True, measures={"V3": Measure.EXIT})
    view = view_of([answer("shanghai", registration(), listed()), *map(answer, OTHERS)])
    red = view_of([answer("shanghai", registration(), graded("jiangsu", "红")), *map(answer, OTHERS)])

    assert result(assessor(own).assess(view)) == (Measure.RECTIFY, Admission.HOLD)
    assert result(assessor(own).assess(red)) == (Measure.EXIT, Admission.TREATMENT_ONLY)


def test_the_smallest_change_is_the_fact_that_would_better_the_result() -> None:
    one = assess(listed(), graded("jiangsu", "黄"))
    two = assess(listed(), penalised(violation_type="污染环境罪"))

    assert [(c.fact, c.other) for c in one.changes[0].facts] == [("env_list", "NONE")]
    assert one.changes[0].measure is Measure.RECTIFY
    assert {c.fact for c in two.changes[0].facts} == {"env_list", "env_crime"}


def test_a_penalty_of_another_field_is_none_of_the_green_review() -> None:
    other = penalised(
        "沪市监罚〔2026〕1号", domain=conduct_pb2.PENALTY_DOMAIN_QUALITY, authority=body("31", "市场监督管理局")
    )
    nameless = penalised("〔2026〕9号", domain=0, authority={"code": "11310000MA00000001"})

    assert assess(other).measure is Measure.NONE
    assert assess(nameless).measure is Measure.INCOMPLETE


WORLDS = 10_000 if PROFILE == "long" else 300


def test_removing_an_answer_never_improves_a_result_without_turning_it_incomplete() -> None:
    seen: Counter[Measure] = Counter()
    changed = 0
    for seed in range(WORLDS):
        rng, answers = Random(seed), drawn(seed, failing=0.03)
        before = ASSESSOR.assess(view_of(answers))
        seen[before.measure] += 1
        for number, gone in enumerate(answers):
            left = answers[:number] + answers[number + 1 :]
            asked = list(PLATFORMS)
            how = rng.randrange(3)  # it failed, it has not answered yet, or it was never asked
            if how == 0:
                left.append(failed(gone.platform))
            elif how == 1:
                asked.remove(gone.platform)
            after = ASSESSOR.assess(view_of(left, asked))
            changed += after.measure is not before.measure

            assert is_no_better(after, before), (seed, gone.platform, before, after)
    # The cases are not trivial: every result occurs, and removing often matters.
    assert min(seen[measure] for measure in Measure) > WORLDS // 200, seen
    assert changed > WORLDS


STORED = 10_000
DRAWN = 2_500 if PROFILE == "long" else 250


def test_ten_thousand_stored_decisions_are_made_again_identically() -> None:
    views = [view_of(drawn(seed)) for seed in range(DRAWN)]
    kept: list[tuple[bytes, bytes]] = []
    for number in range(STORED):
        view = views[number % DRAWN]
        view.query.uscc = f"{number:018d}"  # another enterprise in the same case
        kept.append((view.SerializeToString(), canonical(ASSESSOR.assess(view))))

    afresh = assessor()
    again = [canonical(afresh.assess(view_pb2.CreditView.FromString(view))) for view, _ in kept]

    assert again == [decision for _, decision in kept]
    assert len({stored(decision).decision_digest for decision in again}) == STORED


def test_a_decision_is_another_when_policy_tables_or_view_are() -> None:
    view = view_of([answer("shanghai", registration()), *map(answer, OTHERS)])
    own = replace(SETTINGS.green.default, digest="another")

    assert assessor(own).assess(view).decision_digest != ASSESSOR.assess(view).decision_digest
    assert assess(listed()).decision_digest != assess().decision_digest


def test_facts_of_other_schemes_are_left_alone() -> None:
    tax = graded("shanghai", "D", day(2026, 4), scheme="TAX_CREDIT")

    assert assess(tax).facts["env_grade"] == "NOT_RATED"


def test_no_table_of_a_deployment_can_let_incomplete_data_pass() -> None:
    def lenient(table: str, facts: Mapping[str, Any]) -> TableResult:
        whole = {"sources": "COMPLETE", "list_years": "COMPLETE", "freshness": "FRESH", "clarity": "CLEAR"}
        return TABLES.evaluate(table, {**facts, **whole})

    judging = Assessor(SETTINGS.green.default, lenient, SETTINGS.rules.facts, PLATFORMS, SETTINGS.crosswalk)
    found = judging.assess(view_of([answer("shanghai", registration()), failed("jiangsu"), *map(answer, OTHERS[1:])]))

    assert found.measure is Measure.INCOMPLETE


def test_a_grade_whose_day_is_no_day_is_unclear_and_one_dated_ahead_counts() -> None:
    view = view_of([answer("shanghai", registration(), graded("jiangsu", "绿")), *map(answer, OTHERS)])
    rated = view.records.evaluations[0].rated_on
    rated.month, rated.day = 2, 31

    assert ASSESSOR.assess(view).measure is Measure.INCOMPLETE
    for ahead in (day(2027, 1, 1), day(9999, 12, 31)):
        assert assess(graded("jiangsu", "黑", ahead)).measure is Measure.REDUCE


@pytest.mark.parametrize("raw", ["SX09", "环保黑名单"])
def test_a_list_that_no_table_knows_may_be_environmental_and_is_never_taken_for_none(raw: str) -> None:
    unknown = conduct_pb2.ListEntry(list_code="UNMAPPED", list_name_raw=raw, listed_on=day(2025))
    told = conduct_pb2.ListEntry(joint_field=conduct_pb2.JOINT_FIELD_TOURISM)
    told.MergeFrom(unknown)

    assert result(assess(unknown)) == (Measure.INCOMPLETE, Admission.HOLD)
    assert result(assess(told)) == (Measure.NONE, Admission.OPEN)


def test_a_penalty_of_a_field_that_no_table_knows_is_told_by_the_fields_name() -> None:
    record = penalised(
        "1",
        authority={"code": "11310000MA00000002", "name": "综合行政执法局"},
        basis="",
        domain=conduct_pb2.PENALTY_DOMAIN_UNMAPPED,
        domain_raw="生态环境",
    )

    assert [reason.row for reason in assess(record).reasons] == ["W1.penalty"]
