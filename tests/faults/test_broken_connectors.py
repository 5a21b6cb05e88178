"""Connectors that break their word (fault catalogue, D10): isolated, on time, the others' answers untouched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import pytest

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.adapters.telemetry.loop_lag import LoopLag
from gateway.connector_bootstrap import find_plugins
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.ports import Connector, ConnectorPlugin, ConnectorSetup
from tests.faults.declared import ForPlatform, Test, row
from tests.faults.house import Case

Fetch = Callable[[CreditQuery, Permit, float], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin whose connector's one attempt is what the test says."""

    inner: ConnectorPlugin
    fetching: Callable[[Connector], Fetch]

    def platform(self) -> Platform:
        """The facts."""
        return self.inner.platform()

    def notes(self) -> Sequence[str]:
        """Has none."""
        return ()

    def connect(self, setup: ConnectorSetup) -> Connector:
        """Builds the connector."""
        sound = self.inner.connect(setup)
        return BrokenConnector(sound.platform, self.fetching(sound))


@dataclass(frozen=True, slots=True)
class BrokenConnector:
    """A connector whose attempt is not its own."""

    platform: Platform
    fetching: Fetch

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Does what the test says."""
        return await self.fetching(query, permit, fetch_by)


def breaks(case: Case, fetching: Callable[[Connector], Fetch]) -> None:
    """Puts a broken connector in the platform's place."""
    found = find_plugins(case.house.settings)
    plugin = BrokenPlugin(found.connectors[case.platform], fetching)
    case.plugins = replace(found, connectors={**found.connectors, case.platform: plugin})


def comes_out(outcome: str) -> Callable[[Test], Test]:
    """Runs a test for one platform, whose outcome must be this: the fault is in no dialect."""

    def mark(test: Test) -> Test:
        given = pytest.mark.parametrize(
            "case", [pytest.param(ForPlatform("shanghai", outcome), id="any")], indirect=True
        )
        on_loop: Test = pytest.mark.asyncio(loop_scope="session")(given(test))
        return on_loop

    return mark


@row("D10", "the connector raises", "连接器抛出异常", "`BAD_ANSWER(connector_fault)`")
@comes_out("BAD_ANSWER(connector_fault)")
async def test_D10_a_connector_that_raises_is_isolated(case: Case) -> None:
    def fetching(_: Connector) -> Fetch:
        async def raises(*_: object) -> Answer:
            raise RuntimeError("a fault of the connector")

        return raises

    breaks(case, fetching)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.detail == "RuntimeError"


@row(
    "D10",
    "it gives what is no answer, or another platform's",
    "返回值不是应答，或冒充其他平台",
    "`BAD_ANSWER(connector_fault)`",
)
@pytest.mark.parametrize("given", [None, Answer(view_pb2.Answer(platform="jiangsu"))], ids=["nothing", "other"])
@comes_out("BAD_ANSWER(connector_fault)")
async def test_D10_a_connector_that_gives_no_answer_of_its_own_is_isolated(case: Case, given: Answer | None) -> None:
    def fetching(_: Connector) -> Fetch:
        async def gives(*_: object) -> Answer:
            return cast(Answer, given)

        return gives

    breaks(case, fetching)

    seen = await case.ask()

    case.check(seen)


@row("D10", "it waits for ever, as on a full queue", "永久等待（如队列已满）", "`TIMEOUT(deadline)`, cancelled 取消")
@comes_out("TIMEOUT(deadline)")
async def test_D10_a_connector_that_waits_for_ever_is_cancelled_at_the_limit(case: Case) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    queue.put_nowait(1)

    def fetching(_: Connector) -> Fetch:
        async def waits(*_: object) -> Answer:
            await queue.put(2)
            raise AssertionError("the queue is full for ever")

        return waits

    breaks(case, fetching)

    seen = await case.ask(1.5)

    case.check(seen)


@row(
    "D10",
    "it ignores its cancellation",
    "无视取消",
    "`TIMEOUT(deadline)` on time; left behind after a grace of 50 ms 按时应答，50 毫秒后放弃等待",
)
@comes_out("TIMEOUT(deadline)")
async def test_D10_a_connector_that_ignores_its_cancellation_is_left_behind(case: Case) -> None:
    over = asyncio.Event()

    def fetching(sound: Connector) -> Fetch:
        async def stays(query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue
            return await sound.fetch(query, permit, fetch_by)

        return stays

    breaks(case, fetching)

    try:
        seen = await case.ask(1.5)
    finally:  # else the loop of a test that fails waits for ever for a task that cannot be cancelled
        over.set()

    case.check(seen)


@row(
    "D10",
    "it leaves a hundred tasks behind in every call",
    "每次调用遗留一百个任务",
    "`OK`; they are its own, and end with the process 任务归其自身，随进程结束",
)
@comes_out("OK")
async def test_D10_tasks_that_a_connector_leaves_behind_hold_up_no_answer(case: Case) -> None:
    left: list[asyncio.Task[None]] = []

    def fetching(sound: Connector) -> Fetch:
        async def leaks(query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            left.extend(asyncio.create_task(asyncio.sleep(3_600)) for _ in range(100))
            return await sound.fetch(query, permit, fetch_by)

        return leaks

    breaks(case, fetching)

    seen = await case.ask()

    await (await case.opened()).aclose()  # which waits for none of them
    assert not any(task.done() for task in left)
    for task in left:
        task.cancel()
    case.check(seen)


@row(
    "D10",
    "it blocks the event loop for half a second",
    "阻塞事件循环半秒",
    "everybody waits as long, nobody's answer changes, the loop's lag shows it; one process cannot do better "
    "全体延迟相同时间，应答不变，循环延迟指标可见；单进程无法避免",
)
@comes_out("OK")
async def test_D10_a_connector_that_blocks_the_loop_delays_all_and_shows_in_the_lag(case: Case) -> None:
    lags: list[float] = []

    def fetching(sound: Connector) -> Fetch:
        async def blocks(query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            await asyncio.sleep(0.05)
            time.sleep(0.5)  # noqa: ASYNC251  # the fault
            return await sound.fetch(query, permit, fetch_by)

        return blocks

    breaks(case, fetching)
    await case.opened()
    lag = LoopLag(lags.append, every_s=0.02)

    seen = await case.ask()

    await lag.aclose()
    case.check(seen)
    assert max(lags) > 0.4
