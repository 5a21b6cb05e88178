"""The load: unary calls at a fixed concurrency over one kept channel, every answer checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

import grpc

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_EVALUATION,
    CATEGORY_LICENCE,
    CATEGORY_LIST_ENTRY,
    CATEGORY_PENALTY,
    CATEGORY_REGISTRATION,
    CATEGORY_SOCIAL_INSURANCE,
    CATEGORY_TAX_PAYMENT,
)
from gateway._pb.xinyidai.catalogue.v1.registration_pb2 import Registration
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, PURPOSE_PRE_LOAN, CreditView, QueryScope, Records
from gateway._pb.xinyidai.gateway.v1.credit_service_pb2 import (
    DESCRIPTOR,
    CreditQuery,
    GetCreditViewRequest,
    GetCreditViewResponse,
)
from tests.bench.child import METHOD
from tests.bench.fixture import DISTINCT, PLAIN, RECORDS, sent_records, truth, twelve
from tests.bench.processes import Process

CONCURRENCY = 32
_VIEW = f"/{DESCRIPTOR.services_by_name['CreditService'].full_name}/GetCreditView"
_REALISTIC = (
    CATEGORY_REGISTRATION,
    CATEGORY_LICENCE,
    CATEGORY_PENALTY,
    CATEGORY_LIST_ENTRY,
    CATEGORY_EVALUATION,
    CATEGORY_TAX_PAYMENT,
    CATEGORY_SOCIAL_INSURANCE,
)


class WrongAnswerError(Exception):
    """An answer that is not the truth: nothing is timed."""


@dataclass(frozen=True, slots=True)
class Target:
    """How one server is asked: `check` raises WrongAnswerError for a wrong answer to the enterprise of that code."""

    method: str
    request: Callable[[str], bytes]
    check: Callable[[str, bytes], None]


def _ask_peer(uscc: str) -> bytes:
    return QueryScope(uscc=uscc, purpose=PURPOSE_PRE_LOAN, categories=[CATEGORY_REGISTRATION]).SerializeToString()


def _ask_gateway(uscc: str, categories: Sequence[int]) -> bytes:
    query = CreditQuery(uscc=uscc, purpose=PURPOSE_PRE_LOAN, categories=categories)  # type: ignore[arg-type]
    query.oldest_acceptable_age.SetInParent()  # zero: cold, whatever the gateway keeps
    return GetCreditViewRequest(query=query).SerializeToString()


def _check_twelve(uscc: str, record: Registration) -> None:
    said, true = twelve(record), truth(uscc)
    if said != true:
        raise WrongAnswerError(f"{uscc}: the twelve values differ\n--- expected\n{true}\n--- given\n{said}")


def _check_peer(uscc: str, content: bytes) -> None:
    _check_twelve(uscc, Registration.FromString(content))


def _check_peer_realistic(uscc: str, content: bytes) -> None:
    records = Records.FromString(content)
    _check_twelve(uscc, records.registrations[0])
    found = sum(len(rows) for _, rows in records.ListFields())
    if found != DISTINCT:
        raise WrongAnswerError(f"{uscc}: {found} records after merging, not {DISTINCT}")


def _whole_view(uscc: str, content: bytes) -> CreditView:
    view = GetCreditViewResponse.FromString(content).view
    outcomes = [answer.outcome for answer in view.answers]
    drifts = [drift for answer in view.answers for drift in answer.drifts]
    if outcomes != [OUTCOME_OK] * 4 or drifts:
        raise WrongAnswerError(f"{uscc}: not four whole answers: {list(view.answers)}")
    return view


def _check_plain(uscc: str, content: bytes) -> None:
    _check_twelve(uscc, _whole_view(uscc, content).records.registrations[0])


def _check_realistic(uscc: str, content: bytes) -> None:
    view = _whole_view(uscc, content)
    _check_twelve(uscc, view.records.registrations[0])
    if sum(len(records) for _, records in view.records.ListFields()) != DISTINCT:
        raise WrongAnswerError(f"{uscc}: not {DISTINCT} records after merging")
    provenances = sum(
        len(record.envelope.provenances) for _, records in view.records.ListFields() for record in records
    )
    if provenances != RECORDS:
        raise WrongAnswerError(f"{uscc}: the view accounts for {provenances} of {RECORDS} records")


def _check_heard(uscc: str, content: bytes) -> None:
    view = GetCreditViewResponse.FromString(content).view
    if view.completeness_bp != 10_000:
        raise WrongAnswerError(f"{uscc}: not every platform was heard: {list(view.answers)}")


def _any(_uscc: str, _content: bytes) -> None:
    return


PEER = Target(METHOD, _ask_peer, _check_peer)
PEER_REALISTIC = Target(METHOD, _ask_peer, _check_peer_realistic)
FLOOR = Target(METHOD, _ask_peer, _any)
GATEWAY_PLAIN = Target(_VIEW, lambda uscc: _ask_gateway(uscc, [CATEGORY_REGISTRATION]), _check_plain)
GATEWAY_REALISTIC = Target(_VIEW, lambda uscc: _ask_gateway(uscc, _REALISTIC), _check_realistic)
GATEWAY_DIALECTS = Target(_VIEW, lambda uscc: _ask_gateway(uscc, []), _check_heard)


class Line:
    """A kept channel to one server, asked about the given enterprises in turn."""

    def __init__(self, process: Process, target: Target, channel: grpc.aio.Channel, enterprises: Sequence[str]) -> None:
        self._process = process
        self._target = target
        self._call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(target.method)
        self._requests = [(uscc, target.request(uscc)) for uscc in enterprises]

    async def compare(self) -> None:
        """Asks about every enterprise once and checks each answer."""
        await self.drive(len(self._requests))

    async def drive(self, calls: int, concurrency: int = CONCURRENCY) -> float:
        """Makes so many calls and gives the CPU microseconds the server used for each; any failure ends the run."""
        left = iter(range(calls))

        async def work() -> None:
            for number in left:
                uscc, request = self._requests[number % len(self._requests)]
                self._target.check(uscc, await self._call(request, timeout=10))

        before = self._process.cpu_s()
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
        return (self._process.cpu_s() - before) / calls * 1e6


@asynccontextmanager
async def line(process: Process, target: Target, enterprises: Sequence[str]) -> AsyncIterator[Line]:
    """Opens the channel to a server and closes it."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.addresses[0]}") as channel:
        yield Line(process, target, channel, enterprises)


def check_fixture(enterprises: Sequence[str], payload: str) -> None:
    """Makes sure the fixture holds what its rows claim."""
    expected = 4 if payload == PLAIN else RECORDS
    for uscc in enterprises:
        if sent_records(payload, uscc) != expected:
            raise WrongAnswerError(f"the fixture sends {sent_records(payload, uscc)} records, not {expected}")


def middle(runs: Sequence[float]) -> float:
    """Gives the median of the runs."""
    return median(runs)
