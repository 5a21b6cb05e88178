"""How a caller's call ended on the wire, and that one which is refused harms nobody else."""

from __future__ import annotations

from typing import Any

from grpc import StatusCode

from tests.faults.callers_fixtures import GET, Rig, body
from tests.faults.h2_client import Heard, caller


def code(heard: Heard) -> StatusCode | None:
    """Gives the status that was said."""
    return next((code for code in StatusCode if code.value[0] == heard.status), None)


async def refused(rig: Rig, path: str, content: bytes, expected: StatusCode, **more: Any) -> Heard:
    """Holds that a call ends with a status, asks no platform, and harms neither its connection nor anybody else."""
    async with caller(rig.port) as connection:
        heard = await connection.call(path, content, **more)
        assert (code(heard), rig.upstream.calls) == (expected, 0), heard.fields
        assert code(await connection.call(GET, body())) == StatusCode.OK
    await rig.is_answering()
    return heard
