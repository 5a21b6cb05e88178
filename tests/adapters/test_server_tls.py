"""Rotation without a restart: real handshakes, files changed between them, and what is told of expiry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from structlog.testing import capture_logs

from gateway.adapters.identity.certificates import TlsFiles
from gateway.adapters.identity.server_tls import ServerTls
from gateway.adapters.state.clock import SystemClock
from gateway.domain.errors import ConfigError
from tests.adapters.simulated import MovedClock

DAY_S = 86_400.0
_OWN = (("grpc.use_local_subchannel_pool", 1),)


class Files:
    """The server's three files, written as an operator would: beside, then moved into place."""

    def __init__(self, folder: Path) -> None:
        self.at = TlsFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
        self.server_ca, self.client_ca = trustme.CA(), trustme.CA()
        self.write_server(self.server_ca)
        self.put(self.at.client_ca, self.client_ca.cert_pem.bytes())

    def put(self, path: Path, content: bytes) -> None:
        beside = path.with_suffix(".new")
        beside.write_bytes(content)
        beside.replace(path)

    def write_server(self, ca: trustme.CA, **more: Any) -> None:
        issued = ca.issue_cert("127.0.0.1", **more)
        self.put(self.at.key, issued.private_key_pem.bytes())
        self.put(self.at.certificate, b"".join(part.bytes() for part in issued.cert_chain_pems))

    def channel(self, server_ca: trustme.CA | None = None, client_ca: trustme.CA | None = None) -> grpc.aio.Channel:
        client = (client_ca or self.client_ca).issue_cert("bank.example")
        shown = grpc.ssl_channel_credentials(
            (server_ca or self.server_ca).cert_pem.bytes(),
            client.private_key_pem.bytes(),
            client.cert_chain_pems[0].bytes(),
        )
        return grpc.aio.secure_channel(f"127.0.0.1:{self.port}", shown, options=_OWN)

    port = 0


async def echoed(channel: grpc.aio.Channel) -> str:
    """Gives how a call over the channel came out: "ok", or its status."""
    try:
        await channel.unary_unary("/test/echo")(b"", timeout=5)  # type: ignore[arg-type]  # no serializer: bytes as they are
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "ok"


@asynccontextmanager
async def served(files: Files, tls: ServerTls) -> AsyncIterator[None]:
    async def echo(request: bytes, context: Any) -> bytes:
        return request

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    files.port = server.add_secure_port("127.0.0.1:0", tls.credentials())
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


def tls_of(files: Files, told: dict[str, float] | None = None, **more: Any) -> ServerTls:
    def tell(name: str, left_s: float) -> None:
        if told is not None:
            told[name] = left_s

    return ServerTls(files.at, more.pop("clock", SystemClock()), tell, **more)


async def test_a_new_certificate_serves_new_handshakes_while_the_old_channel_goes_on(tmp_path: Path) -> None:
    files = Files(tmp_path)
    tls = tls_of(files)
    async with served(files, tls), files.channel() as old:
        before = await echoed(old)
        renewed = trustme.CA()

        files.write_server(renewed)
        tls.look()

        async with files.channel(renewed) as new, files.channel() as outdated:
            assert [before, await echoed(old), await echoed(new)] == ["ok"] * 3
            assert await echoed(outdated) == "UNAVAILABLE"


async def test_a_changed_client_authority_decides_over_new_handshakes(tmp_path: Path) -> None:
    files = Files(tmp_path)
    tls = tls_of(files)
    other = trustme.CA()
    async with served(files, tls):
        async with files.channel(client_ca=other) as stranger:
            assert await echoed(stranger) == "UNAVAILABLE"

        files.put(files.at.client_ca, files.client_ca.cert_pem.bytes() + other.cert_pem.bytes())
        tls.look()
        async with files.channel(client_ca=other) as known, files.channel() as still:
            assert [await echoed(known), await echoed(still)] == ["ok", "ok"]

        files.put(files.at.client_ca, other.cert_pem.bytes())
        tls.look()
        async with files.channel() as gone:
            assert await echoed(gone) == "UNAVAILABLE"


async def test_A1_without_a_certificate_or_in_plain_text_there_is_no_handshake(tmp_path: Path) -> None:
    files = Files(tmp_path)
    async with served(files, tls_of(files)):
        address = f"127.0.0.1:{files.port}"
        bare = grpc.ssl_channel_credentials(files.server_ca.cert_pem.bytes())
        async with (
            grpc.aio.secure_channel(address, bare, options=_OWN) as without,
            grpc.aio.insecure_channel(address, options=_OWN) as plain,
            files.channel() as known,
        ):
            heard = [await echoed(channel) for channel in (without, plain, known)]

    assert heard == ["UNAVAILABLE", "UNAVAILABLE", "ok"]


async def test_broken_new_files_leave_the_old_in_force_and_warn_once_at_the_second_look(tmp_path: Path) -> None:
    files = Files(tmp_path)
    refused: list[bool] = []
    tls = tls_of(files, refused=refused.append)
    async with served(files, tls):
        with capture_logs() as logs:
            files.put(files.at.certificate, b"-----BEGIN nonsense")
            tls.look()
            first = list(logs)
            tls.look()
            tls.look()
            async with files.channel() as new:
                assert await echoed(new) == "ok"
            files.write_server(files.server_ca)
            tls.look()

    assert first == []
    assert refused == [True, False]
    assert [log["event"] for log in logs] == ["certificate.not_reloaded", "certificate.reloaded"]
    assert f"certificate: {files.at.certificate}: holds no certificate in PEM form" in logs[0]["faults"]


async def test_between_the_writing_of_certificate_and_key_nothing_is_taken_and_nothing_is_said(tmp_path: Path) -> None:
    files = Files(tmp_path)
    tls = tls_of(files)
    renewed = trustme.CA().issue_cert("127.0.0.1")

    with capture_logs() as logs:
        files.put(files.at.key, renewed.private_key_pem.bytes())
        tls.look()
        files.put(files.at.certificate, renewed.cert_chain_pems[0].bytes())
        tls.look()

    assert [log["event"] for log in logs] == ["certificate.reloaded"]


async def test_a_missing_file_keeps_the_old_and_files_put_back_are_no_news(tmp_path: Path) -> None:
    files = Files(tmp_path)
    tls = tls_of(files)

    with capture_logs() as logs:
        kept = files.at.key.with_suffix(".kept")
        files.at.key.rename(kept)
        tls.look()
        kept.rename(files.at.key)
        tls.look()
        tls.look()

    assert logs == []


async def test_files_behind_a_link_that_is_switched_are_taken(tmp_path: Path) -> None:
    """As secrets of a container are: a folder is switched, the files' own paths stay."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = Files(tmp_path / "one"), Files(tmp_path / "two")
    link = tmp_path / "now"
    link.symlink_to(tmp_path / "one")
    first.at = TlsFiles(link / "server.pem", link / "server.key", link / "ca.pem")
    tls = tls_of(first)
    async with served(first, tls):
        beside = tmp_path / "next"
        beside.symlink_to(tmp_path / "two")
        beside.replace(link)
        tls.look()

        second.port = first.port
        async with second.channel() as new:
            assert await echoed(new) == "ok"


async def test_the_watch_takes_a_change_by_itself(tmp_path: Path) -> None:
    files = Files(tmp_path)
    told: dict[str, float] = {}
    tls = tls_of(files, told, reload_s=0.01)
    tls.watch()
    try:
        before = told["server"]
        files.write_server(files.server_ca, not_after=SystemClock().now() + timedelta(days=90))
        while told["server"] == before or told["server"] > 91 * DAY_S:
            await asyncio.sleep(0.01)
    finally:
        await tls.aclose()

    assert 89 * DAY_S < told["server"] < 90 * DAY_S


async def test_seconds_left_are_told_and_little_left_is_warned_of_once_a_day(tmp_path: Path) -> None:
    clock = MovedClock(SystemClock().now())
    files = Files(tmp_path)
    files.write_server(files.server_ca, not_after=clock.began + timedelta(days=32))
    told: dict[str, float] = {}
    tls = tls_of(files, told, clock=clock, warn_days=30)

    with capture_logs() as logs:
        seen = []
        for day in (0.0, 2.5, 3.0, 3.6, 33.0):
            clock.at_s = day * DAY_S
            tls.tell_expiries()
            seen.append(round(told["server"] / DAY_S, 1))

    assert seen == [32.0, 29.5, 29.0, 28.4, -1.0]
    assert set(told) == {"server", "client_ca"}
    assert [(log["event"], log["days_left"]) for log in logs] == [
        ("certificate.expires_soon", 29.5),
        ("certificate.expires_soon", 28.4),
        ("certificate.expired", -1.0),
    ]


async def test_an_authority_that_left_the_bundle_is_told_as_no_number(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.put(files.at.client_ca, files.client_ca.cert_pem.bytes() + trustme.CA().cert_pem.bytes())
    told: dict[str, float] = {}
    tls = tls_of(files, told)
    tls.tell_expiries()
    before = dict(told)

    files.put(files.at.client_ca, files.client_ca.cert_pem.bytes())
    tls.look()
    tls.tell_expiries()

    assert before["client_ca_2"] > 0
    assert told["client_ca_2"] != told["client_ca_2"]


def _foreign_key(files: Files) -> None:
    files.put(files.at.key, trustme.CA().issue_cert("x").private_key_pem.bytes())


def _expired(files: Files) -> None:
    files.write_server(files.server_ca, not_after=SystemClock().now() - timedelta(days=1))


def _no_authority(files: Files) -> None:
    files.put(files.at.client_ca, files.client_ca.issue_cert("leaf.example").cert_chain_pems[0].bytes())


def _swapped(files: Files) -> None:
    files.put(files.at.key, files.at.certificate.read_bytes())


def _gone(files: Files) -> None:
    files.at.client_ca.unlink()


def _empty(files: Files) -> None:
    files.put(files.at.certificate, b"")


@pytest.mark.parametrize(
    ("breaks", "fault"),
    [
        (_foreign_key, "server.tls.key: .*server.key: is not the key of the certificate"),
        (_expired, r"server.tls.certificate: .*server.pem: is valid from [\d-]+ to [\d-]+ only"),
        (_no_authority, "server.tls.client_ca: .*ca.pem: .* is no authority"),
        (_swapped, "server.tls.key: .*server.key: holds no private key in PEM form"),
        (_gone, "server.tls.client_ca: .*ca.pem: cannot be read: No such file"),
        (_empty, "server.tls.certificate: .*server.pem: is empty"),
    ],
    ids=["foreign key", "expired", "no authority", "swapped", "gone", "empty"],
)
def test_files_that_cannot_serve_are_faults_with_key_and_file(tmp_path: Path, breaks: Any, fault: str) -> None:
    files = Files(tmp_path)
    assert tls_of(files).expiries[0].name == "server"

    breaks(files)

    with pytest.raises(ConfigError, match=fault):
        tls_of(files)
