"""Evidence and archive as a bank's client meets them, over a gateway that signs with keys of development."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway._pb.xinyidai.gateway.v1 import archive_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import archive_service_pb2_grpc, credit_service_pb2
from gateway.adapters.rpc.evidence import delivered_of, receipt_of
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.public_keys import read_keys
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.cli.verify import is_signed
from gateway.domain.errors import StoreError
from gateway.domain.merkle import is_included
from gateway.domain.proof import check
from gateway.domain.statement import sm3
from gateway.evidence_bootstrap import key_faults
from gateway.evidence_settings import EvidenceSettings
from gateway.gateway_file import ArchiveSettings
from gateway.settings import Settings
from gateway.trail_settings import AnchorSettings
from tests.adapters.test_metrics import samples
from tests.e2e.conftest import DEMO, Rig, query
from tests.e2e.test_command import run
from tests.shipped import shipped_settings

A, B = ((("xinyidai-bank", bank),) for bank in ("bank-a", "bank-b"))


def archiving(settings: Settings, suite: Any = "mixed", anchors: str = "") -> Settings:
    audit = settings.gateway.audit.model_copy(update={"anchor": AnchorSettings(file=anchors)})
    more = {"archive": ArchiveSettings(enabled=True), "evidence": EvidenceSettings(suite=suite), "audit": audit}
    return replace(settings, gateway=settings.gateway.model_copy(update=more))


@asynccontextmanager
async def signing(folder: Path, suite: str = "mixed", anchors: str = "") -> AsyncIterator[Rig]:
    """Starts a gateway that signs and archives, before its simulated platforms."""
    configure_logs("error")
    settings = archiving(shipped_settings(), suite, anchors)
    trail = folder / "audit.jsonl"
    async with (
        sandboxes(list(settings.platforms), World(enterprises=12)) as platforms,
        gateway(at_sandboxes(settings, platforms), listen="127.0.0.1:0", audit_path=trail) as (built, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Rig(f"127.0.0.1:{port}", platforms, trail, built, channel)  # type: ignore[arg-type]


@pytest.fixture
async def signed(tmp_path: Path) -> AsyncIterator[Rig]:
    """Gives such a gateway."""
    async with signing(tmp_path) as rig:
        yield rig


def stub(rig: Rig) -> archive_service_pb2_grpc.ArchiveServiceAsyncStub:
    return archive_service_pb2_grpc.ArchiveServiceStub(rig.channel)


async def answered(
    rig: Rig, asked: credit_service_pb2.CreditQuery | None = None
) -> credit_service_pb2.GetCreditViewResponse:
    request = credit_service_pb2.GetCreditViewRequest(query=asked or query())
    response: credit_service_pb2.GetCreditViewResponse = await rig.credit.GetCreditView(request, metadata=A)
    return response


async def archived(rig: Rig, answer_id: str, bank: Any = A) -> pb.GetArchivedViewResponse:
    response: pb.GetArchivedViewResponse = await stub(rig).GetArchivedView(
        pb.GetArchivedViewRequest(answer_id=answer_id), metadata=bank
    )
    return response


def events(rig: Rig, name: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in rig.trail.read_text(encoding="utf-8").splitlines()]
    return [entry for entry in entries if entry["event"] == name]


@pytest.mark.parametrize("suite", ["mixed", "gm"])
async def test_A13_a_trail_cut_by_one_commit_that_its_anchors_know_does_not_start_and_no_copy_is_deleted(
    tmp_path: Path, suite: str
) -> None:
    anchors = str(tmp_path / "elsewhere" / "anchors.jsonl")
    async with signing(tmp_path, suite, anchors) as rig:
        await answered(rig)
        await answered(rig, query(application_reference="APP-2"))
    whole = rig.trail.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert [json.loads(line)["event"] for line in lines[-2:]] == ["answered", "root"]
    rig.trail.write_bytes(b"".join(lines[:-2]))

    with pytest.raises(StoreError, match="it was cut"):
        async with signing(tmp_path, suite, anchors):
            pass

    rig.trail.write_bytes(whole)
    async with signing(tmp_path, suite, anchors) as again:
        given = await archived(again, json.loads(lines[-2])["answer_id"])
    assert given.view


async def test_an_answer_carries_proof_of_what_was_asked_and_answered(signed: Rig) -> None:
    asked = query(application_reference="APP-1", quorum=2)

    response = await answered(signed, asked)

    receipt = receipt_of(response.delivery.evidence)
    assert is_included(receipt, sm3)
    assert receipt.leaf.answer_id == response.delivery.answer_id
    assert receipt.leaf.view_id == response.view.view_id
    assert receipt.leaf.view_digest == sm3(response.view.SerializeToString())
    assert receipt.leaf.request_digest == sm3(asked.SerializeToString(deterministic=True))
    assert receipt.leaf.bank == "bank-a"


@pytest.mark.parametrize(("suite", "algorithm"), [("gm", "SM2-SM3"), ("international", "ED25519")])
async def test_the_other_suites_prove_and_archive_too(tmp_path: Path, suite: str, algorithm: str) -> None:
    async with signing(tmp_path, suite) as rig:
        response = await answered(rig)
        found = await archived(rig, response.delivery.answer_id)
    keys = read_keys(tmp_path / "evidence-keys.json")
    saved = [response.SerializeToString(), found.SerializeToString()]

    checked = [check(delivered_of(raw), lambda root: is_signed(root, keys)) for raw in saved]

    assert [each.failed for each in checked] == [None, None]
    assert response.delivery.evidence.root.algorithm == algorithm


async def test_the_archive_gives_back_the_very_bytes_that_were_sent(signed: Rig) -> None:
    response = await answered(signed)

    found = await archived(signed, response.delivery.answer_id)

    assert found.view == response.view.SerializeToString()
    assert found.evidence == response.delivery.evidence
    assert found.retention_class == "personal"  # a development permit masks nothing
    assert found.kept_until.ToDatetime().year == int(found.evidence.leaf.at[:4]) + 5
    assert [(entry["answer_id"], entry["reason"]) for entry in events(signed, "archive_read")] == [
        (response.delivery.answer_id, "")
    ]


async def test_an_answer_given_again_carries_the_same_evidence(signed: Rig) -> None:
    asked = query(request_id="r-1")

    first, second = [await answered(signed, asked) for _ in range(2)]

    assert second.delivery.is_repeated
    assert second.delivery.evidence == first.delivery.evidence


async def test_a_streams_final_view_and_a_batchs_items_carry_evidence(signed: Rig) -> None:
    streamed = [
        event
        async for event in signed.credit.StreamCreditView(
            credit_service_pb2.StreamCreditViewRequest(query=query()), metadata=A
        )
    ]
    items = [
        item
        async for item in signed.credit.BatchGetCreditViews(
            iter([credit_service_pb2.BatchGetCreditViewsRequest(correlation_id="1", query=query())]), metadata=A
        )
    ]

    for response in (streamed[-1].final, items[0].view):
        found = await archived(signed, response.delivery.answer_id)
        assert found.view == response.view.SerializeToString()
        assert found.evidence == response.delivery.evidence


async def test_another_banks_answer_reads_like_one_that_never_was(signed: Rig) -> None:
    response = await answered(signed)

    refusals = []
    for answer_id in (response.delivery.answer_id, "0197-unknown"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await archived(signed, answer_id, B)
        refusals.append((refused.value.code(), refused.value.details(), _reason(refused.value)))

    assert refusals == [(grpc.StatusCode.NOT_FOUND, "no such answer of this bank", "ANSWER_NOT_FOUND")] * 2
    assert [entry["reason"] for entry in events(signed, "archive_read")] == ["ANSWER_NOT_FOUND"] * 2


async def test_sealed_copies_say_so_and_the_sealing_is_in_the_trail(signed: Rig) -> None:
    response = await answered(signed)

    sealed = await stub(signed).SealViews(pb.SealViewsRequest(uscc=DEMO, reason=pb.SEAL_REASON_REPAIR))
    found = await archived(signed, response.delivery.answer_id)

    assert sealed.view_count == 1
    assert found.sealed_because == pb.SEAL_REASON_REPAIR  # a development caller audits too
    assert [(e["uscc"], e["reason"], e["count"]) for e in events(signed, "archive_sealed")] == [(DEMO, "REPAIR", 1)]


async def test_D5_an_altered_copy_is_not_served(signed: Rig) -> None:
    response = await answered(signed)
    with closing(sqlite3.connect(signed.trail.parent / "store.db")) as store, store:
        store.execute("UPDATE archived_views SET content = content || x'00'")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await archived(signed, response.delivery.answer_id)

    assert _reason(refused.value) == "STORE_UNAVAILABLE"
    assert [entry["reason"] for entry in events(signed, "archive_read")] == ["STORE_UNAVAILABLE"]
    page = await signed.gateway.metrics.page()
    assert samples(page)["xinyidai_corrupt_records_total kind=archive"] == 1


async def test_D1_a_gateway_whose_archive_cannot_be_reached_is_not_ready(signed: Rig) -> None:
    await answered(signed)
    before = signed.gateway.unready()
    with closing(sqlite3.connect(signed.trail.parent / "store.db")) as store, store:
        store.execute("ALTER TABLE archived_views RENAME TO elsewhere")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await answered(signed)
    red = signed.gateway.unready()
    with closing(sqlite3.connect(signed.trail.parent / "store.db")) as store, store:
        store.execute("ALTER TABLE elsewhere RENAME TO archived_views")
    await answered(signed)

    assert (before, _reason(refused.value)) == ("", "STORE_UNAVAILABLE")
    assert "归档数据库无法访问或写入" in red or "the store" in red
    assert signed.gateway.unready() == ""


async def test_D2_what_a_crash_left_of_an_answer_is_gone_after_the_next_start(tmp_path: Path) -> None:
    async with signing(tmp_path) as rig:
        response = await answered(rig)
        answer_id = response.delivery.answer_id
    lines = (tmp_path / "audit.jsonl").read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if answer_id.encode() in line)
    (tmp_path / "audit.jsonl").write_bytes(b"".join(lines[:at]))  # as if the commit had never been durable

    async with signing(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await archived(rig, answer_id)
        withdrawn = [entry["count"] for entry in events(rig, "archive_withdrawn")]

    assert (_reason(refused.value), withdrawn) == ("ANSWER_NOT_FOUND", [1])


def _reason(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def test_what_the_command_saved_is_verified_offline_and_a_changed_byte_is_not(
    signed: Rig, tmp_path: Path
) -> None:
    saved, asked, again = (tmp_path / name for name in ("view.bin", "request.bin", "again.bin"))
    key = signed.trail.parent / "evidence-keys.json"
    at = ("--address", signed.address, "--plaintext")
    code, _, err = await run("query", DEMO, *at, "--output", str(saved), "--request-output", str(asked))
    assert code == 0, err
    answer_id = events(signed, "answered")[0]["answer_id"]
    code, _, err = await run("archive", "get", answer_id, *at, "--output", str(again))
    assert code == 0, err
    changed = tmp_path / "changed.bin"
    raw = saved.read_bytes()
    place = raw.index(DEMO.encode())
    changed.write_bytes(raw[:place] + b"8" + raw[place + 1 :])

    proved = await run("verify", str(saved), "--public-key", str(key), "--request", str(asked), "--json")
    later = await run("verify", str(again), "--public-key", str(key), language="zh_CN.UTF-8")
    refused = await run("verify", str(changed), "--public-key", str(key))

    assert (proved[0], json.loads(proved[1])["failed"]) == (0, None)
    assert "request" in json.loads(proved[1])["held"]
    assert (later[0], "已证明" in later[1]) == (0, True)
    assert refused[0] == 1
    assert "FAILS   the view's bytes are those the evidence speaks of" in refused[1]


def test_off_loopback_an_archive_needs_keys_of_its_own() -> None:
    settings = archiving(shipped_settings())

    assert "evidence.signing_key" in key_faults(settings)[0]
    assert key_faults(shipped_settings()) == []
