"""For every test: profiles of the property tests (quick, or ten times as many cases with XINYIDAI_TEST_PROFILE=long), canaries.

And the one PostgreSQL of a process of tests.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.canaries import leaks_in_folder, leaks_in_sections

_LONG_TIMEOUT_S = 3_600

_RELAXED = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
}
settings.register_profile("quick", max_examples=100, **_RELAXED)  # type: ignore[arg-type]
settings.register_profile("long", max_examples=1_000, **_RELAXED)  # type: ignore[arg-type]
PROFILE = os.environ.get("XINYIDAI_TEST_PROFILE", "quick")
settings.load_profile(PROFILE)


def pytest_configure(config: pytest.Config) -> None:
    """Gives the long profile's sweeps the time they need; whoever states a time-out is obeyed."""
    if PROFILE == "long" and config.getoption("timeout") is None:
        config.option.timeout = _LONG_TIMEOUT_S


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """Starts the server when a test first asks for it; a server that cannot start fails the test."""
    from tests.postgres import postgres

    with postgres() as folder:
        yield folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails whichever test let a planted value of a person or a secret into a log, the trail, or an export."""
    report = yield
    if report.when != "teardown" or not report.passed:
        return report
    leaks = leaks_in_sections(report.sections)
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if folder is not None:
        leaks += leaks_in_folder(folder)
    if leaks and item.get_closest_marker("plants_canaries") is None:
        report.outcome = "failed"
        report.longrepr = "\n".join(("planted values stand where they never may (tests/canaries.py):", *leaks))
    return report
