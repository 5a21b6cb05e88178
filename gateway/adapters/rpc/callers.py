"""Who calls an rpc: the one place where a gRPC context becomes a `Caller`."""

from __future__ import annotations

import ipaddress
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import grpc
import structlog

from gateway.adapters.identity.certificates import peer_certificate
from gateway.adapters.rpc.registry import METADATA
from gateway.adapters.telemetry.trace_context import Metadata
from gateway.domain.caller import OPERATOR_ROLES, Caller, PeerCertificate
from gateway.domain.errors import (
    CallerMismatchError,
    PermissionRefusedError,
    Reason,
    UnauthenticatedError,
)
from gateway.ports import Callers, Clock

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class _Known(NamedTuple):
    """A call with its metadata, which gRPC copies for whoever asks for them, and its caller; None where it is not known."""

    context: Context | None
    metadata: Metadata
    caller: Caller | None


_PEM: Final = "x509_pem_cert"
_QUIET_S: Final = 60.0
_MOST_TOLD: Final = 1_000
_NONE_KNOWN: Final = _Known(None, (), None)
_OF_THIS_CALL: ContextVar[_Known] = ContextVar("caller", default=_NONE_KNOWN)
"""Each call has a task of its own: whoever asks again during it gets the same answer, and a token is used once by it."""


class RpcCallers:
    """Tells each service who calls, and the log who was turned away, once a minute per certificate and reason."""

    def __init__(self, callers: Callers, clock: Clock) -> None:
        self._callers = callers
        self._clock = clock
        self._told: dict[tuple[str, Reason], float] = {}
        self._log = structlog.get_logger("gateway.identity")

    async def of(self, context: Context) -> Caller:
        """Gives who calls; raises what `Callers.identify` does."""
        known = _OF_THIS_CALL.get()
        if known.context is context and known.caller is not None:
            return known.caller
        pem = next(iter(context.auth_context().get(_PEM, ())), None)
        try:
            certificate = peer_certificate(pem) if pem is not None else None
        except ValueError:  # read by the handshake's library and not by ours: known to nobody
            certificate = None
        metadata = self.metadata_of(context)
        try:
            caller = await self._callers.identify(certificate, metadata)
        except (UnauthenticatedError, CallerMismatchError) as error:
            self._tell(context, certificate, error)
            raise
        if caller.is_development and is_loopback(context.peer()):
            caller = _operating(caller)
        _OF_THIS_CALL.set(_Known(context, metadata, caller))
        return caller

    def metadata_of(self, context: Context) -> Metadata:
        """Gives a call's metadata, those it was known by where it is known already."""
        known = _OF_THIS_CALL.get()
        if known.context is context:
            return known.metadata
        return METADATA.get() or tuple(context.invocation_metadata() or ())

    async def bank_of(self, context: Context) -> Caller:
        """Gives the bank that calls; an operator of the gateway is none, and is refused with PermissionRefusedError."""
        known = _OF_THIS_CALL.get()
        caller = known.caller if known.context is context else None
        caller = caller or await self.of(context)
        if not caller.bank:
            raise PermissionRefusedError("this is for banks")
        return caller

    def _tell(
        self,
        context: Context,
        certificate: PeerCertificate | None,
        error: UnauthenticatedError | CallerMismatchError,
    ) -> None:
        fingerprint = certificate.fingerprint if certificate is not None else ""
        key, now = (fingerprint, error.reason), self._clock.monotonic()
        last = self._told.get(key)
        if last is not None and now - last < _QUIET_S:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[key] = now
        self._log.warning(
            "security.caller_refused", reason=error.reason.value, certificate=fingerprint, peer=context.peer()
        )


async def require_operator(callers: RpcCallers, context: Context) -> Caller:
    """Gives the operator who calls; raises PermissionRefusedError for anybody else. From where, the door has looked at."""
    caller = await callers.of(context)
    if not caller.is_development and caller.roles.isdisjoint(OPERATOR_ROLES):
        raise PermissionRefusedError("the admin service answers operators of the gateway only")
    return caller


@lru_cache(maxsize=1_024)
def _operating(caller: Caller) -> Caller:
    """Gives a caller of a development gateway its operator's roles: whoever develops operates this machine too."""
    return replace(caller, roles=caller.roles | OPERATOR_ROLES)


@lru_cache(maxsize=4_096)  # a connection's name is the same for all its calls
def is_loopback(peer: str) -> bool:
    """Whether gRPC's name of a peer, such as "ipv4:127.0.0.1:4711" or "ipv6:%5B::1%5D:4711", is of this machine."""
    family, _, address = peer.partition(":")
    if family == "unix":
        return True
    host = address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
