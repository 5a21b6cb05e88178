"""A list file as a spreadsheet saves it: what only its form adds is read over, what would have to be guessed is told once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.domain.list_file import KNOWN
from tests.domain.joint_entries import DEMO, OTHER
from tests.domain.test_list_files import HEADER, LINE, content, faults, read

INCREMENT: dict[str, Any] = {**HEADER, "kind": "INCREMENT"}
QUOTED = f'"# {json.dumps(HEADER)}"'.replace('"', '""')[1:-1]
NAMES = "uscc,province,listed_on,document_number"
ROW = f"{DEMO},33,2018-05-02,浙环〔2018〕1号"

PAGE: Final = Path(__file__).parents[2] / "docs" / "operations.md"


def csv(*lines: str, header: str = QUOTED) -> bytes:
    return "\r\n".join((header, *lines)).encode("utf-8-sig")


def test_a_spreadsheets_quotes_padding_and_empty_rows_change_nothing() -> None:
    padded = csv(f"{NAMES},,", f"{ROW},,", ",,,,,", "", ",,,,,", header=f"{QUOTED},,,,,")

    assert read(padded).lines == read(csv(NAMES, ROW)).lines
    assert [one._replace(number=2) for one in read(padded).lines] == list(read(content(LINE)).lines)


def test_a_year_in_which_nobody_was_listed_is_a_header_with_or_without_columns() -> None:
    assert read(csv("")).lines == read(csv(NAMES)).lines == read(csv(NAMES, ",,,")).lines == ()


@pytest.mark.parametrize(("written", "is_removed"), [("TRUE", True), ("true", True), ("FALSE", False), ("", False)])
def test_a_spreadsheets_truth_is_read(written: str, is_removed: bool) -> None:
    (line,) = read(csv(f"{NAMES},removed", f"{ROW},{written}", header=f"# {json.dumps(INCREMENT)}")).lines

    assert line.is_removed is is_removed


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (NAMES.replace(",", ";"), ["has its columns parted by semicolons: part them by commas"]),
        (NAMES.replace(",", "\t"), ["has its columns parted by tabs: part them by commas"]),
        (f"{NAMES},province", ["names a column twice"]),
        ("uscc,listed_on", ["column province is needed"]),
        ("", ["column uscc is needed", "column province is needed", "column listed_on is needed"]),
    ],
)
def test_what_is_wrong_with_the_columns_is_told_once_and_not_of_every_row(names: str, told: list[str]) -> None:
    found = faults(csv(names, *[ROW] * 9))

    assert [(one.where, one.english) for one in found] == [("line 2", each) for each in told]


def test_columns_of_other_names_are_told_with_those_that_may_be() -> None:
    found = faults(csv("uscc,province,列入日期", *[ROW] * 9))

    assert [one.chinese for one in found[:2]] == ["没有名为“列入日期”的列", "缺少 listed_on 列"]
    assert found[2].english.startswith("must name columns among uscc, province, listed_on, authority, ")
    assert {one.where for one in found} == {"line 2"}


@pytest.mark.parametrize("row", [f"{DEMO},33", f"{ROW},,more"])
def test_a_row_of_other_length_is_told(row: str) -> None:
    ((where, english, _),) = faults(csv(NAMES, ROW.replace(DEMO, OTHER), row))

    assert (where, english.split(" ")[0]) == ("line 4", "has")


def test_a_header_that_shares_its_line_with_something_else_is_no_header() -> None:
    for header in (f"{QUOTED};;;", f"{QUOTED},more", NAMES):
        ((where, english, chinese),) = faults(csv(NAMES, ROW, header=header))

        assert (where, english[:27], chinese[:5]) == ("line 1", "must be the header, such as", "须为文件头")


def test_the_page_of_the_file_shows_one_that_is_read_and_names_every_column() -> None:
    page = PAGE.read_text("utf-8").partition("**A list file")[2].partition("A repair is by")[0]
    sample = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    "))
    columns = {
        name for row in page.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }

    assert [line.uscc for line in read(sample.encode()).lines] == ["91330106MA5DEM0D05"]
    assert columns == set(KNOWN)


def test_what_is_nested_too_deep_is_no_object_of_a_line_nor_a_header() -> None:
    deep = b"[" * 200_000

    assert faults(b"\n".join((content(), deep)))[0] == ("line 2", "is no JSON object", "不是 JSON 对象")
    assert faults(deep)[0].where == "line 1"
