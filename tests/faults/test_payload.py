"""Faults of documents (fault catalogue, P1 to P14): broken, odd, deep, many, in another charset, or no document at all."""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.statement import sm3
from tests.faults.declared import fault
from tests.faults.dialects import Document, Exactly
from tests.faults.house import DEMO, Case
from tests.faults.proxy import Exchange, FaultProxy, Original, head

Bytes = Callable[[bytes], bytes]
XML_ONLY = dict.fromkeys(
    ("shanghai", "jiangsu", "zhejiang"), "it speaks JSON, which has no DTD, entities or attributes"
)
NO_NUL = {"anhui": "XML has no way to write it"}


def resend(case: Case, change: Callable[[Original], bytes]) -> list[bytes]:
    """Has the body of the data's answer replaced; gives the list in which the bodies sent will stand."""
    sent: list[bytes] = []

    async def play(exchange: Exchange) -> None:
        original = await exchange.original()
        sent.append(change(original))
        exchange.write(original.with_body(sent[-1]).wire())

    case.on_data(play)
    return sent


def reseal(case: Case, change: Bytes) -> list[bytes]:
    """Has the document inside the body replaced, sealed and signed anew where the dialect does so."""
    dialect = case.dialect
    return resend(case, lambda original: dialect.wrapped(original.body, change(dialect.unwrapped(original.body))))


@fault(
    "P1",
    "the document is cut off",
    "文档被截断",
    "BAD_ANSWER(truncated)",
)
async def test_P1_a_document_cut_in_a_value_is_truncated_and_its_bytes_are_kept_as_a_digest(case: Case) -> None:
    sent = reseal(case, lambda inner: inner[: len(inner) // 2])

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.raw_digest == sm3(sent[-1])


@fault("P1", "the document is broken", "文档格式错误", "BAD_ANSWER(json)", anhui="BAD_ANSWER(xml)")
async def test_P1_a_broken_document_is_a_bad_answer_and_its_bytes_are_kept_as_a_digest(case: Case) -> None:
    sent = reseal(case, lambda inner: inner.replace(b":", b"=").replace(b"</row>", b"</rwo>"))

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.said.raw_digest, seen.answer.attempts) == (sm3(sent[-1]), 1)


@fault(
    "P2", "the root is a list", "根节点为列表", "BAD_ANSWER(envelope)", spared={"anhui": "XML has one root, an element"}
)
async def test_P2_a_list_in_place_of_the_envelope_is_a_bad_answer(case: Case) -> None:
    resend(case, lambda original: b"[]")

    seen = await case.ask()

    case.check(seen)


@fault(
    "P2", "the root is null", "根节点为 null", "BAD_ANSWER(envelope)", spared={"anhui": "XML has one root, an element"}
)
async def test_P2_a_null_in_place_of_the_envelope_is_a_bad_answer(case: Case) -> None:
    resend(case, lambda original: b"null")

    seen = await case.ask()

    case.check(seen)


@fault("P2", "the root is a text or another element", "根节点为字符串或其他元素", "BAD_ANSWER(envelope)")
async def test_P2_another_root_than_the_envelope_is_a_bad_answer(case: Case) -> None:
    other = b"<other/>" if case.platform == "anhui" else b'"text"'
    resend(case, lambda original: other)

    seen = await case.ask()

    case.check(seen)


LARGE = {
    "shanghai": Exactly("90071992547409.93"),
    "jiangsu": Exactly("9007199254.740993"),
    "zhejiang": "9007199254.740993",
    "anhui": "9007199254.740993",
}


@fault("P5", "an amount beyond 2^53 fen", "金额超过 2^53 分", "OK")
async def test_P5_an_amount_beyond_the_floats_is_exact_to_the_fen(case: Case) -> None:
    def change(document: Document) -> None:
        document.penalties[0][document.names.fine] = LARGE[case.platform]

    case.rewrites(change)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.records.penalties[0].fine.minor_units == 2**53 + 1


@fault("P6", "nested 10,000 deep", "嵌套一万层", "TOO_LARGE(too_deep)")
async def test_P6_a_document_nested_too_deeply_is_too_large(case: Case) -> None:
    deep = b"<a>" * 10_000 + b"</a>" * 10_000 if case.platform == "anhui" else b"[" * 10_000 + b"]" * 10_000
    reseal(case, lambda inner: deep)

    seen = await case.ask()

    case.check(seen)


@fault("P6", "a value nested 100 deep in a sound answer", "正常应答中某值嵌套一百层", "TOO_LARGE(too_deep)")
async def test_P6_a_value_nested_deeper_than_any_platform_needs_is_too_large(case: Case) -> None:
    if case.platform == "anhui":
        deep = b"<a>" * 100 + b"</a>" * 100
        reseal(case, lambda inner: inner.replace(b"</row>", deep + b"</row>", 1))
    else:
        rewrite_violation(case, Exactly("[" * 100 + "]" * 100))

    seen = await case.ask()

    case.check(seen)


PAGED = ("shanghai", "anhui")


@fault("P7", "it says it holds a million records", "自称有一百万条记录", "PARTIAL(cap)")
async def test_P7_records_beyond_the_cap_are_not_read_and_the_answer_says_so(case: Case) -> None:
    def change(document: Document) -> None:
        if case.platform in PAGED:
            document.head["total"] = 1_000_000
            return
        rows = [{document.names.document: f"第{n}号"} for n in range(5_200)]
        document.tables[document.penalties_key] = rows

    case.rewrites(change)

    seen = await case.ask()

    case.check(seen)
    assert sum(category.record_count for category in seen.answer.said.categories) <= 5_000
    assert case.proxy.asked(case.dialect.data_path) <= 20


@fault("P7", "a million empty rows", "一百万空行", "BAD_ANSWER(no_key)", anhui="TOO_LARGE(body)")
async def test_P7_a_million_empty_rows_cost_no_more_than_the_cap(case: Case) -> None:
    if case.platform == "anhui":
        reseal(case, lambda inner: inner.replace(b"</rows>", b"<row/>" * 1_000_000 + b"</rows>", 1))
    else:

        def change(document: Document) -> None:
            document.tables[document.penalties_key] = Exactly("[" + "{}," * 999_999 + "{}]")

        case.rewrites(change)

    seen = await case.ask()

    case.check(seen)


@fault("P7", "a row with 100,000 unknown fields", "一行含十万个未知字段", "OK")
async def test_P7_fields_beyond_all_measure_are_told_of_in_part_only(case: Case) -> None:
    def change(document: Document) -> None:
        document.penalties[0].update((f"k{number}", "") for number in range(100_000))

    case.rewrites(change)

    seen = await case.ask(20.0)

    case.check(seen)
    drifts = seen.answer.said.drifts
    assert (len(drifts), drifts[-1].reason) == (101, "drifts.cut")
    assert sum(event["event"] == "platform.drift" for event in seen.events) == 101


def rewrite_violation(case: Case, value: object) -> None:
    """Has the first penalty's type of violation say something else."""

    def change(document: Document) -> None:
        document.penalties[0][document.names.violation] = value

    case.rewrites(change)


@fault("P8", "invalid bytes in a text", "文本含非法字节", "BAD_ANSWER(charset)")
async def test_P8_bytes_that_are_no_text_are_refused_not_replaced(case: Case) -> None:
    broken = "违法".encode(case.dialect.charset)[:-1] + b"\xff"

    def change(document: Document) -> None:
        document.penalties[0][document.names.violation] = "HERE"

    dialect = case.dialect

    def body(original: Original) -> bytes:
        changed = dialect.changed(original.body, change)
        return dialect.wrapped(changed, dialect.unwrapped(changed).replace(b"HERE", broken))

    resend(case, body)

    seen = await case.ask()

    case.check(seen)


@fault("P9", "byte order mark", "字节顺序标记（BOM）", "OK")
async def test_P9_a_byte_order_mark_is_accepted(case: Case) -> None:
    mark = "\ufeff".encode(case.dialect.charset)
    resend(case, lambda original: mark + original.body)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.records == case.control.records


OTHER_CHARSET = {"anhui": "utf-8"}


@fault("P10", "another charset than declared", "实际字符集与声明不符", "BAD_ANSWER(charset)")
async def test_P10_a_document_in_another_charset_is_refused(case: Case) -> None:
    declared, actual = case.dialect.charset, OTHER_CHARSET.get(case.platform, "gbk")

    def recharset(content: bytes) -> bytes:
        return content.decode(declared).encode(actual)

    if case.platform == "jiangsu":
        reseal(case, recharset)
    else:
        resend(case, lambda original: recharset(original.body))

    seen = await case.ask()

    case.check(seen)


@fault("P10", "a Content-Type that names another charset", "Content-Type 标注了其他字符集", "OK")
async def test_P10_a_conflicting_label_is_overruled_by_the_manifest(case: Case) -> None:
    async def mislabelled(exchange: Exchange) -> None:
        original = await exchange.original()
        kind = f"{case.dialect.content_type}; charset=iso-8859-1"
        exchange.write(head(200, ("Content-Type", kind), ("Content-Length", str(len(original.body)))) + original.body)

    case.on_data(mislabelled)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.records == case.control.records


@fault("P10", "rare characters", "生僻字", "OK")
async def test_P10_rare_characters_come_through_unharmed(case: Case) -> None:
    rewrite_violation(case, "䶮㐂𠮷𬭚违法")

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.records.penalties[0].violation_type == "䶮㐂𠮷𬭚违法"


@fault("P11", "zero-width and bidirectional controls", "零宽与双向控制字符", "OK")
async def test_P11_invisible_controls_are_dropped(case: Case) -> None:
    rewrite_violation(case, "未批\u200b先\u202e建\u2066")

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.records.penalties[0].violation_type == "未批先建"


@fault("P11", "NUL in a text", "文本含 NUL", "OK", spared=NO_NUL)
async def test_P11_a_text_with_nul_is_left_out_and_flagged(case: Case) -> None:
    rewrite_violation(case, "未批\x00先建")

    seen = await case.ask()

    case.check(seen)
    penalty = seen.answer.said.records.penalties[0]
    assert (penalty.violation_type, penalty.envelope.drifts[0].reason) == ("", "text.control")


@fault("P11", "a lone surrogate", "孤立代理项", "BAD_ANSWER(json)", spared=NO_NUL)
async def test_P11_a_lone_surrogate_is_no_text(case: Case) -> None:
    rewrite_violation(case, Exactly('"\\ud800"'))

    seen = await case.ask()

    case.check(seen)


@fault("P11", "the code in full-width characters", "信用代码为全角字符", "OK")
async def test_P11_a_code_in_full_width_is_the_same_enterprise(case: Case) -> None:
    wide = DEMO.translate({ord(c): ord(c) + 0xFEE0 for c in DEMO})

    def change(document: Document) -> None:
        document.head[document.names.subject] = wide

    case.rewrites(change)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.records == case.control.records


@fault("P12", "entities that grow", "实体膨胀", "BAD_ANSWER(dtd)", spared=XML_ONLY)
async def test_P12_entities_that_grow_are_refused_before_they_do(case: Case) -> None:
    entities = '<!ENTITY a0 "aaaaaaaaaa">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    reseal(case, lambda inner: f"<!DOCTYPE r [{entities}]><Result code='1' total='0'>&a11;</Result>".encode())

    seen = await case.ask()

    case.check(seen)


@fault("P12", "an external entity", "外部实体", "BAD_ANSWER(dtd)", spared=XML_ONLY)
async def test_P12_an_external_entity_is_refused_and_nothing_is_fetched(case: Case) -> None:
    trap = await case.stack.enter_async_context(FaultProxy(case.proxy.target.human_repr()))
    document = f'<!DOCTYPE r [<!ENTITY x SYSTEM "{trap.url}/x">]><Result code="1" total="0">&x;</Result>'
    reseal(case, lambda inner: document.encode())

    seen = await case.ask()

    case.check(seen)
    assert trap.connections == 0


@fault("P12", "an attribute of 5 MiB", "属性长达 5 MiB", "TOO_LARGE(body)", spared=XML_ONLY)
async def test_P12_a_huge_attribute_is_too_large(case: Case) -> None:
    reseal(case, lambda inner: inner.replace(b"<Result ", b'<Result x="' + b"a" * 5 * 1024 * 1024 + b'" ', 1))

    seen = await case.ask()

    case.check(seen)


def under(case: Case, *headers: tuple[str, str]) -> None:
    """Has the data's answer arrive under other headers."""

    async def play(exchange: Exchange) -> None:
        body = (await exchange.original()).body
        exchange.write(head(200, *headers, ("Content-Length", str(len(body)))) + body)

    case.on_data(play)


@fault("P14", "another content type", "内容类型错误", "BAD_ANSWER(content_type)")
async def test_P14_another_content_type_is_refused(case: Case) -> None:
    under(case, ("Content-Type", "text/plain; charset=utf-8"))

    seen = await case.ask()

    case.check(seen)


@fault("P14", "no content type", "缺少内容类型", "BAD_ANSWER(content_type)")
async def test_P14_a_missing_content_type_is_refused(case: Case) -> None:
    under(case)

    seen = await case.ask()

    case.check(seen)


@fault("P14", "multipart without a boundary", "multipart 缺少 boundary", "BAD_ANSWER(content_type)")
async def test_P14_a_multipart_without_boundary_is_refused(case: Case) -> None:
    under(case, ("Content-Type", "multipart/related"))

    seen = await case.ask()

    case.check(seen)
