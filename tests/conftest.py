"""Profiles of the property tests: quick by default, ten times as many cases with XINYIDAI_TEST_PROFILE=long.

And the one PostgreSQL of a process of tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

_RELAXED = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
}
settings.register_profile("quick", max_examples=100, **_RELAXED)  # type: ignore[arg-type]
settings.register_profile("long", max_examples=1_000, **_RELAXED)  # type: ignore[arg-type]
PROFILE = os.environ.get("XINYIDAI_TEST_PROFILE", "quick")
settings.load_profile(PROFILE)


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """Starts the server when a test first asks for it; a server that cannot start fails the test."""
    from tests.postgres import postgres

    with postgres() as folder:
        yield folder
