"""A list file of the hub (名单文件): JSON Lines or CSV, UTF-8, one list's year of one or more provinces; pure.

    {"list": "YRD_ENV", "year": 2017, "provinces": ["31", "33", "34"], "kind": "FULL"}     the first line; in CSV after "# "
    {"uscc": "…", "province": "33", "listed_on": "2018-05-02", "document_number": "…", …}  one line for each entry

FULL is all that the provinces list for the year: what is absent was removed, but a file that would empty a province is
refused, since one that was cut looks the same. INCREMENT has only what changed; a line with "removed": true removes. A file
that is wrong anywhere is wrong as a whole, and every fault is told by its line.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from gateway.domain.errors import GatewayError, ListFileError
from gateway.domain.identifiers import Uscc
from gateway.domain.joint_lists import EntryContent, JointList
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
_KNOWN: Final = frozenset({"uscc", "province", "evidence", "removed", *_DAYS, *_LONGEST})
_MOST_FAULTS: Final = 100


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
        raise ListFileError([("digest", f"the file's SM3 is {sm3(raw).hex()}, not what was stated")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at_line = raw.count(b"\n", 0, error.start) + 1
        raise ListFileError([(f"line {at_line}", "is not UTF-8")]) from error
    first, _, rest = text.partition("\n")
    is_csv = first.startswith("#")
    header = _header(first.removeprefix("#").strip(), lists)
    faults: list[tuple[str, str]] = []
    lines: list[FileLine] = []
    for at, row in _csv_rows(rest, faults) if is_csv else _json_rows(rest, faults):
        line, wrong = _line(at, row, header, today)
        faults += [(f"line {at}", fault) for fault in wrong]
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


def _header(text: str, lists: Mapping[str, JointList]) -> dict[str, Any]:
    def wrong(description: str) -> ListFileError:
        return ListFileError([("line 1", description)])

    try:
        header = json.loads(text)
    except ValueError as error:
        raise wrong("must be the header: a JSON object with list, year, provinces and kind") from error
    if not isinstance(header, dict) or not {"list", "year", "provinces", "kind"} <= header.keys() <= _HEADER:
        raise wrong(
            "must be the header: a JSON object with list, year, provinces and kind, and nothing else but version"
        )
    if header["list"] not in lists:
        raise wrong(f"no list {header['list']!r}; see `xinyidai lists show`")
    if type(header["year"]) is not int or not 1990 <= header["year"] <= 2200:
        raise wrong("year must be a year, such as 2017")
    provinces = header["provinces"]
    if not isinstance(provinces, list) or not provinces or len(set(map(str, provinces))) < len(provinces):
        raise wrong('provinces must be a list of different codes, such as ["33"]')
    if any(province not in PROVINCES for province in provinces):
        raise wrong(f"provinces must be of {', '.join(PROVINCES)}")
    if header["kind"] not in ("FULL", "INCREMENT"):
        raise wrong("kind must be FULL or INCREMENT")
    return header


def _json_rows(text: str, faults: list[tuple[str, str]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 2):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once)
        except ValueError as error:
            faults.append((f"line {number}", str(error) if isinstance(error, _TwiceError) else "is no JSON object"))
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            faults.append((f"line {number}", "is no JSON object"))


def _csv_rows(text: str, faults: list[tuple[str, str]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    begins = 2  # a quote left open runs on over many lines: where it began is what helps
    try:
        names = next(reader, [])
        if len(set(names)) < len(names):
            faults.append(("line 2", "names a column twice"))
            return
        begins = reader.line_num + 2
        for values in reader:
            number, begins = begins, reader.line_num + 2
            if not values:
                continue
            if len(values) != len(names):
                faults.append((f"line {number}", f"has {len(values)} columns, not {len(names)}"))
                continue
            row: dict[str, Any] = {name: value for name, value in zip(names, values, strict=True) if value}
            if "evidence" in row:
                row["evidence"] = row["evidence"].split(";")
            if "removed" in row:
                row["removed"] = {"true": True, "false": False}.get(row["removed"], row["removed"])
            yield number, row
    except csv.Error as error:
        faults.append((f"line {begins}", f"is no CSV: {error}"))


class _TwiceError(ValueError):
    pass


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError("states a key twice")
    return found


def _line(
    number: int, row: Mapping[str, Any], header: Mapping[str, Any], today: date
) -> tuple[FileLine | None, list[str]]:
    faults = [f"{key}: is not known here" for key in row if key not in _KNOWN]
    texts = {}
    for key, longest in _LONGEST.items():
        value = row.get(key, "")
        if not isinstance(value, str) or len(value) > longest:
            faults.append(f"{key}: must be a text of at most {longest} characters")
            value = ""
        texts[key] = value
    try:
        uscc = Uscc.parse(row.get("uscc", "") if isinstance(row.get("uscc", ""), str) else "").value
    except GatewayError as error:
        faults.append(f"uscc: {error}")
        uscc = ""
    province = row.get("province", "")
    if province not in header["provinces"]:
        faults.append("province: must be one of the header's provinces")
    days = {key: _day(row, key, faults) for key in _DAYS}
    listed_on = days["listed_on"]
    if listed_on is None and not any(fault.startswith("listed_on") for fault in faults):
        faults.append("listed_on: is needed")
    evidence = row.get("evidence", [])
    if not isinstance(evidence, list) or not all(isinstance(one, str) and 0 < len(one) <= 200 for one in evidence):
        faults.append("evidence: must be a list of references, at most 200 characters each")
    removed = row.get("removed", False)
    if not isinstance(removed, bool) or (removed and header["kind"] == "FULL"):
        faults.append("removed: is true or false, and true in an increment only")
    if faults or listed_on is None:
        return None, faults
    begins = days["published_from"] or listed_on
    if begins > today:
        faults.append(f"{'published_from' if days['published_from'] else 'listed_on'}: is after today")
    if begins < listed_on:
        faults.append("published_from: is before listed_on")
    if days["due_off"] is not None and days["due_off"] <= listed_on:
        faults.append("due_off: must be after listed_on")
    if days["published_to"] is not None and days["published_to"] <= begins:
        faults.append("published_to: must be after publication begins")
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


def _day(row: Mapping[str, Any], key: str, faults: list[str]) -> date | None:
    value = row.get(key)
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(value) if len(value) == len("2017-01-01") else _no_day()
    except (ValueError, TypeError):
        faults.append(f"{key}: must be a day, such as 2018-05-02")
        return None


def _no_day() -> date:
    raise ValueError


def _repetitions(lines: Sequence[FileLine]) -> list[tuple[str, str]]:
    first: dict[str, FileLine] = {}
    faults: list[tuple[str, str]] = []
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
        what = (
            f"contradicts line {before.number} in {', '.join(differing)}"
            if differing
            else f"repeats line {before.number}"
        )
        faults.append((f"line {line.number}", what))
    return faults
