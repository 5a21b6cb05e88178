"""The rows of a list file, from JSON Lines and from CSV as spreadsheets save it; pure.

A spreadsheet quotes the header, since it has commas, pads it and every row with empty cells, ends with empty rows and writes
TRUE: none of that says anything else. What would have to be guessed (separators, encodings, days in other forms) is a fault.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.domain.list_fault import ListFault, at_line

Rows = Iterator[tuple[int, Mapping[str, Any]]]
NEEDED: Final = ("uscc", "province", "listed_on")
_SEPARATORS: Final = {";": ("semicolons", "分号"), "\t": ("tabs", "制表符"), "，": ("full-width commas", "全角逗号")}
_TRUTH: Final = {"true": True, "false": False}


def header_text(first: str) -> tuple[str, bool]:
    """Gives the header of a first line, and whether it is that of a CSV file."""
    if first.startswith('"#'):
        try:
            cell, *others = next(csv.reader([first.rstrip("\r")], strict=True))
        except csv.Error:
            return first, True
        return (first if any(others) else cell[1:].strip()), True
    return first.removeprefix("#").strip(), first.startswith("#")


def json_rows(text: str, faults: list[ListFault]) -> Rows:
    """Gives each line after the first with its number; adds what is wrong to the faults."""
    for number, line in enumerate(text.split("\n"), 2):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once)
        except _TwiceError:
            faults.append(at_line(number, "states a key twice", "同一字段出现两次"))
            continue
        except (ValueError, RecursionError):  # nested too deep
            row = None
        if isinstance(row, dict):
            yield number, row
        else:
            faults.append(at_line(number, "is no JSON object", "不是 JSON 对象"))


def csv_rows(text: str, known: Collection[str], faults: list[ListFault]) -> Rows:
    """Gives each row after the names of the columns; adds what is wrong to the faults, of the columns once."""
    if not text.strip():
        return  # a year in which nobody was listed
    reader = csv.reader(io.StringIO(text), strict=True)
    begins = 2  # a quote left open runs on over many lines: where it began is what helps
    try:
        names = _without_padding(next(reader, []))
        wrong = _wrong_names(names, known)
        if wrong:
            faults += [at_line(2, *one) for one in wrong]
            return
        begins = reader.line_num + 2
        for values in reader:
            number, begins = begins, reader.line_num + 2
            if not any(values):
                continue
            if len(values) < len(names) or any(values[len(names) :]):
                found = max(len(_without_padding(values)), min(len(values), len(names)))
                faults.append(
                    at_line(number, f"has {found} columns, not {len(names)}", f"有 {found} 列，应为 {len(names)} 列")
                )
                continue
            row: dict[str, Any] = {name: value for name, value in zip(names, values, strict=False) if value}
            if "evidence" in row:
                row["evidence"] = row["evidence"].split(";")
            if "removed" in row:
                row["removed"] = _TRUTH.get(row["removed"].lower(), row["removed"])
            yield number, row
    except csv.Error as error:
        faults.append(at_line(begins, f"is no CSV: {error}", f"不是 CSV（{error}）"))


def _wrong_names(names: Sequence[str], known: Collection[str]) -> list[tuple[str, str]]:
    for separator, (english, chinese) in _SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            return [
                (f"has its columns parted by {english}: part them by commas", f"各列以{chinese}分隔，须改用半角逗号")
            ]
    if len(set(names)) < len(names):
        return [("names a column twice", "列名重复")]
    unknown = [name for name in names if name not in known]
    wrong = [(f"column {name!r} is not known here", f"没有名为“{name}”的列") for name in unknown]
    wrong += [(f"column {name} is needed", f"缺少 {name} 列") for name in NEEDED if name not in names]
    if unknown:
        columns = ", ".join([*NEEDED, *sorted(set(known) - set(NEEDED))])
        wrong.append((f"must name columns among {columns}", f"可用的列名： {columns}"))
    return wrong


def _without_padding(cells: Sequence[str]) -> Sequence[str]:
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return cells[:end]


class _TwiceError(ValueError):
    pass


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError
    return found
