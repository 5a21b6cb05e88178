"""What a stream of items is known by is held in bounded room, however much of it a client sends."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as green_pb
from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2_grpc
from gateway.adapters.rpc import item_ids
from gateway.adapters.rpc.item_ids import ItemIds
from tests.e2e.conftest import DEMO, Rig, query

_COUNT = 40
_LONG = 500_000


def test_an_id_that_comes_twice_is_told_among_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_ids, "MOST", 2)
    ids = ItemIds()

    told = [ids.is_repeated(item_id) for item_id in ("a", "b", "a", "c", "b", "a")]

    assert told == [False, False, True, False, True, False]


@pytest.mark.parametrize("service", ["credit", "green"])
async def test_ids_longer_than_the_contract_has_them_are_refused_and_not_remembered(rig: Rig, service: str) -> None:
    has_measured = asyncio.Event()

    async def credit() -> AsyncIterator[pb.BatchGetCreditViewsRequest]:
        for number in range(_COUNT):
            yield pb.BatchGetCreditViewsRequest(correlation_id=f"{number}".zfill(_LONG), query=query())
        await has_measured.wait()

    async def green() -> AsyncIterator[green_pb.AssessEnterprisesRequest]:
        for number in range(_COUNT):
            asked = green_pb.AssessEnterpriseRequest(uscc=DEMO)
            yield green_pb.AssessEnterprisesRequest(correlation_id=f"{number}".zfill(_LONG), request=asked)
        await has_measured.wait()

    stub = green_credit_service_pb2_grpc.GreenCreditServiceStub(rig.channel)
    answers = rig.credit.BatchGetCreditViews(credit()) if service == "credit" else stub.AssessEnterprises(green())
    refused = held = 0
    tracemalloc.start()
    async for answer in answers:
        refused += answer.HasField("error")
        if refused == _COUNT:
            held, _ = tracemalloc.get_traced_memory()
            has_measured.set()
    tracemalloc.stop()

    assert refused == _COUNT
    assert held < _COUNT * _LONG / 2
