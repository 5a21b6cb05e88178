"""The databases of the store's tests, and the stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.joint_list_store import SqlJointListStore
from gateway.adapters.stores.repair_store import SqlRepairStore
from tests.adapters.memory_consents import MemoryConsents
from tests.adapters.memory_joint_lists import MemoryJointLists
from tests.adapters.memory_repairs import MemoryRepairs
from tests.databases import KINDS, a_store, empty, right

store = a_store(SqlConsentStore, memory=MemoryConsents)
joint_lists = a_store(SqlJointListStore, memory=MemoryJointLists)
repairs = a_store(SqlRepairStore, memory=MemoryRepairs)


@pytest.fixture(params=KINDS)
async def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[URL]:
    async with empty(request.param, request, tmp_path) as url:
        yield url


@pytest.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with right(request.param, request, tmp_path) as made:
        yield made
