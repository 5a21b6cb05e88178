"""Views by one stream of BatchGetCreditViews, driven like any other line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from gateway._pb.xinyidai.gateway.v1.credit_service_pb2 import BatchGetCreditViewsRequest, BatchGetCreditViewsResponse
from tests.bench.load import Cost, measured
from tests.bench.processes import Process
from tests.bench.questions import SERVICE, WrongAnswerError, check_view, cold_query


class BatchLine:
    """A kept channel to a gateway, over which one stream a run asks about the given enterprises in turn."""

    def __init__(self, process: Process, channel: grpc.aio.Channel, enterprises: Sequence[str]) -> None:
        self._process = process
        self._enterprises = enterprises
        self._call = channel.stream_stream(
            f"{SERVICE}/BatchGetCreditViews",
            request_serializer=BatchGetCreditViewsRequest.SerializeToString,
            response_deserializer=BatchGetCreditViewsResponse.FromString,
        )

    async def drive(self, calls: int, _concurrency: int = 0) -> Cost:
        """Asks for so many views in one stream, as many at a time as the gateway takes; any failure ends the run."""

        async def items() -> AsyncIterator[BatchGetCreditViewsRequest]:
            for number in range(calls):
                query = cold_query(self._enterprises[number % len(self._enterprises)])
                yield BatchGetCreditViewsRequest(correlation_id=str(number), query=query)

        heard: set[str] = set()
        async with measured(self._process, calls) as cost:
            async for item in self._call(items(), timeout=120):
                if item.WhichOneof("result") != "view":
                    raise WrongAnswerError(f"item {item.correlation_id}: {item.error.message}")
                check_view(self._enterprises[int(item.correlation_id) % len(self._enterprises)], item.view.view)
                heard.add(item.correlation_id)
            if len(heard) != calls:
                raise WrongAnswerError(f"{len(heard)} of {calls} items were answered")
        return cost()


@asynccontextmanager
async def batch_line(process: Process, enterprises: Sequence[str]) -> AsyncIterator[BatchLine]:
    """Opens the channel to a gateway and closes it."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.addresses[0]}") as channel:
        yield BatchLine(process, channel, enterprises)
