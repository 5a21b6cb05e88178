"""What is told of joint lists stands in the trail first: where that cannot be written, nothing is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway.adapters.rpc.deciding import reader
from gateway.adapters.rpc.joint_list_service import JointListService
from gateway.application.list_watch import Seen
from gateway.domain.caller import Role
from gateway.domain.errors import CallerMismatchError, StoreError
from gateway.domain.list_reading import ListReading
from tests.adapters.policies import caller
from tests.adapters.test_turns import House
from tests.domain.joint_entries import DEMO, joint_entry


class Failing(House):
    """A house whose trail takes that lists are read, and fails once enterprises are named."""

    def __init__(self) -> None:
        super().__init__()
        self.named: list[str] = []

    async def read(self, *told: object, **_: object) -> None:
        pieces = cast(Sequence[ListReading], told[2] if len(told) > 2 else ())
        self.named += [uscc for piece in pieces for uscc in piece.usccs]
        if self.named:
            raise StoreError("the trail cannot be written")

    def require_known(self, *_: object) -> None:
        return None

    async def watch(self, *_: object, **__: object) -> AsyncGenerator[Sequence[Seen], None]:
        yield [Seen(joint_entry(), False, "a token")]


class Context(str):
    """A call of that bank."""

    def invocation_metadata(self) -> None:
        return None

    async def abort_with_status(self, status: Any) -> None:
        raise ConnectionError(status.details)


async def messages() -> AsyncIterator[pb.ScreenEnterprisesRequest]:
    yield pb.ScreenEnterprisesRequest(usccs=[DEMO])


@pytest.mark.parametrize("call", ["screening", "watch"])
async def test_nothing_is_told_where_whom_it_is_about_cannot_be_written_down(call: str) -> None:
    house, bank = Failing(), cast(Any, Context("bank-a"))
    lists = JointListService(cast(Any, house), cast(Any, house), cast(Any, house), cast(Any, house), cast(Any, house))
    stream: AsyncIterator[object] = (
        lists.ScreenEnterprises(messages(), bank)
        if call == "screening"
        else lists.WatchEntries(pb.WatchEntriesRequest(), bank)
    )

    with pytest.raises(ConnectionError):
        await anext(stream)

    assert house.named == [DEMO]


@pytest.mark.parametrize(("proven", "stated", "told"), [("", "e-1", "e-1"), ("e-2", "", "e-2"), ("e-2", "e-2", "e-2")])
def test_who_looks_up_is_whom_the_token_proves_or_else_whom_the_request_states(
    proven: str, stated: str, told: str
) -> None:
    bank = replace(caller(Role.BANK_QUERY), operator=proven)

    assert reader(pb.GetEntriesRequest(uscc=DEMO, operator=stated), bank) == replace(bank, operator=told)


def test_A2_nobody_looks_up_in_the_name_of_another_than_the_token_s() -> None:
    bank = replace(caller(Role.BANK_QUERY), operator="e-2")

    with pytest.raises(CallerMismatchError, match="operator"):
        reader(pb.SearchEntriesRequest(operator="e-1"), bank)
