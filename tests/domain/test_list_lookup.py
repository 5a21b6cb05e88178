"""The index, the statistics and the resume tokens of joint lists."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import InvalidRequestError, Reason
from gateway.domain.joint_lists import SHOWN, EntryState, JointEntry, Provision
from gateway.domain.list_index import ListIndex
from gateway.domain.list_statistics import ListCoverage, statistics
from gateway.domain.resume_token import ResumeTokens
from tests.domain.joint_entries import DEMO, NOON, OTHER, TODAY, joint_entry

ORDINAL = TODAY.toordinal()
CHANGES = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([DEMO, OTHER]), st.sampled_from(list(EntryState)[:6]), st.booleans()),
    max_size=30,
)


@given(CHANGES)
def test_the_index_is_what_stands_whatever_changed_before(
    changes: list[tuple[int, str, EntryState, bool]],
) -> None:
    made: list[JointEntry] = []
    current: dict[str, JointEntry] = {}
    for number, uscc, state, is_over in changes:
        known = current.get(f"entry-{number}")
        entry = joint_entry(
            number, uscc=known.uscc if known else uscc, state=state, due_off=TODAY if is_over else None,
            mark=len(made) + 1,
        )  # fmt: skip
        made.append(entry)
        current[entry.entry_id] = entry
    index = ListIndex()

    index.take(made)

    for uscc in (DEMO, OTHER):
        shown = {one.entry_id for one in current.values() if one.uscc == uscc and one.is_shown(TODAY)}
        assert {one.entry_id for one in index.of(uscc, ORDINAL)} == shown
    standing = Counter((one.list_code, one.province, one.list_year) for one in current.values() if one.state in SHOWN)
    assert +index.counts == standing
    assert index.mark == len(made)


def test_persons_are_not_screened_and_days_bound_what_is_shown() -> None:
    index = ListIndex()

    index.take([joint_entry(1, person_ref="p-1"), joint_entry(2, published_to=date(2026, 11, 27))])

    assert [one.entry_id for one in index.of(DEMO, ORDINAL)] == ["entry-2"]
    assert index.of(DEMO, ORDINAL + 1) == []


def test_the_founding_case_counts_157_entries_and_never_says_zero_for_jiangsu() -> None:
    provided = {2017: ("31", "33", "34"), 2018: ("31", "33"), 2019: ("33",)}
    counts = Counter(
        {
            ("YRD_ENV", "33", 2017): 60,
            ("YRD_ENV", "34", 2017): 25,
            ("YRD_ENV", "31", 2017): 14,
            ("YRD_ENV", "33", 2018): 40,
            ("YRD_ENV", "31", 2018): 15,
            ("YRD_ENV", "33", 2019): 3,
        }
    )
    provisions = [Provision("YRD_ENV", p, year, NOON, b"") for year, some in provided.items() for p in some]

    cells, years = statistics(counts, provisions, {"YRD_ENV"})

    assert [(one.list_year, one.entry_count) for one in years] == [(2017, 99), (2018, 55), (2019, 3)]
    assert sum(one.entry_count for one in years) == 157
    assert [one.not_covered for one in years] == [("32",), ("32", "34"), ("31", "32", "34")]
    for cell in cells:
        is_provided = cell.province in provided[cell.list_year]
        assert cell.coverage is (ListCoverage.COVERED if is_provided else ListCoverage.NOT_COVERED)
        assert (cell.entry_count is None) is not is_provided


def test_zero_is_said_of_a_year_that_was_provided_empty_and_single_entries_are_part_of_a_year() -> None:
    counts = Counter({("YRD_ENV", "34", 2017): 2})

    cells, _ = statistics(counts, [Provision("YRD_ENV", "31", 2017, NOON, b"")], {"YRD_ENV"})

    assert [(one.province, one.coverage.value, one.entry_count) for one in cells] == [
        ("31", "COVERED", 0),
        ("32", "NOT_COVERED", None),
        ("33", "NOT_COVERED", None),
        ("34", "PARTIAL", 2),
    ]


def test_a_token_resumes_its_own_banks_own_watch_only() -> None:
    tokens = ResumeTokens(b"k" * 32)
    token = tokens.give("bank-a", ("YRD_ENV", "SDL_TAX"), 7)

    assert tokens.read(token, "bank-a", ("SDL_TAX", "YRD_ENV")) == 7
    flipped = token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]
    for reader, bank, codes, given_token in (
        (tokens, "bank-b", ("YRD_ENV", "SDL_TAX"), token),
        (tokens, "bank-a", ("YRD_ENV",), token),
        (ResumeTokens(b"l" * 32), "bank-a", ("YRD_ENV", "SDL_TAX"), token),
        (tokens, "bank-a", ("YRD_ENV", "SDL_TAX"), flipped),
        (tokens, "bank-a", ("YRD_ENV", "SDL_TAX"), "not a token"),
        (tokens, "bank-a", ("YRD_ENV", "SDL_TAX"), token[:8]),
    ):
        with pytest.raises(InvalidRequestError) as raised:
            reader.read(given_token, bank, codes)
        assert raised.value.reason is Reason.RESUME_TOKEN_REFUSED


def test_an_entry_that_moved_between_states_is_indexed_once() -> None:
    index = ListIndex()
    entry = joint_entry(1, mark=1)

    index.take([entry, replace(entry, state=EntryState.DISPUTED, version=2, mark=2)])

    (hit,) = index.of(DEMO, ORDINAL)
    assert hit.is_disputed
    assert len(index) == 1
