"""Bodies in the declared charset: what GB 18030's editions write differently is one text, what is no such text is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.charset import decode_declared
from connectors.kit.documents import BadDocument

# Two-byte code, four-byte code and character, as ICU 73.2 and the WHATWG index write them for GB 18030-2022.
TWO_WAYS = [
    ("a6d9", "84318236", "\ufe10"),
    ("a6df", "84318332", "\ufe16"),
    ("a8bc", "8135f437", "\u1e3f"),
    ("fe51", "95329031", "\U00020087"),
    ("fe59", "82359037", "\u9fb4"),
    ("fe6c", "9536b937", "\U000215d7"),
    ("fe76", "9630ba35", "\U0002298f"),
    ("fe91", "9635b630", "\U000241fe"),
    ("fea0", "82359134", "\u9fbb"),
]


@pytest.mark.parametrize(("two_bytes", "four_bytes", "character"), TWO_WAYS)
def test_P10_a_character_with_two_codes_is_one_text(two_bytes: str, four_bytes: str, character: str) -> None:
    bodies = [bytes.fromhex(two_bytes), bytes.fromhex(four_bytes)]

    texts = [decode_declared(body, "GB18030") for body in bodies]

    assert texts == [character, character]


@pytest.mark.parametrize("alias", ["gb18030", "GBK", "cp936", "gb2312"])
def test_P10_utf8_is_refused_under_every_name_of_gb(alias: str) -> None:
    body = "浙江".encode()
    assert body.decode("gbk")  # silently, and wrongly

    with pytest.raises(BadDocument) as raised:
        decode_declared(body, alias)

    assert raised.value.reason == "charset"


@pytest.mark.parametrize(
    ("body", "charset"),
    [(b"\xff", "gb18030"), (b"\xed\xa0\x80", "utf-8"), (b"\xef\xbb\xbf{}", "ascii"), (b"x", "no-such-charset")],
)
def test_P8_a_body_that_is_not_strictly_in_its_charset_is_refused(body: bytes, charset: str) -> None:
    with pytest.raises(BadDocument) as raised:
        decode_declared(body, charset)

    assert raised.value.reason == "charset"


@pytest.mark.parametrize(("mark", "charset"), [("efbbbf", "utf-8"), ("84319533", "gb18030")])
def test_P9_a_byte_order_mark_is_no_part_of_the_text(mark: str, charset: str) -> None:
    assert decode_declared(bytes.fromhex(mark) + b"{}", charset) == "{}"


@given(st.text(st.characters(exclude_categories=("Cs", "Co"))).filter(lambda text: text[:1] != "\ufeff"))
def test_P10_any_standard_text_survives_gb18030(text: str) -> None:
    body = text.encode("gb18030")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        assert decode_declared(body, "gb18030") == text
    else:
        assert body.isascii() or _refused(body)


def _refused(body: bytes) -> bool:
    with pytest.raises(BadDocument):
        decode_declared(body, "gb18030")
    return True
