"""Faults of the wire that need their own server: names, certificates, and who may refresh a token."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from connectors.kit import token
from connectors.kit.conformance import SystemTime, ask
from connectors.kit.http import Reply
from connectors.kit.http_failures import translated
from connectors.kit.token import Token, TokenKeeper
from connectors.zhejiang import plugin
from connectors.zhejiang.sandbox import sandbox as zhejiang
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_NOT_FOUND,
    OUTCOME_OK,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.domain.answer import Answer
from gateway.ports import ConnectorSetup

PLATFORMS = ("shanghai", "jiangsu", "zhejiang", "anhui")


async def ask_at(platform: str, url: str, *, tls: ssl.SSLContext | None = None, time_s: float = 3.0) -> Answer:
    module, sandbox = import_module(f"connectors.{platform}"), import_module(f"connectors.{platform}.sandbox").sandbox
    async with aiohttp.ClientSession() as session:
        setup = ConnectorSetup(url, session, SystemTime(), sandbox.credentials(), tls=tls)
        return await ask(module.plugin.connect(setup), time_s)


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[str]:
    app = web.Application()
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def served_by(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_U3_a_name_that_does_not_resolve_is_unreachable(platform: str) -> None:
    answer = await ask_at(platform, "http://no-such-platform.invalid:1")

    assert (answer.outcome, answer.said.reason) == (OUTCOME_UNREACHABLE, "dns")


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_U6_an_expired_certificate_is_refused(platform: str) -> None:
    authority = trustme.CA()
    expired = authority.issue_cert("localhost", not_after=datetime.now(UTC) - timedelta(days=1))

    async with tls_server(served_by(expired)) as url:
        answer = await ask_at(platform, url, tls=trusting(authority))

    assert (answer.outcome, answer.said.reason) == (OUTCOME_AUTH_FAILED, "tls_certificate")


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_U7_a_certificate_of_another_host_or_authority_is_refused(platform: str) -> None:
    authority = trustme.CA()

    async with tls_server(served_by(authority.issue_cert("other.example"))) as url:
        of_another_host = await ask_at(platform, url, tls=trusting(authority))
        of_unknown_authority = await ask_at(platform, url)

    for answer in (of_another_host, of_unknown_authority):
        assert (answer.outcome, answer.said.reason) == (OUTCOME_AUTH_FAILED, "tls_certificate")


@pytest.mark.parametrize("platform", ["jiangsu", "zhejiang"])
async def test_a_token_that_ran_out_over_there_is_renewed_within_the_attempt(platform: str) -> None:
    module = import_module(f"connectors.{platform}")
    sandbox = import_module(f"connectors.{platform}.sandbox").sandbox
    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    async with aiohttp.ClientSession() as session:
        connector = module.plugin.connect(ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials()))
        await ask(connector)
        await running.set_fault("token_expired", times=1)

        answer = await ask(connector)

    await running.aclose()
    assert (answer.outcome, answer.attempts) == (OUTCOME_OK, 1)


async def test_a_wrong_signature_of_the_platform_is_refused() -> None:
    from connectors.jiangsu import plugin
    from connectors.jiangsu.sandbox import sandbox

    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    await running.set_fault("wrong_signature")
    async with aiohttp.ClientSession() as session:
        connector = plugin.connect(ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials()))

        answer = await ask(connector)

    await running.aclose()
    assert (answer.outcome, answer.said.reason) == (OUTCOME_AUTH_FAILED, "answer_signature")


@pytest.mark.parametrize(
    ("platform", "secret"),
    [
        ("shanghai", "app_secret"),
        ("jiangsu", "client_secret"),
        ("zhejiang", "app_secret"),
        ("anhui", "access_secret"),
    ],
)
async def test_a_sandbox_is_strict_about_credentials(platform: str, secret: str) -> None:
    module, sandbox = import_module(f"connectors.{platform}"), import_module(f"connectors.{platform}.sandbox").sandbox
    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    wrong = {**sandbox.credentials(), secret: "not the secret"}
    async with aiohttp.ClientSession() as session:
        answer = await ask(module.plugin.connect(ConnectorSetup(running.url, session, SystemTime(), wrong)))

    await running.aclose()
    assert answer.outcome == OUTCOME_AUTH_FAILED


@pytest.mark.parametrize("platform", ["shanghai", "anhui", "jiangsu"])
async def test_a_sandbox_is_strict_about_clocks(platform: str) -> None:
    class Late(SystemTime):
        def now(self) -> datetime:
            return datetime.now(UTC) - timedelta(minutes=10)

    module, sandbox = import_module(f"connectors.{platform}"), import_module(f"connectors.{platform}.sandbox").sandbox
    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    async with aiohttp.ClientSession() as session:
        connector = module.plugin.connect(ConnectorSetup(running.url, session, Late(), sandbox.credentials()))
        answer = await ask(connector)

    await running.aclose()
    assert (answer.outcome, answer.said.reason) == (OUTCOME_AUTH_FAILED, "clock")
    assert connector.clock_skew_s == pytest.approx(600, abs=5)


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_an_enterprise_unknown_there_is_not_found(platform: str) -> None:
    module, sandbox = import_module(f"connectors.{platform}"), import_module(f"connectors.{platform}.sandbox").sandbox
    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    async with aiohttp.ClientSession() as session:
        setup = ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials())
        answer = await ask(module.plugin.connect(setup), uscc="91350100M000100Y43")

    await running.aclose()
    assert answer.outcome == OUTCOME_NOT_FOUND


async def test_a_task_still_running_at_the_deadline_is_taken_up_by_the_next_query() -> None:
    from connectors.jiangsu import plugin
    from connectors.jiangsu.sandbox import sandbox

    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    simulated: Any = running.simulated
    simulated.processing_s = 1.5
    async with aiohttp.ClientSession() as session:
        connector = plugin.connect(ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials()))

        first = await ask(connector, 1.0)
        second = await ask(connector, 10.0)

    await running.aclose()
    assert (first.outcome, first.said.reason) == (OUTCOME_TIMEOUT, "pending")
    assert second.outcome == OUTCOME_OK
    assert len(simulated.tasks) == 1


async def test_a_task_that_came_to_no_good_answer_is_not_taken_up_again() -> None:
    from connectors.jiangsu import plugin
    from connectors.jiangsu.sandbox import sandbox

    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    simulated: Any = running.simulated
    spoiled: list[Any] = []
    result_of = simulated._result

    def result(question: Any) -> Any:
        if not spoiled:
            spoiled.append(question)
        return "no result" if question is spoiled[0] else result_of(question)

    simulated._result = result
    async with aiohttp.ClientSession() as session:
        connector = plugin.connect(ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials()))

        first = await ask(connector, 10.0)
        second = await ask(connector, 10.0)

    await running.aclose()
    assert (first.outcome, first.said.reason) == (OUTCOME_BAD_ANSWER, "shape")
    assert second.outcome == OUTCOME_OK
    assert len(simulated.tasks) == 2


async def test_a_task_that_expired_over_there_is_submitted_anew_once() -> None:
    from connectors.jiangsu import plugin
    from connectors.jiangsu.sandbox import sandbox

    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    simulated: Any = running.simulated
    simulated.processing_s = 1.5
    async with aiohttp.ClientSession() as session:
        connector = plugin.connect(ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials()))
        await ask(connector, 1.0)
        simulated.tasks.clear()
        simulated.processing_s = 0.0

        answer = await ask(connector, 10.0)

    await running.aclose()
    assert answer.outcome == OUTCOME_OK


async def test_U28_fifty_callers_cause_one_refresh() -> None:
    fetched = 0

    async def fetch(fetch_by: float, held: Token | None) -> Token:
        nonlocal fetched
        fetched += 1
        await asyncio.sleep(0.01)
        return Token(f"t{fetched}", datetime.now(UTC) + timedelta(hours=1))

    keeper = TokenKeeper(fetch, SystemTime())

    tokens = await asyncio.gather(*(keeper.get(0) for _ in range(50)))

    assert (set(tokens), fetched) == ({"t1"}, 1)


async def test_a_token_is_renewed_shortly_before_its_end() -> None:
    ends = iter([timedelta(seconds=2), timedelta(hours=1)])

    async def fetch(fetch_by: float, held: Token | None) -> Token:
        lifetime = next(ends)
        return Token(str(lifetime), datetime.now(UTC) + lifetime)

    keeper = TokenKeeper(fetch, SystemTime(), margin_s=5)

    assert await keeper.get(0) != await keeper.get(0)


@pytest.mark.parametrize("lost", [["_request"], ["_request", "_refresh"]], ids=["the second", "both"])
async def test_secrets_that_a_platform_has_lost_are_made_anew(lost: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token, "_NEW_S", 0.0)  # those of this test are new
    running = await zhejiang.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    async with aiohttp.ClientSession() as session:
        connector = plugin.connect(ConnectorSetup(running.url, session, SystemTime(), zhejiang.credentials()))
        before = await ask(connector)
        for secrets in lost:  # as a restart does: what was given out is signed wrongly now
            vars(running.simulated)[secrets].clear()

        after = await ask(connector)

    await running.aclose()
    assert (before.outcome, after.outcome) == (OUTCOME_OK, OUTCOME_OK)


async def test_a_platform_that_refuses_every_secret_is_not_asked_for_another_at_each_call() -> None:
    class Forgetting(dict[str, float]):
        def __setitem__(self, secret: str, until: float) -> None:
            pass

    running = await zhejiang.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    vars(running.simulated)["_request"] = Forgetting()
    async with aiohttp.ClientSession() as session:
        connector = plugin.connect(ConnectorSetup(running.url, session, SystemTime(), zhejiang.credentials()))
        answers = [await ask(connector) for _ in range(5)]

    given_out = vars(running.simulated)["refreshes"]
    await running.aclose()
    assert {(answer.outcome, answer.said.reason) for answer in answers} == {(OUTCOME_AUTH_FAILED, "signature")}
    assert given_out == 2  # one of each stage


@pytest.mark.parametrize(
    ("stated", "age_s"),
    [(None, 0), ("0", 0), ("60", 60), ("9" * 30, 2**31), ("-5", 0), ("soon", 0), ("١٢", 0)],
)
def test_U37_the_age_of_a_cached_answer_is_taken_off_if_it_can_be_read(stated: str | None, age_s: int) -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)

    reply = Reply(200, {} if stated is None else {"Age": stated}, b"")

    assert reply.fetched_at(now) == now - timedelta(seconds=age_s)


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "AUTH_FAILED(tls)"),
        ("TLSV1_ALERT_UNKNOWN_CA", "AUTH_FAILED(tls)"),
        ("TLSV1_ALERT_INTERNAL_ERROR", "UNREACHABLE(reset)"),
        ("UNEXPECTED_EOF_WHILE_READING", "UNREACHABLE(reset)"),
    ],
)
def test_U8_only_an_alert_that_refuses_us_is_a_refusal(alert: str, told: str) -> None:
    cause = ssl.SSLError(1, alert)
    cause.reason = alert
    error = aiohttp.ClientOSError(1, alert)
    error.__cause__ = cause

    found = translated(error, is_answering=False)

    assert f"{Outcome.Name(found.outcome).removeprefix('OUTCOME_')}({found.cause})" == told
