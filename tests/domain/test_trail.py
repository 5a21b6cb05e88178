"""The chain: what is written checks, and whatever is done to a line shows at the first entry that is touched."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.trail import BEGINNING, GENESIS, Fault, Finding, TrailCheck, canonical_form, line_of, taken_apart
from tests.domain.trails import damages, entry, rechained, trail


def checked(lines: list[bytes]) -> TrailCheck:
    check = TrailCheck()
    for line in lines:
        check.take(line)
        if check.finding is not None:
            break
    return check


def test_the_canonical_form_is_the_line_without_its_hash_and_the_hash_is_its_sm3() -> None:
    line, link = line_of(BEGINNING, b'{"time":"t","event":"refused"}')

    assert line == (
        b'{"sequence":1,"previous":"%b","time":"t","event":"refused","hash":"%b"}\n'
        % (GENESIS.encode(), link.hash.encode())
    )
    canonical = b'{"sequence":1,"previous":"%b","time":"t","event":"refused"}' % GENESIS.encode()
    assert canonical_form(line[:-1]) == canonical
    assert link.hash == hashlib.new("sm3", canonical).hexdigest()


_MEMBERS = st.dictionaries(
    st.text(max_size=8), st.text(max_size=30) | st.integers() | st.none(), min_size=1, max_size=5
)


@given(st.lists(st.tuples(_MEMBERS, st.none() | st.binary(min_size=32, max_size=32)), min_size=1, max_size=8))
def test_whatever_is_written_is_read_back_and_checks(entries: list[tuple[dict[str, object], bytes | None]]) -> None:
    link, check = BEGINNING, TrailCheck()
    for members, node in entries:
        line, link = line_of(link, json.dumps({"event": "x", **members}, ensure_ascii=False).encode(), node)
        check.take(line[:-1])
        apart = taken_apart(line[:-1])
        assert apart is not None
        assert (apart.link, apart.leaf, apart.is_sound) == (link, node, True)
        assert b"\n" not in line[:-1]

    assert (check.finding, check.link) == (None, link)


@given(st.integers(0, 9), st.integers(0), st.integers(1, 255))
def test_A13_a_changed_byte_is_found_at_its_entry(at: int, place: int, change: int) -> None:
    lines = trail(10, answers_per_root=2)
    line = lines[at]
    place %= len(line)
    lines[at] = line[:place] + bytes([line[place] ^ change]) + line[place + 1 :]

    found = checked(lines).finding

    assert found is not None
    assert found.sequence == at + 1


@pytest.mark.parametrize("answers_per_root", [0, 3])
def test_A13_an_altered_deleted_inserted_or_moved_entry_is_found_by_its_number(answers_per_root: int) -> None:
    lines = trail(10, answers_per_root=answers_per_root)
    missed = {}
    for name, damaged in damages(lines):
        kind, _, place = name.rpartition(" ")
        if kind in ("cut", "rewritten from", "deleted and hashed anew"):
            continue  # for the anchors: the chain itself is whole
        found = checked(damaged).finding
        # Of an entry written twice the second is the first that should not be there; a change of the last that was hashed
        # anew is for the anchors too.
        first = int(place) + (2 if kind == "repeated" else 1)
        if kind == "altered and hashed anew" and int(place) == 9:
            continue
        if found is None or found.sequence != first:
            missed[name] = found

    assert missed == {}


def test_A13_a_log_written_anew_checks_by_itself_and_so_needs_anchors() -> None:
    lines = trail(6)
    lines[2] = lines[2].replace(b"bank-a", b"bank-b")

    assert checked(rechained(lines, 2)).finding is None


def test_a_root_must_be_that_of_the_leaves_before_it() -> None:
    lines = trail(8, answers_per_root=3)
    told = json.loads(lines[3])
    forged = lines[3].replace(told["root"].encode(), b"00" * 32)

    found = checked(rechained([*lines[:3], forged, *lines[4:]], 3)).finding

    assert found == Finding(4, Fault.ROOT, "is not that of the leaves before it")


def test_leaves_whose_batch_a_crash_cut_off_are_counted_and_no_fault() -> None:
    lines = trail(4, answers_per_root=3)
    torn = [*lines[:1], *rechained([lines[0], *lines], 1)[1:]]

    check = checked(torn)

    assert (check.finding, check.uncovered, check.root_count) == (None, 1, 1)


def test_a_trail_that_does_not_begin_with_its_first_entry_is_told() -> None:
    assert checked(trail(5)[1:]).finding == Finding(1, Fault.MISSING, "here stands 2")


def test_lines_that_nearly_are_entries_are_none() -> None:
    line = line_of(BEGINNING, entry(1))[0][:-1]

    assert taken_apart(line) is not None
    assert [
        taken_apart(each)
        for each in (b"", b"{}", line[:-1], line[1:], line.upper(), line.replace(b'"sequence":1', b'"sequence":01'))
    ] == [None] * 6
