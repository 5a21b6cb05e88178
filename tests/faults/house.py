"""A whole gateway before four sandboxes of which one stands behind a fault proxy, and what must hold whatever it does.

`Case` is what a test of this folder is given: it sets the fault, asks, and checks the declared outcome together with the
invariants that hold for every row: an answer before the deadline, the other platforms' answers as without the fault, never
"no records" from a failure, an entry in the trail, and nothing left behind.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from structlog.testing import capture_logs

from connectors.kit.conformance import whole_query
from connectors.kit.sandbox import Running
from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.application.query_credit import CreditAnswer
from gateway.application.story import Admission
from gateway.bootstrap import build_gateway
from gateway.cli.running import at_sandboxes
from gateway.connector_bootstrap import Plugins, find_plugins
from gateway.domain.answer import HEARD, Answer
from gateway.domain.query import CreditQuery
from gateway.process import Gateway
from gateway.settings import PlatformSettings, Settings
from tests.faults.declared import PLATFORMS, ForPlatform, told
from tests.faults.dialects import DIALECTS, Change, Dialect
from tests.faults.proxy import Exchange, FaultProxy, Script, forward

DEMO: Final = "91310115MA0TERT167"
OTHER: Final = "91310115MAC0DEM080"
_SETTLING_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one query: the faulty platform's answer, the others', the view, the trail's entry, the log's events."""

    answer: Answer
    others: Mapping[str, view_pb2.Answer]
    view: view_pb2.CreditView
    entry: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    took_s: float
    time_s: float

    @property
    def told(self) -> str:
        """The faulty platform's outcome with its reason."""
        return told(self.answer)


def question(uscc: str = DEMO, platforms: Sequence[str] = PLATFORMS) -> CreditQuery:
    """Gives a query of every category at the platforms, about what was never kept: no cache may answer for a platform."""
    return replace(whole_query("", uscc), platforms=tuple(sorted(platforms)), oldest_acceptable_age_s=0.0)


def without_digest(said: view_pb2.Answer) -> view_pb2.Answer:
    """Gives an answer without the digest of its raw body: a sealed body differs from call to call."""
    bare = view_pb2.Answer()
    bare.CopyFrom(said)
    bare.ClearField("raw_digest")
    return bare


@dataclass(frozen=True, slots=True)
class House:
    """What all tests share: settings, the sandboxes that are up, and what each answers when nothing is wrong."""

    settings: Settings
    sandboxes: Mapping[str, Running]
    control: Mapping[str, view_pb2.Answer]
    control_view: view_pb2.CreditView


def open_descriptors() -> int:
    """Gives how many file descriptors this process has open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What is open in this process: tasks of the loop, file descriptors."""

    tasks: frozenset[asyncio.Task[Any]]
    descriptors: int

    @staticmethod
    def taken() -> Footprint:
        """Gives what is open now, but for the task that asks."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return Footprint(frozenset(tasks), open_descriptors())

    async def is_settled(self, spare: int = 0) -> bool:
        """Whether no more is open than at this footprint, within the time that sockets need to be closed on both sides.

        `spare` descriptors may be, such as those that gRPC keeps for itself.
        """
        until = time.monotonic() + _SETTLING_S
        while time.monotonic() < until:
            now = Footprint.taken()
            if now.tasks <= self.tasks and now.descriptors <= self.descriptors + spare:
                return True
            await asyncio.sleep(0.005)
        return False


@dataclass
class Case:
    """One run of one test: a gateway whose `platform` stands behind a proxy that plays the test's script."""

    house: House
    about: ForPlatform
    trail: Path
    stack: AsyncExitStack
    proxy: FaultProxy
    gateway: Gateway | None = None
    is_checked: bool = False
    plugins: Plugins | None = None
    connection: dict[str, Any] = field(default_factory=dict)

    @property
    def platform(self) -> str:
        """The platform that fails."""
        return self.about.platform

    @property
    def dialect(self) -> Dialect:
        """How to read and change what it answers."""
        return DIALECTS[self.platform]

    @property
    def control(self) -> view_pb2.Answer:
        """What the platform answers when nothing is wrong."""
        return self.house.control[self.platform]

    def always(self, script: Script) -> None:
        """Plays the script for every request."""
        self.proxy.script = script

    def on_data(self, script: Script) -> None:
        """Plays the script for the request that brings the data; token and submission calls go through."""
        self._on(self.dialect.data_path, script)

    def on_question(self, script: Script) -> None:
        """Plays the script for the request that asks, be it that the data come by another; token calls go through."""
        self._on(self.dialect.question_path or self.dialect.data_path, script)

    def _on(self, path: str, script: Script) -> None:
        async def only_there(exchange: Exchange) -> None:
            await (script if path in exchange.target else forward)(exchange)

        self.proxy.script = only_there

    def on_token(self, script: Script) -> None:
        """Plays the script for the calls that fetch a token or secret; the others go through."""
        self._on("oken", script)

    def rewrites(self, change: Change) -> None:
        """Has the data's document changed by `change(document)` before it arrives, sealed and signed anew."""
        dialect = self.dialect

        async def changed(exchange: Exchange) -> None:
            original = await exchange.original()
            exchange.write(original.with_body(dialect.changed(original.body, change)).wire())

        self.on_data(changed)

    async def reach_by(self, proxy: FaultProxy, **connection: Any) -> None:
        """Puts another proxy in the first one's place; `connection` are keys of the platform's table in platforms.toml."""
        self.proxy = await self.stack.enter_async_context(proxy)
        self.connection = connection

    async def opened(self) -> Gateway:
        """Gives the gateway, built when it is first asked for."""
        if self.gateway is None:
            settings = at_sandboxes(self.house.settings, self.house.sandboxes)
            table: PlatformSettings = settings.platforms[self.platform].model_copy(
                update={"base_url": self.proxy.url, **self.connection}
            )
            settings = replace(settings, platforms={**settings.platforms, self.platform: table})
            plugins = self.plugins or find_plugins(settings)
            self.gateway = await build_gateway(settings, plugins, audit_path=self.trail)
            self.stack.push_async_callback(self.gateway.aclose)
        return self.gateway

    async def ask(self, time_s: float = 5.0, uscc: str = DEMO) -> Seen:
        """Asks all four platforms, the faulty one among them, with so many seconds until the deadline."""
        gateway = await self.opened()
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        with capture_logs() as events:
            answered = await gateway.queries.answer(
                question(uscc), Admission(datetime.now(UTC), arrived, arrived + time_s)
            )
        return _seen(self.platform, answered, self.trail, events, loop.time() - arrived, time_s)

    async def told_alone(self, uscc: str, time_s: float = 20.0) -> str:
        """Asks the faulty platform alone about an enterprise, and gives its outcome with its reason."""
        gateway = await self.opened()
        arrived = asyncio.get_running_loop().time()
        admission = Admission(datetime.now(UTC), arrived, arrived + time_s)
        answered = await gateway.queries.answer(question(uscc, (self.platform,)), admission)
        return told(answered.answers[0])

    def known(self) -> list[str]:
        """Gives the codes of the enterprises on which the platform holds something."""
        world = self.house.sandboxes[self.platform].simulated.world
        return [uscc for uscc in world.enterprises if world.find(self.platform, uscc) is not None]

    def told_categories(self, seen: Seen) -> set[str]:
        """Gives the outcomes of the platform's categories."""
        return {view_pb2.Outcome.Name(c.outcome).removeprefix("OUTCOME_") for c in seen.answer.said.categories}

    def check(self, seen: Seen) -> None:
        """Asserts the declared outcome and all that must hold in every row."""
        self.is_checked = True
        assert seen.told == self.about.expected, (seen.told, self.about.expected, seen.answer.detail)
        assert seen.took_s < seen.time_s, "answered after the deadline"
        control = {name: said for name, said in self.house.control.items() if name != self.platform}
        assert seen.others == control, "another platform's answer changed"
        check_silence(seen.answer)
        entry = next(entry for entry in seen.entry["platforms"] if entry["platform"] == self.platform)
        outcome, _, reason = seen.told.partition("(")
        assert (entry["outcome"], entry["reason"]) == (outcome, reason.removesuffix(")"))
        if seen.answer.outcome not in HEARD:
            self._check_view(seen.view)

    def _check_view(self, view: view_pb2.CreditView) -> None:
        """Asserts that the view names the platform as missing wherever it covers the category, and calls nothing empty."""
        assert self.gateway is not None
        covered = self.gateway.connectors[self.platform].platform.coverage
        for coverage in view.coverage:
            if coverage.category in covered:
                assert self.platform in coverage.missing
                assert not coverage.is_known_empty


def check_silence(answer: Answer) -> None:
    """Asserts that a failure carries no records, and that none of its categories reads as heard."""
    if answer.outcome in HEARD:
        return
    assert not answer.said.records.ListFields()
    assert not [category for category in answer.said.categories if category.outcome in HEARD]


def _seen(
    platform: str,
    answered: CreditAnswer,
    trail: Path,
    events: Sequence[Mapping[str, Any]],
    took_s: float,
    time_s: float,
) -> Seen:
    answers = {answer.platform: answer for answer in answered.answers}
    others = {name: without_digest(answer.said) for name, answer in answers.items() if name != platform}
    entry = json.loads(trail.read_text(encoding="utf-8").splitlines()[-1])
    assert entry["answer_id"] == answered.answer_id
    return Seen(answers[platform], others, answered.view, entry, tuple(events), took_s, time_s)
