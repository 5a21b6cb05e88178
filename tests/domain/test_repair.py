"""From when an entry may be repaired: by the list's own rule, else by the order in force on the day."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gateway.domain.dates import china_date
from gateway.domain.errors import EntryStateError
from gateway.domain.repair import require_repairable, stay_ends
from tests.domain.joint_entries import joint_entry
from tests.shipped import shipped_settings

SETTINGS = shipped_settings()
LISTS, RULES = SETTINGS.joint_lists, SETTINGS.publication.rules
BEFORE_MIDNIGHT = datetime(2026, 3, 31, 15, 59, 59, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 31, 16, 0, tzinfo=UTC)


def earliest(code: str, listed_on: date, on: date) -> str:
    """Gives "" where a repair on that day is possible, else from when and by which rule it is."""
    try:
        require_repairable(LISTS[code], joint_entry(list_code=code, listed_on=listed_on), on, RULES)
    except EntryStateError as error:
        return str(error)
    return ""


def test_at_midnight_in_china_the_new_order_takes_over() -> None:
    listed_on = date(2025, 12, 15)  # three months are over, a year is not

    assert earliest("YRD_ENV", listed_on, china_date(BEFORE_MIDNIGHT)) == ""
    refused = earliest("YRD_ENV", listed_on, china_date(MIDNIGHT))
    assert "2026-12-15" in refused
    assert "第36号" in refused


@pytest.mark.parametrize(
    ("code", "listed_on", "on", "told"),
    [
        ("YRD_ENV", date(2025, 11, 30), date(2026, 2, 27), "2026-02-28"),  # three months after the last of November
        ("YRD_ENV", date(2025, 11, 30), date(2026, 2, 28), ""),
        ("YRD_FOOD", date(2025, 6, 1), date(2026, 3, 1), "2026-06-01"),
        ("YRD_FOOD", date(2025, 3, 1), date(2026, 3, 1), ""),
        ("YRD_TOUR", date(2025, 11, 26), date(2026, 11, 25), "2026-11-26"),
        ("YRD_TOUR", date(2025, 11, 26), date(2026, 11, 26), ""),
        ("SDL_TAX", date(2026, 1, 31), date(2026, 7, 30), "2026-07-31"),
        ("SDL_TAX", date(2026, 1, 31), date(2026, 7, 31), ""),
        ("HON_AEO", date(2020, 1, 1), date(2026, 7, 31), "never repaired"),
    ],
)
def test_a_repair_too_early_is_refused_with_the_first_day(code: str, listed_on: date, on: date, told: str) -> None:
    refused = earliest(code, listed_on, on)

    assert (told in refused) if told else refused == ""


def test_a_stay_ends_by_the_lists_own_months() -> None:
    assert stay_ends(LISTS["SDL_COURT"], date(2024, 2, 29)) == date(2029, 2, 28)
    assert stay_ends(LISTS["YRD_ENV"], date(2024, 2, 29)) is None
