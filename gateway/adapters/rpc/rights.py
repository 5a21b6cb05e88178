"""The door: whether the caller may call the method, decided in one place before anything else happens.

It stands where handlers are registered, not in the services: every method of ours passes there whichever service it belongs
to, so that none can be added around it, and a call that is turned away has cost nothing but its bytes. Which categories of a
credit query the caller may ask for is the second question, for the permit: the question itself must be read for it.

A stream is looked at again before each of its messages: one whose caller's certificate was revoked meanwhile ends.

The standard services (health, reflection) are no methods of ours and say nothing of banks or enterprises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, NoReturn

import structlog

from gateway._pb.xinyidai.gateway.v1 import admin_service_pb2
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, is_loopback
from gateway.adapters.rpc.hear_out import hear_out
from gateway.adapters.telemetry.tracing import Tracing
from gateway.domain.audit_entries import denied_entry
from gateway.domain.caller import NOT_KNOWN, Caller
from gateway.domain.errors import GatewayError, PermissionRefusedError, PolicyDeniedError, Reason, UnauthenticatedError
from gateway.domain.rights import METHOD
from gateway.ports import Clock, Rights
from gateway.store_ports import AuditLog

CallerOf = Callable[[Context], Awaitable[Caller]]

_ADMIN: Final = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
_OWN_MACHINE: Final = frozenset(
    {f"AdminService/{method.name}" for method in _ADMIN.methods} | {"ArchiveService/SealViews"}
)
"""What is done from the gateway's own machine only, whoever may do it."""
_QUIET_S: Final = 60.0
_MOST_TOLD: Final = 1_000


class Door:
    """Lets callers in by their rights, and writes of whom it does not."""

    def __init__(
        self,
        rights: Rights,
        caller_of: CallerOf,
        audit: AuditLog,
        clock: Clock,
        tracing: Tracing,
        error_sent: Callable[[Reason], None],
    ) -> None:
        self._rights = rights
        self._caller_of = caller_of
        self._audit = audit
        self._clock = clock
        self._tracing = tracing
        self._error_sent = error_sent
        self._log = structlog.get_logger("gateway.rights")
        self._told: dict[tuple[str, str, str], float] = {}

    async def admit(
        self, context: Context, action: str, requests: AsyncIterator[object] | None = None, *, in_talk: bool = False
    ) -> None:
        """Returns when the caller may call the method, named "<Service>/<Method>"; else ends the call.

        `requests` are those of a call that streams them; `in_talk` says that it is answered while they come.
        """
        try:
            caller = await self._caller_of(context)
            is_allowed, policy = self._rights.decide(caller, action, METHOD)
            denied: PermissionRefusedError = PolicyDeniedError(policy)
            if is_allowed:
                if action not in _OWN_MACHINE or is_loopback(context.peer()):
                    return
                denied, policy = PermissionRefusedError("this is answered to the gateway's own machine only"), ""
            error: Exception = denied
            await self._audit.append(denied_entry(caller, action, policy, denied.reason, self._clock.now()))
            self._tell(caller, action, policy)
        except Exception as failure:
            error = failure
        self._error_sent(error.reason if isinstance(error, GatewayError) else Reason.INTERNAL)
        # Begun here: whoever is let in has a trace of its method's own.
        trace = self._tracing.begin(action, context.invocation_metadata())
        if requests is not None:
            await hear_out(requests, in_talk=in_talk)
        await abort(context, error, trace.trace_id)

    def _tell(self, caller: Caller, action: str, policy: str) -> None:
        """Logs a denial, once a minute for the same caller, method and policy: the trail has each."""
        key, now = (caller.bank, action, policy), self._clock.monotonic()
        last = self._told.get(key)
        if last is not None and now - last < _QUIET_S:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[key] = now
        self._log.warning("security.denied", bank=caller.bank, operator=caller.operator, method=action, policy=policy)

    async def _end(self, context: Context, caller: Caller, action: str) -> NoReturn:
        """Ends a stream whose caller's certificate was revoked, or became another's, since it began."""
        error: GatewayError = UnauthenticatedError(Reason.CALLER_UNKNOWN, NOT_KNOWN)
        try:
            await self._audit.append(denied_entry(caller, action, "", error.reason, self._clock.now()))
        except GatewayError as failure:
            error = failure
        self._tell(caller, action, "")
        self._error_sent(error.reason)
        await abort(context, error)

    def guarding(self, service: str, handlers: Mapping[str, Any]) -> Mapping[str, Any]:
        """Gives a service's handlers behind the door; `service` is its full name."""
        return {
            name: self._guarded(f"{service.rpartition('.')[2]}/{name}", handler) for name, handler in handlers.items()
        }

    def _guarded(self, action: str, handler: Any) -> Any:
        """Gives a handler of the same kind: gRPC tells the kinds apart by what the behaviour is, so there are two shapes."""
        kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
        behaviour, is_streamed = getattr(handler, kind), handler.request_streaming

        async def answer(request: Any, context: Context) -> Any:
            await self.admit(context, action, request if is_streamed else None)
            return await behaviour(request, context)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            await self.admit(context, action, request if is_streamed else None, in_talk=True)
            caller = await self._caller_of(context)
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    if caller.is_withdrawn:
                        await self._end(context, caller, action)
                    yield response

        return handler._replace(**{kind: stream if handler.response_streaming else answer})
