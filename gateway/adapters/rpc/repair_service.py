"""RepairService over gRPC: repairs of records, stated by operators of their recognisers."""

from __future__ import annotations

from typing import Final

from gateway._pb.xinyidai.gateway.v1 import repair_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import repair_service_pb2_grpc
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.deciding import decider
from gateway.adapters.rpc.joint_list_messages import after_of, day_of, page_token
from gateway.adapters.rpc.requests import check_annotations
from gateway.application.repairs import Proposal, Repairs
from gateway.domain import record_repair as life
from gateway.domain.dates import proto_date
from gateway.domain.identifiers import Uscc
from gateway.domain.record_repair import RecordRepair, SeenStale

_PAGE: Final = 50


class RepairService(repair_service_pb2_grpc.RepairServiceServicer):
    """Serves repairs of records."""

    def __init__(self, repairs: Repairs, callers: RpcCallers) -> None:
        self._repairs = repairs
        self._callers = callers

    async def ProposeRepair(self, request: pb.ProposeRepairRequest, context: Context) -> pb.ProposeRepairResponse:  # noqa: N802  # named by the proto
        """Proposes a repair."""
        try:
            by = await decider(request, context, self._callers)
            proposal = Proposal(
                Uscc.parse(request.uscc).value,
                request.record,
                request.record_key,
                day_of(request.repaired_on, "repaired_on"),
                request.because,
            )
            return pb.ProposeRepairResponse(repair=_message(await self._repairs.propose(proposal, by)))
        except Exception as error:
            await abort(context, error)

    async def ConfirmRepair(self, request: pb.ConfirmRepairRequest, context: Context) -> pb.ConfirmRepairResponse:  # noqa: N802
        """Confirms or declines what waits."""
        try:
            by = await decider(request, context, self._callers)
            act = life.decline if request.is_declined else life.confirm
            repair = await self._repairs.decide(
                "ConfirmRepair",
                request.repair_id,
                request.expected_version,
                lambda repair, at: act(repair, by.operator, at),
                by,
            )
            return pb.ConfirmRepairResponse(repair=_message(repair))
        except Exception as error:
            await abort(context, error)

    async def LiftRepair(self, request: pb.LiftRepairRequest, context: Context) -> pb.LiftRepairResponse:  # noqa: N802
        """Proposes a lifting."""
        try:
            by = await decider(request, context, self._callers)
            repair = await self._repairs.decide(
                "LiftRepair",
                request.repair_id,
                request.expected_version,
                lambda repair, at: life.lift(repair, request.because, by.operator, at),
                by,
            )
            return pb.LiftRepairResponse(repair=_message(repair))
        except Exception as error:
            await abort(context, error)

    async def ListRepairs(self, request: pb.ListRepairsRequest, context: Context) -> pb.ListRepairsResponse:  # noqa: N802
        """Lists repairs page by page."""
        try:
            caller = await self._callers.of(context)
            check_annotations(request)
            uscc = Uscc.parse(request.uscc).value if request.uscc else ""
            found, after = await self._repairs.search(
                uscc, caller, after=after_of(request.page_token, ("repairs", uscc)), limit=request.page_size or _PAGE
            )
            return pb.ListRepairsResponse(
                repairs=[_message(repair) for repair in found],
                next_page_token=page_token(after, ("repairs", uscc)) if after else "",
            )
        except Exception as error:
            await abort(context, error)

    async def ListStaleCopies(  # noqa: N802
        self, request: pb.ListStaleCopiesRequest, context: Context
    ) -> pb.ListStaleCopiesResponse:
        """Lists stale copies page by page."""
        try:
            caller = await self._callers.of(context)
            check_annotations(request)
            uscc = Uscc.parse(request.uscc).value if request.uscc else ""
            asked = ("stale", request.platform, uscc)
            found, after = await self._repairs.stale_copies(
                request.platform, uscc, caller, after=after_of(request.page_token, asked),
                limit=request.page_size or _PAGE,
            )  # fmt: skip
            return pb.ListStaleCopiesResponse(
                copies=[_copy(copy) for copy in found], next_page_token=page_token(after, asked) if after else ""
            )
        except Exception as error:
            await abort(context, error)


def _message(repair: RecordRepair) -> pb.RecordRepair:
    message = pb.RecordRepair(
        repair_id=repair.repair_id,
        uscc=repair.uscc,
        category=repair.category,  # type: ignore[arg-type]  # a number of the enum
        record_key=repair.record_key,
        authority=repair.authority,
        province=repair.province,
        document_number=repair.document_number,
        status=repair.status,  # type: ignore[arg-type]  # a number of the enum
        repaired_on=proto_date(repair.repaired_on),
        because=repair.because,
        state=pb.RepairState.Value(f"REPAIR_STATE_{repair.state}"),
        version=repair.version,
        proposed_by=repair.proposed_by,
        confirmed_by=repair.confirmed_by,
        origin=repair.origin,
        lift_proposed_by=repair.lift_proposed_by,
        lift_because=repair.lift_because,
    )
    message.change_time.FromDatetime(repair.changed_at)
    return message


def _copy(copy: SeenStale) -> pb.StaleCopy:
    message = pb.StaleCopy(
        platform=copy.platform,
        uscc=copy.uscc,
        category=copy.category,  # type: ignore[arg-type]  # a number of the enum
        record_key=copy.record_key,
    )
    message.first_seen_time.FromDatetime(copy.first_seen)
    message.last_seen_time.FromDatetime(copy.last_seen)
    return message
