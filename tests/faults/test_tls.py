"""Faults of TLS (fault catalogue, U6 to U9, U21): certificates of a made-up authority before the sandboxes."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.faults.declared import fault
from tests.faults.house import Case
from tests.faults.proxy import FaultProxy, answering

HOST = "localhost"


def served_by(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Gives a server's context with the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def behind_tls(
    case: Case,
    issue: Callable[[trustme.CA], trustme.LeafCert],
    *,
    trusts_it: bool = True,
) -> None:
    """Puts TLS with a certificate of a new authority before the sandbox."""
    authority = trustme.CA()
    context = served_by(issue(authority))
    trusted = (authority if trusts_it else trustme.CA()).cert_pem
    ca_file = case.trail.with_name("authority.pem")
    trusted.write_to_path(str(ca_file))
    await case.reach_by(
        FaultProxy(case.house.sandboxes[case.platform].url, tls=context, name=HOST), ca_file=Path(ca_file)
    )


def is_security_event(case: Case, event: object) -> bool:
    """Whether a line of the log tells the operators that this platform's answer was refused."""
    return event == {
        "event": "security.refused_answer",
        "log_level": "error",
        "platform": case.platform,
        "reason": "tls_certificate",
    }


@fault("U6", "a sound certificate (control)", "证书有效（对照）", "OK")
async def test_U6_a_sound_certificate_is_accepted(case: Case) -> None:
    await behind_tls(case, lambda authority: authority.issue_cert(HOST))

    seen = await case.ask()

    case.check(seen)


@fault("U6", "certificate expired", "证书已过期", "AUTH_FAILED(tls_certificate)")
async def test_U6_an_expired_certificate_is_refused_once_and_reported(case: Case) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await behind_tls(case, lambda authority: authority.issue_cert(HOST, not_after=yesterday))

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.attempts, any(is_security_event(case, event) for event in seen.events)) == (1, True)


@fault("U6", "certificate not yet valid", "证书尚未生效", "AUTH_FAILED(tls_certificate)")
async def test_U6_a_certificate_that_is_not_valid_yet_is_refused(case: Case) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await behind_tls(
        case,
        lambda authority: authority.issue_cert(HOST, not_before=tomorrow, not_after=tomorrow + timedelta(days=9)),
    )

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 1


@fault("U7", "certificate of another host", "证书属于其他主机", "AUTH_FAILED(tls_certificate)")
async def test_U7_a_certificate_of_another_host_is_refused_and_reported(case: Case) -> None:
    await behind_tls(case, lambda authority: authority.issue_cert("other.example"))

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.attempts, any(is_security_event(case, event) for event in seen.events)) == (1, True)


@fault("U7", "certificate of an unknown authority", "证书颁发机构未知", "AUTH_FAILED(tls_certificate)")
async def test_U7_a_certificate_of_an_unknown_authority_is_refused_and_reported(case: Case) -> None:
    await behind_tls(case, lambda authority: authority.issue_cert(HOST), trusts_it=False)

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.attempts, any(is_security_event(case, event) for event in seen.events)) == (1, True)


@asynccontextmanager
async def refusing_tls(context: ssl.SSLContext) -> AsyncIterator[str]:
    """Serves handshakes that end in the server's alert, which asyncio's own server would drop on the way."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        try:
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65_536))
        except ssl.SSLError:
            writer.write(outgoing.read())
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def refused(case: Case, shape: Callable[[ssl.SSLContext], None]) -> None:
    """Puts a server in the platform's place that refuses every handshake by `shape`."""
    authority = trustme.CA()
    context = served_by(authority.issue_cert(HOST))
    shape(context)
    ca_file = case.trail.with_name("authority.pem")
    authority.cert_pem.write_to_path(str(ca_file))
    case.connection = {
        "base_url": await case.stack.enter_async_context(refusing_tls(context)),
        "ca_file": Path(ca_file),
    }


def asks_for_ours(version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    """Gives what makes a server demand the caller's certificate under one version of TLS."""

    def shape(context: ssl.SSLContext) -> None:
        context.maximum_version = context.minimum_version = version
        context.verify_mode = ssl.CERT_REQUIRED
        trustme.CA().configure_trust(context)

    return shape


@fault("U8", "it wants a client certificate (TLS 1.2)", "要求客户端证书（TLS 1.2）", "AUTH_FAILED(tls)")
async def test_U8_a_client_certificate_we_lack_fails_the_handshake(case: Case) -> None:
    await refused(case, asks_for_ours(ssl.TLSVersion.TLSv1_2))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 1


@fault(
    "U8",
    "it wants a client certificate (TLS 1.3)",
    "要求客户端证书（TLS 1.3）",
    "AUTH_FAILED(tls)",
)
async def test_U8_a_client_certificate_we_lack_fails_the_first_read(case: Case) -> None:
    # Under TLS 1.3 the refusal comes after our own handshake is over, in place of the answer (RFC 8446 §4.4.2.4).
    await refused(case, asks_for_ours(ssl.TLSVersion.TLSv1_3))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 1


@fault(
    "U8",
    "the operator is told that a certificate is wanted",
    "告知运维人员所需证书",
    "AUTH_FAILED(tls)",
)
async def test_U8_the_detail_names_the_certificate(case: Case) -> None:
    await refused(case, asks_for_ours(ssl.TLSVersion.TLSv1_2))

    seen = await case.ask()

    case.check(seen)
    assert "it wants a client certificate, and the gateway presents none" in seen.answer.detail


@fault("U9", "no cipher in common", "无共同加密套件", "AUTH_FAILED(tls)")
async def test_U9_no_common_cipher_is_a_fault_of_the_configuration(case: Case) -> None:
    def old(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES256-SHA")

    await refused(case, old)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 1


@fault("U9", "no version of TLS in common", "无共同 TLS 版本", "AUTH_FAILED(tls)")
async def test_U9_no_common_version_is_a_fault_of_the_configuration(case: Case) -> None:
    def ancient(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")

    await refused(case, ancient)

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.attempts, "version" in seen.answer.detail) == (1, True)


@fault("U21", "redirect from https to http", "从 https 重定向到 http", "BAD_ANSWER(redirect)")
async def test_U21_a_redirect_to_plain_text_is_not_followed(case: Case) -> None:
    trap = case.proxy
    await behind_tls(case, lambda authority: authority.issue_cert(HOST))
    case.on_data(answering(302, ("Location", trap.url)))

    seen = await case.ask()

    case.check(seen)
    assert trap.connections == 0
