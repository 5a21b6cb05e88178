"""List files: read whole or not at all, every fault by its line; and what they do to what is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.errors import ListFileError
from gateway.domain.joint_lists import EntryEvent, EntryState, JointEntry, Provision
from gateway.domain.list_fault import ListFault, at_line
from gateway.domain.list_file import ListFile, read_list_file
from gateway.domain.list_load import LoadPlan, entry_id_of, plan_load
from gateway.domain.statement import sm3
from tests.domain.joint_entries import DEMO, NOON, OTHER, TODAY
from tests.domain.test_joint_list_tables import shipped

LISTS = shipped()
HEADER: dict[str, Any] = {"list": "YRD_ENV", "year": 2018, "provinces": ["31", "33"], "kind": "FULL"}
LINE: dict[str, Any] = {"uscc": DEMO, "province": "33", "listed_on": "2018-05-02", "document_number": "浙环〔2018〕1号"}


def content(*lines: Any, header: Any = HEADER) -> bytes:
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in (header, *lines)).encode()


def read(raw: bytes, digest: bytes | None = None) -> ListFile:
    return read_list_file(raw, sm3(raw) if digest is None else digest, LISTS, TODAY)


def faults(raw: bytes, digest: bytes | None = None) -> Sequence[ListFault]:
    with pytest.raises(ListFileError) as raised:
        read(raw, digest)
    return raised.value.faults


def test_json_lines_and_csv_say_the_same() -> None:
    whole = {**LINE, "subject_name": "示例,化工", "evidence": ["a", "b"], "due_off": "2027-01-01"}
    as_csv = (
        f"# {json.dumps(HEADER)}\r\nuscc,province,listed_on,document_number,subject_name,evidence,due_off\r\n"
        f'{DEMO},33,2018-05-02,浙环〔2018〕1号,"示例,化工",a;b,2027-01-01\r\n'
    ).encode("utf-8-sig")

    (from_json,), (from_csv,) = read(content(whole)).lines, read(as_csv).lines

    assert from_csv._replace(number=2) == from_json
    assert from_json.content.evidence == ("a", "b")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "is no JSON object"),
        ("[]", "is no JSON object"),
        ('{"uscc": "a", "uscc": "b"}', "states a key twice"),
        ({**LINE, "uscc": DEMO[:-1] + "8"}, "uscc: "),
        ({**LINE, "uscc": 913101}, "uscc: "),
        ({**LINE, "province": "32"}, "province: must be one of the header's provinces"),
        ({**LINE, "listed_on": "2018-13-02"}, "listed_on: must be a day"),
        ({**LINE, "listed_on": "2018-W10-1"}, "listed_on: must be a day"),
        ({**LINE, "listed_on": "2018/05/02"}, "listed_on: must be a day"),
        ({**LINE, "listed_on": "２０１８-05-02"}, "listed_on: must be a day"),
        ({**LINE, "listed_on": 20180502}, "listed_on: must be a day"),
        ({**LINE, "listed_on": ""}, "listed_on: is needed"),
        ({**LINE, "listed_on": "2026-11-27"}, "listed_on: is after today"),
        ({**LINE, "due_off": "2018-05-02"}, "due_off: must be after listed_on"),
        ({**LINE, "published_from": "2018-05-01"}, "published_from: is before listed_on"),
        ({**LINE, "evidence": "a"}, "evidence: must be a list"),
        ({**LINE, "removed": True}, "removed: is true or false, and true in an increment only"),
        ({**LINE, "colour": "red"}, "colour: is not known here"),
        ({**LINE, "reason": "x" * 2001}, "reason: must be a text of at most 2000"),
    ],
)
def test_a_wrong_line_is_told_by_its_number_and_refuses_the_file(line: Any, fault: str) -> None:
    told = faults(content({**LINE, "uscc": OTHER}, line))

    assert [(one.where, one.english[: len(fault)]) for one in told] == [("line 3", fault)]


def test_lines_that_repeat_or_contradict_another_are_told_by_line() -> None:
    told = faults(content(LINE, LINE, {**LINE, "listed_on": "2018-06-01", "reason": "other"}))

    assert told == (
        at_line(3, "repeats line 2", "与第 2 行重复"),
        at_line(4, "contradicts line 2 in listed_on, reason", "与第 2 行不一致： listed_on, reason"),
    )


def test_a_wrong_digest_encoding_or_header_refuses_the_file() -> None:
    assert faults(content(LINE), bytes(32))[0][0] == "digest"
    for wrong, where in (
        (content(LINE) + b"\n" + "浙".encode("gb18030"), "line 3"),
        ("# {}".encode("utf-16"), "line 1"),
    ):
        ((at, english, _),) = faults(wrong)
        assert (at, english) == (where, "is not UTF-8: save the file as CSV UTF-8")
    for header in ("{}", {**HEADER, "list": "YRD_AIR"}, {**HEADER, "provinces": ["11"]}, {**HEADER, "kind": "HALF"}):
        assert [one.where for one in faults(content(LINE, header=header))] == ["line 1"]
    assert [one.where for one in faults(content(LINE, header={**HEADER, "year": True}))] == ["line 1"]


def test_a_quote_left_open_is_told_where_it_began() -> None:
    rows = [f"{DEMO},33,2018-05-02,浙环〔2018〕{number}号" for number in range(1, 6)]
    rows[1] = f'{DEMO},33,2018-05-02,"浙环〔2018〕2号'
    raw = "\n".join((f"# {json.dumps(HEADER)}", "uscc,province,listed_on,document_number", *rows)).encode()

    ((where, what, _),) = faults(raw)

    assert (where, what.split(":")[0]) == ("line 4", "is no CSV")


def load(raw: bytes, kept: Sequence[JointEntry] = (), provided: Sequence[Provision] = ()) -> LoadPlan:
    return plan_load(read(raw), LISTS["YRD_ENV"], kept, provided, "loader", NOON, TODAY)


def test_a_first_file_publishes_its_entries_and_says_what_it_provides() -> None:
    plan = load(content(LINE))

    (entry,) = plan.put
    assert (entry.state, entry.version, entry.origin[:5], entry.list_year) == (EntryState.PUBLISHED, 1, "file:", 2018)
    assert [(one.province, one.list_year) for one in plan.provisions] == [("31", 2018), ("33", 2018)]


def test_absence_from_a_full_file_removes_what_files_brought_and_nothing_else() -> None:
    first = load(content(LINE, {**LINE, "uscc": OTHER}))
    by_hand = replace(first.put[0], entry_id="by-hand", origin="operator:first")

    second = load(content(LINE), (*first.put, by_hand), first.provisions)

    assert [(one.uscc, one.state, one.event, one.version) for one in second.put] == [
        (OTHER, EntryState.REMOVED, EntryEvent.REMOVED, 2)
    ]
    assert (second.removed, second.unchanged) == (1, 1)


def test_a_full_file_without_a_line_of_a_province_takes_nobody_off_there() -> None:
    first = load(content(LINE, {**LINE, "uscc": OTHER}))

    with pytest.raises(ListFileError) as refused:
        load(content(), first.put, first.provisions)

    ((where, what, _),) = refused.value.faults
    assert where == "line 1"
    assert what.startswith("no line for province 33, where 2 entries are shown")
    assert load(content()).put == ()


def test_an_increment_removes_only_what_it_says_and_amends_what_differs() -> None:
    first = load(content(LINE, {**LINE, "uscc": OTHER}))
    header = {**HEADER, "kind": "INCREMENT"}

    none = load(content(header=header), first.put, first.provisions)
    some = load(content({**LINE, "reason": "new"}, {**LINE, "uscc": OTHER, "removed": True}, header=header), first.put)

    assert none.put == ()
    assert [(one.event, one.version, one.reason) for one in some.put] == [
        (EntryEvent.AMENDED, 2, "new"),
        (EntryEvent.REMOVED, 2, ""),
    ]


def test_the_same_file_again_changes_nothing() -> None:
    first = load(content(LINE))

    again = load(content(LINE), first.put, first.provisions)

    assert (again.put, again.provisions, again.is_repeated) == ((), (), True)


def test_what_was_repaired_here_stays_repaired_and_the_line_is_told_as_stale() -> None:
    (entry,) = load(content(LINE)).put
    repaired = replace(entry, state=EntryState.REPAIRED, version=2)

    plan = load(content(LINE, {**LINE, "uscc": OTHER}), (repaired,))

    assert (plan.stale_lines, [one.uscc for one in plan.put]) == ((2,), [OTHER])


def test_what_a_file_removed_a_file_may_bring_back() -> None:
    first = load(content(LINE))
    ended = content({**LINE, "removed": True}, header={**HEADER, "kind": "INCREMENT"})
    removed = load(ended, first.put, first.provisions).put[0]

    (back,) = load(content(LINE), (removed,)).put

    assert (back.entry_id, back.state, back.version) == (entry_id_of(read(content(LINE)).lines[0]), "PUBLISHED", 3)
