"""The verdict on a platform: bad only where lenders lose, good only where they may count on it."""

from __future__ import annotations

import pytest

from gateway.domain.health import Health, judged


@pytest.mark.parametrize(
    ("call_count", "success_bp", "p50_s", "health"),
    [
        (0, 0, None, Health.UNSURE),
        (2, 0, None, Health.UNSURE),
        (2, 10_000, 0.1, Health.UNSURE),
        (3, 10_000, 0.1, Health.GOOD),
        (3, 0, None, Health.BAD),
        (1_000, 4_999, 0.1, Health.BAD),
        (1_000, 5_000, 0.1, Health.UNSURE),
        (1_000, 8_999, 0.1, Health.UNSURE),
        (1_000, 9_000, 0.1, Health.GOOD),
        (1_000, 10_000, 2.5, Health.GOOD),
        (1_000, 10_000, 2.6, Health.UNSURE),
        (1_000, 10_000, 5.0, Health.UNSURE),
        (1_000, 10_000, 5.1, Health.BAD),
    ],
)
def test_success_and_median_make_the_verdict(
    call_count: int, success_bp: int, p50_s: float | None, health: Health
) -> None:
    assert judged(call_count, success_bp, p50_s) is health
