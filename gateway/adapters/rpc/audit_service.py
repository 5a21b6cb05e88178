"""AuditService over gRPC: the calling bank's own entries of the trail, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2_grpc
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.delivery import timestamp
from gateway.adapters.rpc.requests import check_annotations
from gateway.adapters.rpc.turns import Turns
from gateway.application.trail import TrailExport
from gateway.domain.errors import InvalidRequestError
from gateway.domain.identifiers import Uscc
from gateway.domain.trail_query import FoundRecord, TrailPosition, TrailQuery


class AuditService(audit_service_pb2_grpc.AuditServiceServicer):
    """Serves the trail to those it is about."""

    def __init__(self, export: TrailExport, callers: RpcCallers) -> None:
        self._export = export
        self._callers = callers
        self._turns = Turns()

    async def ExportEntries(  # noqa: N802  # named by the proto
        self, request: pb.ExportEntriesRequest, context: Context
    ) -> AsyncIterator[pb.ExportEntriesResponse]:
        """Streams the bank's entries."""
        try:
            caller = await self._callers.bank_of(context)
            check_annotations(request)
            asked = TrailQuery(
                caller.bank,
                _moment(request, "from_time"),
                _moment(request, "to_time"),
                Uscc.parse(request.uscc).value if request.uscc else "",
                request.operator,
            )
            if asked.since is not None and asked.until is not None and asked.since >= asked.until:
                raise InvalidRequestError("to_time", "must be after from_time")
            async with aclosing(self._export.entries(caller, asked, _after(request.after_position))) as pages:
                while True:
                    # A page takes some milliseconds of a thread, which holds the interpreter: one of a bank at a time.
                    async with self._turns.turn(caller.bank):
                        page = await anext(pages, None)
                    if page is None:
                        return
                    if page:
                        yield pb.ExportEntriesResponse(entries=[_message(found) for found in page])
        except Exception as error:
            await abort(context, error)


def _after(text: str) -> TrailPosition | None:
    try:
        return TrailPosition.parse(text) if text else None
    except ValueError as error:
        raise InvalidRequestError("after_position", str(error)) from error


def _moment(request: pb.ExportEntriesRequest, field: str) -> datetime | None:
    if not request.HasField(field):  # type: ignore[arg-type]  # one of two literals
        return None
    stated: Timestamp = getattr(request, field)
    try:
        return stated.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(field, "is no time") from error


def _message(found: FoundRecord) -> pb.AuditRecord:
    record = found.record
    message = pb.AuditRecord(
        position=str(found.position),
        trail=found.position.trail,
        sequence=record.sequence,
        event=record.event,
        answer_id=record.answer_id,
        uscc=record.uscc,
        operator=record.operator,
        branch=record.branch,
        purpose=record.purpose,
        reason=record.reason,
        method=record.method,
        record=found.line,
    )
    timestamp(message.entry_time, datetime.fromisoformat(record.time))
    return message
