"""The worst current grade of several ratings: of one domain, on one day, and whether it is certain."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.domain.crosswalk import CanonicalGrade, Domain, Grade, Nature, Rating, Worst, worst_current

IN_2026 = date(2026, 6, 1)


def rating(grade: Grade, on: date | None, **changes: object) -> Rating:
    values: dict[str, object] = {
        "scheme_id": "ENV_ANHUI",
        "rater": "3401",
        "grade": CanonicalGrade(grade, "1", Domain.ENV),
        "rated_on": on,
    }
    return Rating(**(values | changes))  # type: ignore[arg-type]  # a builder of tests


def test_the_worst_current_grade_is_one_of_the_given_and_no_average() -> None:
    ratings = [
        rating(Grade.EXCELLENT, date(2025, 1, 1), scheme_id="ENV_JIANGSU"),
        rating(Grade.POOR, date(2025, 1, 1)),
    ]

    assert worst_current(ratings, Domain.ENV, IN_2026) == Worst(Grade.POOR, is_certain=True)


def test_other_domains_and_risk_classes_do_not_count() -> None:
    risk = CanonicalGrade(Grade.SEVERE, "1", Domain.ENV, Nature.RISK)
    tax = CanonicalGrade(Grade.SEVERE, "1", Domain.TAX)
    ratings = [
        rating(Grade.GOOD, date(2025, 1, 1)),
        Rating("R", "3401", risk, date(2025, 1, 1)),
        Rating("TAX_CREDIT", "3401", tax, date(2025, 1, 1)),
    ]

    assert worst_current(ratings, Domain.ENV, IN_2026) == Worst(Grade.GOOD, is_certain=True)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_newer_rating_replaces_the_older_of_the_same_scheme_and_rater_only(
    is_reversed: bool,
) -> None:
    ratings = [
        rating(Grade.SEVERE, date(2024, 1, 1)),
        rating(Grade.GOOD, date(2025, 1, 1)),
        rating(Grade.ATTENTION, date(2023, 1, 1), rater="3402"),
    ]
    ratings = ratings[::-1] if is_reversed else ratings

    assert worst_current(ratings, Domain.ENV, IN_2026) == Worst(Grade.ATTENTION, is_certain=True)


def test_of_two_ratings_on_one_day_the_worse_counts() -> None:
    ratings = [rating(Grade.GOOD, date(2025, 1, 1)), rating(Grade.POOR, date(2025, 1, 1))]

    assert worst_current(ratings, Domain.ENV, IN_2026) == Worst(Grade.POOR, is_certain=True)


def test_ended_and_future_ratings_are_not_current() -> None:
    ended = rating(Grade.SEVERE, date(2024, 1, 1), valid_to=date(2026, 5, 31))
    future = rating(Grade.SEVERE, date(2026, 6, 2), rater="3402")

    assert worst_current([ended, future], Domain.ENV, IN_2026) == Worst(None, is_certain=True)


def test_a_rating_counts_on_its_last_day() -> None:
    last = rating(Grade.POOR, date(2024, 1, 1), valid_to=IN_2026)

    assert worst_current([last], Domain.ENV, IN_2026) == Worst(Grade.POOR, is_certain=True)


def test_not_rated_is_never_better_or_worse_than_a_grade() -> None:
    neutral = rating(Grade.NOT_RATED, date(2025, 1, 1), rater="3402")
    good = rating(Grade.GOOD, date(2025, 1, 1))

    assert worst_current([neutral, good], Domain.ENV, IN_2026) == Worst(Grade.GOOD, True)
    assert worst_current([neutral], Domain.ENV, IN_2026) == Worst(Grade.NOT_RATED, True)


@pytest.mark.parametrize(
    "doubtful",
    [
        rating(Grade.UNMAPPED, date(2025, 1, 1), rater="3402"),
        rating(Grade.SEVERE, None, rater="3402"),
        Rating("NEW", "3402", CanonicalGrade(Grade.UNMAPPED), date(2025, 1, 1)),
    ],
)
def test_an_unmapped_or_undated_rating_makes_the_worst_uncertain_unless_it_is_severe(
    doubtful: Rating,
) -> None:
    good, severe = (rating(g, date(2025, 1, 1)) for g in (Grade.GOOD, Grade.SEVERE))

    assert worst_current([good, doubtful], Domain.ENV, IN_2026) == Worst(Grade.GOOD, False)
    assert worst_current([severe, doubtful], Domain.ENV, IN_2026) == Worst(Grade.SEVERE, True)
