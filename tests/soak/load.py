"""Mixed load: some ten calls a second of every kind, drawn from the seed."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from random import Random
from typing import Any, Final

import grpc

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from tests.soak.calls import Calls, ending_of
from tests.soak.record import Call
from tests.soak.restless import RestlessConsent
from tests.soak.truth import ASKS, PLATFORM_NAMES, UNKNOWN, WRONG, Ask, cast

_PATIENT_S: Final = (1.5, 5.0)
_BATCH_S: Final = 15.0  # an item has the server's own ten seconds
_NOTHING_KEPT: Final = frozenset({"view", "required platform", "short", "beside one gone"})
"""Kinds of calls that take no kept answer."""

One = Callable[[], Coroutine[Any, Any, object]]


class Load:
    """Draws calls and makes them; ends with no call under way."""

    def __init__(self, calls: Calls, random: Random) -> None:
        self._calls = calls
        self._random = random
        self._cast = cast()
        self._restless = RestlessConsent(calls, Random(random.random()))
        self._used: list[tuple[str, Ask, str]] = []
        kinds: Sequence[tuple[One, float]] = (
            (self._view, 6), (self._kept, 4), (self._stale, 1), (self._request_id, 2), (self._repeated_at_once, 1),
            (self._beside_one_gone, 1), (self._reused, 0.5), (self._required, 1), (self._stream, 2),
            (self._stream_abandoned, 1), (self._batch, 0.7), (self._batch_abandoned, 0.5), (self._batch_too_large, 0.3),
            (self._cancelled, 2), (self._short, 1.5), (self._unknown, 1), (self._wrong, 0.7),
        )  # fmt: skip
        trusted: Sequence[tuple[One, float]] = (
            (self._restless.use, 2), (self._archived, 1.5), (self._not_permitted, 0.7),
        )  # fmt: skip
        self._kinds = [*kinds, *(trusted if calls.house.has_identity else ())]

    async def drive(self, per_s: float, until: float) -> None:
        """Makes so many calls a second until that point of time, and waits for all of them."""
        ones, weights = zip(*self._kinds, strict=True)
        async with asyncio.TaskGroup() as group:
            if self._calls.house.has_identity:
                group.create_task(self._restless.keep(until))
            while time.monotonic() < until:
                group.create_task(self._random.choices(ones, weights)[0]())
                await asyncio.sleep(min(self._random.expovariate(per_s), 1.0))

    async def _ask(self, kind: str, uscc: str, ask: Ask, deadline_s: float, channel: Any = None, **more: Any) -> str:
        """Asks for one view; gives the answer's id, nothing where there is none."""
        query = self._calls.question(uscc, ask, **more)
        if kind in _NOTHING_KEPT:
            query.oldest_acceptable_age.SetInParent()
        got: list[str] = []

        async def work(call: Call) -> None:
            raw = await self._calls.view_of(call, query, ask, channel or self._calls.channel())
            got.append(pb.GetCreditViewResponse.FromString(raw).delivery.answer_id)

        await self._calls.made(kind, f"{uscc} {ask.name} {query.request_id}", deadline_s, work)
        return got[0] if got else ""

    def _drawn(self) -> tuple[str, Ask, float]:
        return self._random.choice(self._cast), self._random.choice(ASKS), self._random.uniform(*_PATIENT_S)

    async def _view(self) -> None:
        await self._ask("view", *self._drawn())

    async def _kept(self) -> None:
        await self._ask("kept view", *self._drawn())

    async def _stale(self) -> None:
        await self._ask("stale view", *self._drawn(), is_stale_acceptable=True)

    async def _required(self) -> None:
        uscc, _, deadline_s = self._drawn()
        required = self._random.choice(PLATFORM_NAMES)
        await self._ask("required platform", uscc, ASKS[1], deadline_s, required_platforms=[required])

    async def _short(self) -> None:
        uscc, ask, _ = self._drawn()
        self._calls.record.lost += 1
        await self._ask("short", uscc, ask, self._random.choice((0.002, 0.01, 0.03, 0.1, 0.3)))

    async def _unknown(self) -> None:
        _, ask, deadline_s = self._drawn()
        await self._ask("unknown", UNKNOWN, ask, deadline_s)

    async def _wrong(self) -> None:
        _, ask, deadline_s = self._drawn()
        await self._ask("wrong code", self._random.choice(WRONG), ask, deadline_s)

    async def _request_id(self) -> None:
        """A new request id, and later the same question again under it: the same answer, if there was one."""
        uscc, ask, deadline_s = self._drawn()
        request_id, channel = uuid.UUID(int=self._random.getrandbits(128)).hex, self._calls.channel()
        first = await self._ask("request id", uscc, ask, deadline_s, channel, request_id=request_id)
        await asyncio.sleep(self._random.uniform(0, 2))
        again = await self._ask("request id", uscc, ask, deadline_s, channel, request_id=request_id)
        if first and again != first and (again or not self._calls.machine.was_busy()):
            self._calls.record.breach(f"request id {request_id} was answered {first}, and then {again or 'not at all'}")
        # Not before: where the first time failed, another body may take the id.
        self._used.append((uscc, ask, request_id))

    async def _repeated_at_once(self) -> None:
        uscc, ask, deadline_s = self._drawn()
        request_id, channel = uuid.UUID(int=self._random.getrandbits(128)).hex, self._calls.channel()
        asked = [self._ask("repeated at once", uscc, ask, deadline_s, channel, request_id=request_id) for _ in range(3)]
        ids = set(await asyncio.gather(*asked)) - {""}  # one may fail and the next be answered: no failure is kept
        if len(ids) > 1:
            self._calls.record.breach(f"request id {request_id} asked thrice at once was answered {sorted(ids)}")

    async def _beside_one_gone(self) -> None:
        """The same question twice at once under one request id, and whoever was first goes away: the other is answered."""
        uscc, ask, deadline_s = self._drawn()
        request_id, channel = uuid.UUID(int=self._random.getrandbits(128)).hex, self._calls.channel()
        gone = asyncio.create_task(self._cancelled_one(uscc, ask, deadline_s, channel, request_id))
        await asyncio.sleep(0.005)
        await self._ask("beside one gone", uscc, ask, deadline_s, channel, request_id=request_id)
        await gone

    async def _reused(self) -> None:
        """A request id with another question."""
        if self._used:
            uscc, ask, request_id = self._random.choice(self._used)
            other = next(each for each in ASKS if each != ask)
            await self._ask("request id reused", uscc, other, 5.0, request_id=request_id)

    async def _cancelled(self) -> None:
        await self._cancelled_one(*self._drawn(), self._calls.channel(), "")

    async def _cancelled_one(self, uscc: str, ask: Ask, deadline_s: float, channel: Any, request_id: str) -> None:
        query = self._calls.question(uscc, ask, request_id=request_id)
        query.oldest_acceptable_age.SetInParent()
        after_s = self._random.choice((0.0, 0.01, 0.03, 0.1, 0.5, 1.0))

        async def work(call: Call) -> None:
            made = self._calls.stub(channel).GetCreditView(
                pb.GetCreditViewRequest(query=query), timeout=call.deadline_s, metadata=call.metadata
            )
            await asyncio.wait([asyncio.ensure_future(made.code())], timeout=after_s)
            made.cancel()
            await ending_of(made)

        self._calls.record.lost += 1
        await self._calls.made("cancelled", f"{uscc} {ask.name} after {after_s} s", deadline_s, work)

    async def _stream(self) -> None:
        await self._streamed(None)

    async def _stream_abandoned(self) -> None:
        self._calls.record.lost += 1
        await self._streamed(self._random.randint(0, 3))

    async def _streamed(self, steps: int | None) -> None:
        """Reads a stream to its end, or so many steps of it and leaves."""
        uscc, ask, deadline_s = self._drawn()
        query = self._calls.question(uscc, ask)
        if self._random.random() < 0.6:
            query.oldest_acceptable_age.SetInParent()

        async def work(call: Call) -> None:
            made = self._calls.stub(self._calls.channel()).StreamCreditView(
                pb.StreamCreditViewRequest(query=query), timeout=call.deadline_s, metadata=call.metadata
            )
            read = 0
            try:
                while steps is None or read < steps:
                    step = await made.read()
                    if step is grpc.aio.EOF:
                        break
                    read += 1
                    self._calls.check_step(call, step, query, ask)
                if steps is not None:
                    made.cancel()
            except grpc.aio.AioRpcError as error:
                self._calls.check_unknown(call, uscc, ask, error.code().value[0])
                raise
            await ending_of(made)

        kind = "stream" if steps is None else "stream abandoned"
        await self._calls.made(kind, f"{uscc} {ask.name} {steps}", deadline_s, work)

    async def _batch(self) -> None:
        await self._batched(None)

    async def _batch_abandoned(self) -> None:
        self._calls.record.lost += 8
        await self._batched(self._random.uniform(0, 1))

    async def _batched(self, leaves_after_s: float | None) -> None:
        """Sends a batch of good items, a wrong one and one of a repeated id, and reads all answers or leaves."""
        drawn = [self._drawn()[:2] for _ in range(self._random.randint(1, 6))]
        items = [
            pb.BatchGetCreditViewsRequest(correlation_id=f"{number}", query=self._calls.question(uscc, ask))
            for number, (uscc, ask) in enumerate(drawn)
        ]
        wrong = pb.BatchGetCreditViewsRequest(correlation_id="wrong", query=self._calls.question(WRONG[0], ASKS[0]))
        repeated = pb.BatchGetCreditViewsRequest(correlation_id="wrong", query=self._calls.question(*drawn[0]))

        async def work(call: Call) -> None:
            made = self._calls.stub(self._calls.channel()).BatchGetCreditViews(
                _sent([*items, wrong, repeated], self._random.choice((0.0, 0.05))),
                timeout=call.deadline_s,
                metadata=call.metadata,
            )
            if leaves_after_s is not None:
                await asyncio.sleep(leaves_after_s)
                made.cancel()
                await ending_of(made)
                return
            left = {f"{number}": asked for number, asked in enumerate(drawn)}
            wrong_ones = 0
            async for response in made:
                asked = left.pop(response.correlation_id, None)
                if asked is None:
                    wrong_ones += 1
                    self._calls.check_item_wrong(call, response)
                else:
                    self._calls.check_item(call, response, items[int(response.correlation_id)].query, asked[1])
            await ending_of(made)
            if left or wrong_ones != 2:
                self._calls.record.breach(f"items {sorted(left)} have no answer, {wrong_ones} wrong ones have", call)

        kind = "batch" if leaves_after_s is None else "batch abandoned"
        await self._calls.made(kind, f"{len(items)} items", _BATCH_S, work)

    async def _batch_too_large(self) -> None:
        """One item larger than a request may be."""
        uscc, ask, deadline_s = self._drawn()
        large = pb.BatchGetCreditViewsRequest(
            correlation_id="large", query=self._calls.question(uscc, ask, branch="x" * 1_100_000)
        )

        async def work(call: Call) -> None:
            made = self._calls.stub(self._calls.channel()).BatchGetCreditViews(
                _sent([large], 0.0), timeout=call.deadline_s, metadata=call.metadata
            )
            async for _ in made:
                self._calls.record.breach("an item beyond the bound was answered", call)

        await self._calls.made("batch too large", "1.1 MB", deadline_s, work)

    async def _archived(self) -> None:
        if self._random.random() < 0.1 or not self._calls.archived:
            await self._calls.archived_view(str(uuid.UUID(int=self._random.getrandbits(128))), None)
        else:
            await self._calls.archived_view(*self._random.choice(list(self._calls.archived)))

    async def _not_permitted(self) -> None:
        """Somebody asks who may not: one question, a stream or a batch."""
        uscc, ask, deadline_s = self._drawn()
        query = self._calls.question(uscc, ask)
        way = self._random.choice(("view", "stream", "batch"))
        stranger = self._calls.house.stranger
        assert stranger is not None

        async def work(call: Call) -> None:
            stub = self._calls.stub(stranger)
            if way == "view":
                await stub.GetCreditView(
                    pb.GetCreditViewRequest(query=query), timeout=call.deadline_s, metadata=call.metadata
                )
                return
            items = [pb.BatchGetCreditViewsRequest(correlation_id=f"{n}", query=query) for n in range(5)]
            made = (
                stub.StreamCreditView(
                    pb.StreamCreditViewRequest(query=query), timeout=call.deadline_s, metadata=call.metadata
                )
                if way == "stream"
                else stub.BatchGetCreditViews(_sent(items, 0.0), timeout=call.deadline_s, metadata=call.metadata)
            )
            async for _ in made:
                self._calls.record.breach("somebody was answered who may not ask", call)

        await self._calls.made("not permitted", way, deadline_s, work)


async def _sent(items: Sequence[pb.BatchGetCreditViewsRequest], pause_s: float) -> AsyncIterator[Any]:
    for item in items:
        yield item
        if pause_s:
            await asyncio.sleep(pause_s)
