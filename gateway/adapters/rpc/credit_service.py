"""CreditService over gRPC: decode, ask, encode; every failure leaves by the one table of statuses."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any, NoReturn

import grpc
from google.rpc import status_pb2

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.adapters.rpc.abort import abort, status_for
from gateway.adapters.rpc.admission import Admissions
from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.delivery import HealthOf, credit_view_bytes, credit_view_response, fill_delivery
from gateway.adapters.rpc.hear_out import hear_out
from gateway.adapters.rpc.item_ids import ItemIds
from gateway.adapters.rpc.questions import Questions
from gateway.adapters.rpc.requests import deadline_s
from gateway.adapters.telemetry.trace_context import Metadata
from gateway.adapters.telemetry.tracing import Tracing
from gateway.application.query_credit import CreditAnswer, CreditQueries, Landed
from gateway.application.request_ids import RequestIds
from gateway.application.story import Admission
from gateway.domain.caller import Caller
from gateway.domain.errors import GatewayError, InvalidRequestError, Reason, ViewTooLargeError
from gateway.domain.figures import platform_figures
from gateway.domain.query import CreditQuery
from gateway.ports import Clock

_AROUND_ITEM = 1024  # bytes, for the item's correlation id and the frame


class CreditService(credit_service_pb2_grpc.CreditServiceServicer):
    """Serves credit queries."""

    def __init__(
        self,
        queries: CreditQueries,
        request_ids: RequestIds,
        platforms: Collection[str],
        clock: Clock,
        health_of: HealthOf,
        tracing: Tracing,
        error_sent: Callable[[Reason], None],
        unknown_fields_ignored: Callable[[int], None],
        callers: RpcCallers,
        *,
        default_deadline_s: float,
        longest_deadline_s: float,
        batch_concurrency: int,
        most_response_bytes: int,
        admissions: Admissions,
    ) -> None:
        self._queries = queries
        self._request_ids = request_ids
        self._questions = Questions(platforms, unknown_fields_ignored)
        self._clock = clock
        self._health_of = health_of
        self._tracing = tracing
        self._error_sent = error_sent
        self._callers = callers
        self._default_deadline_s = default_deadline_s
        self._longest_deadline_s = longest_deadline_s
        self._batch_concurrency = batch_concurrency
        self._most_response_bytes = most_response_bytes
        self._admissions = admissions

    async def GetCreditView(  # type: ignore[override]  # noqa: N802  # named by the proto
        self, request: bytes, context: Context
    ) -> bytes:
        """Asks all platforms at once and answers with the merged view; request and response are bytes: `methods_in_bytes`."""
        trace = self._tracing.begin("CreditService/GetCreditView", self._callers.metadata_of(context))
        try:
            with trace:
                caller = await self._callers.bank_of(context)
                bank, admission = caller.bank, self._admit(context, caller)
                if not self._admissions.try_enter(bank):
                    await self._admissions.wait(bank, admission.fetch_by)
                try:
                    query = self._questions.read_bytes(request, caller)
                    if query.request_id:
                        answered, is_repeated = await self._answered_once(query, caller, admission)
                    else:
                        answered, is_repeated = await self._queries.answer(query, admission), False
                    trace.span.note(answer_id=answered.answer_id)
                    view = credit_view_bytes(answered, query, admission, self._health_of, is_repeated=is_repeated)
                    self._check_size(len(view))
                    return view
                finally:
                    self._admissions.leave(bank)
        except Exception as error:
            await self._abort(context, error, trace.trace_id)

    async def StreamCreditView(  # noqa: N802  # named by the proto
        self, request: pb.StreamCreditViewRequest, context: Context
    ) -> AsyncIterator[pb.StreamCreditViewResponse]:
        """Sends each platform's answer as it lands, and last the final view."""
        trace = self._tracing.begin("CreditService/StreamCreditView", context.invocation_metadata())
        try:
            with trace:
                caller = await self._callers.bank_of(context)
                bank, admission = caller.bank, self._admit(context, caller)
                if not self._admissions.try_enter(bank):
                    await self._admissions.wait(bank, admission.fetch_by)
                try:
                    query = self._questions.read(request, caller)
                    async for step in self._queries.stream(query, admission):
                        if isinstance(step, CreditAnswer):
                            trace.span.note(answer_id=step.answer_id)
                        sent = self._step(step, query, admission)
                        self._check_size(sent.ByteSize())
                        yield sent
                finally:
                    self._admissions.leave(bank)
        except Exception as error:
            await self._abort(context, error, trace.trace_id)

    async def BatchGetCreditViews(  # noqa: N802  # named by the proto
        self, request_iterator: AsyncIterator[pb.BatchGetCreditViewsRequest], context: Context
    ) -> AsyncIterator[pb.BatchGetCreditViewsResponse]:
        """Answers many queries, in the order they finish; one bad item never ends the stream."""
        try:
            caller = await self._callers.bank_of(context)
        except GatewayError as error:
            await self._abort(context, error, "")
        metadata = context.invocation_metadata()
        room = asyncio.Semaphore(self._batch_concurrency)
        # Bounded: a client that sends without reading is held back, not buffered without end.
        ready: asyncio.Queue[pb.BatchGetCreditViewsResponse | None] = asyncio.Queue(self._batch_concurrency)
        running: set[asyncio.Task[None]] = set()
        refusals: list[InvalidRequestError] = []

        async def work(item: pb.BatchGetCreditViewsRequest, is_repeated_id: bool) -> None:
            try:
                await ready.put(await self._item(item, caller, metadata, is_repeated_id=is_repeated_id))
            finally:
                room.release()

        async def read() -> None:
            ids = ItemIds()
            try:
                async for item in request_iterator:
                    is_repeated_id = ids.is_repeated(item.correlation_id)
                    await room.acquire()
                    task = asyncio.create_task(work(item, is_repeated_id))
                    running.add(task)
                    task.add_done_callback(running.discard)
            except InvalidRequestError as error:  # an item that cannot be read has no id to be answered by
                refusals.append(error)
            if running:
                await asyncio.wait(set(running))
            await ready.put(None)

        reader = asyncio.create_task(read())
        try:
            while (response := await ready.get()) is not None:
                yield response
        finally:
            reader.cancel()
            for task in running:
                task.cancel()
            await asyncio.gather(reader, *running, return_exceptions=True)
        if refusals:
            await hear_out(request_iterator, in_talk=True)
            await abort(context, refusals[0])

    async def _item(
        self, item: pb.BatchGetCreditViewsRequest, caller: Caller, metadata: Metadata | None, *, is_repeated_id: bool
    ) -> pb.BatchGetCreditViewsResponse:
        response = pb.BatchGetCreditViewsResponse(correlation_id=item.correlation_id)
        bank = caller.bank
        arrived = self._clock.monotonic()
        # The stream's own deadline bounds the stream; each item has the default of its own.
        admission = Admission(self._clock.now(), arrived, arrived + self._default_deadline_s, caller)
        # A trace of its own for each item: one of the whole stream would grow without end.
        trace = self._tracing.begin("CreditService/BatchGetCreditViews", metadata)
        try:
            with trace:
                if is_repeated_id:
                    raise InvalidRequestError("correlation_id", "was used before in this stream")
                query = self._questions.read(item, caller)
                if not self._admissions.try_enter(bank, is_batch=True):
                    await self._admissions.wait(bank, admission.fetch_by, is_batch=True)
                try:
                    # The stream was let in when it began; its token may have ended since.
                    await self._queries.require_proven(query, admission)
                    if query.request_id:
                        answered, is_repeated = await self._answered_once(query, caller, admission)
                    else:
                        answered, is_repeated = await self._queries.answer(query, admission), False
                    trace.span.note(answer_id=answered.answer_id)
                    view = credit_view_response(answered, query, admission, self._health_of, is_repeated=is_repeated)
                    self._check_size(view.ByteSize() + _AROUND_ITEM)
                    response.view.CopyFrom(view)
                finally:
                    self._admissions.leave(bank)
        except Exception as error:
            response.error.CopyFrom(self._status(error, trace.trace_id))
        return response

    async def _answered_once(
        self, query: CreditQuery, caller: Caller, admission: Admission
    ) -> tuple[CreditAnswer, bool]:
        """Gives the answer to a request id, and whether it was given before."""
        answered, is_repeated = await self._request_ids.once(
            caller.bank,
            query.request_id,
            lambda: _body(query),
            lambda: self._queries.answer(query, admission),
            until=admission.deadline,
        )
        if is_repeated:
            await self._queries.note_repeated(query, answered, caller)
        return answered, is_repeated

    def _check_size(self, size: int) -> None:
        """Raises ViewTooLargeError rather than let the transport cut the call off without a word on what to do."""
        if size > self._most_response_bytes:
            raise ViewTooLargeError(size, self._most_response_bytes)

    async def _abort(self, context: Context, error: Exception, trace_id: str) -> NoReturn:
        if not isinstance(error, grpc.aio.AbortError):
            self._tell(error)
        await abort(context, error, trace_id)

    def _status(self, error: Exception, trace_id: str) -> status_pb2.Status:
        self._tell(error)
        return status_for(error, trace_id)

    def _tell(self, error: Exception) -> None:
        self._error_sent(error.reason if isinstance(error, GatewayError) else Reason.INTERNAL)

    def _step(
        self, step: Landed | CreditAnswer, query: CreditQuery, admission: Admission
    ) -> pb.StreamCreditViewResponse:
        if isinstance(step, CreditAnswer):
            return pb.StreamCreditViewResponse(final=credit_view_response(step, query, admission, self._health_of))
        shown = next(a for a in step.view_so_far.answers if a.platform == step.answer.platform)
        landed = pb.AnswerLanded(answer=step.answer.said, view_so_far=step.view_so_far)
        health = self._health_of(shown.platform)
        fill_delivery(landed.delivery, step.answer, platform_figures(shown), now=admission.at, health=health)
        return pb.StreamCreditViewResponse(answer_landed=landed)

    def _admit(self, context: Context, caller: Caller) -> Admission:
        arrived = self._clock.monotonic()
        allowed_s = deadline_s(
            context.time_remaining(),
            default_s=self._default_deadline_s,
            longest_s=self._longest_deadline_s,
        )
        return Admission(self._clock.now(), arrived, arrived + allowed_s, caller)


def methods_in_bytes(service: CreditService) -> Mapping[str, grpc.RpcMethodHandler[Any, Any]]:
    """Gives the handler of GetCreditView, which reads a request's bytes and puts a response's together.

    It takes the generated one's place.
    """
    return {"GetCreditView": grpc.unary_unary_rpc_method_handler(service.GetCreditView)}


def _body(query: CreditQuery) -> bytes:
    return hashlib.sha256(repr(query).encode()).digest()
