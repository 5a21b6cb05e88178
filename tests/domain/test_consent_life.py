"""What may be decided about a consent: the whole table of states."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.domain.consent import ConsentState
from gateway.domain.consent_life import ConsentEvent, event_of, is_decided
from gateway.domain.errors import ConsentStateError
from tests.adapters.stores.consents import NOON, consent

ACTIVE, PAUSED, REVOKED = ConsentState.ACTIVE, ConsentState.PAUSED, ConsentState.REVOKED
STANDS: dict[str, dict[str, Any]] = {
    "ACTIVE": {},
    "PAUSED": {"state": PAUSED},
    "REVOKED": {"state": REVOKED},
    "EXPIRED": {"valid_to": NOON},
    "EXHAUSTED": {"max_uses": 1, "uses": 1},
    "EXPIRED while paused": {"state": PAUSED, "valid_to": NOON},
}
CHANGES, STANDS_ALREADY, FORBIDDEN = "changes", "stands already", "forbidden"


@pytest.mark.parametrize(
    ("stands", "to", "outcome"),
    [
        ("ACTIVE", ACTIVE, STANDS_ALREADY),
        ("ACTIVE", PAUSED, CHANGES),
        ("ACTIVE", REVOKED, CHANGES),
        ("PAUSED", ACTIVE, CHANGES),
        ("PAUSED", PAUSED, STANDS_ALREADY),
        ("PAUSED", REVOKED, CHANGES),
        ("REVOKED", ACTIVE, FORBIDDEN),
        ("REVOKED", PAUSED, FORBIDDEN),
        ("REVOKED", REVOKED, STANDS_ALREADY),
        ("EXPIRED", ACTIVE, FORBIDDEN),
        ("EXPIRED", PAUSED, FORBIDDEN),
        ("EXPIRED", REVOKED, CHANGES),
        ("EXHAUSTED", ACTIVE, FORBIDDEN),
        ("EXHAUSTED", PAUSED, FORBIDDEN),
        ("EXHAUSTED", REVOKED, CHANGES),
        ("EXPIRED while paused", ACTIVE, FORBIDDEN),
        ("EXPIRED while paused", PAUSED, FORBIDDEN),
    ],
)
def test_what_may_be_decided_follows_from_where_it_stands(stands: str, to: ConsentState, outcome: str) -> None:
    one = consent(**STANDS[stands])

    if outcome is FORBIDDEN:
        with pytest.raises(ConsentStateError):
            is_decided(one, to, NOON)
    else:
        assert is_decided(one, to, NOON) is (outcome is STANDS_ALREADY)


def test_a_moment_before_its_end_it_can_still_be_paused() -> None:
    assert not is_decided(consent(valid_to=NOON), PAUSED, NOON - timedelta(microseconds=1))


def test_what_follows_by_itself_is_never_decided() -> None:
    assert {event_of(state) for state in (ACTIVE, PAUSED, REVOKED)} == {
        ConsentEvent.RESUMED,
        ConsentEvent.PAUSED,
        ConsentEvent.REVOKED,
    }
    for state in (ConsentState.EXPIRED, ConsentState.EXHAUSTED):
        with pytest.raises(ValueError, match="follows by itself"):
            event_of(state)
