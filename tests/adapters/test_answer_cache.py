"""What every answer cache does, whatever it stands on; an adapter for replicas joins by a line in `CACHES`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LICENCE, CATEGORY_PENALTY
from gateway.adapters.state.answer_cache import LocalAnswerCache
from gateway.domain.keeping import AnswerKey, KeptAnswer, RepairTombstone
from gateway.ports import AnswerCache, Clock
from tests.adapters.simulated import DEMO, OTHER, MovedClock, heard

MIB = 1024 * 1024
Make = Callable[[Clock], AnswerCache]
CACHES: dict[str, Make] = {
    "local": lambda clock: LocalAnswerCache(clock, most_answers=1_000, most_bytes=64 * MIB),
}


def key(platform: str = "a", uscc: str = DEMO, categories: tuple[int, ...] = (CATEGORY_PENALTY,)) -> AnswerKey:
    return AnswerKey(platform, uscc, categories, ())


def kept(asked_at: float = 0.0, *, kept_s: float = 100.0, size: int = 0) -> KeptAnswer:
    return KeptAnswer(heard(size=size), asked_at, kept_s / 2, kept_s)


@pytest.fixture(params=CACHES)
def make(request: pytest.FixtureRequest) -> Make:
    return CACHES[request.param]


async def test_what_is_kept_is_found_and_nothing_else_is(make: Make) -> None:
    cache = make(MovedClock())

    await cache.keep(key(), kept())

    assert await cache.find(key()) == kept()
    assert cache.peek(key()) == kept()
    assert await cache.find(key("b")) is None
    assert cache.peek(key(uscc=OTHER)) is None


async def test_what_is_too_old_is_gone(make: Make) -> None:
    clock = MovedClock()
    cache = make(clock)
    await cache.keep(key(), kept(kept_s=100.0))

    clock.at_s = 99.0
    before = await cache.find(key())
    clock.at_s = 101.0

    assert before is not None
    assert (await cache.find(key()), cache.peek(key())) == (None, None)


async def test_what_was_asked_for_later_takes_the_place_and_not_the_other_way_round(make: Make) -> None:
    cache = make(MovedClock())

    await cache.keep(key(), kept(5.0))
    await cache.keep(key(), kept(3.0))
    early = await cache.find(key())
    await cache.keep(key(), kept(7.0))

    assert early == kept(5.0)
    assert await cache.find(key()) == kept(7.0)


async def test_a_purge_forgets_one_enterprise_at_one_platform_or_at_all(make: Make) -> None:
    cache = make(MovedClock())
    for each in (key("a"), key("b"), key("a", categories=(CATEGORY_LICENCE,)), key("a", OTHER)):
        await cache.keep(each, kept())

    at_one = await cache.purge(DEMO, "b")
    at_all = await cache.purge(DEMO)
    again = await cache.purge(DEMO)

    assert (at_one, at_all, again) == (1, 2, 0)
    assert await cache.find(key("a")) is None
    assert await cache.find(key("a", OTHER)) == kept()


async def test_repairs_forget_what_may_still_show_them(make: Make) -> None:
    cache = make(MovedClock())
    for each in (key("a"), key("b"), key("a", categories=(CATEGORY_LICENCE,)), key("a", OTHER)):
        await cache.keep(each, kept())

    forgotten = await cache.purge_repaired([RepairTombstone(DEMO, CATEGORY_PENALTY), RepairTombstone("none", 1)])

    assert forgotten == 2
    assert await cache.find(key("a", categories=(CATEGORY_LICENCE,))) == kept()
    assert await cache.find(key("a", OTHER)) == kept()


async def test_a_full_local_cache_drops_what_was_not_used_for_longest() -> None:
    cache = LocalAnswerCache(MovedClock(), most_answers=3, most_bytes=MIB)
    for number in range(3):
        await cache.keep(key(uscc=str(number)), kept())

    cache.peek(key(uscc="0"))
    await cache.keep(key(uscc="3"), kept())

    assert len(cache) == 3
    assert [number for number in range(4) if cache.peek(key(uscc=str(number)))] == [0, 2, 3]
    assert await cache.purge("1") == 0


async def test_a_local_cache_is_bounded_in_bytes_and_refuses_what_it_has_no_room_for() -> None:
    cache = LocalAnswerCache(MovedClock(), most_answers=1_000, most_bytes=MIB)

    for number in range(50):
        await cache.keep(key(uscc=str(number)), kept(size=10_000))
    held = len(cache)
    await cache.keep(key(uscc="49"), kept(1.0, size=MIB))

    assert 5 <= held <= 1_048_576 // (10_000 * 7)
    assert cache.held_bytes <= MIB
    assert cache.peek(key(uscc="49")) is None


async def test_nothing_of_what_ran_out_is_held_once_another_answer_comes() -> None:
    clock = MovedClock()
    cache = LocalAnswerCache(clock, most_answers=1_000, most_bytes=MIB)
    for number in range(20):
        await cache.keep(key(uscc=str(number)), kept())

    clock.at_s = 1_000.0
    await cache.keep(key(uscc="new"), kept(1_000.0))

    assert len(cache) == 1
    assert list(cache._by_uscc) == ["new"]


async def test_an_answer_that_came_in_anothers_place_does_not_end_with_it() -> None:
    clock = MovedClock()
    cache = LocalAnswerCache(clock, most_answers=1_000, most_bytes=MIB)
    await cache.keep(key(), kept(kept_s=100.0))
    clock.at_s = 50.0
    await cache.keep(key(), kept(50.0, kept_s=100.0))

    clock.at_s = 120.0
    await cache.keep(key("b"), kept(120.0))

    assert cache.peek(key()) == kept(50.0, kept_s=100.0)
    assert len(cache) == 2


async def test_what_was_replaced_many_times_leaves_nothing_behind() -> None:
    clock = MovedClock()
    cache = LocalAnswerCache(clock, most_answers=1_000, most_bytes=MIB)

    for number in range(1_000):
        await cache.keep(key(), kept(float(number)))

    assert len(cache) == 1
    assert len(cache._endings) < 100
    assert cache.held_bytes < MIB // 100
