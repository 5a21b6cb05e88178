"""All platforms at once (同时查询): each bounded by one fixed point in time, one timer for all of them.

A platform that fails is an answer. A connector that breaks its word, by raising or by ignoring the end of its time, is
isolated: its answer says so, and the others are on time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_CANCELLED,
    OUTCOME_NOT_CONSENTED,
    OUTCOME_NOT_COVERED,
    OUTCOME_TIMEOUT,
)
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import POLICY, Permit
from gateway.domain.query import CreditQuery
from gateway.domain.reach import within
from gateway.ports import Connector, KeptAnswers

_GRACE_S = 0.05
"""How long a cancelled connector may take to tidy up before it is left behind."""


async def fan_out(
    connectors: Mapping[str, Connector],
    query: CreditQuery,
    permit: Permit,
    fetch_by: float,
    landed: Callable[[Answer], object],
    kept: KeptAnswers | None = None,
    withdrawn: asyncio.Future[None] | None = None,
) -> None:
    """Asks every platform of the query and hands each answer to `landed` as it lands, one per platform.

    What `kept` has at hand is not asked for. Returns when all answers are in, at `fetch_by` at the latest. When the caller
    is cancelled, so is every call; so is what is under way once `withdrawn` is done.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    pending: dict[asyncio.Future[Answer], str] = {}

    def land(platform: str, said: Answer | asyncio.Future[Answer]) -> None:
        try:
            if not isinstance(said, Answer):
                if said.cancelled() or said.exception() is not None:
                    said = _broken_off(said, platform, permit.categories, loop.time() - started)
                else:
                    said = said.result()
                    if said.said.platform != platform:
                        said = _broken(
                            platform, permit.categories, loop.time() - started, "speaks for another platform"
                        )
            landed(within(said, permit) if permit.outside else said)
        except Exception as error:  # what a connector gave is no answer: said so in its place, by the error's class
            landed(_broken(platform, permit.categories, loop.time() - started, type(error).__name__))

    def on_done(call: asyncio.Future[Answer]) -> None:
        platform = pending.pop(call, None)
        if platform is None:  # its time was up: it was answered for already
            return
        land(platform, call)
        if not pending:
            on_over()

    def on_over(_: object = None) -> None:
        if not all_in.done():
            all_in.set_result(None)

    for platform in query.platforms:
        connector = connectors[platform]
        allowed = permit.at(platform) if permit.outside else permit
        spared = _without_asking(connector, allowed, query)
        if spared is None and kept is not None:
            spared = kept.at_hand(platform, query, allowed, fetch_by)
        if spared is not None:
            land(platform, spared)
            continue
        try:
            asked = connector.fetch(query, allowed, fetch_by)
            # A wrapper mostly gives a future; `ensure_future` looks three functions deep to see that it is one.
            call = asked if isinstance(asked, asyncio.Future) else asyncio.ensure_future(asked)
        except Exception as error:  # it broke its word before there was anything to wait for
            land(platform, _broken(platform, allowed.categories, 0.0, type(error).__name__))
            continue
        pending[call] = platform
        call.add_done_callback(on_done)
    if not pending:
        return
    all_in: asyncio.Future[None] = loop.create_future()
    timer = loop.call_at(fetch_by, on_over)
    if withdrawn is not None:
        withdrawn.add_done_callback(on_over)
    try:
        await all_in
    finally:
        timer.cancel()
        for call in [call for call in pending if call.done()]:  # in time, be it that the loop was not
            on_done(call)
        late = dict(pending)
        pending.clear()
        if late:
            await _cancel(set(late))
    outcome, reason = OUTCOME_TIMEOUT, "deadline"
    if withdrawn is not None and withdrawn.done():
        outcome, reason = OUTCOME_CANCELLED, "consent_withdrawn"
    for task, platform in late.items():
        detail = last_words(task)
        answer = failed_answer(platform, outcome, reason, permit.categories, attempts=1, detail=detail)
        landed(answer._replace(latency_s=loop.time() - started))


def _without_asking(connector: Connector, permit: Permit, query: CreditQuery) -> Answer | None:
    platform = connector.platform
    covered = platform.coverage.keys()
    if covered.isdisjoint(query.categories):
        return failed_answer(platform.id, OUTCOME_NOT_COVERED, "", query.categories)
    if covered.isdisjoint(permit.categories):
        by_policy = {entry.category for entry in permit.withheld if entry.why == POLICY}
        why = POLICY if by_policy >= covered & set(query.categories) else ""
        return failed_answer(platform.id, OUTCOME_NOT_CONSENTED, why, query.categories)
    return None


def _broken_off(task: asyncio.Future[Answer], platform: str, categories: Sequence[int], elapsed_s: float) -> Answer:
    """Gives the answer of a call that ended without one."""
    if task.cancelled():
        answer = failed_answer(platform, OUTCOME_BAD_ANSWER, "connector_cancelled", categories)
        return answer._replace(latency_s=elapsed_s)
    return _broken(platform, categories, elapsed_s, type(task.exception()).__name__)


def _broken(platform: str, categories: Sequence[int], elapsed_s: float, detail: str) -> Answer:
    """Gives the answer of a connector that broke its contract; `detail` is a class or fixed text, never payload."""
    answer = failed_answer(platform, OUTCOME_BAD_ANSWER, "connector_fault", categories, attempts=1, detail=detail)
    return answer._replace(latency_s=elapsed_s)


def last_words(task: asyncio.Future[Answer]) -> str:
    """Gives what a cancelled connector said of how far it had come, nothing where it did not."""
    if not task.done() or not task.cancelled():
        return ""
    try:
        task.result()
    except asyncio.CancelledError as error:
        return str(error)
    return ""


async def _cancel(tasks: set[asyncio.Future[Answer]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_GRACE_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # read, so that the loop does not report it a second time
