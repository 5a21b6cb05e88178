"""Where a record stands by the days it states: an end that cannot be, and a removal by its recogniser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, judicial_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_ABNORMAL_OPERATION,
    CATEGORY_ENCUMBRANCE,
    CATEGORY_LICENCE,
    CATEGORY_LIST_ENTRY,
    CATEGORY_PENALTY,
)
from tests.domain.test_merge import HEFEI, day, merged, penalty, said

NO_DAYS = ((1, 1, 1), (1900, 1, 1), (1970, 1, 1))
"""What databases write for a day that there is none of."""


def entry(**more: Any) -> conduct_pb2.ListEntry:
    return conduct_pb2.ListEntry(list_code="SDL_SAMR", listed_on=day(2026, 1, 2), authority=HEFEI, **more)


def abnormal(**more: Any) -> conduct_pb2.AbnormalOperation:
    return conduct_pb2.AbnormalOperation(listed_on=day(2026, 1, 2), authority=HEFEI, **more)


def shown_on(of: Callable[[], conduct_pb2.ListEntry], *days: date) -> list[int]:
    return [
        len(merged(CATEGORY_LIST_ENTRY, said("anhui", CATEGORY_LIST_ENTRY, of()), on=on).view.records.list_entries)
        for on in days
    ]


def published_until(until: Any) -> conduct_pb2.Penalty:
    record = penalty()
    record.envelope.publish_end.CopyFrom(conduct_pb2.Penalty(decided_on=until).decided_on)
    return record


BURDENS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "removed from a list": (CATEGORY_LIST_ENTRY, lambda end: entry(removed_on=end)),
    "due off a list": (CATEGORY_LIST_ENTRY, lambda end: entry(due_off=end)),
    "removed from the directory": (CATEGORY_ABNORMAL_OPERATION, lambda end: abnormal(removed_on=end)),
    "published until": (CATEGORY_PENALTY, published_until),
    "cancelled": (
        CATEGORY_ENCUMBRANCE,
        lambda end: judicial_pb2.Encumbrance(
            registration_number="1", authority=HEFEI, registered_on=day(2026, 1, 2), cancelled_on=end
        ),
    ),
}


@pytest.mark.parametrize("no_day", NO_DAYS)
@pytest.mark.parametrize("burden", BURDENS)
def test_an_end_before_the_records_own_day_hides_no_burden_and_is_heard_as_no_repair(
    burden: str, no_day: tuple[int, int, int]
) -> None:
    category, of = BURDENS[burden]

    ended = merged(category, said("anhui", category, of(day(2026, 9, 30))))
    never = merged(category, said("anhui", category, of(day(*no_day))))

    assert [len(rows) for _, rows in ended.view.records.ListFields()] == []
    assert [len(rows) for _, rows in never.view.records.ListFields()] == [1]
    assert never.heard == ()
    assert not never.view.coverage[0].is_known_empty


def test_an_entry_whose_end_cannot_be_stays_as_long_as_its_list_says() -> None:
    assert shown_on(lambda: entry(due_off=day(1900, 1, 1)), date(2029, 1, 2), date(2029, 1, 3)) == [1, 0]


def test_an_entry_without_its_end_stays_as_long_as_its_list_can_say() -> None:
    def court() -> conduct_pb2.ListEntry:  # 24 months, and up to 36 more
        return conduct_pb2.ListEntry(list_code="SDL_COURT", listed_on=day(2024, 1, 2))

    assert shown_on(court, date(2026, 1, 3), date(2029, 1, 2), date(2029, 1, 3)) == [1, 1, 0]


def test_of_a_validity_such_an_end_is_believed_since_a_licence_in_force_speaks_for_the_enterprise() -> None:
    licence = conduct_pb2.Licence(
        document_number="1", authority=HEFEI, decided_on=day(2026, 1, 2), valid_to=day(1900, 1, 1)
    )

    assert not merged(CATEGORY_LICENCE, said("anhui", CATEGORY_LICENCE, licence)).view.records.licences


def test_a_removal_by_its_recogniser_hides_and_the_copies_elsewhere_are_told_once() -> None:
    found = merged(
        CATEGORY_LIST_ENTRY,
        said("anhui", CATEGORY_LIST_ENTRY, entry(removed_on=day(2026, 9, 30))),
        said("jiangsu", CATEGORY_LIST_ENTRY, entry()),
    )

    assert not found.view.records.list_entries
    assert [copy.platform for copy in found.stale_copies] == ["jiangsu"]
