"""Consents as a bank's client meets them, and the command that people use."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import hashes
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from typer.testing import CliRunner

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2_grpc
from gateway.adapters.rpc.server import CONSENTS
from gateway.adapters.stores.door import open_database
from gateway.adapters.stores.schema import upgrade
from gateway.adapters.stores.standing import revisions
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.consents import consents
from gateway.cli.running import gateway
from gateway.gateway_file import StoreSettings
from tests.e2e.conftest import DEMO, Rig
from tests.e2e.test_command import run
from tests.postgres import postgres
from tests.shipped import shipped_settings

A, B = ((("xinyidai-bank", bank),) for bank in ("bank-a", "bank-b"))
OTHER = "91310115MAC0DEM080"


def stub(rig: Rig) -> consent_service_pb2_grpc.ConsentServiceAsyncStub:
    return consent_service_pb2_grpc.ConsentServiceStub(rig.channel)


def terms(**more: Any) -> pb.ConsentTerms:
    begin, end = Timestamp(), Timestamp()
    begin.FromJsonString("2026-01-01T00:00:00Z")
    end.FromJsonString("2099-01-01T00:00:00Z")
    values: dict[str, Any] = {
        "uscc": DEMO,
        "purposes": [PURPOSE_PRE_LOAN],
        "categories": [CATEGORY_TAX_PAYMENT],
        "valid_from": begin,
        "valid_to": end,
        "channel": pb.CONSENT_CHANNEL_PAPER_SCAN,
        "document_digest": bytes(32),
    }
    return pb.ConsentTerms(**{**values, **more})


async def registered(rig: Rig, bank: Any = A, request_id: str = "", **more: Any) -> pb.Consent:
    request = pb.RegisterConsentRequest(terms=terms(**more), request_id=request_id)
    response: pb.RegisterConsentResponse = await stub(rig).RegisterConsent(request, metadata=bank)
    return response.consent


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Gives the code, the reason and the text of a refused call."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it has what a call has
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return raised.value.code(), info.reason, status.message


async def test_a_consents_life_from_registration_to_revocation(rig: Rig) -> None:
    kept = await registered(rig, platforms=["shanghai", "anhui"], max_uses=3, person_ref="p-1")

    paused = await stub(rig).PauseConsent(pb.PauseConsentRequest(consent_id=kept.consent_id), metadata=A)
    resumed = await stub(rig).ResumeConsent(
        pb.ResumeConsentRequest(consent_id=kept.consent_id, expected_version=2), metadata=A
    )
    revoked = await stub(rig).RevokeConsent(
        pb.RevokeConsentRequest(consent_id=kept.consent_id, reason="withdrawn", operator="op-7"), metadata=A
    )
    shown = await stub(rig).GetConsent(pb.GetConsentRequest(consent_id=kept.consent_id), metadata=A)

    assert kept.terms == terms(platforms=["anhui", "shanghai"], max_uses=3, person_ref="p-1")
    assert (kept.version, kept.state) == (1, pb.CONSENT_STATE_ACTIVE)
    assert [c.consent.state for c in (paused, resumed, revoked)] == [
        pb.CONSENT_STATE_PAUSED,
        pb.CONSENT_STATE_ACTIVE,
        pb.CONSENT_STATE_REVOKED,
    ]
    assert shown.consent == revoked.consent
    assert [change.event for change in shown.changes] == [
        pb.CONSENT_EVENT_REGISTERED,
        pb.CONSENT_EVENT_PAUSED,
        pb.CONSENT_EVENT_RESUMED,
        pb.CONSENT_EVENT_REVOKED,
    ]
    entries = [json.loads(line) for line in rig.trail.read_text().splitlines()]
    assert [entry["event"] for entry in entries] == [
        "consent_registered", "consent_paused", "consent_resumed", "consent_revoked",
    ]  # fmt: skip
    assert (entries[-1]["operator"], entries[-1]["consent"]["state"]) == ("op-7", "REVOKED")


async def test_another_banks_consent_and_one_that_does_not_exist_are_the_same_to_every_method(rig: Rig) -> None:
    kept = await registered(rig)
    nowhere = kept.consent_id[:-4] + "0000"
    told = []

    for bank, consent_id in ((B, kept.consent_id), (A, nowhere), (A, "no id")):
        for call in (
            stub(rig).GetConsent(pb.GetConsentRequest(consent_id=consent_id), metadata=bank),
            stub(rig).PauseConsent(pb.PauseConsentRequest(consent_id=consent_id), metadata=bank),
            stub(rig).ResumeConsent(pb.ResumeConsentRequest(consent_id=consent_id), metadata=bank),
            stub(rig).RevokeConsent(pb.RevokeConsentRequest(consent_id=consent_id, reason="x"), metadata=bank),
        ):
            told.append(await refusal(call))
    listed = await stub(rig).ListConsents(pb.ListConsentsRequest(), metadata=B)

    assert set(told) == {(grpc.StatusCode.NOT_FOUND, "CONSENT_NOT_FOUND", "no such consent of this bank")}
    assert list(listed.consents) == []


async def test_a_refusal_has_a_trace_id_to_quote_and_names_the_field_by_its_path(rig: Rig) -> None:
    sent = "4bf92f3577b34da6a3ce929d0e0e4736"
    told = []

    for more in ((), (("traceparent", f"00-{sent}-00f067aa0ba902b7-00"),)):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub(rig).RegisterConsent(
                pb.RegisterConsentRequest(terms=terms(uscc=f"{DEMO[:-1]}8")), metadata=(*A, *more)
            )
        status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it has what a call has
        assert status is not None
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        assert status.details[0].Unpack(info)
        assert status.details[1].Unpack(bad)
        told.append((info.metadata["trace_id"], info.reason, bad.field_violations[0].field))

    assert told[1] == (sent, "INVALID_IDENTIFIER", "terms.uscc")
    assert told[0][1:] == told[1][1:]
    assert re.fullmatch("[0-9a-f]{32}", told[0][0])


async def test_forbidden_changes_and_old_versions_have_codes_of_their_own(rig: Rig) -> None:
    kept = await registered(rig)
    await stub(rig).PauseConsent(pb.PauseConsentRequest(consent_id=kept.consent_id), metadata=A)

    late = await refusal(
        stub(rig).ResumeConsent(pb.ResumeConsentRequest(consent_id=kept.consent_id, expected_version=1), metadata=A)
    )
    await stub(rig).RevokeConsent(pb.RevokeConsentRequest(consent_id=kept.consent_id, reason="x"), metadata=A)
    final = await refusal(stub(rig).ResumeConsent(pb.ResumeConsentRequest(consent_id=kept.consent_id), metadata=A))

    assert late[:2] == (grpc.StatusCode.ABORTED, "CONSENT_CHANGED")
    assert final[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "CONSENT_STATE_FORBIDS")


async def test_a_registration_is_idempotent_by_request_id(rig: Rig) -> None:
    first = await registered(rig, request_id="r-1")

    again = await stub(rig).RegisterConsent(pb.RegisterConsentRequest(terms=terms(), request_id="r-1"), metadata=A)
    other = await refusal(
        stub(rig).RegisterConsent(pb.RegisterConsentRequest(terms=terms(max_uses=1), request_id="r-1"), metadata=A)
    )
    of_bank_b = await registered(rig, B, request_id="r-1", max_uses=1)

    assert (again.consent, again.is_repeated) == (first, True)
    assert other[:2] == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert of_bank_b.consent_id != first.consent_id


async def test_lists_are_paged_by_a_token_of_the_same_list(rig: Rig) -> None:
    kept = [await registered(rig, uscc=(DEMO, OTHER)[number % 2]) for number in range(5)]

    first = await stub(rig).ListConsents(pb.ListConsentsRequest(page_size=3), metadata=A)
    rest = await stub(rig).ListConsents(
        pb.ListConsentsRequest(page_size=3, page_token=first.next_page_token), metadata=A
    )
    about = await stub(rig).ListConsents(pb.ListConsentsRequest(uscc=DEMO), metadata=A)
    for token in (first.next_page_token, "!", "AAAA"):
        strange = stub(rig).ListConsents(pb.ListConsentsRequest(uscc=DEMO, page_token=token), metadata=A)
        assert (await refusal(strange))[0] is grpc.StatusCode.INVALID_ARGUMENT

    assert {one.consent_id for one in kept} == {one.consent_id for one in (*first.consents, *rest.consents)}
    assert (len(first.consents), len(rest.consents), rest.next_page_token) == (3, 2, "")
    assert {one.terms.uscc for one in about.consents} == {DEMO}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"uscc": "91310115MA0TERT168"}, "position 18"),
        ({"purposes": []}, "purposes"),
        ({"purposes": [99]}, "purposes[0]"),
        ({"categories": [0]}, "categories[0]"),
        ({"platforms": ["beijing"]}, "platforms[0]"),
        ({"document_digest": b"short"}, "document_digest"),
        ({"channel": 0}, "channel"),
        ({"channel": pb.CONSENT_CHANNEL_E_SIGN}, "signature"),
        ({"channel": pb.CONSENT_CHANNEL_E_SIGN, "signature": b"s"}, "certificate_serial"),
        ({"person_ref": "张三"}, "person_ref"),
        ({"valid_to": Timestamp(seconds=1_500_000_000)}, "valid_to"),
        ({"valid_from": Timestamp(seconds=1), "valid_to": Timestamp(seconds=2)}, "valid_to"),
        ({"valid_from": Timestamp(seconds=10**15)}, "valid_from"),
    ],
)
async def test_terms_that_break_a_rule_are_refused_by_field(rig: Rig, more: dict[str, Any], field: str) -> None:
    call = stub(rig).RegisterConsent(pb.RegisterConsentRequest(terms=terms(**more)), metadata=A)

    code, _, text = await refusal(call)

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in text


async def test_on_postgresql_it_serves_and_when_that_is_gone_is_unavailable_with_its_health_red(tmp_path: Path) -> None:
    configure_logs("error")
    shipped = shipped_settings()
    with ExitStack() as server:
        url = f"postgresql+asyncpg://postgres@/postgres?host={server.enter_context(postgres())}"
        settings = replace(shipped, gateway=shipped.gateway.model_copy(update={"store": StoreSettings(url=url)}))
        await brought_up(url)
        async with (
            gateway(settings, listen="127.0.0.1:0", audit_path=tmp_path / "audit.jsonl") as (_, port),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            client = consent_service_pb2_grpc.ConsentServiceStub(channel)
            health: Any = health_pb2_grpc.HealthStub(channel)
            asked = health_pb2.HealthCheckRequest(service=CONSENTS)
            made = await client.RegisterConsent(pb.RegisterConsentRequest(terms=terms()), metadata=A)
            read = pb.GetConsentRequest(consent_id=made.consent.consent_id)
            kept = await client.GetConsent(read, metadata=A)
            before = (await health.Check(asked)).status

            server.close()
            got = await refusal(client.GetConsent(read, metadata=A))
            async with asyncio.timeout(20):
                watched = health.Watch(asked)
                async for response in watched:
                    if response.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                        break
            watched.cancel()

    assert kept.consent == made.consent
    assert before == health_pb2.HealthCheckResponse.SERVING
    assert got[:2] == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


async def brought_up(url: str) -> None:
    database = open_database(url)
    try:
        await upgrade(database)
    finally:
        await database.aclose()


@pytest.mark.parametrize(("one", "other"), [("--to=2099-01-01", "--days=10"), ("--one-time", "--max-uses=3")])
def test_terms_that_exclude_each_other_are_refused_before_anything_is_registered(
    one: str, other: str, tmp_path: Path
) -> None:
    document = tmp_path / "authorisation.pdf"
    document.write_bytes(b"signed")
    stated = ["--purpose", "PRE_LOAN", "--category", "TAX_PAYMENT", "--document", str(document), "--plaintext"]

    done = CliRunner().invoke(consents, ["register", DEMO, *stated, one, other])

    names = [option.partition("=")[0] for option in (one, other)]
    assert (done.exit_code, f"{names[0]} and {names[1]} exclude each other" in done.output) == (2, True)


async def test_the_command_registers_lists_shows_and_revokes(rig: Rig, tmp_path: Path) -> None:
    document = tmp_path / "authorisation.pdf"
    document.write_bytes("授权书".encode() * 1000)
    digest = hashes.Hash(hashes.SM3())
    digest.update(document.read_bytes())
    at = ("--address", rig.address, "--bank", "bank-a")

    code, out, err = await run(
        "consent", "register", DEMO, "--purpose", "pre-loan", "--category", "tax_payment", "--category", "REGISTRATION",
        "--document", str(document), "--one-time", "--to", "2099-01-01", "--json", *at,
    )  # fmt: skip
    made = json.loads(out)
    listed = await run("consent", "list", DEMO, "--json", *at)
    table = await run("consent", "list", *at)
    paused = await run("consent", "pause", made["consent_id"], *at)
    resumed = await run("consent", "resume", made["consent_id"], "--version", "2", *at)
    revoked = await run("consent", "revoke", made["consent_id"], "--reason", "withdrawn", "--json", *at)
    shown = await run("consent", "show", made["consent_id"], *at, language="zh_CN.UTF-8")
    again = await run("consent", "pause", made["consent_id"], *at)
    stranger = await run("consent", "show", made["consent_id"], "--address", rig.address, "--bank", "bank-b")

    assert (code, err) == (0, "")
    kept = (await stub(rig).GetConsent(pb.GetConsentRequest(consent_id=made["consent_id"]), metadata=A)).consent
    assert kept.terms.document_digest == digest.finalize()
    assert (kept.terms.max_uses, len(kept.terms.categories)) == (1, 2)
    assert kept.terms.valid_to.ToJsonString() == "2098-12-31T16:00:00Z"  # midnight in China
    assert json.loads(listed[1])["consent_id"] == made["consent_id"]
    assert made["consent_id"][:8] in table[1]
    assert [each[0] for each in (paused, resumed, revoked, shown, again, stranger)] == [0, 0, 0, 0, 1, 1]
    assert json.loads(revoked[1])["state"] == "CONSENT_STATE_REVOKED"
    assert "企业授权" in shown[1]
    assert "REVOKED" in shown[1]
    assert "it is revoked, which is final" in again[2]
    assert "no such consent" in stranger[2]


@pytest.mark.long
async def test_wrong_options_of_the_command_end_with_2(tmp_path: Path) -> None:
    (tmp_path / "d").touch()

    code, _, err = await run(
        "consent", "register", DEMO, "--purpose", "fun", "--category", "TAX_PAYMENT", "--document", str(tmp_path / "d")
    )
    missing, _, _ = await run(
        "consent", "register", DEMO, "--purpose", "PRE_LOAN", "--category", "TAX_PAYMENT", "--document", "no such file"
    )

    assert (code, "use one of PRE_LOAN" in err, missing) == (2, True, 2)


@pytest.mark.parametrize(("language", "word"), [("C.UTF-8", "for the trail."), ("zh_CN.UTF-8", "记入留痕。")])
async def test_help_of_consents_speaks_both_languages(language: str, word: str) -> None:
    code, out, _ = await run("consent", "revoke", "--help", language=language)

    assert (code, word in out) == (0, True)


@pytest.mark.long
async def test_the_store_s_schema_is_upgraded_and_shown_by_the_command(tmp_path: Path) -> None:
    shown_before = await run("store", "show", "--json", cwd=tmp_path)
    upgraded = await run("store", "upgrade", cwd=tmp_path)
    shown = await run("store", "show", "--json", cwd=tmp_path)

    assert (shown_before[0], json.loads(shown_before[1])["standing"]) == (0, "EMPTY")
    assert (upgraded[0], "RIGHT" in upgraded[1]) == (0, True)
    newest = revisions()[-1]
    assert json.loads(shown[1]) == {"standing": "RIGHT", "revision": newest, "newest": newest}


async def test_D6_serve_refuses_a_schema_that_is_not_right(tmp_path: Path) -> None:
    await brought_up(f"sqlite+aiosqlite:///{tmp_path / 'var' / 'store.db'}")
    with closing(sqlite3.connect(tmp_path / "var" / "store.db", isolation_level=None)) as connection:
        connection.execute("DROP TABLE consent_changes")

    code, _, err = await run(
        "serve", "--development", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", cwd=tmp_path
    )

    assert code == 2
    assert "consent_changes is missing" in err
    assert "restore the last backup" in err
