"""GreenCreditService over gRPC: decode, assess, encode; every failure leaves by the one table of statuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import grpc

from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2_grpc
from gateway.adapters.rpc.abort import abort, status_for
from gateway.adapters.rpc.admission import Admissions
from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.green_messages import assessment_message, recognition_message
from gateway.adapters.rpc.hear_out import hear_out
from gateway.adapters.rpc.item_ids import ItemIds
from gateway.adapters.rpc.requests import check_annotations, deadline_s, proven
from gateway.adapters.rules.book import RuleBook
from gateway.adapters.telemetry.trace_context import Metadata
from gateway.adapters.telemetry.tracing import Tracing
from gateway.application.assess import AssessedBy, Assessments
from gateway.application.story import Admission
from gateway.domain.caller import Caller
from gateway.domain.errors import GatewayError, InvalidRequestError, Reason
from gateway.domain.identifiers import Uscc
from gateway.ports import Clock

_USUAL_LIST = "YRD_ENV"


class GreenCreditService(green_credit_service_pb2_grpc.GreenCreditServiceServicer):
    """Serves assessments and recognitions."""

    def __init__(
        self,
        assessments: Assessments,
        rules: RuleBook,
        callers: RpcCallers,
        clock: Clock,
        admissions: Admissions,
        tracing: Tracing,
        error_sent: Callable[[Reason], None],
        *,
        default_deadline_s: float,
        longest_deadline_s: float,
        concurrency: int,
    ) -> None:
        self._assessments = assessments
        self._kinds = rules.facts
        self._certainties = {table.digest: table.certainty for table in rules.tables}
        self._titles = {
            (table.digest, row.row_id): row.outputs.get("en", "") for table in rules.tables for row in table.rows
        }
        self._callers = callers
        self._clock = clock
        self._admissions = admissions
        self._tracing = tracing
        self._error_sent = error_sent
        self._default_deadline_s = default_deadline_s
        self._longest_deadline_s = longest_deadline_s
        self._concurrency = concurrency

    async def AssessEnterprise(  # noqa: N802  # named by the proto
        self, request: pb.AssessEnterpriseRequest, context: Context
    ) -> pb.AssessEnterpriseResponse:
        """Assesses one enterprise."""
        trace = self._tracing.begin("GreenCreditService/AssessEnterprise", context.invocation_metadata())
        try:
            with trace:
                caller = await self._callers.bank_of(context)
                check_annotations(request)
                found = await self._assessed(request, caller, self._admit(context.time_remaining(), caller))
                trace.span.note(answer_id=found.answer_id)
                return pb.AssessEnterpriseResponse(assessment=found)
        except Exception as error:
            await self._abort(context, error, trace.trace_id)

    async def AssessEnterprises(  # noqa: N802  # named by the proto
        self, request_iterator: AsyncIterator[pb.AssessEnterprisesRequest], context: Context
    ) -> AsyncIterator[pb.AssessEnterprisesResponse]:
        """Assesses many, in the order they finish; reads no further than it answers."""
        try:
            caller = await self._callers.bank_of(context)
        except Exception as error:
            await self._abort(context, error)
        metadata = context.invocation_metadata()
        room = asyncio.Semaphore(self._concurrency)
        # Bounded: a client that sends without reading is held back, not buffered without end.
        ready: asyncio.Queue[pb.AssessEnterprisesResponse | Exception | None] = asyncio.Queue(self._concurrency)

        async def work(item: pb.AssessEnterprisesRequest, is_repeated_id: bool) -> None:
            try:
                await ready.put(await self._item(item, caller, metadata, is_repeated_id=is_repeated_id))
            finally:
                room.release()

        async def read() -> None:
            ids = ItemIds()
            refusal: Exception | None = None
            async with asyncio.TaskGroup() as items:
                try:
                    async for item in request_iterator:
                        await room.acquire()
                        items.create_task(work(item, ids.is_repeated(item.correlation_id)))
                except InvalidRequestError as error:  # bytes that are no item have no id to be answered by
                    refusal = error
            await ready.put(refusal)

        reader = asyncio.create_task(read())
        try:
            while (response := await ready.get()) is not None:
                if isinstance(response, Exception):
                    await hear_out(request_iterator, in_talk=True)
                    await self._abort(context, response)
                yield response
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def RecogniseEnterprise(  # noqa: N802  # named by the proto
        self, request: pb.RecogniseEnterpriseRequest, context: Context
    ) -> pb.RecogniseEnterpriseResponse:
        """Says by which criteria an enterprise would be recognised."""
        trace = self._tracing.begin("GreenCreditService/RecogniseEnterprise", context.invocation_metadata())
        try:
            with trace:
                caller = await self._callers.bank_of(context)
                check_annotations(request)
                uscc = Uscc.parse(request.uscc)
                by = AssessedBy(
                    caller.bank,
                    proven("operator", request.operator, caller.operator),
                    proven("branch", request.branch, caller.branch),
                    sent=request.SerializeToString(deterministic=True),
                )
                admission = self._admit(context.time_remaining(), caller)
                await self._enter(caller.bank, admission)
                try:
                    found = await self._assessments.recognise(uscc, by, admission, request.list_code or _USUAL_LIST)
                finally:
                    self._admissions.leave(caller.bank)
                trace.span.note(answer_id=found.answer_id)
                return recognition_message(uscc.value, found, self._kinds, self._certainties)
        except Exception as error:
            await self._abort(context, error, trace.trace_id)

    async def _item(
        self, item: pb.AssessEnterprisesRequest, caller: Caller, metadata: Metadata | None, *, is_repeated_id: bool
    ) -> pb.AssessEnterprisesResponse:
        response = pb.AssessEnterprisesResponse(correlation_id=item.correlation_id)
        # A trace of its own for each item: one of the whole stream would grow without end.
        trace = self._tracing.begin("GreenCreditService/AssessEnterprises", metadata)
        try:
            with trace:
                check_annotations(item)
                if is_repeated_id:
                    raise InvalidRequestError("correlation_id", "stands in this stream already")
                found = await self._assessed(item.request, caller, self._admit(None, caller), is_batch=True)
                trace.span.note(answer_id=found.answer_id)
                response.assessment.CopyFrom(found)
        except Exception as error:  # one bad item never ends the stream
            self._count(error)
            response.error.CopyFrom(status_for(error, trace.trace_id))
        return response

    def _count(self, error: Exception) -> None:
        self._error_sent(error.reason if isinstance(error, GatewayError) else Reason.INTERNAL)

    async def _abort(self, context: Context, error: Exception, trace_id: str = "") -> NoReturn:
        if not isinstance(error, grpc.aio.AbortError):
            self._count(error)
        await abort(context, error, trace_id)

    async def _assessed(
        self, request: pb.AssessEnterpriseRequest, caller: Caller, admission: Admission, *, is_batch: bool = False
    ) -> pb.GreenAssessment:
        uscc = Uscc.parse(request.uscc)
        by = AssessedBy(
            bank=caller.bank,
            operator=proven("operator", request.operator, caller.operator),
            branch=proven("branch", request.branch, caller.branch),
            loan_reference=request.loan_reference,
            is_fresh=request.is_fresh,
            is_batch=is_batch,
            sent=request.SerializeToString(deterministic=True),
        )
        await self._enter(caller.bank, admission, is_batch=is_batch)
        try:
            return assessment_message(await self._assessments.assess(uscc, by, admission), self._kinds, self._titles)
        finally:
            self._admissions.leave(caller.bank)

    async def _enter(self, bank: str, admission: Admission, *, is_batch: bool = False) -> None:
        if not self._admissions.try_enter(bank, is_batch=is_batch):
            await self._admissions.wait(bank, admission.fetch_by, is_batch=is_batch)

    def _admit(self, time_remaining: float | None, caller: Caller) -> Admission:
        arrived = self._clock.monotonic()
        allowed_s = deadline_s(time_remaining, default_s=self._default_deadline_s, longest_s=self._longest_deadline_s)
        return Admission(self._clock.now(), arrived, arrived + allowed_s, caller)
