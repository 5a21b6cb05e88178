"""The suite every connector passes: each fault gives the outcome it must, and never "no records".

A connector's author runs it against the sandbox that ships with it, both found by entry point, or case by case in a test:

    python -m connectors.kit.conformance PLATFORM
    for case in CASES: await check(plugin, sandbox, case)

`Case.number` is the row of the fault catalogue. The faults are acted out on a real socket, each after a clean control run,
which is a case of its own too: what it says is looked at there, once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any, Final

import aiohttp

from connectors.kit.sandbox import Running, SandboxOf
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_MAINTENANCE,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
    PURPOSE_PRE_LOAN,
    Outcome,
    Records,
)
from gateway.domain.answer import HEARD, Answer, failed_answer
from gateway.domain.catalogue import CATALOGUE, ENVELOPE
from gateway.domain.consent import development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery
from gateway.ports import Connector, ConnectorPlugin, ConnectorSetup

USCC: Final = "91310115MA0TERT167"
_SMALL_WORLD: Final = 30


@dataclass(frozen=True, slots=True)
class Case:
    """One fault, what it is set to, how long the attempt may take, and which outcomes are right.

    Without a fault it is the control run alone. `reasons` are the sub-reasons that are right; empty means any.
    """

    number: str
    title: str
    fault: str
    outcomes: tuple[Outcome.ValueType, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    time_s: float = 3.0


_BAD: Final = (OUTCOME_BAD_ANSWER,)
_GONE: Final = (OUTCOME_UNREACHABLE,)
_GOOD: Final = (OUTCOME_OK, OUTCOME_PARTIAL)

CASES: Final = (
    Case("control", "records of each type that came say something", "", _GOOD),
    Case("U1", "connection refused", "refuse", _GONE, reasons=("connect", "closed", "reset")),
    Case("U10", "slow headers", "stall", (OUTCOME_TIMEOUT,), time_s=0.4),
    Case("U11", "body stalls", "stall_body", (OUTCOME_TIMEOUT,), time_s=0.4),
    Case("U12", "drip feed", "drip", (OUTCOME_TIMEOUT,), {"gap_ms": 20}, time_s=0.4),
    Case("U14", "reset before headers", "reset", _GONE),
    Case("U15", "reset in the body", "reset_body", _BAD, reasons=("truncated",)),
    Case("U16", "closed without a byte", "close", _GONE),
    Case("U17", "bytes that are no HTTP", "garbage", _BAD, reasons=("protocol",)),
    Case("U17b", "broken chunk", "bad_chunk", _BAD, reasons=("protocol", "truncated")),
    Case("U18", "length longer than the body", "truncate", _BAD, reasons=("truncated",)),
    Case(
        "U18b", "length shorter than the body", "short_length", _BAD, reasons=("truncated", "protocol", "content_type")
    ),
    Case("U19", "two lengths", "two_lengths", _BAD, reasons=("protocol", "truncated", "content_type")),
    Case("U20", "header too long", "long_header", (OUTCOME_TOO_LARGE,), reasons=("headers",)),
    Case("U21", "redirect elsewhere", "redirect", _BAD, reasons=("redirect",)),
    Case("U23", "429 with Retry-After", "status", (OUTCOME_RATE_LIMITED,), {"code": 429, "retry_after": 2}),
    Case("U26", "500", "status", _GONE, {"code": 500}, reasons=("http_500",)),
    Case("U26b", "503", "status", _GONE, {"code": 503}, reasons=("http_503",)),
    Case("U27", "404 that the manifest does not know", "status", _BAD, {"code": 404}, reasons=("http_404",)),
    Case("U27b", "401 without an envelope", "status", (OUTCOME_AUTH_FAILED,), {"code": 401}),
    Case("U30", "error envelope with 200", "error_envelope", _GONE, reasons=("platform_error",)),
    Case("U30b", "maintenance in the envelope", "maintenance", (OUTCOME_MAINTENANCE,)),
    Case("U31", "login page with 200", "html", _BAD, reasons=("content_type",)),
    Case("U32", "empty 200", "empty", _BAD, reasons=("empty", "content_type")),
    Case("U34", "compressed bomb", "gzip_bomb", (OUTCOME_TOO_LARGE, OUTCOME_BAD_ANSWER), {"mib": 48}),
    Case("U36", "body over the cap", "huge", (OUTCOME_TOO_LARGE, OUTCOME_BAD_ANSWER), {"mib": 6}),
    Case("P1", "broken document", "not_json", _BAD, reasons=("json", "xml", "truncated")),
    Case("P6", "nested 10,000 deep", "deep", (OUTCOME_TOO_LARGE, OUTCOME_BAD_ANSWER)),
    Case("P10", "body in another charset", "charset", _BAD, reasons=("charset", "json")),
    Case("P21", "answer about another enterprise", "other_subject", _BAD, reasons=("wrong_subject",)),
)


class SystemTime:
    """The system's clock, for a suite that needs nothing of the gateway's adapters."""

    def now(self) -> datetime:
        """Gives the moment."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Gives seconds on the loop's scale."""
        return asyncio.get_running_loop().time()


def whole_query(platform: str, uscc: str = USCC) -> CreditQuery:
    """Gives a query of every category."""
    return CreditQuery(
        uscc=Uscc.parse(uscc),
        purpose=PURPOSE_PRE_LOAN,
        categories=tuple(sorted(CATALOGUE.by_category)),
        platforms=(platform,),
    )


async def ask(connector: Connector, time_s: float = 3.0, uscc: str = USCC) -> Answer:
    """Makes one attempt for every category."""
    query = whole_query(connector.platform.id, uscc)
    fetch_by = asyncio.get_running_loop().time() + time_s
    try:
        async with asyncio.timeout_at(fetch_by):  # as the fan-out does for all platforms at once
            return await connector.fetch(query, development_permit(query), fetch_by)
    except TimeoutError:
        return failed_answer(connector.platform.id, OUTCOME_TIMEOUT, "deadline", query.categories, attempts=1)


async def check(plugin: ConnectorPlugin, sandbox: SandboxOf, case: Case) -> Answer:
    """Runs one case after a clean control run; raises AssertionError saying what was wrong."""
    running: Running = await sandbox.start("127.0.0.1", 0, 0, enterprises=_SMALL_WORLD, seed=1)
    try:
        async with aiohttp.ClientSession() as session:
            setup = ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials())
            connector = plugin.connect(setup)
            control = await ask(connector)
            _require(case, control.outcome in _GOOD, control, "the control run failed")
            if not case.fault:
                mute = ", ".join(_mute_types(control.said.records))
                _require(case, not mute, control, f"no record states a field beyond its envelope: {mute}")
                return control
            await running.set_fault(case.fault, **case.settings)
            loop = asyncio.get_running_loop()
            started = loop.time()
            answer = await ask(connector, case.time_s)
            took_s = loop.time() - started
            _require(case, answer.outcome in case.outcomes, answer, "wrong outcome")
            _require(case, not case.reasons or answer.said.reason in case.reasons, answer, "wrong reason")
            _require(case, took_s < case.time_s + 0.5, answer, "answered after the deadline")
            _require(case, not answer.said.records.ListFields(), answer, "a failure carries records")
            for category in answer.said.categories:
                _require(case, category.outcome not in HEARD, answer, "a category reads as heard")
            await running.clear_faults()
            after = await ask(connector)
            if after.said.reason in ("closed", "reset"):  # the pooled socket was dead: what a retry is for
                after = await ask(connector)
            _require(case, after.outcome in _GOOD, after, "it did not recover")
            return answer
    finally:
        await running.aclose()


def _mute_types(records: Records) -> list[str]:
    """Gives the types that came without a word: rows were found, and no line of the mapping read anything of them."""
    return [
        field.name
        for field, came in records.ListFields()
        if all(stated.name == ENVELOPE for record in came for stated, _ in record.ListFields())
    ]


def _require(case: Case, holds: bool, answer: Answer, complaint: str) -> None:
    if not holds:
        outcome = Outcome.Name(answer.outcome)
        raise AssertionError(
            f"{case.number} {case.title}: {complaint}: {outcome}({answer.said.reason}) {answer.detail}"
        )


async def conforms(plugin: ConnectorPlugin, sandbox: SandboxOf) -> bool:
    """Runs every case and prints how each came out; tells whether all are as they must be."""
    broken = 0
    for case in CASES:
        try:
            await check(plugin, sandbox, case)
        except Exception as error:  # a connector or sandbox in the making may raise anything
            broken += 1
            print(f"FAILED {error}" if isinstance(error, AssertionError) else f"FAILED {case.number}: {error!r}")
        else:
            print(f"ok     {case.number} {case.title}")
    print(f"{len(CASES) - broken} of {len(CASES)} cases passed")
    return not broken


def main(arguments: list[str]) -> int:
    """Runs the suite against an installed platform; gives the exit code, 2 where there is nothing to run."""
    if len(arguments) != 1:
        print("usage: python -m connectors.kit.conformance PLATFORM", file=sys.stderr)
        return 2
    found = []
    for group in ("xinyidai.connectors", "xinyidai.sandboxes"):
        named = {point.name: point for point in entry_points(group=group)}
        if arguments[0] not in named:
            installed = ", ".join(sorted(named)) or "none"
            print(f"{group}: no entry point {arguments[0]!r} is installed (installed: {installed})", file=sys.stderr)
            return 2
        found.append(named[arguments[0]].load())
    plugin, sandbox = found
    try:
        plugin.platform()
    except ValueError as error:
        print("\n".join(map(str, getattr(error, "faults", [error]))), file=sys.stderr)
        return 2
    return 0 if asyncio.run(conforms(plugin, sandbox)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
