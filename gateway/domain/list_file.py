"""A list file of the hub (名单文件): JSON Lines or CSV, UTF-8, one list's year of one or more provinces; pure.

    {"list": "YRD_ENV", "year": 2017, "provinces": ["31", "33", "34"], "kind": "FULL"}     the first line; in CSV after "# "
    {"uscc": "…", "province": "33", "listed_on": "2018-05-02", "document_number": "…", …}  one line for each entry

FULL is all that the provinces list for the year: what is absent was removed, but a file that would empty a province is
refused, since one that was cut looks the same. INCREMENT has only what changed; a line with "removed": true removes. A file
that is wrong anywhere is wrong as a whole, and every fault is told by its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from gateway.domain.errors import GatewayError, ListFileError
from gateway.domain.identifiers import Uscc
from gateway.domain.joint_lists import EntryContent, JointList
from gateway.domain.list_fault import ListFault, at_line
from gateway.domain.list_rows import csv_rows, header_text, json_rows
from gateway.domain.names import normalise_name
from gateway.domain.statement import sm3

PROVINCES: Final = ("31", "32", "33", "34")
_HEADER: Final = frozenset({"list", "year", "provinces", "kind", "version"})
_DAYS: Final = ("listed_on", "due_off", "published_from", "published_to")
_LONGEST: Final = {
    "subject_name": 200,
    "authority": 200,
    "document_number": 100,
    "reason": 2000,
    "person_ref": 128,
    "list_version": 32,
}
KNOWN: Final = frozenset({"uscc", "province", "evidence", "removed", *_DAYS, *_LONGEST})
_MOST_FAULTS: Final = 100
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # of the forms that fromisoformat takes this one only
_HEADER_SAMPLE: Final = '{"list": "YRD_ENV", "year": 2025, "provinces": ["33"], "kind": "FULL"}'
_Said = tuple[str, str]  # in English and in Chinese


class FileLine(NamedTuple):
    """One entry of a file; `key` tells it from every other of the list's year."""

    number: int
    key: str
    uscc: str
    person_ref: str
    province: str
    listed_on: date
    published_from: date | None
    content: EntryContent
    is_removed: bool


class ListFile(NamedTuple):
    """A file that was read whole."""

    digest: bytes
    list_code: str
    list_year: int
    provinces: tuple[str, ...]
    is_full: bool
    lines: tuple[FileLine, ...]


def read_list_file(raw: bytes, digest: bytes, lists: Mapping[str, JointList], today: date) -> ListFile:
    """Gives the file; raises ListFileError with every fault (the first hundred) where digest, encoding or a line is wrong."""
    if sm3(raw) != digest:
        found = sm3(raw).hex()
        english, chinese = f"the file's SM3 is {found}, not what was stated", f"文件的 SM3 为 {found}，与所述不符"
        raise ListFileError([ListFault("digest", english, chinese)])
    first, _, rest = _text(raw).partition("\n")
    stated, is_csv = header_text(first)
    header = _header(stated, lists)
    faults: list[ListFault] = []
    lines: list[FileLine] = []
    for at, row in csv_rows(rest, KNOWN, faults) if is_csv else json_rows(rest, faults):
        line, wrong = _line(at, row, header, today)
        faults += [at_line(at, *fault) for fault in wrong]
        if line is not None:
            lines.append(line)
        if len(faults) >= _MOST_FAULTS:
            break
    faults += _repetitions(lines)
    if faults:
        raise ListFileError(faults[:_MOST_FAULTS])
    return ListFile(
        digest,
        header["list"],
        header["year"],
        tuple(sorted(header["provinces"])),
        header["kind"] == "FULL",
        tuple(lines),
    )


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        english, chinese = (
            "is not UTF-8: save the file as CSV UTF-8",
            "不是 UTF-8 编码，请另存为“CSV UTF-8（逗号分隔）”",
        )
        number = raw.count(b"\n", 0, error.start) + 1
        raise ListFileError([at_line(number, english, chinese)]) from error


def _header(text: str, lists: Mapping[str, JointList]) -> dict[str, Any]:
    def wrong(english: str, chinese: str) -> ListFileError:
        return ListFileError([at_line(1, english, chinese)])

    no_header = wrong(
        f'must be the header, such as {_HEADER_SAMPLE} (in CSV after "# "), and nothing else but version',
        f"须为文件头，形如 {_HEADER_SAMPLE}（CSV 中前加“# ”），此外只可有 version",
    )
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise no_header from error
    if not isinstance(header, dict) or not {"list", "year", "provinces", "kind"} <= header.keys() <= _HEADER:
        raise no_header
    if header["list"] not in lists:
        raise wrong(
            f"no list {header['list']!r}; see `xinyidai lists show`", "没有该代码的名单；见 xinyidai lists show"
        )
    if type(header["year"]) is not int or not 1990 <= header["year"] <= 2200:
        raise wrong("year must be a year, such as 2017", "year 须为年份，形如 2017")
    provinces = header["provinces"]
    if not isinstance(provinces, list) or not provinces or len(set(map(str, provinces))) < len(provinces):
        raise wrong(
            'provinces must be a list of different codes, such as ["33"]',
            'provinces 须为互不相同的省份代码，形如 ["33"]',
        )
    if any(province not in PROVINCES for province in provinces):
        known = ", ".join(PROVINCES)
        raise wrong(f"provinces must be of {known}", f"provinces 只可为 {known}")
    if header["kind"] not in ("FULL", "INCREMENT"):
        raise wrong("kind must be FULL or INCREMENT", "kind 须为 FULL（全量）或 INCREMENT（增量）")
    return header


def _line(
    number: int, row: Mapping[str, Any], header: Mapping[str, Any], today: date
) -> tuple[FileLine | None, list[_Said]]:
    faults: list[_Said] = []

    def wrong(key: str, english: str, chinese: str) -> None:
        faults.append((f"{key}: {english}", f"{key}：{chinese}"))

    for key in row:
        if key not in KNOWN:
            wrong(key, "is not known here", "没有这一字段")
    texts = {}
    for key, longest in _LONGEST.items():
        value = row.get(key, "")
        if not isinstance(value, str) or len(value) > longest:
            wrong(key, f"must be a text of at most {longest} characters", f"须为不超过 {longest} 字的文本")
            value = ""
        texts[key] = value
    try:
        uscc = Uscc.parse(row.get("uscc", "") if isinstance(row.get("uscc", ""), str) else "").value
    except GatewayError as error:
        wrong("uscc", str(error), f"统一社会信用代码不正确（{error}）")
        uscc = ""
    province = row.get("province", "")
    if province not in header["provinces"]:
        wrong("province", "must be one of the header's provinces", "须为文件头 provinces 中的省份代码")
    days = {}
    for key in _DAYS:
        days[key], is_day = _day(row, key)
        if not is_day:
            wrong(key, "must be a day, such as 2018-05-02", "须为日期，形如 2018-05-02")
        elif key == "listed_on" and days[key] is None:
            wrong(key, "is needed", "必填")
    listed_on = days["listed_on"]
    evidence = row.get("evidence", [])
    if not isinstance(evidence, list) or not all(isinstance(one, str) and 0 < len(one) <= 200 for one in evidence):
        wrong(
            "evidence", "must be a list of references, at most 200 characters each", "须为编号列表，每项不超过 200 字"
        )
    removed = row.get("removed", False)
    if not isinstance(removed, bool) or (removed and header["kind"] == "FULL"):
        wrong(
            "removed", "is true or false, and true in an increment only", "须为 true 或 false，true 仅限 INCREMENT 文件"
        )
    if faults or listed_on is None:
        return None, faults
    begins = days["published_from"] or listed_on
    if begins > today:
        wrong("published_from" if days["published_from"] else "listed_on", "is after today", "晚于今日")
    if begins < listed_on:
        wrong("published_from", "is before listed_on", "早于 listed_on")
    if days["due_off"] is not None and days["due_off"] <= listed_on:
        wrong("due_off", "must be after listed_on", "须晚于 listed_on")
    if days["published_to"] is not None and days["published_to"] <= begins:
        wrong("published_to", "must be after publication begins", "须晚于公示起始日")
    if faults:
        return None, faults
    content = EntryContent(
        texts["subject_name"],
        texts["list_version"] or header.get("version", ""),
        texts["authority"],
        texts["document_number"],
        texts["reason"],
        tuple(evidence),
        days["due_off"],
        days["published_to"],
    )
    told_by = normalise_name(texts["document_number"]) or listed_on.isoformat()
    key = "\x1f".join((header["list"], str(header["year"]), province, uscc, texts["person_ref"], told_by))
    return (
        FileLine(
            number, key, uscc, texts["person_ref"], province, listed_on, days["published_from"], content, bool(removed)
        ),
        [],
    )


def _day(row: Mapping[str, Any], key: str) -> tuple[date | None, bool]:
    """Gives the day, None where none is stated, and whether what is stated is one."""
    value = row.get(key)
    if value is None or value == "":
        return None, True
    try:
        return (date.fromisoformat(value), True) if _DAY.fullmatch(value) else (None, False)
    except (ValueError, TypeError):
        return None, False


def _repetitions(lines: Sequence[FileLine]) -> list[ListFault]:
    first: dict[str, FileLine] = {}
    faults: list[ListFault] = []
    for line in lines:
        before = first.setdefault(line.key, line)
        if before is line:
            continue
        differing = [
            name for name, one, other in zip(FileLine._fields[5:7], before[5:7], line[5:7], strict=True) if one != other
        ]
        differing += [
            name
            for name, one, other in zip(EntryContent._fields, before.content, line.content, strict=True)
            if one != other
        ]
        if before.is_removed != line.is_removed:
            differing.append("removed")
        there, fields = before.number, ", ".join(differing)
        if differing:
            fault = at_line(line.number, f"contradicts line {there} in {fields}", f"与第 {there} 行不一致： {fields}")
        else:
            fault = at_line(line.number, f"repeats line {there}", f"与第 {there} 行重复")
        faults.append(fault)
    return faults
