"""The table of fault cases says what the tests assert, and no row of the catalogue is missing."""

from __future__ import annotations

from tests.faults.declared import PLATFORMS
from tests.faults.table import PAGE, PROVEN, ROWS, declared_cases, page, sentences_by_row


def test_every_row_that_is_a_platforms_fault_has_a_case() -> None:
    declared = {case.number for case in declared_cases()}

    rows = {f"{kind}{number}" for kind, numbers in ROWS.items() for number in numbers}

    assert declared == rows


def test_every_row_of_the_callers_side_and_of_operations_has_a_test() -> None:
    proven = sentences_by_row()

    missing = [
        f"{kind}{number}" for kind, numbers in PROVEN.items() for number in numbers if f"{kind}{number}" not in proven
    ]

    assert not missing


def test_every_case_says_of_every_platform_how_it_comes_out_or_why_it_cannot() -> None:
    for case in declared_cases():
        said = [*case.outcomes, *case.spared]

        assert sorted(said) == sorted(PLATFORMS), case.number
        assert case.owed.keys() <= case.outcomes.keys(), case.number


def test_the_page_is_in_step_with_the_tests() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.faults.table"
