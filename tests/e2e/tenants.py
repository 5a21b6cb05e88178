"""The mix-up matrix of tenants (串户矩阵): every call that is put together of two banks' parts.

A call is put together of parts: what says who asks (identity: bank metadata; a certificate and a token where there are such),
and what names a thing of a bank's own (a request id, a consent; an archived view, a batch where there are such). The matrix is
every way to take each part from one of two banks. Of a wrong one is asked:

    identities of two banks      refused, and in the same words whatever else was put in
    a thing of the other bank    exactly as with a thing that never was: same status, words, details and view

A new part joins by a class with the four members of `Part` and a line in `PARTS`; the matrix grows by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from tests.e2e.conftest import Rig, query

BANKS: Final = ("bank-a", "bank-b")
_LOST: Final = "Internal error from Core"


@dataclass
class Ask:
    """A call about to be made; parts are put in by changing it."""

    channel: grpc.aio.Channel
    metadata: dict[str, str] = field(default_factory=dict)
    query: pb.CreditQuery = field(
        default_factory=lambda: query(categories=[CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT], platforms=["shanghai"])
    )


@dataclass(frozen=True)
class Outcome:
    """What a caller can tell of a call: status, words, reasons and details; or the view and what its delivery gives away."""

    code: int
    text: str = ""
    reasons: tuple[str, ...] = ()
    view: bytes = b""
    is_repeated: bool = False
    is_kept: bool = False
    answer_id: str = field(default="", compare=False)


class Part(Protocol):
    """What a call is put together of."""

    name: str
    is_identity: bool

    def of(self, bank: str) -> str:
        """Gives the bank's own; "" as bank gives one like it that is nobody's."""
        ...

    def put(self, ask: Ask, value: str) -> None:
        """Puts it into a call."""
        ...


class BankMetadata:
    """Who asks, as a development gateway believes it."""

    name, is_identity = "bank", True

    def of(self, bank: str) -> str:
        return bank

    def put(self, ask: Ask, value: str) -> None:
        ask.metadata["xinyidai-bank"] = value


class RequestId:
    """The request id of a query that was answered."""

    name, is_identity = "request_id", False

    def of(self, bank: str) -> str:
        return f"request-of-{bank or 'nobody'}"

    def put(self, ask: Ask, value: str) -> None:
        ask.query.request_id = value


class Consent:
    """The consent under which an answer was fetched and kept."""

    name, is_identity = "consent", False

    def of(self, bank: str) -> str:
        return f"consent-of-{bank or 'nobody'}"

    def put(self, ask: Ask, value: str) -> None:
        ask.query.consent_ids.append(value)


PARTS: Final[Sequence[Part]] = (BankMetadata(), RequestId(), Consent())


def combinations() -> Iterator[Mapping[str, str]]:
    """Gives every way to take each part from one of the banks, by the part's name."""
    names = [part.name for part in PARTS]
    for owners in itertools.product(BANKS, repeat=len(PARTS)):
        yield dict(zip(names, owners, strict=True))


def askers(owners: Mapping[str, str]) -> frozenset[str]:
    """Gives the banks whose identity is in a combination: more than one is a mix-up of identities."""
    return frozenset(owners[part.name] for part in PARTS if part.is_identity)


def put_together(rig: Rig, owners: Mapping[str, str], *, nobodys: frozenset[str] = frozenset()) -> Ask:
    """Gives the call of a combination; the parts named in `nobodys` are replaced by ones that never were."""
    ask = Ask(rig.channel)
    for part in PARTS:
        part.put(ask, part.of("" if part.name in nobodys else owners[part.name]))
    return ask


async def unary(ask: Ask) -> Outcome:
    """Asks by GetCreditView."""
    stub: Any = credit_service_pb2_grpc.CreditServiceStub(ask.channel)
    try:
        return _answered(await stub.GetCreditView(pb.GetCreditViewRequest(query=ask.query), **_with(ask)))
    except grpc.aio.AioRpcError as error:
        return _refused(error)


async def stream(ask: Ask) -> Outcome:
    """Asks by StreamCreditView."""
    stub: Any = credit_service_pb2_grpc.CreditServiceStub(ask.channel)
    try:
        request = pb.StreamCreditViewRequest(query=ask.query)
        steps = [step async for step in stub.StreamCreditView(request, **_with(ask))]
        return _answered(steps[-1].final)
    except grpc.aio.AioRpcError as error:
        return _refused(error)


async def batch(ask: Ask) -> Outcome:
    """Asks by BatchGetCreditViews, under a correlation id that both banks use."""
    item = pb.BatchGetCreditViewsRequest(correlation_id="1", query=ask.query)
    try:
        responses = await batched(ask.channel, item, **_with(ask))
    except grpc.aio.AioRpcError as error:
        return _refused(error)
    (response,) = responses
    return _answered(response.view) if response.HasField("view") else _status(response.error)


async def batched(
    channel: grpc.aio.Channel, item: pb.BatchGetCreditViewsRequest, **more: Any
) -> Sequence[pb.BatchGetCreditViewsResponse]:
    """Gives what a batch of one item is answered; raises what it is refused with.

    Where the refusal comes while the client still writes, its library may lose it and raise an error of its own in its place:
    then it is asked again.
    """
    stub: Any = credit_service_pb2_grpc.CreditServiceStub(channel)
    while True:
        try:
            return [response async for response in stub.BatchGetCreditViews(iter([item]), **more)]
        except grpc.aio.AioRpcError as error:
            if error.details() != _LOST:
                raise


WAYS: Final[Mapping[str, Callable[[Ask], Awaitable[Outcome]]]] = {"unary": unary, "stream": stream, "batch": batch}
REMEMBERS: Final = frozenset({"unary", "batch"})
"""The ways that give a request id's answer again; a stream is always a new question."""


def _with(ask: Ask) -> dict[str, Any]:
    return {"metadata": tuple(ask.metadata.items()), "timeout": 20}


def _answered(response: pb.GetCreditViewResponse) -> Outcome:
    return Outcome(
        code=0,
        view=response.view.SerializeToString(deterministic=True),
        is_repeated=response.delivery.is_repeated,
        is_kept=any(answer.HasField("cache_age") for answer in response.delivery.answers),
        answer_id=response.delivery.answer_id,
    )


def _refused(error: grpc.aio.AioRpcError) -> Outcome:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what a call has
    return _status(status) if status is not None else Outcome(error.code().value[0], error.details() or "")


def _status(status: status_pb2.Status) -> Outcome:
    reasons = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        reasons.append(info.reason if detail.Unpack(info) else detail.TypeName())
    return Outcome(status.code, status.message, tuple(reasons))
