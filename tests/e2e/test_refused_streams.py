"""A stream that is refused while its client still sends: the client reads the reason, not a fault of its own library."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as lists
from tests.e2e.conftest import DEMO, Rig

SERVICES = "/xinyidai.gateway.v1."
UNREADABLE = b"\xff\xff\xff\xff"
BAD_CODES = lists.ScreenEnterprisesRequest(usccs=[DEMO, ""]).SerializeToString()


async def sent(first: bytes) -> AsyncIterator[bytes]:
    """Sends a message that is refused, and more after it."""
    yield first
    for _ in range(400):
        yield UNREADABLE


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("JointListService/ScreenEnterprises", BAD_CODES),
        ("JointListService/ScreenEnterprises", UNREADABLE),
        ("CreditService/BatchGetCreditViews", UNREADABLE),
        ("GreenCreditService/AssessEnterprises", UNREADABLE),
    ],
)
async def test_a_refused_stream_is_heard_out_so_that_its_client_reads_why(rig: Rig, method: str, first: bytes) -> None:
    call: Any = rig.channel.stream_stream(SERVICES + method)

    ended: Counter[str] = Counter()
    for _ in range(8):
        try:
            async for _ in call(sent(first), timeout=20):
                pass
        except grpc.aio.AioRpcError as error:
            ended[error.code().name] += 1

    assert ended == {"INVALID_ARGUMENT": 8}
