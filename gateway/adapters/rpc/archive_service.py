"""ArchiveService over gRPC: the calling bank's own answers, and the operator's sealing of copies."""

from __future__ import annotations

from typing import Final

import structlog

from gateway._pb.xinyidai.gateway.v1 import archive_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import archive_service_pb2_grpc
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, RpcCallers, require_operator
from gateway.adapters.rpc.delivery import timestamp
from gateway.adapters.rpc.evidence import evidence_bytes
from gateway.adapters.rpc.requests import check_annotations
from gateway.application.archive import Archive
from gateway.domain.evidence import ArchivedView
from gateway.domain.identifiers import Uscc

_PREFIX: Final = "SEAL_REASON_"
_log = structlog.get_logger("gateway.admin")


class ArchiveService(archive_service_pb2_grpc.ArchiveServiceServicer):
    """Serves archived views."""

    def __init__(self, archive: Archive, callers: RpcCallers) -> None:
        self._archive = archive
        self._callers = callers

    async def GetArchivedView(  # noqa: N802  # named by the proto
        self, request: pb.GetArchivedViewRequest, context: Context
    ) -> pb.GetArchivedViewResponse:
        """Gives one answer as it was sent."""
        try:
            caller = await self._callers.bank_of(context)
            check_annotations(request)
            return archived_message(await self._archive.get(caller, request.answer_id))
        except Exception as error:
            await abort(context, error)

    async def SealViews(self, request: pb.SealViewsRequest, context: Context) -> pb.SealViewsResponse:  # noqa: N802
        """Seals every copy about one enterprise."""
        try:
            caller = await require_operator(self._callers, context)
            check_annotations(request)
            uscc = Uscc.parse(request.uscc).value
            because = pb.SealReason.Name(request.reason).removeprefix(_PREFIX)
            count = await self._archive.seal(caller, uscc, because)
            _log.warning("archive.sealed", uscc=uscc, because=because, views=count)
            return pb.SealViewsResponse(view_count=count)
        except Exception as error:
            await abort(context, error)


def archived_message(archived: ArchivedView) -> pb.GetArchivedViewResponse:
    """Gives the message of a copy."""
    message = pb.GetArchivedViewResponse(view=archived.view, retention_class=archived.retention_class)
    message.evidence.MergeFromString(evidence_bytes(archived.receipt))
    timestamp(message.kept_until, archived.kept_until)
    if archived.sealed_because:
        message.sealed_because = pb.SealReason.Value(_PREFIX + archived.sealed_because)
    return message
