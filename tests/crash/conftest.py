"""The processes that are killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.harness import Crashes, crashes


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashes]:
    """Gives what runs a story and cuts it short."""
    with crashes(tmp_path_factory.mktemp("crash")) as server:
        yield server
