"""The merge, rule by rule, on small readable cases."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, envelope_pb2, evaluation_pb2, registration_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_EVALUATION,
    CATEGORY_LIST_ENTRY,
    CATEGORY_PENALTY,
    CATEGORY_REGISTRATION,
    CATEGORY_SUBJECT,
)
from gateway.domain.answer import Answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Permit
from gateway.domain.merge import Merged, Merger
from gateway.domain.platform import CategoryCoverage, Platform, Tier
from gateway.domain.query import CreditQuery
from gateway.domain.statement import AuthorityIds, Reader
from tests.domain.worlds import USCC
from tests.shipped import shipped_settings

SETTINGS = shipped_settings()
TODAY = date(2026, 11, 24)
HEFEI: Any = {"code": "11340100MA00000001", "name": "合肥市生态环境局"}


def day(year: int, month: int, number: int) -> Any:
    """A date as the messages take it by keyword."""
    return {"year": year, "month": month, "day": number}


def body(code: str) -> Any:
    """An authority as the messages take it by keyword."""
    return {"code": code}


def platform(name: str, province: str | None, missing_years: tuple[int, ...] = ()) -> Platform:
    covered = {
        c: CategoryCoverage(c, missing_years=missing_years if c == CATEGORY_LIST_ENTRY else ())
        for c in CATALOGUE.by_category
    }
    return Platform(name, name, name, Tier.PROVINCE, province=province, coverage=covered)


PLATFORMS = {
    "shanghai": platform("shanghai", "31"),
    "jiangsu": platform("jiangsu", "32", missing_years=(2019,)),
    "zhejiang": platform("zhejiang", "33"),
    "anhui": platform("anhui", "34"),
}
AUTHORITY_IDS = AuthorityIds({"合肥市生态环境局": HEFEI["code"]})
READER = Reader(CATALOGUE, AUTHORITY_IDS, PLATFORMS)
MERGER = Merger(CATALOGUE, PLATFORMS, AUTHORITY_IDS, SETTINGS.crosswalk, SETTINGS.publication, SETTINGS.divisions)


def said(name: str, category: int, *records: Any, told: int = 20) -> Answer:
    answer = view_pb2.Answer(platform=name, outcome=view_pb2.OUTCOME_OK if records else view_pb2.OUTCOME_NO_RECORDS)
    answer.as_of.seconds = 1_790_000_000 + told * 86_400
    for record in records:
        record.envelope.provenances.add(platform=name)
    getattr(answer.records, CATALOGUE.by_category[category].records_field).extend(records)
    answer.categories.add(category=category, outcome=answer.outcome, record_count=len(records))
    return Answer(said=answer)


def merged(category: int, *answers: Answer, on: date = TODAY, platforms: tuple[str, ...] = ()) -> Merged:
    asked = platforms or tuple(sorted({a.platform for a in answers}))
    query = CreditQuery(USCC, view_pb2.PURPOSE_PRE_LOAN, (category,), asked)
    readings = [READER.read(a, USCC.value) for a in answers]
    return MERGER.merge(readings, query, Permit("test", (category,)), on)


def penalty(number: str = "合环罚〔2026〕12号", **more: Any) -> conduct_pb2.Penalty:
    values: dict[str, Any] = {"authority": HEFEI, "decided_on": day(2026, 5, 8), **more}
    return conduct_pb2.Penalty(document_number=number, **values)


def repaired(record: Any, year: int, month: int, day: int) -> Any:
    record.envelope.status = envelope_pb2.RECORD_STATUS_REPAIRED
    record.envelope.status_on.year, record.envelope.status_on.month, record.envelope.status_on.day = year, month, day
    return record


def test_the_home_province_chooses_and_every_value_is_kept() -> None:
    here = registration_pb2.Registration(address="新址", registration_authority=body("11310000MA00000001"))
    here.approved_on.year = 2026
    there = registration_pb2.Registration(address="旧址", registration_authority=body("11330000MA00000001"))
    there.approved_on.year = 2021

    view = merged(
        CATEGORY_REGISTRATION,
        said("zhejiang", CATEGORY_REGISTRATION, there, told=23),
        said("shanghai", CATEGORY_REGISTRATION, here),
    ).view

    record = view.records.registrations[0]
    conflict = next(c for c in record.envelope.conflicts if c.field == "address")
    assert (view.home_province, record.address) == ("31", "新址")
    assert conflict.rule == envelope_pb2.CHOICE_RULE_HOME_PROVINCE
    assert [(v.platform, v.value.text) for v in conflict.values] == [("shanghai", "新址"), ("zhejiang", "旧址")]


def test_a_firm_registered_at_a_national_body_has_the_home_of_its_code() -> None:
    def registered(address: str) -> registration_pb2.Registration:
        return registration_pb2.Registration(address=address, registration_authority=body("11100000MA00000001"))

    view = merged(
        CATEGORY_REGISTRATION,
        said("shanghai", CATEGORY_REGISTRATION, registered("甲")),
        said("jiangsu", CATEGORY_REGISTRATION, registered("乙"), told=23),
    ).view

    assert (view.home_province, [r.address for r in view.records.registrations]) == ("31", ["甲"])


@pytest.mark.parametrize("name", ["甲", "乙", "丙", "丁"])  # others give other digests
def test_of_a_history_that_one_platform_sends_the_newest_counts(name: str) -> None:
    grades = [
        evaluation_pb2.Evaluation(
            scheme_id="ENV_JIANGSU", raw_grade=grade, rated_on=day(2026, month, 5), raw_score=name
        )
        for month, grade in ((1, "蓝"), (9, "红"), (5, "黄"))
    ]
    moves = [
        registration_pb2.Registration(address=f"{name}{year}", approved_on=day(year, 1, 1)) for year in (2020, 2025)
    ]

    rated = merged(CATEGORY_EVALUATION, said("jiangsu", CATEGORY_EVALUATION, *grades)).view
    registered = merged(CATEGORY_REGISTRATION, said("jiangsu", CATEGORY_REGISTRATION, *moves)).view

    assert [(e.raw_grade, e.rated_on.month) for e in rated.records.evaluations] == [("红", 9)]
    assert [r.address for r in registered.records.registrations] == [f"{name}2025"]


def test_one_penalty_with_other_brackets_amounts_and_dates_is_one_record() -> None:
    copies = [
        said(
            "shanghai", CATEGORY_PENALTY, penalty("合环罚[2026]12号", fine={"minor_units": 210_000, "currency": "CNY"})
        ),
        said("zhejiang", CATEGORY_PENALTY, penalty("合环罚（2026）12号", decided_on=day(2026, 5, 9))),
        said("anhui", CATEGORY_PENALTY, penalty(fine={"minor_units": 200_000, "currency": "CNY"}), told=1),
    ]

    records = merged(CATEGORY_PENALTY, *copies).view.records.penalties

    assert len(records) == 1
    assert [p.platform for p in records[0].envelope.provenances] == ["anhui", "shanghai", "zhejiang"]
    assert records[0].fine.minor_units == 200_000
    assert {c.field for c in records[0].envelope.conflicts} == {"fine", "decided_on"}


def test_a_body_known_by_name_and_by_code_is_one_authority() -> None:
    by_name = penalty(authority={"name": "合肥市生态环境局"})

    records = merged(
        CATEGORY_PENALTY, said("anhui", CATEGORY_PENALTY, by_name), said("shanghai", CATEGORY_PENALTY, penalty())
    ).view.records

    assert [len(p.envelope.provenances) for p in records.penalties] == [2]


def test_no_way_of_writing_a_code_makes_another_body_another_enterprise_or_a_conflict() -> None:
    written = HEFEI["code"].lower().replace("1", "１", 1)

    records = merged(
        CATEGORY_PENALTY,
        said("anhui", CATEGORY_PENALTY, penalty()),
        said("jiangsu", CATEGORY_PENALTY, penalty(authority=body(written))),
    ).view.records
    subjects = merged(
        CATEGORY_SUBJECT,
        said("anhui", CATEGORY_SUBJECT, registration_pb2.Subject(uscc=USCC.value, organisation_code="MA0TERT16")),
        said(
            "jiangsu",
            CATEGORY_SUBJECT,
            registration_pb2.Subject(uscc=USCC.value.lower(), organisation_code="ma0tert1-6"),
        ),
    ).view

    assert [len(p.envelope.provenances) for p in records.penalties] == [2]
    assert [a.outcome for a in subjects.answers] == [view_pb2.OUTCOME_OK, view_pb2.OUTCOME_OK]
    assert subjects.conflict_count == 0


def test_repaired_at_its_recogniser_it_is_gone_and_the_stale_copy_is_told_to_the_operator() -> None:
    gone = merged(
        CATEGORY_PENALTY,
        said("anhui", CATEGORY_PENALTY, repaired(penalty(), 2026, 8, 20)),
        said("jiangsu", CATEGORY_PENALTY, penalty()),
    )

    assert not gone.view.records.penalties
    assert [copy.platform for copy in gone.stale_copies] == ["jiangsu"]
    assert {c.record_count for a in gone.view.answers for c in a.categories} == {0}
    assert {a.outcome for a in gone.view.answers} == {view_pb2.OUTCOME_NO_RECORDS}


def test_repaired_elsewhere_only_the_recogniser_is_believed_and_the_conflict_is_marked() -> None:
    view = merged(
        CATEGORY_PENALTY,
        said("anhui", CATEGORY_PENALTY, penalty()),
        said("jiangsu", CATEGORY_PENALTY, repaired(penalty(), 2026, 8, 20)),
    ).view

    assert [c.field for c in view.records.penalties[0].envelope.conflicts] == ["envelope.status"]


@pytest.mark.parametrize(
    ("anhui", "jiangsu", "shown"), [(4, 4, 0), (4, 0, 0), (4, 3, 0), (4, 5, 0), (0, 4, 1), (1, 4, 1)]
)
def test_expired_at_its_recogniser_it_is_gone_whatever_copies_say(anhui: int, jiangsu: int, shown: int) -> None:
    def copy(status: int) -> conduct_pb2.Penalty:
        record = penalty()
        record.envelope.status = envelope_pb2.RecordStatus.ValueType(status)
        return record

    view = merged(
        CATEGORY_PENALTY,
        said("anhui", CATEGORY_PENALTY, copy(anhui)),
        said("jiangsu", CATEGORY_PENALTY, copy(jiangsu)),
    ).view

    assert len(view.records.penalties) == shown


def test_a_shown_status_has_its_own_day_and_words() -> None:
    def copy(status: int, raw: str, year: int) -> conduct_pb2.Penalty:
        record: conduct_pb2.Penalty = repaired(penalty(), year, 9, 1)
        record.envelope.status, record.envelope.status_raw = envelope_pb2.RecordStatus.ValueType(status), raw
        return record

    view = merged(
        CATEGORY_PENALTY,
        said("anhui", CATEGORY_PENALTY, copy(envelope_pb2.RECORD_STATUS_VALID, "正常", 2026)),
        said("jiangsu", CATEGORY_PENALTY, copy(envelope_pb2.RECORD_STATUS_DISPUTED, "异议", 2025)),
    ).view

    shown = view.records.penalties[0].envelope
    assert (shown.status, shown.status_raw) == (envelope_pb2.RECORD_STATUS_DISPUTED, "异议")
    assert (shown.status_on.year, shown.status_on.month, shown.status_on.day) == (2025, 9, 1)


def test_a_new_listing_after_a_repair_shows() -> None:
    def entry(month: int) -> conduct_pb2.ListEntry:
        return conduct_pb2.ListEntry(list_code="SDL_COURT", listed_on=day(2026, month, 1), authority=HEFEI)

    view = merged(
        CATEGORY_LIST_ENTRY, said("anhui", CATEGORY_LIST_ENTRY, repaired(entry(1), 2026, 3, 1), entry(6))
    ).view

    assert [e.listed_on.month for e in view.records.list_entries] == [6]


@pytest.mark.parametrize(("on", "shown"), [(date(2026, 11, 23), 1), (date(2026, 11, 24), 1), (date(2026, 11, 25), 0)])
def test_the_last_day_of_publication_still_shows(on: date, shown: int) -> None:
    record = penalty()
    record.envelope.publish_end.CopyFrom(conduct_pb2.Penalty(decided_on=day(2026, 11, 24)).decided_on)

    view = merged(CATEGORY_PENALTY, said("anhui", CATEGORY_PENALTY, record), on=on).view

    assert len(view.records.penalties) == shown


@pytest.mark.parametrize(
    ("severity", "on", "shown"),
    [
        (conduct_pb2.SEVERITY_GENERAL, date(2026, 3, 31), 1),  # order 58: up to three years
        (conduct_pb2.SEVERITY_GENERAL, date(2026, 4, 1), 0),  # order 36: general misconduct one year at most
        (conduct_pb2.SEVERITY_SERIOUS, date(2026, 4, 1), 1),
        (conduct_pb2.SEVERITY_MINOR, date(2026, 3, 31), 0),
    ],
)
def test_publication_is_cut_by_the_rule_in_force(severity: int, on: date, shown: int) -> None:
    record = penalty(decided_on=day(2024, 12, 1), severity=severity)

    view = merged(CATEGORY_PENALTY, said("anhui", CATEGORY_PENALTY, record), on=on).view

    assert len(view.records.penalties) == shown


def test_a_record_without_its_number_is_linked_not_merged_and_counted_apart() -> None:
    weak = conduct_pb2.Penalty(authority=HEFEI, decided_on=day(2026, 5, 8))

    view = merged(
        CATEGORY_PENALTY, said("anhui", CATEGORY_PENALTY, penalty()), said("zhejiang", CATEGORY_PENALTY, weak)
    ).view

    strong = next(p for p in view.records.penalties if p.document_number)
    linked = next(p for p in view.records.penalties if not p.document_number)
    assert list(linked.envelope.possible_duplicate_of) == [strong.envelope.record_key]
    assert (view.coverage[0].record_count, view.coverage[0].possible_duplicate_count) == (2, 1)


def test_of_very_many_records_that_one_may_repeat_the_first_few_are_named_and_all_weak_ones_counted() -> None:
    strong = [penalty(f"合环罚〔2026〕{number}号") for number in range(40)]
    weak = [penalty("", fine={"minor_units": number + 1, "currency": "CNY"}) for number in range(40)]

    answers = (said("anhui", CATEGORY_PENALTY, *strong), said("zhejiang", CATEGORY_PENALTY, *weak))
    view = merged(CATEGORY_PENALTY, *answers).view

    keys = sorted(p.envelope.record_key for p in view.records.penalties if p.document_number)
    linked = [list(p.envelope.possible_duplicate_of) for p in view.records.penalties if not p.document_number]
    assert linked == [keys[:16]] * 40
    assert (view.coverage[0].record_count, view.coverage[0].possible_duplicate_count) == (80, 40)
    assert merged(CATEGORY_PENALTY, *reversed(answers)).view == view


def test_a_grade_keeps_its_raw_label_beside_the_canonical_one() -> None:
    from gateway._pb.xinyidai.catalogue.v1 import evaluation_pb2

    grade = evaluation_pb2.Evaluation(scheme_id="TAX_CREDIT", period="2025", raw_grade="M", rated_on=day(2026, 4, 15))
    odd = evaluation_pb2.Evaluation(scheme_id="TAX_CREDIT", period="2024", raw_grade="Z", rated_on=day(2025, 4, 15))

    view = merged(CATEGORY_EVALUATION, said("shanghai", CATEGORY_EVALUATION, grade, odd)).view

    found = {e.raw_grade: e.canonical_grade for e in view.records.evaluations}
    assert found == {"M": evaluation_pb2.CANONICAL_GRADE_NOT_RATED, "Z": evaluation_pb2.CANONICAL_GRADE_UNMAPPED}


def test_an_answer_about_another_enterprise_is_dropped_whole() -> None:
    answer = said("anhui", CATEGORY_PENALTY, penalty())
    answer.said.records.subjects.add(uscc="91310115MAC0DEM080")

    reading = READER.read(answer, USCC.value)

    assert (reading.answer.outcome, reading.answer.said.reason) == (view_pb2.OUTCOME_BAD_ANSWER, "wrong_subject")
    assert not reading.statements


def test_a_record_without_any_part_of_its_key_is_a_bad_answer() -> None:
    reading = READER.read(said("anhui", CATEGORY_PENALTY, conduct_pb2.Penalty(content="罚款")), USCC.value)

    assert (reading.answer.outcome, reading.answer.said.reason) == (view_pb2.OUTCOME_BAD_ANSWER, "no_key")


def test_timeliness_and_agreement_are_told_per_platform() -> None:
    view = merged(
        CATEGORY_PENALTY,
        said("anhui", CATEGORY_PENALTY, penalty(violation_type="甲", content="一"), told=1),
        said("shanghai", CATEGORY_PENALTY, penalty(violation_type="甲", content="二"), told=1),
    ).view

    figures = {a.platform: (a.age_days, a.agreement_bp) for a in view.answers}
    assert figures["anhui"] == (figures["shanghai"][0], 10_000)
    assert figures["shanghai"][1] < 10_000


def test_the_data_time_of_a_category_goes_before_that_of_its_answer() -> None:
    """Answers are put in order once for all their records; a category with a time of its own is not."""
    newer = said("jiangsu", CATEGORY_PENALTY, penalty(violation_type="甲"), told=3)
    older = said("shanghai", CATEGORY_PENALTY, penalty(violation_type="乙"), told=1)
    older.said.categories[0].as_of.seconds = newer.said.as_of.seconds + 86_400

    view = merged(CATEGORY_PENALTY, newer, older).view

    shown = view.records.penalties[0]
    assert (shown.violation_type, shown.envelope.provenances[0].platform) == ("乙", "shanghai")


def test_a_day_that_is_none_reads_as_undated_and_takes_no_view_down() -> None:
    from gateway._pb.xinyidai.catalogue.v1 import evaluation_pb2

    dated = [day(2026, 2, 31), day(2026, 13, 1), {"year": 2026, "month": 13}]
    grades = [
        evaluation_pb2.Evaluation(scheme_id="TAX_CREDIT", period=str(n), raw_grade="A", rated_on=rated)
        for n, rated in enumerate(dated)
    ]
    penalties = [
        penalty(f"第{n}号", decided_on=decided, valid_to=decided, envelope={"publish_end": decided})
        for n, decided in enumerate(dated)
    ]

    view = merged(CATEGORY_EVALUATION, said("shanghai", CATEGORY_EVALUATION, *grades)).view
    punished = merged(CATEGORY_PENALTY, said("anhui", CATEGORY_PENALTY, *penalties)).view

    undated = evaluation_pb2.Evaluation(scheme_id="TAX_CREDIT", period="9", raw_grade="A")
    expected = merged(CATEGORY_EVALUATION, said("shanghai", CATEGORY_EVALUATION, undated)).view.records.evaluations[0]
    assert [one.canonical_grade for one in view.records.evaluations] == [expected.canonical_grade] * 3
    assert {one.document_number for one in punished.records.penalties} <= {f"第{n}号" for n in range(3)}
