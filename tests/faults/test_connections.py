"""Faults of connections and of HTTP's framing (fault catalogue, U1 and U13 to U20), acted out on real sockets."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.declared import fault
from tests.faults.house import OTHER, Case
from tests.faults.proxy import Exchange, Original, Script, head


def answers_with(wire: Callable[[Original], bytes]) -> Script:
    """Gives a script that sends what `wire` makes of the sandbox's answer, then closes."""

    async def play(exchange: Exchange) -> None:
        exchange.write(wire(await exchange.original()))
        await exchange.flush()
        exchange.close()

    return play


def framed(original: Original, *framing: tuple[str, str], body: bytes | None = None) -> bytes:
    """Gives the answer with headers about its framing in place of a true Content-Length."""
    sent = original.body if body is None else body
    return head(original.status, ("Content-Type", original.content_type), *framing) + sent


@fault("U1", "connection refused", "连接被拒绝", "UNREACHABLE(connect)")
async def test_U1_a_refused_connection_is_unreachable_at_once(case: Case) -> None:
    await case.proxy.refuse()

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.attempts, seen.took_s < 1.0) == (3, True)


@fault("U13", "a pooled socket died meanwhile", "连接池中的连接已失效", "OK")
async def test_U13_a_pooled_socket_that_died_is_not_the_platforms_failure(case: Case) -> None:
    async def closes_when_used_again(exchange: Exchange) -> None:
        if exchange.number_on_connection == 1:
            await exchange.forward()
        else:
            exchange.close()

    await case.ask(uscc=OTHER)
    case.on_data(closes_when_used_again)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.records == case.control.records


@fault("U14", "reset before any header", "响应头之前连接被重置", "UNREACHABLE(reset)")
async def test_U14_a_reset_before_the_headers_is_asked_again(case: Case) -> None:
    async def resets(exchange: Exchange) -> None:
        exchange.reset()

    case.on_data(resets)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 3


@fault("U15", "reset in the middle of the body", "响应体中途连接被重置", "BAD_ANSWER(truncated)")
async def test_U15_a_reset_in_the_body_merges_nothing_of_the_half_and_is_asked_again(case: Case) -> None:
    async def resets_half_way(exchange: Exchange) -> None:
        wire = (await exchange.original()).wire()
        exchange.write(wire[:-50])
        await exchange.flush()
        exchange.reset()

    case.on_data(resets_half_way)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 3


@fault("U16", "closed without a byte", "一字节未回即关闭", "UNREACHABLE(closed)")
async def test_U16_a_connection_closed_without_a_byte_is_unreachable(case: Case) -> None:
    async def closes(exchange: Exchange) -> None:
        exchange.close()

    case.on_data(closes)

    seen = await case.ask()

    case.check(seen)


@fault("U17", "bytes that are no HTTP", "返回非 HTTP 字节", "BAD_ANSWER(protocol)")
async def test_U17_bytes_that_are_no_http_break_the_protocol(case: Case) -> None:
    case.on_data(answers_with(lambda original: b"\x16\x03\x01 no answer\r\n\r\n" + original.body))

    seen = await case.ask()

    case.check(seen)


@fault("U17", "garbage after the status line", "状态行之后为乱码", "BAD_ANSWER(protocol)")
async def test_U17_garbage_after_the_status_line_breaks_the_protocol(case: Case) -> None:
    case.on_data(answers_with(lambda original: b"HTTP/1.1 200 OK\r\n\x00\xff\x00 garbage\r\n\r\n" + original.body))

    seen = await case.ask()

    case.check(seen)


@fault("U17", "a chunk whose size is no number", "分块长度不是数字", "BAD_ANSWER(protocol)")
async def test_U17_a_broken_chunk_breaks_the_protocol(case: Case) -> None:
    def wire(original: Original) -> bytes:
        return framed(original, ("Transfer-Encoding", "chunked"), body=b"zz\r\n" + original.body + b"\r\n0\r\n\r\n")

    case.on_data(answers_with(wire))

    seen = await case.ask()

    case.check(seen)


@fault("U18", "Content-Length longer than the body", "Content-Length 大于响应体", "BAD_ANSWER(truncated)")
async def test_U18_a_content_length_beyond_the_body_is_a_truncated_answer(case: Case) -> None:
    case.on_data(answers_with(lambda o: framed(o, ("Content-Length", str(len(o.body) + 100)))))

    seen = await case.ask()

    case.check(seen)


@fault(
    "U18", "Content-Length shorter, the rest at once", "Content-Length 偏小，余下字节同时到达", "BAD_ANSWER(protocol)"
)
async def test_U18_bytes_beyond_the_content_length_break_the_protocol_and_the_connection(case: Case) -> None:
    async def short(exchange: Exchange) -> None:
        original = await exchange.original()
        exchange.write(framed(original, ("Content-Length", str(len(original.body) - 30))))

    case.on_data(short)

    seen = await case.ask()

    case.check(seen)
    assert case.proxy.open_connections == 0


@fault(
    "U18",
    "Content-Length shorter, the rest kept back",
    "Content-Length 偏小，余下字节未发",
    "BAD_ANSWER(truncated)",
)
async def test_U18_a_content_length_short_of_the_document_is_a_truncated_answer(case: Case) -> None:
    async def short(exchange: Exchange) -> None:
        original = await exchange.original()
        exchange.write(framed(original, ("Content-Length", str(len(original.body) - 30)))[:-30])

    case.on_data(short)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 3


@fault("U19", "two Content-Lengths", "两个 Content-Length", "BAD_ANSWER(protocol)")
async def test_U19_two_content_lengths_break_the_protocol(case: Case) -> None:
    case.on_data(
        answers_with(
            lambda o: framed(o, ("Content-Length", str(len(o.body))), ("Content-Length", str(len(o.body) - 9)))
        )
    )

    seen = await case.ask()

    case.check(seen)


@fault("U19", "Content-Length and chunked", "Content-Length 与分块并存", "BAD_ANSWER(protocol)")
async def test_U19_a_length_beside_chunks_breaks_the_protocol(case: Case) -> None:
    def wire(original: Original) -> bytes:
        body = f"{len(original.body):x}\r\n".encode() + original.body + b"\r\n0\r\n\r\n"
        return framed(original, ("Content-Length", "12"), ("Transfer-Encoding", "chunked"), body=body)

    case.on_data(answers_with(wire))

    seen = await case.ask()

    case.check(seen)


@fault("U20", "a header of 64 KiB", "响应头长达 64 KiB", "TOO_LARGE(headers)")
async def test_U20_a_header_too_long_is_too_large(case: Case) -> None:
    case.on_data(answers_with(lambda o: framed(o, ("X-Long", "a" * 65_536), ("Content-Length", str(len(o.body))))))

    seen = await case.ask()

    case.check(seen)


@fault(
    "U20",
    "20,000 headers",
    "两万个响应头",
    "TOO_LARGE(headers)",
)
async def test_U20_too_many_headers_are_too_large(case: Case) -> None:
    many = [(f"X-{number}", "a") for number in range(20_000)]
    case.on_data(answers_with(lambda o: framed(o, *many, ("Content-Length", str(len(o.body))))))

    seen = await case.ask()

    case.check(seen)
