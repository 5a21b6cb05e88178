"""banks.toml read anew under a running gateway, over real handshakes: connections and calls that are up end with their right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.type.date_pb2 import Date

from gateway._pb.xinyidai.gateway.v1 import (
    credit_service_pb2,
    credit_service_pb2_grpc,
    joint_list_service_pb2_grpc,
)
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as lists_pb
from gateway.identity_settings import BankFiles
from tests.adapters.issuer import AUDIENCE
from tests.e2e.certified import BANKS, House, bearer, open_house, refusal
from tests.faults.callers_fixtures import new_uscc, query, request

UNKNOWN = (grpc.StatusCode.UNAUTHENTICATED, "CALLER_UNKNOWN", "the caller is not known")
OPERATOR = """
[operators.ops]
name_zh = "运维"
name_en = "Operations"
certificates = [{ san = "URI:urn:xinyidai:operator:ops", roles = ["platform-operator"] }]
"""


def bank(name: str, *, role: str = "bank-query", more: str = "") -> str:
    san = f'{{ san = "URI:urn:xinyidai:bank:{name}", roles = ["{role}"] }}'
    return f'[banks.{name}]\nname_zh = "银行"\nname_en = "Bank"\ncertificates = [{san}]\n{more}\n'


def tokens(house: House, name: str) -> str:
    one = house.issuer
    return f'[banks.{name}.tokens]\nissuer = "{one.name}"\naudience = "{AUDIENCE}"\njwks_url = "{one.url}"\n'


class Reloading:
    """A house with its banks.toml, and what each bank calls over the one connection that it keeps."""

    def __init__(self, house: House, file: Path) -> None:
        self.house = house
        self.file = file
        self.channels = {name: house.channel(name) for name in (*BANKS, "stranger", "ops")}
        self.credit: dict[str, Any] = {
            name: credit_service_pb2_grpc.CreditServiceStub(channel) for name, channel in self.channels.items()
        }

    async def use(self, *parts: str) -> None:
        """Writes the file and has it read, as SIGHUP does."""
        self.file.write_text("".join(parts) + OPERATOR, encoding="utf-8")
        await self.look()

    async def look(self) -> None:
        watch = self.house.rig.gateway.banks
        assert watch is not None
        await watch.look(anyway=True)

    async def revoke(self, name: str) -> None:
        """Revokes a bank's certificate and leaves all else as it is."""
        fingerprint = self.house.authority.read(name).fingerprint
        more = {name: f'revoked = ["{fingerprint}"]\n'}
        await self.use(*[bank(one, more=more.get(one, "")) for one in BANKS])


@pytest.fixture
async def reloading(tmp_path: Path) -> AsyncIterator[Reloading]:
    async with opened(tmp_path) as built:
        yield built


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Reloading]:
    file = folder / "banks.toml"
    file.write_text("".join(bank(name) for name in BANKS) + OPERATOR, encoding="utf-8")
    async with open_house(folder, bank_files=BankFiles([folder])) as house:
        built = Reloading(house, file)
        await built.look()
        try:
            yield built
        finally:
            for channel in built.channels.values():
                await channel.close()


async def test_A1_a_certificate_revoked_under_a_kept_connection_is_refused_at_its_next_call(
    reloading: Reloading,
) -> None:
    upstream = reloading.house.rig.upstream
    for name in BANKS:
        await reloading.credit[name].GetCreditView(request())
    await reloading.revoke("bank-b")
    calls = upstream.calls

    told = [
        await refusal(reloading.credit["bank-b"].GetCreditView(request())),
        await refusal(reloading.credit["bank-b"].StreamCreditView(request())),
    ]
    asked = upstream.calls
    await reloading.credit["bank-a"].GetCreditView(request())
    await reloading.use(*map(bank, BANKS))
    await reloading.credit["bank-b"].GetCreditView(request())  # it is taken back: the connection was never at fault

    assert told == [UNKNOWN] * 2
    assert asked == calls


async def test_A1_a_batch_under_way_ends_at_the_item_after_its_certificate_was_revoked(reloading: Reloading) -> None:
    stream = reloading.credit["bank-b"].BatchGetCreditViews()
    upstream = reloading.house.rig.upstream

    async def ask(number: str) -> Any:
        await stream.write(credit_service_pb2.BatchGetCreditViewsRequest(correlation_id=number, query=query()))
        return await stream.read()

    first = await ask("1")
    await reloading.revoke("bank-b")
    calls = upstream.calls
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await ask("2")

    assert first.HasField("view")
    assert (ended.value.code(), ended.value.details()) == (UNKNOWN[0], UNKNOWN[2])
    assert upstream.calls == calls
    assert [(e["event"], e["reason"]) for e in reloading.house.entries()] == [
        ("answered", ""),
        ("refused", "CALLER_UNKNOWN"),
        ("denied", "CALLER_UNKNOWN"),
    ]


async def test_A1_a_watch_under_way_ends_before_it_tells_what_comes_after_the_revocation(reloading: Reloading) -> None:
    lists: dict[str, Any] = {
        name: joint_list_service_pb2_grpc.JointListServiceStub(channel) for name, channel in reloading.channels.items()
    }

    async def publish() -> None:
        proposal = lists_pb.PublishEntryRequest(
            list_code="YRD_ENV",
            uscc=new_uscc(),
            province="33",
            list_year=2018,
            listed_on=Date(year=2018, month=5, day=2),
            content=lists_pb.EntryContent(subject_name="示例化工有限公司", document_number="1", reason="超标排放"),
            operator="first",
        )
        entry = (await lists["ops"].PublishEntry(proposal)).entry
        await lists["ops"].ConfirmEntry(
            lists_pb.ConfirmEntryRequest(entry_id=entry.entry_id, expected_version=entry.version, operator="second")
        )

    await publish()
    watches = {name: lists[name].WatchEntries(lists_pb.WatchEntriesRequest()) for name in BANKS}
    first = {name: (await watch.read()).entry.entry_id for name, watch in watches.items()}
    await reloading.revoke("bank-b")
    await publish()

    told = await refusal(watches["bank-b"])
    other = await watches["bank-a"].read()
    watches["bank-a"].cancel()

    assert told == UNKNOWN
    assert other.entry.entry_id not in first.values()


@pytest.mark.parametrize("method", ["GetCreditView", "StreamCreditView"])
async def test_A1_a_query_under_way_is_withheld_when_its_certificate_is_revoked(
    reloading: Reloading, method: str
) -> None:
    upstream = reloading.house.rig.upstream
    upstream.delay_s = 0.3
    call = getattr(reloading.credit["bank-b"], method)(request())
    told = asyncio.ensure_future(refusal(call))
    while not upstream.under_way:  # the platform says so by no event
        await asyncio.sleep(0.01)
    await reloading.revoke("bank-b")

    assert await told == UNKNOWN
    assert ("withheld", "CALLER_UNKNOWN") in [(e["event"], e["reason"]) for e in reloading.house.entries()]


async def test_a_bank_that_is_named_now_is_known_and_one_in_another_role_may_do_another_thing(
    reloading: Reloading,
) -> None:
    before = await refusal(reloading.credit["stranger"].GetCreditView(request()))
    await reloading.credit["bank-b"].GetCreditView(request())

    await reloading.use(bank("bank-a"), bank("bank-b", role="bank-auditor"), bank("stranger"))
    answered = await reloading.credit["stranger"].GetCreditView(request())
    denied = await refusal(reloading.credit["bank-b"].GetCreditView(request()))

    assert before == UNKNOWN
    assert answered.delivery.answer_id
    assert denied[:2] == (grpc.StatusCode.PERMISSION_DENIED, "POLICY_DENIED")


async def test_a_bank_that_gets_an_issuer_is_asked_for_its_tokens_and_one_that_loses_it_is_not(
    reloading: Reloading,
) -> None:
    house = reloading.house
    of_a, of_b = bearer(house.token("bank-a")), bearer(house.token("bank-b"))
    before = await refusal(reloading.credit["bank-b"].GetCreditView(request(), metadata=of_b))

    await reloading.use(bank("bank-a"), bank("bank-b"), tokens(house, "bank-b"))
    await reloading.credit["bank-b"].GetCreditView(request(), metadata=of_b)
    after = await refusal(reloading.credit["bank-a"].GetCreditView(request(), metadata=of_a))

    assert before[:2] == after[:2] == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_MISMATCH")
    assert [entry["operator"] for entry in house.entries()][-1:] == ["op-7"]
