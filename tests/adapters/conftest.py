"""What every test of an adapter is given: logs as they are before anybody sets them up, so that none depends on who ran before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def unconfigured_logs() -> Iterator[None]:
    """Takes back what a gateway set up earlier in this process, and gives it again afterwards."""
    before = structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.configure(**before)
