"""Bodies that are or grow too large (fault catalogue, U34 and U36): cut at the cap, with memory to spare."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from tests.faults.declared import fault
from tests.faults.house import Case
from tests.faults.proxy import Exchange, head, in_place

MIB = 1024 * 1024
BOMB_MIB = 64


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    """Gives small bodies that grow to `BOMB_MIB`, by content encoding; those of br and zstd are never opened."""
    zeros = bytes(MIB)
    packers = {"gzip": zlib.compressobj(9, wbits=31), "deflate": zlib.compressobj(9)}
    packed = {
        name: b"".join([*(packer.compress(zeros) for _ in range(BOMB_MIB)), packer.flush()])
        for name, packer in packers.items()
    }
    return {**packed, "br": b"\x8b\x02\x80" * 100, "zstd": b"\x28\xb5\x2f\xfd" * 100}


async def asked_for_a_bomb(case: Case, bombs: dict[str, bytes], encoding: str) -> None:
    """Checks that a compressed body is refused before it has taken much memory."""
    case.on_data(in_place(lambda original: (bombs[encoding], (("Content-Encoding", encoding),))))
    await case.opened()
    tracemalloc.start()
    try:
        seen = await case.ask()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    case.check(seen)
    assert peak < 40 * MIB, f"{peak // MIB} MiB at its peak"


@fault("U34", "gzip bomb", "gzip 炸弹", "TOO_LARGE(body)")
async def test_U34_a_gzip_bomb_is_cut_at_the_cap(case: Case, bombs: dict[str, bytes]) -> None:
    await asked_for_a_bomb(case, bombs, "gzip")


@fault("U34", "deflate bomb", "deflate 炸弹", "TOO_LARGE(body)")
async def test_U34_a_deflate_bomb_is_cut_at_the_cap(case: Case, bombs: dict[str, bytes]) -> None:
    await asked_for_a_bomb(case, bombs, "deflate")


@fault("U34", "br, which was not asked for", "未请求的 br 编码", "BAD_ANSWER(protocol)")
async def test_U34_a_brotli_body_that_nobody_asked_for_is_not_opened(case: Case, bombs: dict[str, bytes]) -> None:
    await asked_for_a_bomb(case, bombs, "br")


@fault("U34", "zstd, which was not asked for", "未请求的 zstd 编码", "BAD_ANSWER(protocol)")
async def test_U34_a_zstd_body_that_nobody_asked_for_is_not_opened(case: Case, bombs: dict[str, bytes]) -> None:
    await asked_for_a_bomb(case, bombs, "zstd")


@fault("U34", "an honest gzip body (control)", "正常 gzip 响应体（对照）", "OK")
async def test_U34_an_honest_compressed_body_is_read(case: Case) -> None:
    case.on_data(in_place(lambda original: (gzip.compress(original.body), (("Content-Encoding", "gzip"),))))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.records == case.control.records


@fault("U36", "a stated length over the cap", "声明长度超过上限", "TOO_LARGE(body)")
async def test_U36_a_length_over_the_cap_is_refused_before_the_body_is_read(case: Case) -> None:
    written = 0

    async def pours(exchange: Exchange) -> None:
        nonlocal written
        kept = ("Content-Type", case.dialect.content_type)
        exchange.write(head(200, kept, ("Content-Length", str(64 * MIB))))
        for _ in range(64):
            if exchange.is_given_up:
                return
            exchange.write(bytes(MIB))
            written += MIB
            await exchange.flush()

    case.on_data(pours)

    seen = await case.ask()

    case.check(seen)
    assert written < 32 * MIB


@fault("U36", "chunks without end", "分块响应无尽", "TOO_LARGE(body)")
async def test_U36_chunks_without_end_are_cut_at_the_cap(case: Case) -> None:
    written = 0

    async def pours(exchange: Exchange) -> None:
        nonlocal written
        kept = ("Content-Type", case.dialect.content_type)
        exchange.write(head(200, kept, ("Transfer-Encoding", "chunked")))
        for _ in range(64):
            if exchange.is_given_up:
                return
            exchange.write(b"100000\r\n" + bytes(MIB) + b"\r\n")
            written += MIB
            await exchange.flush()

    case.on_data(pours)

    seen = await case.ask()

    case.check(seen)
    assert written < 32 * MIB
