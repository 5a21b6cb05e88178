"""The laws of the merge, over worlds drawn from the descriptors."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, view_pb2
from gateway.domain.answer import HEARD, Answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.dates import day_of, first_day, last_day
from gateway.domain.standing import HIDDEN
from gateway.domain.statement import Statement
from gateway.domain.visible import visible
from tests.conftest import PROFILE
from tests.domain.worlds import AS_OF, PLATFORMS, READER, USCC, view_of, world

# Four files' worth of cases spread over tests, so that both workers share them: 5 laws × 4 parts × CASES and more.
CASES = 1_000 if PROFILE == "quick" else 10_000
PARTS = range(4)
seeds = st.integers(0, 2**48)
many = settings(max_examples=CASES)


def canonical(view: view_pb2.CreditView) -> bytes:
    return view.SerializeToString(deterministic=True)


def state_of(answers: list[Answer]) -> set[tuple[str, bytes]]:
    return {
        (s.platform.id, s.digest)
        for a in answers
        for statements in READER.read(a, USCC.value).statements.values()
        for s in statements
    }


def keys_of(view: view_pb2.CreditView) -> set[bytes]:
    return {r.envelope.record_key for _, records in view.records.ListFields() for r in records}


@pytest.mark.parametrize("part", PARTS)
@many
@given(seed=seeds)
def test_neither_order_nor_repetition_changes_a_view(part: int, seed: int) -> None:
    answers = world(seed)
    rng = Random(seed)
    shuffled = answers + [rng.choice(answers) for _ in range(2)]
    rng.shuffle(shuffled)

    first, second = view_of(answers), view_of(shuffled)

    assert canonical(first) == canonical(second)
    assert first.view_id == second.view_id


@pytest.mark.parametrize("part", PARTS)
@many
@given(seed=seeds)
def test_another_answer_removes_no_statement_and_no_record_without_cause(part: int, seed: int) -> None:
    answers = world(seed)
    fewer = answers[:-1]

    before, after = view_of(fewer), view_of(answers)

    assert state_of(fewer) <= state_of(answers)
    for lost in keys_of(before) - keys_of(after):
        assert _is_withdrawn(lost, before, answers), "a record left the view though nothing in the state withdrew it"


def _is_withdrawn(lost: bytes, before: view_pb2.CreditView, answers: list[Answer]) -> bool:
    """Whether some statement of the lost record's key is repaired or revoked, or ends it, by any date it states."""
    name, record = next(
        (d.name, r) for d, records in before.records.ListFields() for r in records if r.envelope.record_key == lost
    )
    plan = CATALOGUE.by_records_field[name]
    digests = {p.digest for p in record.envelope.provenances}
    statements: list[Statement] = [s for a in answers for s in READER.read(a, USCC.value).statements.get(name, ())]
    key = next(s.key for s in statements if s.digest in digests)
    for s in statements:
        if s.key != key:
            continue
        if s.record.envelope.status in HIDDEN:
            return True
        if any(s.record.HasField(f.name) and last_day(getattr(s.record, f.name)) < day_of(AS_OF) for f in plan.expiry):
            return True
        end = last_day(s.record.envelope.publish_end)
        if plan.is_adverse and (0, 0, 0) < end < day_of(AS_OF):
            return True
        if name == "penalties":  # the rule of publication may end it by this copy's date or severity
            return True
    return False


@pytest.mark.parametrize("part", PARTS)
@many
@given(seed=seeds)
def test_a_failed_platform_never_reads_as_no_records(part: int, seed: int) -> None:
    answers = world(seed)

    view = view_of(answers)

    failed = {a.platform for a in answers if a.outcome not in HEARD}
    for answer in view.answers:
        if answer.platform in failed:
            assert answer.outcome not in HEARD
            assert all(c.outcome not in HEARD for c in answer.categories)
            assert not answer.completeness_bp
    if failed:
        assert view.completeness_bp < 10_000
        assert not any(c.is_known_empty for c in view.coverage)
        assert all(set(c.missing) == failed for c in view.coverage)


@pytest.mark.parametrize("part", PARTS)
@many
@given(seed=seeds)
def test_what_its_recogniser_withdrew_last_never_shows_not_even_in_a_stream(part: int, seed: int) -> None:
    answers = world(seed, all_heard=True)
    readings = [READER.read(a, USCC.value) for a in answers]

    view = view_of(answers)

    shown = {
        (p.platform, p.digest)
        for _, records in view.records.ListFields()
        for r in records
        for p in r.envelope.provenances
    }
    for reading in readings:
        for name, statements in reading.statements.items():
            for s in statements:
                if _withdrawn_for_sure(name, s, readings):
                    assert (s.platform.id, s.digest) not in shown
        streamed = visible(reading, view).said.records
        for d, records in streamed.ListFields():
            for record in records:
                assert record.envelope.status not in HIDDEN or _has_other_voice(d.name)


def _withdrawn_for_sure(name: str, s: Statement, readings: list) -> bool:  # type: ignore[type-arg]
    """Whether every voice on the statement's record says repaired or revoked: then no reading of the rule can show it."""
    same = [o for r in readings for o in r.statements.get(name, ()) if o.key == s.key]
    return all(o.record.envelope.status in HIDDEN for o in same)


def _has_other_voice(name: str) -> bool:
    """A copy that is repaired may stand beside a recogniser that says it is not: the conflict is then marked."""
    return CATALOGUE.by_records_field[name].is_adverse


@pytest.mark.parametrize("part", PARTS)
@many
@given(seed=seeds)
def test_how_answers_were_fetched_leaves_no_trace_and_weak_never_joins_strong(part: int, seed: int) -> None:
    from datetime import UTC, datetime

    answers = world(seed)
    fetched = [
        a._replace(latency_s=9.9, attempts=3, fetched_at=datetime(2026, 11, 24, tzinfo=UTC), cache_age_s=5)
        for a in answers
    ]

    view, again = view_of(answers), view_of(fetched)

    assert view.view_id == again.view_id
    strong_digests: set[tuple[str, bytes]] = set()
    weak_digests: set[tuple[str, bytes]] = set()
    for reading in (READER.read(a, USCC.value) for a in answers):
        for statements in reading.statements.values():
            for s in statements:
                (weak_digests if s.is_weak else strong_digests).add((s.platform.id, s.digest))
    for _, records in view.records.ListFields():
        for record in records:
            said = {(p.platform, p.digest) for p in record.envelope.provenances}
            is_weak = record.envelope.key_strength == envelope_pb2.KEY_STRENGTH_WEAK
            assert said <= (weak_digests if is_weak else strong_digests)


def test_the_worlds_hold_what_the_laws_are_about() -> None:
    drawn = 1_000
    several = conflicts = weak = tombstones = 0
    for seed in range(drawn):
        answers = world(seed)
        view = view_of(answers)
        records = [r for _, found in view.records.ListFields() for r in found]
        several += any(len({p.platform for p in r.envelope.provenances}) >= 2 for r in records)
        conflicts += view.conflict_count > 0
        statements = [s for a in answers for found in READER.read(a, USCC.value).statements.values() for s in found]
        weak += any(s.is_weak for s in statements)
        tombstones += any(s.record.envelope.status in HIDDEN for s in statements)

    shares = {"several": several, "conflicts": conflicts, "weak": weak, "tombstones": tombstones}

    assert {name: count for name, count in shares.items() if count < drawn * 0.2} == {}


def test_every_record_type_is_drawn() -> None:
    drawn = {d.name for seed in range(300) for a in world(seed) for d, _ in a.said.records.ListFields()}

    assert drawn == {plan.records_field for plan in CATALOGUE.plans}


def test_platforms_of_the_worlds_have_every_tier_the_rules_name() -> None:
    assert {p.province for p in PLATFORMS.values()} == {"31", "32", "33", "34", None}
    assert first_day(view_pb2.CreditView().as_of) == (0, 0, 0)
