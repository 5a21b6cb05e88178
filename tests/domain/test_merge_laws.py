"""The laws of the merge, over 6,000 worlds drawn from the descriptors: 24,000 cases of a law in a world.

Every world is read and merged once and held to every law that this view suffices for, and by turns to one of those that need
another view to compare with.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

import pytest
from google.protobuf.message import Message
from hypothesis import given, note, settings
from hypothesis import strategies as st

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, view_pb2
from gateway.domain.answer import HEARD, Answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.dates import day_of, first_day, last_day
from gateway.domain.figures import figures_of
from gateway.domain.merge import view_id
from gateway.domain.standing import HIDDEN
from gateway.domain.statement import Reading, Statement
from gateway.domain.visible import visible
from tests.conftest import PROFILE
from tests.domain.worlds import AS_OF, PLATFORMS, READER, USCC, merged_from, merged_of, view_of, world

PARTS: Final = range(4)  # so that all workers share them
WORLDS: Final = 1_500 if PROFILE == "quick" else 50_000  # of each part
AT_ONCE: Final = 12  # worlds of each drawn seed


@dataclass(frozen=True)
class Drawn:
    """A world, what is read in it, its view, and what may not be in that."""

    name: str
    answers: list[Answer]
    readings: list[Reading]
    view: view_pb2.CreditView
    withdrawn: list[Statement]

    @classmethod
    def of(cls, name: str) -> Drawn:
        """Draws it."""
        answers = world(name)
        readings = [READER.read(answer, USCC.value) for answer in answers]
        return cls(name, answers, readings, merged_from(readings).view, _withdrawn_for_sure(readings))


@pytest.mark.parametrize("part", PARTS)
def test_the_laws_hold_in_drawn_worlds(part: int) -> None:
    worlds: set[str] = set()
    cases: Counter[str] = Counter()
    withdrawals = 0

    @settings(max_examples=-(-WORLDS // AT_ONCE))
    @given(seed=st.integers(0, 2**48))
    def over_worlds(seed: int) -> None:
        nonlocal withdrawals
        for number in range(AT_ONCE):
            name = f"{part} {seed} {number}"
            note(f"world({name!r})")
            drawn = Drawn.of(name)
            for law in (*LAWS, COMPARING[number % len(COMPARING)]):
                law(drawn)
                cases[law.__name__] += 1
            worlds.add(name)
            withdrawals += bool(drawn.withdrawn)

    over_worlds()

    print(dict(cases), len(worlds), withdrawals)
    assert len(worlds) >= WORLDS
    assert withdrawals >= WORLDS * 0.2
    assert all(cases[law.__name__] >= WORLDS for law in LAWS)
    assert all(cases[law.__name__] >= WORLDS // len(COMPARING) for law in COMPARING)


def canonical(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def state_of(readings: list[Reading]) -> set[tuple[str, bytes]]:
    return {(s.platform.id, s.digest) for r in readings for said in r.statements.values() for s in said}


def keys_of(view: view_pb2.CreditView) -> set[bytes]:
    return {r.envelope.record_key for _, records in view.records.ListFields() for r in records}


def neither_order_nor_repetition_changes_a_view(drawn: Drawn) -> None:
    rng = Random(drawn.name)
    shuffled = drawn.answers + [rng.choice(drawn.answers) for _ in range(2)]
    rng.shuffle(shuffled)

    second = view_of(shuffled)

    assert canonical(drawn.view) == canonical(second)
    assert drawn.view.view_id == second.view_id


def nor_does_it_of_two_answers_of_one_platform_that_differ(drawn: Drawn) -> None:
    rng = Random(drawn.name)
    answers = [*drawn.answers, *rng.sample(world(f"{drawn.name} again"), 2)]

    first = view_of(answers)
    rng.shuffle(answers)
    second = view_of(answers)

    assert canonical(first) == canonical(second)


def another_answer_removes_no_statement_and_no_record_without_cause(drawn: Drawn) -> None:
    fewer = drawn.answers[:-1]

    before = view_of(fewer)

    assert state_of([READER.read(answer, USCC.value) for answer in fewer]) <= state_of(drawn.readings)
    for lost in keys_of(before) - keys_of(drawn.view):
        assert _is_withdrawn(lost, before, drawn.readings), (
            "a record left the view and nothing in the state withdrew it"
        )


def _is_withdrawn(lost: bytes, before: view_pb2.CreditView, readings: list[Reading]) -> bool:
    """Whether some statement of the lost record's key is repaired or revoked, or ends it, by any date it states."""
    name, record = next(
        (d.name, r) for d, records in before.records.ListFields() for r in records if r.envelope.record_key == lost
    )
    plan = CATALOGUE.by_records_field[name]
    digests = {p.digest for p in record.envelope.provenances}
    statements: list[Statement] = [s for r in readings for s in r.statements.get(name, ())]
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


def a_failed_platform_never_reads_as_no_records(drawn: Drawn) -> None:
    view = drawn.view
    failed = {a.platform for a in drawn.answers if a.outcome not in HEARD}
    for answer in view.answers:
        if answer.platform in failed:
            assert answer.outcome not in HEARD
            assert all(c.outcome not in HEARD for c in answer.categories)
            assert not answer.completeness_bp
    if failed:
        assert view.completeness_bp < 10_000
        assert not any(c.is_known_empty for c in view.coverage)
        assert all(set(c.missing) == failed for c in view.coverage)


def what_was_withdrawn_never_shows_not_even_in_a_stream(drawn: Drawn) -> None:
    withdrawn = drawn.withdrawn
    if not withdrawn:
        return
    shown = {
        (p.platform, p.digest)
        for _, records in drawn.view.records.ListFields()
        for r in records
        for p in r.envelope.provenances
    }
    assert not shown & {(s.platform.id, s.digest) for s in withdrawn}
    for reading in drawn.readings:
        streamed = visible(reading, drawn.view)
        content = {canonical(record) for _, rows in streamed.said.records.ListFields() for record in rows}
        assert not content & {canonical(s.record) for s in withdrawn if s.platform.id == streamed.platform}


def _withdrawn_for_sure(readings: list[Reading]) -> list[Statement]:
    """Gives the statements on whose record every voice says repaired or revoked: no reading of the rule can show them."""
    voices: dict[tuple[str, object], list[Statement]] = {}
    for reading in readings:
        for name, statements in reading.statements.items():
            for s in statements:
                voices.setdefault((name, s.key), []).append(s)
    return [s for same in voices.values() if all(o.record.envelope.status in HIDDEN for o in same) for s in same]


def weak_never_joins_strong(drawn: Drawn) -> None:
    strong_digests: set[tuple[str, bytes]] = set()
    weak_digests: set[tuple[str, bytes]] = set()
    for reading in drawn.readings:
        for statements in reading.statements.values():
            for s in statements:
                (weak_digests if s.is_weak else strong_digests).add((s.platform.id, s.digest))
    for _, records in drawn.view.records.ListFields():
        for record in records:
            said = {(p.platform, p.digest) for p in record.envelope.provenances}
            is_weak = record.envelope.key_strength == envelope_pb2.KEY_STRENGTH_WEAK
            assert said <= (weak_digests if is_weak else strong_digests)


def how_answers_were_fetched_leaves_no_trace(drawn: Drawn) -> None:
    fetched = [
        a._replace(latency_s=9.9, attempts=3, fetched_at=datetime(2026, 11, 24, tzinfo=UTC), cache_age_s=5)
        for a in drawn.answers
    ]

    assert drawn.view.view_id == view_of(fetched).view_id


LAWS: Final = (
    a_failed_platform_never_reads_as_no_records,
    what_was_withdrawn_never_shows_not_even_in_a_stream,
    weak_never_joins_strong,
)
COMPARING: Final = (
    neither_order_nor_repetition_changes_a_view,
    nor_does_it_of_two_answers_of_one_platform_that_differ,
    another_answer_removes_no_statement_and_no_record_without_cause,
    how_answers_were_fetched_leaves_no_trace,
)


def test_the_worlds_hold_what_the_laws_are_about() -> None:
    drawn = 400
    several = conflicts = weak = tombstones = 0
    for seed in range(drawn):
        answers = world(str(seed))
        view = view_of(answers)
        records = [r for _, found in view.records.ListFields() for r in found]
        several += any(len({p.platform for p in r.envelope.provenances}) >= 2 for r in records)
        conflicts += view.conflict_count > 0
        statements = [s for a in answers for found in READER.read(a, USCC.value).statements.values() for s in found]
        weak += any(s.is_weak for s in statements)
        tombstones += any(s.record.envelope.status in HIDDEN for s in statements)

    shares = {"several": several, "conflicts": conflicts, "weak": weak, "tombstones": tombstones}

    assert {name: count for name, count in shares.items() if count < drawn * 0.2} == {}


def test_a_view_is_held_as_its_canonical_bytes_with_its_figures() -> None:
    for seed in range(1_000):
        merged = merged_of(world(str(seed)))

        assert merged.encoded == canonical(merged.view)
        assert merged.figures == figures_of(merged.view)
        assert merged.view.view_id == view_id(merged.view)


def test_every_record_type_is_drawn() -> None:
    drawn = {d.name for seed in range(300) for a in world(str(seed)) for d, _ in a.said.records.ListFields()}

    assert drawn == {plan.records_field for plan in CATALOGUE.plans}


def test_platforms_of_the_worlds_have_every_tier_the_rules_name() -> None:
    assert {p.province for p in PLATFORMS.values()} == {"31", "32", "33", "34", None}
    assert first_day(view_pb2.CreditView().as_of) == (0, 0, 0)
