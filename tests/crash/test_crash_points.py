"""Killed at every write point, and at random: nothing that was acknowledged is missing, nothing is torn, work goes on.

What is killed signs and archives its answers: each that was given is in the trail and in the archive, its receipt verifies,
and a copy that was kept for an answer nobody got is given to nobody.

After each kill two folders are looked at: what a restarted process finds, and what a restarted machine finds at the least,
which is what had been synced. `make test` takes every so-manieth write point, `make test-all` all of them.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.adapters.stores.door import StoreDoor
from tests.crash.harness import Crashes, How, assert_all_is_kept, assert_answers_are_kept, assert_consents_are_kept
from tests.crash.story import AT_ONCE, ROUNDS
from tests.databases import empty

SOME, ALL = 47, 1
"""How far apart the write points are that are tried."""
WRITERS = 3
EVERY = pytest.mark.parametrize("apart", [SOME, pytest.param(ALL, marks=pytest.mark.long)], ids=["some", "all"])


def ways_to_die(points: int, apart: int) -> Iterator[tuple[int, How]]:
    """Gives write points, each with what happens there: both that can where all are wanted, else now this, now that."""
    for number, at in enumerate(range(1, points + 1, apart)):
        for how in (How.KILL, How.TEAR):
            if apart == ALL or number % 2 == how - 1:
                yield at, how


@EVERY
async def test_D2_killed_at_any_write_point_nothing_acknowledged_is_missing_or_torn(
    killed: Crashes, apart: int
) -> None:
    whole = killed.run("everything")
    assert (whole.ends, len(whole.told)) == ((0,), ROUNDS * (3 + AT_ONCE))

    orphans = 0
    for at, how in ways_to_die(whole.points, apart):
        left = killed.run("everything", at=at, how=how)

        assert left.ends == (-signal.SIGKILL,)
        await assert_all_is_kept(left, left.folder)
        await assert_all_is_kept(left, left.synced)
        orphans += len(left.orphans)
        killed.forget(left)
    assert whole.points >= 100
    assert orphans or apart != ALL  # between the archive's commit and the trail's sync there are some


@pytest.mark.parametrize("times", [1, pytest.param(200, marks=pytest.mark.long)])
async def test_D2_several_writers_killed_at_random_leave_nothing_missing_or_torn(killed: Crashes, times: int) -> None:
    chance = random.Random(20_261_126)
    acknowledged = 0
    for _ in range(times):
        left = killed.run("endlessly", writers=WRITERS, kill_after_s=chance.uniform(0.2, 1.0))

        assert left.ends == (-signal.SIGKILL,) * WRITERS
        await assert_all_is_kept(left, left.folder, writers=WRITERS)
        acknowledged += len(left.told)
        killed.forget(left)
    if times > 1:  # one alone may be killed at its very start on a busy machine
        assert acknowledged > times  # it is not all start and end


async def test_D2_the_crash_tests_find_out_who_promises_before_it_is_written(killed: Crashes) -> None:
    found = []
    for at in range(1, killed.run("hasty").points + 1):
        left = killed.run("hasty", at=at, how=How.KILL)
        if left.entries:
            try:
                await assert_all_is_kept(left, left.folder)
            except AssertionError as error:
                found.append(str(error))

    assert any("an acknowledged entry is missing" in said for said in found)


async def test_D2_the_crash_tests_find_out_what_was_not_synced(killed: Crashes) -> None:
    left = killed.run("answers_alone", how=How.LIE)

    assert (left.ends, len(left.entries)) == ((0,), ROUNDS)
    await assert_all_is_kept(left, left.folder)
    with pytest.raises(AssertionError, match="an acknowledged entry is missing"):
        await assert_all_is_kept(left, left.synced)


@EVERY
async def test_D2_killed_between_any_two_words_to_a_server_nothing_acknowledged_is_missing(
    killed: Crashes, apart: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    socket = Path(request.getfixturevalue("postgres_socket"))

    async with empty("postgresql", request, tmp_path) as address:
        url = address.render_as_string()
        assert killed.run("upgrading", url=url).ends == (0,)
        whole = killed.run("consents_alone", url=url, armed=socket)
        assert (whole.ends, len(whole.told)) == ((0,), 2 * ROUNDS)

        for number, (at, how) in enumerate(ways_to_die(whole.points, apart), start=1):
            left = killed.run("consents_alone", url=url, armed=socket, at=at, how=how, writer=number)

            assert left.ends == (-signal.SIGKILL,)
            await assert_consents_are_kept(left, StoreDoor(url))
    assert whole.points >= 20


@pytest.mark.long
async def test_D2_killed_between_any_two_words_to_a_server_that_archives_no_copy_is_given_that_was_not_answered(
    killed: Crashes, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    socket = Path(request.getfixturevalue("postgres_socket"))

    async with empty("postgresql", request, tmp_path) as address:
        url = address.render_as_string()
        assert killed.run("upgrading", url=url).ends == (0,)
        whole = killed.run("answers_archived", url=url, armed=socket)
        assert (whole.ends, len(whole.receipts)) == ((0,), 2 * ROUNDS)
        await assert_answers_are_kept(whole, url)

        for at in range(1, whole.points + 1):
            left = killed.run("answers_archived", url=url, armed=socket, at=at, how=How.KILL)

            assert left.ends == (-signal.SIGKILL,)
            await assert_answers_are_kept(left, url)
    assert whole.points >= 10
