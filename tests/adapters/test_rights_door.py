"""The door: who is let in to a method, and what becomes of those who are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import grpc
import pytest
import structlog

from gateway.adapters.identity.callers import DevelopmentCallers
from gateway.adapters.rpc import hear_out
from gateway.adapters.rpc.callers import RpcCallers
from gateway.adapters.rpc.rights import Door
from gateway.adapters.state.clock import SystemClock
from gateway.adapters.telemetry.tracing import Tracing, TracingPolicy
from gateway.domain.audit import AuditEntry
from gateway.domain.caller import BANK_ROLES, OPERATOR_ROLES, Caller, Role
from gateway.domain.errors import Reason, StoreError
from gateway.domain.evidence import Receipt, ViewCopy
from tests.adapters.policies import caller, rights

GET = "CreditService/GetCreditView"


class EndedError(Exception):
    """Stands for what gRPC raises when a call is ended."""


class Context:
    """A call, as a handler meets it."""

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return {}

    def __init__(self, peer: str = "ipv4:127.0.0.1:4711", *metadata: tuple[str, str]) -> None:
        self._peer, self._metadata = peer, metadata
        self.ended: Any = None

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def abort_with_status(self, status: Any) -> None:
        self.ended = status
        raise EndedError


class Trail:
    """A trail in memory, or one that cannot be written."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.entries: list[AuditEntry] = []
        self._is_full = is_full

    async def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Receipt | None:
        if self._is_full:
            raise StoreError("the trail cannot be written")
        self.entries.append(entry)
        return None


def door(trail: Trail, who: Caller, sent: list[Reason] | None = None) -> Door:
    async def caller_of(context: Any) -> Caller:
        return who

    return Door(
        rights(), caller_of, trail, SystemClock(), Tracing(TracingPolicy()), (sent if sent is not None else []).append
    )


async def test_who_may_is_let_in_without_a_word() -> None:
    trail, context = Trail(), Context()
    sent: list[Reason] = []

    await door(trail, caller(Role.BANK_QUERY), sent).admit(context, GET)  # type: ignore[arg-type]

    assert (context.ended, trail.entries, sent) == (None, [], [])


async def test_who_may_not_is_written_down_before_the_call_ends() -> None:
    trail, context = Trail(), Context()
    sent: list[Reason] = []

    with pytest.raises(EndedError):
        await door(trail, caller(Role.BANK_AUDITOR, operator="teller-7"), sent).admit(context, GET)  # type: ignore[arg-type]

    (entry,) = trail.entries
    assert (entry.event, entry.bank, entry.operator, entry.method) == ("denied", "bank-a", "teller-7", GET)
    assert (entry.policy, entry.reason, entry.uscc) == ("separate-auditors", "POLICY_DENIED", "")
    assert context.ended.code is grpc.StatusCode.PERMISSION_DENIED
    assert sent == [Reason.POLICY_DENIED]


OPERATOR = caller(Role.PLATFORM_OPERATOR, bank="")
ELSEWHERE = "ipv4:192.0.2.7:4711"


@pytest.mark.parametrize("method", ["AdminService/PurgeAnswers", "ArchiveService/SealViews"])
async def test_an_operator_at_another_machine_is_denied_and_written_down(method: str) -> None:
    trail, context = Trail(), Context(ELSEWHERE)

    await door(trail, OPERATOR).admit(Context(), method)  # type: ignore[arg-type]
    with pytest.raises(EndedError):
        await door(trail, OPERATOR).admit(context, method)  # type: ignore[arg-type]

    assert [(entry.event, entry.method, entry.reason) for entry in trail.entries] == [
        ("denied", method, "NOT_PERMITTED")
    ]
    assert context.ended.code is grpc.StatusCode.PERMISSION_DENIED
    assert "own machine" in context.ended.details


async def test_what_an_operator_may_do_from_anywhere_it_may_do_from_another_machine() -> None:
    trail = Trail()

    await door(trail, OPERATOR).admit(Context(ELSEWHERE), "RepairService/ListRepairs")  # type: ignore[arg-type]

    assert trail.entries == []


async def test_a_client_that_still_sends_is_heard_out_before_it_is_denied() -> None:
    taken: list[int] = []

    async def sending() -> AsyncIterator[int]:
        for piece in range(3):
            await asyncio.sleep(0)
            taken.append(piece)
            yield piece

    class Watched(Context):
        async def abort_with_status(self, status: Any) -> None:
            assert taken == [0, 1, 2]
            await super().abort_with_status(status)

    async def load(requests: Any, context: Any) -> None:
        raise AssertionError("who is denied gets no further")

    handlers: dict[str, Any] = {
        "GetCreditView": grpc.stream_unary_rpc_method_handler(load),
        "BatchGetCreditViews": grpc.stream_stream_rpc_method_handler(load),
    }
    guarded = door(Trail(), caller(Role.BANK_AUDITOR)).guarding("x.CreditService", handlers)

    with pytest.raises(EndedError):
        await guarded["GetCreditView"].stream_unary(sending(), Watched())
    taken.clear()
    with pytest.raises(EndedError):
        await anext(guarded["BatchGetCreditViews"].stream_stream(sending(), Watched()))


@pytest.mark.parametrize(("limit", "in_talk"), [("_LONGEST_S", False), ("_LONGEST_IN_TALK_S", True)])
async def test_whoever_never_ends_is_heard_out_for_so_long_only(
    limit: str, in_talk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("_LONGEST_S", "_LONGEST_IN_TALK_S"):
        monkeypatch.setattr(hear_out, each, 0.01 if each == limit else 3_600.0)

    async def endless() -> AsyncIterator[int]:
        while True:
            await asyncio.sleep(0.001)
            yield 1

    await asyncio.wait_for(hear_out.hear_out(endless(), in_talk=in_talk), 5)


async def test_the_same_denial_is_logged_once_a_minute_and_written_each_time() -> None:
    trail = Trail()
    shut = door(trail, caller(Role.BANK_AUDITOR))

    with structlog.testing.capture_logs() as logs:
        for method in (GET, GET, "AdminService/ShowPlatform"):
            with pytest.raises(EndedError):
                await shut.admit(Context(), method)  # type: ignore[arg-type]

    assert [entry["method"] for entry in logs] == [GET, "AdminService/ShowPlatform"]
    assert len(trail.entries) == 3


async def test_a_denial_goes_on_with_the_callers_trace() -> None:
    context = Context("ipv4:127.0.0.1:1", ("traceparent", f"00-{'a' * 32}-{'b' * 16}-00"))

    with pytest.raises(EndedError):
        await door(Trail(), caller()).admit(context, GET)  # type: ignore[arg-type]

    assert "a" * 32 in str(dict(context.ended.trailing_metadata)["grpc-status-details-bin"])


async def test_where_the_denial_cannot_be_written_the_trail_is_what_is_missing() -> None:
    context = Context()
    sent: list[Reason] = []

    with pytest.raises(EndedError):
        await door(Trail(is_full=True), caller(), sent).admit(context, GET)  # type: ignore[arg-type]

    assert context.ended.code is grpc.StatusCode.UNAVAILABLE
    assert sent == [Reason.TRAIL_UNAVAILABLE]


async def test_a_stream_behind_the_door_is_closed_with_its_caller() -> None:
    closed: list[str] = []

    async def behaviour(request: Any, context: Any) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("closed")

    handler: Any = grpc.unary_stream_rpc_method_handler(behaviour)
    guarded: Any = door(Trail(), caller(Role.BANK_QUERY)).guarding("a.v1.CreditService", {"GetCreditView": handler})
    stream = guarded["GetCreditView"].unary_stream("request", Context())

    first = await anext(stream)
    await stream.aclose()

    assert (first, closed) == (1, ["closed"])


@pytest.mark.parametrize(
    ("peer", "roles"),
    [
        ("ipv4:127.0.0.1:4711", BANK_ROLES | OPERATOR_ROLES),
        ("unix:", BANK_ROLES | OPERATOR_ROLES),
        ("ipv4:10.0.0.7:4711", BANK_ROLES),
        ("", BANK_ROLES),
    ],
)
async def test_in_development_the_operators_roles_are_those_of_its_own_machine(
    peer: str, roles: frozenset[Role]
) -> None:
    context: Any = Context(peer, ("xinyidai-bank", "bank-a"))

    found = await RpcCallers(DevelopmentCallers(), SystemClock()).of(context)

    assert found == Caller("bank-a", roles)
    assert found.is_development
