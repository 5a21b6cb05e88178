"""Who asks, over real handshakes: rows A1 to A5 on every door, and what the trail and the bank's own things make of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from gateway._pb.xinyidai.gateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalogue_service_pb2,
    catalogue_service_pb2_grpc,
    credit_service_pb2,
    credit_service_pb2_grpc,
    platform_service_pb2,
    platform_service_pb2_grpc,
)
from gateway.identity_settings import BankTable, TokenTable
from tests.adapters.simulated import MovedClock
from tests.e2e.certified import House, Stub, bearer, open_house, refusal
from tests.faults.callers_fixtures import query, request
from tests.shipped import shipped_settings


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


Door = Callable[[grpc.aio.Channel, Any], Any]


def _batch(channel: grpc.aio.Channel, metadata: Any) -> Any:
    items = [credit_service_pb2.BatchGetCreditViewsRequest(correlation_id="1", query=query())]
    stub: Stub = credit_service_pb2_grpc.CreditServiceStub(channel)
    return stub.BatchGetCreditViews(iter(items), metadata=metadata)


def _stream(channel: grpc.aio.Channel, metadata: Any) -> Any:
    stub: Stub = credit_service_pb2_grpc.CreditServiceStub(channel)
    return stub.StreamCreditView(credit_service_pb2.StreamCreditViewRequest(query=query()), metadata=metadata)


def _unary(stub_of: Any, method: str, asked: Any) -> Door:
    return lambda channel, metadata: getattr(stub_of(channel), method)(asked(), metadata=metadata)


CREDIT_DOORS: dict[str, Door] = {
    "view": _unary(credit_service_pb2_grpc.CreditServiceStub, "GetCreditView", request),
    "stream": _stream,
    "batch": _batch,
}
ADMIN_DOORS: dict[str, Door] = {
    "show": _unary(
        admin_service_pb2_grpc.AdminServiceStub,
        "ShowPlatform",
        lambda: admin_service_pb2.ShowPlatformRequest(platform="ping"),
    ),
    "purge": _unary(
        admin_service_pb2_grpc.AdminServiceStub,
        "PurgeAnswers",
        lambda: admin_service_pb2.PurgeAnswersRequest(uscc="91310115MA0TERT167"),
    ),
}
OPEN_DOORS: dict[str, Door] = {
    "platforms": _unary(
        platform_service_pb2_grpc.PlatformServiceStub, "ListPlatforms", platform_service_pb2.ListPlatformsRequest
    ),
    "platform": _unary(
        platform_service_pb2_grpc.PlatformServiceStub,
        "GetPlatform",
        lambda: platform_service_pb2.GetPlatformRequest(platform="ping"),
    ),
    "catalogue": _unary(
        catalogue_service_pb2_grpc.CatalogueServiceStub,
        "DescribeCatalogue",
        catalogue_service_pb2.DescribeCatalogueRequest,
    ),
}
DOORS = {**CREDIT_DOORS, **ADMIN_DOORS, **OPEN_DOORS}


def test_the_doors_are_all_methods_of_the_contract() -> None:
    files = (admin_service_pb2, catalogue_service_pb2, credit_service_pb2, platform_service_pb2)
    methods = [m for file in files for s in file.DESCRIPTOR.services_by_name.values() for m in s.methods]

    assert len(DOORS) == len(methods)


@pytest.mark.parametrize("door", DOORS)
async def test_A1_a_stranger_is_refused_at_every_door_and_asks_no_platform(house: House, door: str) -> None:
    async with house.channel("stranger") as channel:
        told = await refusal(DOORS[door](channel, None))

    assert told == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_UNKNOWN", "the caller is not known")
    assert house.rig.upstream.calls == 0
    assert not house.rig.trail.exists() or house.entries() == []


async def test_a_bank_is_known_by_its_certificate_alone(house: House) -> None:
    async with house.channel("bank-b") as channel:
        await CREDIT_DOORS["view"](channel, None)
        answered = await CREDIT_DOORS["batch"](channel, None).read()
        assert answered.HasField("view")
        async for _ in CREDIT_DOORS["stream"](channel, None):
            pass
        for door in OPEN_DOORS.values():
            await door(channel, None)

    assert {entry["bank"] for entry in house.entries()} == {"bank-b"}


async def test_A2_a_bank_that_says_it_is_another_is_refused_and_the_operator_told(house: House) -> None:
    with capture_logs() as logs:
        async with house.channel("bank-b") as channel:
            told = {await refusal(door(channel, (("xinyidai-bank", "bank-a"),))) for door in CREDIT_DOORS.values()}

    assert {(code, reason) for code, reason, _ in told} == {(grpc.StatusCode.PERMISSION_DENIED, "CALLER_MISMATCH")}
    refused = [log for log in logs if log["event"] == "security.caller_refused"]
    assert [log["certificate"] for log in refused] == [house.authority.read("bank-b").fingerprint]
    assert house.rig.upstream.calls == 0


async def test_A2_banks_and_operators_keep_to_their_own_doors(house: House) -> None:
    async with house.channel("ops") as ops, house.channel("bank-a") as bank:
        wrong = [await refusal(door(ops, None)) for door in CREDIT_DOORS.values()]
        wrong += [await refusal(door(bank, None)) for door in ADMIN_DOORS.values()]
        for door in ADMIN_DOORS.values():
            await door(ops, None)

    assert {(code, reason) for code, reason, _ in wrong} == {(grpc.StatusCode.PERMISSION_DENIED, "POLICY_DENIED")}
    assert house.rig.upstream.calls == 0


async def test_A2_one_request_id_of_two_certificates_is_two_questions(house: House) -> None:
    asked = request(request_id="r-1")
    async with house.channel("bank-b") as channel:
        other: Stub = credit_service_pb2_grpc.CreditServiceStub(channel)
        first = await house.rig.credit.GetCreditView(asked)
        second = await other.GetCreditView(asked)
        again = await other.GetCreditView(asked)

    assert first.delivery.answer_id != second.delivery.answer_id
    assert (again.delivery.answer_id, again.delivery.is_repeated) == (second.delivery.answer_id, True)
    fingerprints = [house.authority.read(bank).fingerprint for bank in ("bank-a", "bank-b", "bank-b")]
    assert [(e["event"], e["certificate"]) for e in house.entries()] == list(
        zip(("answered", "answered", "repeated"), fingerprints, strict=True)
    )


async def test_a_token_s_operator_and_branch_stand_in_the_trail(house: House) -> None:
    metadata = bearer(house.token())

    await house.rig.credit.GetCreditView(request(), metadata=metadata)
    await house.rig.credit.GetCreditView(request(operator="op-7", branch="pudong"), metadata=metadata)

    assert {(e["bank"], e["operator"], e["branch"]) for e in house.entries()} == {("bank-a", "op-7", "pudong")}


@pytest.mark.parametrize("stated", [{"operator": "op-8"}, {"branch": "puxi"}])
async def test_A2_an_operator_or_branch_that_is_not_the_token_s_is_refused(
    house: House, stated: dict[str, str]
) -> None:
    metadata = bearer(house.token())
    stub: Stub = house.rig.credit
    item = credit_service_pb2.BatchGetCreditViewsRequest(correlation_id="1", query=query(**stated))

    told = await refusal(stub.GetCreditView(request(**stated), metadata=metadata))
    in_batch = await stub.BatchGetCreditViews(iter([item]), metadata=metadata).read()

    assert told[:2] == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_MISMATCH")
    assert in_batch.error.code == grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert house.rig.upstream.calls == 0


async def test_A3_A4_A5_a_token_that_proves_nothing_is_refused_with_its_reason(house: House) -> None:
    now = int(datetime.now(UTC).timestamp())
    await house.rig.credit.GetCreditView(request(), metadata=bearer(house.token(jti="used")))
    wrong = {
        "TOKEN_EXPIRED": house.token(iat=now - 600, exp=now - 61),
        "TOKEN_NOT_YET_VALID": house.token(nbf=now + 120),
        "TOKEN_REPLAYED": house.token(jti="used", sub="op-8"),
        "TOKEN_SIGNATURE_INVALID": house.token()[:-6] + "AAAAAA",
        "TOKEN_INVALID": house.token(aud="another"),
    }
    house.rig.upstream.calls = 0

    told = {
        reason: await refusal(house.rig.credit.GetCreditView(request(), metadata=bearer(token)))
        for reason, token in wrong.items()
    }

    assert {reason: got[:2] for reason, got in told.items()} == {
        reason: (grpc.StatusCode.UNAUTHENTICATED, reason) for reason in wrong
    }
    assert house.rig.upstream.calls == 0


async def test_A3_items_of_a_batch_that_outlives_its_token_are_refused_one_by_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = MovedClock(datetime.now(UTC))
    stub: Stub = house.rig.credit
    stream = stub.BatchGetCreditViews(metadata=bearer(house.token()))
    asked = query(request_id="asked")

    async def ask(number: str) -> Any:
        await stream.write(credit_service_pb2.BatchGetCreditViewsRequest(correlation_id=number, query=asked))
        return await stream.read()

    first = await ask("1")
    calls = house.rig.upstream.calls
    later.at_s = 7_200.0
    monkeypatch.setattr(house.rig.gateway.queries, "_clock", later)  # the hours that a batch may last
    second = await ask("2")
    await stream.done_writing()

    assert first.view.delivery.answer_id
    info = error_details_pb2.ErrorInfo()
    assert second.error.details[0].Unpack(info)
    assert (second.error.code, info.reason) == (grpc.StatusCode.UNAUTHENTICATED.value[0], "TOKEN_EXPIRED")
    assert house.rig.upstream.calls == calls
    assert [(e["event"], e["reason"]) for e in house.entries()] == [("answered", ""), ("refused", "TOKEN_EXPIRED")]


async def test_A2_a_token_under_another_certificate_is_refused_as_any_foreign_one(house: House) -> None:
    async with house.channel("bank-b") as channel:
        stub: Stub = credit_service_pb2_grpc.CreditServiceStub(channel)
        told = [
            await refusal(stub.GetCreditView(request(), metadata=bearer(token)))
            for token in (house.token("bank-a"), house.token("bank-b"), house.token("bank-b", iss="https://nobody"))
        ]

    assert {*told} == {(grpc.StatusCode.PERMISSION_DENIED, "CALLER_MISMATCH", "the token is not this certificate's")}


async def test_without_the_issuer_s_keys_a_token_s_call_may_be_tried_again(house: House) -> None:
    house.issuer.status = 503

    code, reason, _ = await refusal(house.rig.credit.GetCreditView(request(), metadata=bearer(house.token())))

    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "IDENTITY_UNAVAILABLE")


async def test_health_is_told_to_whoever_the_handshake_let_in(house: House) -> None:
    async with house.channel("stranger") as channel:
        stub: Stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_A14_no_token_stands_in_a_log_an_error_or_the_trail(house: House) -> None:
    good, bad = house.token(), house.token(sub="op-8", aud="another")
    with capture_logs() as logs:
        await house.rig.credit.GetCreditView(request(), metadata=bearer(good))
        told = await refusal(house.rig.credit.GetCreditView(request(), metadata=bearer(bad)))

    written = json.dumps([*logs, *told[1:], *house.entries()], default=str)
    for token in (good, bad):
        assert not any(part in written for part in token.split("."))
        assert hashlib.sha256(token.encode()).hexdigest() not in written


def test_tokens_of_the_shipped_file_are_nobody_s() -> None:
    tables = shipped_settings().banks.banks.values()

    assert [table for table in tables if isinstance(table, BankTable) and isinstance(table.tokens, TokenTable)] == []
