"""How a call ends that fails: with the status of its error, whatever the service."""

from __future__ import annotations

from typing import NoReturn

import grpc
import structlog
from google.rpc import status_pb2
from grpc_status import rpc_status

from gateway.adapters.rpc.callers import Context
from gateway.adapters.rpc.status import internal_status, status_of
from gateway.adapters.telemetry.trace_context import new_trace_id, parent_of
from gateway.domain.errors import GatewayError

_log = structlog.get_logger("gateway.rpc")


async def abort(context: Context, error: Exception, trace_id: str = "") -> NoReturn:
    """Ends the call with the status of an error; raises an error by which it was ended already.

    Methods that begin no trace state no id: then it is the caller's own, or a new one, so that there is always one to quote.
    """
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not trace_id:
        parent = parent_of(context.invocation_metadata())
        trace_id = new_trace_id() if parent is None else parent.trace_id
    await context.abort_with_status(rpc_status.to_status(status_for(error, trace_id)))


def status_for(error: Exception, trace_id: str = "") -> status_pb2.Status:
    """Gives the status of an error."""
    if isinstance(error, GatewayError):
        return status_of(error, trace_id)
    # Ours, not expected: the class and place go to the log, nothing of it to the bank.
    _log.error("query.fault", exc_info=error, trace_id=trace_id)
    return internal_status(trace_id)
