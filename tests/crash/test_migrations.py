"""A migration that is killed at any write point, up or down: the schema is as before or as after, and so is what is kept."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database, embedded
from gateway.adapters.stores.schema import downgrade, schema_state, upgrade
from gateway.adapters.stores.standing import revisions
from tests.adapters.stores.consents import consent
from tests.crash.harness import Crashes, How
from tests.databases import right

SOME, ALL = 67, 1
EVERY = pytest.mark.parametrize("apart", [SOME, pytest.param(ALL, marks=pytest.mark.long)], ids=["some", "all"])
WAYS = pytest.mark.parametrize(("way", "begin"), [("upgrading", "0001"), ("downgrading", revisions()[-1])])


async def kept(database: Database) -> list[Any]:
    """Gives what every revision knows of the consents."""
    async with database.reading() as connection:
        found = await connection.execute(text("SELECT bank, consent_id, uscc, state, version FROM consents ORDER BY 2"))
        return [tuple(row) for row in found]


async def prepare(database: Database, begin: str) -> list[Any]:
    """Brings a database with consents to the revision that a migration begins at."""
    for number in range(5):
        await SqlConsentStore(database).register(consent(number))
    if begin != revisions()[-1]:
        await downgrade(database, begin)
    return await kept(database)


async def assert_it_is_one_or_the_other(database: Database, was: list[Any]) -> None:
    """Holds a database that a killed migration left, and goes on with it as an operator would."""
    state = await schema_state(database)
    assert state.revision in ("0001", revisions()[-1])
    assert state.standing.value in ("BEHIND", "RIGHT")
    assert await kept(database) == was
    assert (await upgrade(database)).standing.value == "RIGHT"
    assert len(await SqlConsentStore(database).list("bank-a", "", after="", limit=100)) == len(was)


@EVERY
@WAYS
async def test_D6_a_migration_of_a_file_killed_at_any_write_point_is_done_or_not_begun(
    killed: Crashes, way: str, begin: str, apart: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with right("sqlite", request, tmp_path) as made:
        was = await prepare(made, begin)
    whole = killed.run(way, url=f"sqlite+aiosqlite:///{copied(tmp_path, 0)}", armed=tmp_path / "0")
    assert (whole.ends, len(whole.told)) == ((0,), 1)

    for at in range(1, whole.points + 1, apart):
        path = copied(tmp_path, at)
        left = killed.run(
            way, url=f"sqlite+aiosqlite:///{path}", armed=path.parent, at=at, how=How(1 + at // apart % 2)
        )

        assert left.ends == (-signal.SIGKILL,)
        database = Database(embedded(path))
        await assert_it_is_one_or_the_other(database, was)
        await database.aclose()
    assert whole.points >= 20


@EVERY
@WAYS
async def test_D6_a_migration_of_a_server_killed_between_any_two_words_is_done_or_not_begun(
    killed: Crashes, way: str, begin: str, apart: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    socket = Path(request.getfixturevalue("postgres_socket"))
    async with right("postgresql", request, tmp_path) as database:
        url = database.url.render_as_string()
        was = await prepare(database, begin)
        whole = killed.run(way, url=url, armed=socket)
        assert (whole.ends, len(whole.told)) == ((0,), 1)

        for at in range(1, whole.points + 1, apart):
            await (downgrade(database, begin) if way == "upgrading" else upgrade(database))
            left = killed.run(way, url=url, armed=socket, at=at, how=How(1 + at // apart % 2))

            assert left.ends == (-signal.SIGKILL,)
            await assert_it_is_one_or_the_other(database, was)
    assert whole.points >= 10


def copied(folder: Path, number: int) -> Path:
    """Gives a copy of the prepared file in a folder of its own."""
    (folder / str(number)).mkdir()
    return Path(shutil.copy(folder / "store.db", folder / str(number) / "store.db"))
