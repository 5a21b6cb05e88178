"""Consents enforced over real gRPC, before real platforms' dialects, with a real store."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_HOLDER,
    CATEGORY_PENALTY,
    CATEGORY_REGISTRATION,
    CATEGORY_TAX_PAYMENT,
)
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NOT_CONSENTED, PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as consent_pb
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2_grpc, credit_service_pb2_grpc
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database, embedded
from gateway.adapters.telemetry.logs import configure_logs
from gateway.application.consents import Consents
from gateway.bootstrap import build_gateway
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.connector_bootstrap import find_plugins
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.errors import ConfigError
from gateway.gateway_file import ConsentSettings
from gateway.settings import Settings
from tests.e2e.conftest import DEMO, query
from tests.e2e.test_consent_service import terms
from tests.shipped import shipped_settings

BANK = "bank-a"
PERSON = "测试甲"


@dataclass
class Enforcing:
    """A gateway that enforces consents, its store, its trail, and a client."""

    credit: credit_service_pb2_grpc.CreditServiceAsyncStub
    consents: consent_service_pb2_grpc.ConsentServiceAsyncStub
    store: SqlConsentStore
    trail: Path

    async def ask(self, *categories: int, **more: Any) -> pb.GetCreditViewResponse:
        asked = query(categories=categories, **{"consent_ids": ["c-1"], **more})
        response: pb.GetCreditViewResponse = await self.credit.GetCreditView(
            pb.GetCreditViewRequest(query=asked), metadata=(("xinyidai-bank", BANK),)
        )
        return response

    async def refused(self, *categories: int, **more: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.ask(*categories, **more)
        status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]
        info = error_details_pb2.ErrorInfo()
        assert status is not None
        status.details[0].Unpack(info)
        return raised.value.code(), info.reason

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.trail.read_text().splitlines()]


def consent(consent_id: str = "c-1", **more: Any) -> Consent:
    now = datetime.now(UTC)
    stated: dict[str, Any] = {
        "bank": BANK,
        "uscc": DEMO,
        "purposes": (PURPOSE_PRE_LOAN,),
        "categories": (CATEGORY_HOLDER, CATEGORY_TAX_PAYMENT),
        "valid_from": now - timedelta(days=1),
        "valid_to": now + timedelta(days=1),
        "created_at": now,
        "changed_at": now,
    }
    return Consent(consent_id=consent_id, **{**stated, **more})


def enforced(settings: Settings) -> Settings:
    """Gives the settings with consents enforced, the key in the environment."""
    stated = ConsentSettings(enforced=True, masking_key="env:TEST_MASKING_KEY", poll_s=0.05)
    return replace(settings, gateway=settings.gateway.model_copy(update={"consent": stated}))


@pytest.fixture
async def enforcing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Enforcing]:
    """Starts it all and stops it all."""
    configure_logs("error")
    monkeypatch.setenv("TEST_MASKING_KEY", "a key of this deployment")
    settings = enforced(shipped_settings())
    trail = tmp_path / "audit.jsonl"
    async with (
        sandboxes(list(settings.platforms), World(enterprises=40)) as platforms,
        gateway(at_sandboxes(settings, platforms), listen="127.0.0.1:0", audit_path=trail) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        database = Database(embedded(tmp_path / "store.db"))  # as another process would have it
        try:
            yield Enforcing(
                credit_service_pb2_grpc.CreditServiceStub(channel),
                consent_service_pb2_grpc.ConsentServiceStub(channel),
                SqlConsentStore(database),
                trail,
            )
        finally:
            await database.aclose()


async def test_without_a_consent_taxes_are_refused_and_what_is_public_is_answered_masked(enforcing: Enforcing) -> None:
    alone = await enforcing.refused(CATEGORY_TAX_PAYMENT)
    response = await enforcing.ask(CATEGORY_TAX_PAYMENT, CATEGORY_REGISTRATION, CATEGORY_PENALTY)

    view = response.view
    assert alone == (grpc.StatusCode.PERMISSION_DENIED, "CONSENT_MISSING")
    assert view.permit.kind == "consent"
    assert {c.outcome for a in view.answers for c in a.categories if c.category == CATEGORY_TAX_PAYMENT} == {
        OUTCOME_NOT_CONSENTED
    }
    assert [r.legal_representative for r in view.records.registrations] == ["测**"]
    assert PERSON.encode() not in response.SerializeToString()
    assert [(e["event"], e["reason"], e["refused"]) for e in enforcing.entries] == [
        ("refused", "CONSENT_MISSING", []),
        ("answered", "", ["TAX_PAYMENT"]),
    ]


async def test_with_a_consent_taxes_are_answered_until_it_is_revoked_by_another_process(enforcing: Enforcing) -> None:
    await enforcing.store.register(consent())
    view = (await enforcing.ask(CATEGORY_TAX_PAYMENT)).view
    await enforcing.store.change(BANK, "c-1", 1, ConsentState.REVOKED, datetime.now(UTC), "withdrawn")

    last = None
    for _ in range(200):  # until this process has heard of it: at most a second, here a twentieth
        try:
            await enforcing.ask(CATEGORY_TAX_PAYMENT)
        except grpc.aio.AioRpcError as error:
            last = error.code()
            break

    assert view.records.tax_payments
    assert last == grpc.StatusCode.PERMISSION_DENIED
    assert enforcing.entries[-1]["reason"] == "CONSENT_REVOKED"
    assert enforcing.entries[0]["relied_on"] == ["c-1@1"]


async def test_what_the_bank_registers_it_may_ask_with_and_what_it_revokes_it_may_not_from_the_very_next_query(
    enforcing: Enforcing,
) -> None:
    metadata = (("xinyidai-bank", BANK),)
    registered = await enforcing.consents.RegisterConsent(
        consent_pb.RegisterConsentRequest(terms=terms(categories=[CATEGORY_TAX_PAYMENT]), request_id="r-1"),
        metadata=metadata,
    )
    consent_id = registered.consent.consent_id
    view = (await enforcing.ask(CATEGORY_TAX_PAYMENT, consent_ids=[consent_id])).view
    await enforcing.consents.RevokeConsent(
        consent_pb.RevokeConsentRequest(consent_id=consent_id, reason="withdrawn"), metadata=metadata
    )

    refused = await enforcing.refused(CATEGORY_TAX_PAYMENT, consent_ids=[consent_id])

    assert view.records.tax_payments
    assert refused == (grpc.StatusCode.PERMISSION_DENIED, "CONSENT_REVOKED")


async def test_a_persons_consent_registered_by_name_shows_this_person_alone_until_it_is_revoked(
    enforcing: Enforcing, tmp_path: Path
) -> None:
    metadata = (("xinyidai-bank", BANK),)
    about = [CATEGORY_REGISTRATION, CATEGORY_HOLDER]
    await enforcing.store.register(consent())

    async def registered(name: str) -> consent_pb.Consent:
        response: consent_pb.RegisterConsentResponse = await enforcing.consents.RegisterConsent(
            consent_pb.RegisterConsentRequest(terms=terms(categories=about), person_name=name), metadata=metadata
        )
        return response.consent

    async def shown(*more: str) -> tuple[set[str], set[str]]:
        view = (await enforcing.ask(*about, consent_ids=["c-1", *more])).view
        return (
            {record.legal_representative for record in view.records.registrations},
            {record.holder_name for record in view.records.holders},
        )

    masked = await shown()
    persons = await registered(f" {PERSON} ")
    strangers = await registered("测试无此人")
    lifted = await shown(persons.consent_id)
    strange = await shown(strangers.consent_id)
    await enforcing.consents.RevokeConsent(
        consent_pb.RevokeConsentRequest(consent_id=persons.consent_id, reason="withdrawn"), metadata=metadata
    )
    revoked = await shown(persons.consent_id)

    assert masked[0] == {"测**"}
    assert lifted[0] == {PERSON}
    assert lifted[1] - {PERSON} <= masked[1]
    assert strange == masked == revoked
    assert len(persons.terms.person_ref) == 64
    assert persons.terms.person_ref != strangers.terms.person_ref
    kept = enforcing.trail.read_bytes() + b"".join(file.read_bytes() for file in tmp_path.glob("store.db*"))
    assert persons.terms.person_ref.encode() in kept
    assert PERSON.encode() not in kept
    assert "测试无此人".encode() not in kept


async def test_a_one_time_consent_is_good_once_and_a_stream_is_masked_too(enforcing: Enforcing) -> None:
    await enforcing.store.register(consent(max_uses=1))
    asked = query(categories=[CATEGORY_HOLDER, CATEGORY_REGISTRATION], consent_ids=["c-1"])

    steps = [
        step
        async for step in enforcing.credit.StreamCreditView(
            pb.StreamCreditViewRequest(query=asked), metadata=(("xinyidai-bank", BANK),)
        )
    ]
    second = await enforcing.refused(CATEGORY_HOLDER)

    final = steps[-1].final.view
    assert final.records.registrations[0].legal_representative == "测**"
    assert not any(PERSON.encode() in step.SerializeToString() for step in steps)
    assert second == (grpc.StatusCode.PERMISSION_DENIED, "CONSENT_EXHAUSTED")


@pytest.mark.parametrize(
    ("key", "fault"), [(None, "set the environment variable TEST_MASKING_KEY"), ("short", "must have 16 bytes or more")]
)
async def test_where_consents_are_enforced_a_key_is_needed(
    key: str | None, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_MASKING_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("TEST_MASKING_KEY", key)
    settings = enforced(shipped_settings())

    with pytest.raises(ConfigError, match=fault):
        await build_gateway(settings, find_plugins(settings), audit_path=tmp_path / "audit.jsonl")


async def test_a_name_that_is_registered_stands_in_no_log_trail_store_or_error_whatever_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    canary = "测试金丝雀"
    lines = io.StringIO()
    configure_logs("debug", stream=lines)
    monkeypatch.setenv("TEST_MASKING_KEY", "a key of this deployment")
    settings = enforced(shipped_settings())
    trail = tmp_path / "audit.jsonl"
    odd: dict[str, dict[str, Any]] = {
        "registered": {},
        "both": {"terms": terms(person_ref="p-1")},
        "masked": {"person_name": f"{canary}*"},
        "long": {"person_name": canary * 100},
        "wrong": {"terms": terms(uscc="91310115MA0TERT160")},
        "operator": {"operator": "x" * 200},
    }
    told: dict[str, str] = {}
    caplog.set_level("DEBUG")
    async with (
        sandboxes(list(settings.platforms), World(enterprises=1)) as platforms,
        gateway(at_sandboxes(settings, platforms), listen="127.0.0.1:0", audit_path=trail) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)

        async def register(name: str, more: dict[str, Any]) -> None:
            request = consent_pb.RegisterConsentRequest(**{"terms": terms(), "person_name": canary, **more})
            try:
                told[name] = str(await stub.RegisterConsent(request, metadata=(("xinyidai-bank", BANK),)))
            except grpc.aio.AioRpcError as error:
                told[name] = f"{error.code().name} {error.details()} {error.trailing_metadata()}"

        for name, more in odd.items():
            await register(name, more)

        def broken(self: object, stated: object, by: object, request_id: str) -> object:
            raise RuntimeError(f"no idea what to do with {canary}")

        monkeypatch.setattr(Consents, "register", broken)
        await register("fault", {})

    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    everything = [lines.getvalue(), caplog.text, kept.decode(errors="replace"), *told.values()]
    assert [name for name, text in told.items() if text.startswith("INVALID_ARGUMENT")] == list(odd)[1:]
    assert told["fault"].startswith("INTERNAL")
    assert '"RuntimeError"' in lines.getvalue()  # the fault was logged, without its text
    assert trail.read_text(encoding="utf-8").count("registered") == 1
    raw = canary.encode()
    forms = (canary, canary.encode("unicode_escape").decode(), repr(raw)[2:-1], "".join(f"\\{byte:o}" for byte in raw))
    assert [form for form in forms for text in everything if form in text] == []
