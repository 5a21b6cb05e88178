"""Screening and exports go by turns: whoever else calls waits for a piece of each bank's, however many streams it opens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, cast

import pytest

from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1.audit_service_pb2 import ExportEntriesRequest
from gateway.adapters.rpc.audit_service import AuditService
from gateway.adapters.rpc.joint_list_service import JointListService
from gateway.adapters.rpc.turns import PIECE
from gateway.domain.caller import Role
from gateway.domain.trail_query import TrailQuery
from tests.adapters.policies import caller

CODES = ("91310115MA0TERT167",) * (PIECE * 8)


class Index:
    """Knows of no enterprise, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def of(self, uscc: str, today: int) -> Sequence[Any]:
        self.asked += 1
        return ()


class House:
    """What screening needs of a gateway: an index, callers by the name of their bank, a clock, and lists that are read."""

    def __init__(self) -> None:
        self.looked_up = Index()

    async def index(self) -> Index:
        return self.looked_up

    async def of(self, context: str) -> Any:
        return caller(Role.BANK_QUERY, bank=context)

    async def read(self, *_: object, **__: object) -> None:
        return None

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)


async def messages(count: int) -> AsyncIterator[pb.ScreenEnterprisesRequest]:
    for _ in range(count):
        yield pb.ScreenEnterprisesRequest(usccs=CODES)


@pytest.mark.parametrize(("banks", "streams"), [(1, 1), (1, 12), (3, 4)])
async def test_between_two_steps_of_another_no_more_than_a_piece_of_each_bank_is_looked_up(
    banks: int, streams: int
) -> None:
    house = cast(Any, House())
    service = JointListService(house, house, house, house, house)

    async def screen(bank: str) -> int:
        return sum([each.code_count async for each in service.ScreenEnterprises(messages(2), cast(Any, bank))])

    screening = asyncio.gather(*(screen(f"bank-{number % banks}") for number in range(banks * streams)))
    seen = [0]
    while not screening.done():
        await asyncio.sleep(0)
        seen.append(house.looked_up.asked)

    assert await screening == [2 * len(CODES)] * banks * streams
    assert max(after - before for before, after in pairwise(seen)) <= PIECE * banks
    assert seen[-1] == 2 * len(CODES) * banks * streams


class Export:
    """Makes empty pages slowly, and notes of how many exports of a bank, and in all, one is in the making."""

    def __init__(self) -> None:
        self.making: Counter[str] = Counter()
        self.most_of_bank = self.most = self.pages = 0

    async def entries(self, who: Any, asked: TrailQuery, after: object) -> AsyncIterator[Sequence[object]]:
        for _ in range(5):
            self.making[asked.bank] += 1
            self.most_of_bank = max(self.most_of_bank, *self.making.values())
            self.most = max(self.most, self.making.total())
            for _ in range(3):
                await asyncio.sleep(0)
            self.making[asked.bank] -= 1
            self.pages += 1
            yield ()


async def test_of_many_exports_of_a_bank_one_makes_a_page_at_a_time_and_banks_do_not_wait_for_each_other() -> None:
    export, callers = Export(), cast(Any, Callers())
    service = AuditService(cast(Any, export), callers)

    async def exported(bank: str) -> None:
        async for _ in service.ExportEntries(ExportEntriesRequest(), cast(Any, bank)):
            pass

    await asyncio.gather(*(exported(f"bank-{number % 3}") for number in range(12)))

    assert (export.most_of_bank, export.most, export.pages) == (1, 3, 60)


class Callers:
    """Knows a caller by the name of its bank."""

    async def bank_of(self, context: str) -> Any:
        return caller(Role.BANK_AUDITOR, bank=context)
