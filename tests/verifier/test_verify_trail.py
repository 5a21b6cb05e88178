"""The stand-alone verifier and the gateway's own: two programs, one verdict on whatever was done to a trail."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from gateway.adapters.crypto.verify import verifier
from gateway.adapters.stores.trail_check import Checkpoint, verify_trail
from gateway.adapters.stores.trail_files import segment_name
from gateway.cli.audit import audit
from gateway.cli.public_keys import read_keys
from gateway.domain.anchor import CONFLICTING, UNPROVEN, TrailHead, head_line, heads_by_sequence
from gateway.domain.statement import sm3
from gateway.domain.trail import BEGINNING, Fault, Finding, line_of, taken_apart
from tests.domain.trails import KEY, PUBLIC, damages, entry, rechained, trail

VERIFIER: Final = Path(__file__).parents[2] / "docs" / "verifier" / "verify_trail.py"
_spec = importlib.util.spec_from_file_location("verify_trail", VERIFIER)
assert _spec is not None
assert _spec.loader is not None
alone: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(alone)


def verify(algorithm: str, message: bytes, signature: bytes) -> bool:
    try:
        KEY.public_key().verify(signature, message)
    except InvalidSignature:
        return False
    return algorithm == "ED25519"


def written(path: Path, lines: Sequence[bytes]) -> Path:
    path.write_bytes(b"".join([line + b"\n" for line in lines]))
    return path


def head(line: bytes, name: str = "audit.jsonl", *, is_signed: bool = True) -> bytes:
    apart = taken_apart(line)
    assert apart is not None
    at = "2026-11-24T00:02:00.000+00:00"
    said = TrailHead(name, apart.sequence, apart.hash, at, "ED25519", "test-1")
    signature = KEY.sign(said.message).hex() if is_signed else "00" * 64
    return head_line(TrailHead(name, apart.sequence, apart.hash, at, "ED25519", "test-1", signature))


def both(path: Path, anchors: Path | None, *, is_signed: bool = True) -> tuple[int | None, str]:
    """Gives the verdict, the same of both programs: the first bad entry and what is wrong."""
    told: Sequence[bytes] = anchors.read_bytes().splitlines() if anchors is not None else ()
    checked = verify if is_signed else None
    ours = verify_trail(path, heads_by_sequence(told, path.name, checked), checked)
    keys = [PUBLIC] if is_signed else []
    heads = alone.heads_of(anchors, path.name, keys) if anchors is not None else {}
    count, first_bad, fault = alone.verified(path, heads, keys)
    verdict = (ours.finding.sequence, ours.finding.fault.value) if ours.finding is not None else (None, "")
    assert (count, first_bad, fault) == (ours.entry_count, *verdict), path
    return verdict


@pytest.mark.parametrize(("count", "answers_per_root"), [(6, 0), (9, 2)])
def test_A13_every_damage_at_every_place_is_found_by_both_verifiers_alike(
    tmp_path: Path, count: int, answers_per_root: int
) -> None:
    lines = trail(count, answers_per_root=answers_per_root)
    path = written(tmp_path / "audit.jsonl", lines)
    anchors = tmp_path / "anchors.jsonl"
    anchors.write_bytes(head(lines[count // 2]) + head(lines[-1]))
    whole = both(path, anchors)
    missed, misnamed, seen = [], {}, set()
    for name, damaged in damages(lines):
        kind, _, place = name.rpartition(" ")
        sequence, fault = both(written(path, damaged), anchors)
        seen.add(fault)
        if sequence is None:
            missed.append(name)
            continue
        # What was written anew shows at the next anchored entry, or where an entry was that was anchored.
        later = kind in ("rewritten from", "deleted and hashed anew")
        latest = count if later or kind == "altered and hashed anew" else int(place) + (2 if kind == "repeated" else 1)
        if not int(place) + 1 <= sequence <= latest:
            misnamed[name] = sequence

    assert whole == (None, "")
    assert (missed, misnamed) == ([], {})
    assert {"altered", "missing", "inserted", "replaced", "unreadable", "cut", "rewritten"} <= seen


def test_A13_a_cut_tail_and_a_rewritten_log_are_whole_but_for_the_anchors(tmp_path: Path) -> None:
    lines = trail(10)
    path, anchors = tmp_path / "audit.jsonl", tmp_path / "anchors.jsonl"
    anchors.write_bytes(head(lines[3]) + head(lines[7]))
    rewritten = rechained([*lines[:5], lines[5].replace(b"bank-a", b"bank-b"), *lines[6:]], 5)

    found = {
        name: (both(written(path, damaged), None), both(path, anchors))
        for name, damaged in (("cut", lines[:6]), ("rewritten", rewritten), ("gone", []))
    }

    assert found == {
        "cut": ((None, ""), (7, "cut")),
        "rewritten": ((None, ""), (8, "rewritten")),
        "gone": ((None, ""), (1, "cut")),
    }


def test_heads_that_no_key_signed_prove_nothing_and_are_told(tmp_path: Path) -> None:
    lines = trail(6)
    path, anchors = written(tmp_path / "audit.jsonl", lines), tmp_path / "anchors.jsonl"

    anchors.write_bytes(b"no head\n" + head(lines[2], is_signed=False) + head(lines[4], "other.jsonl"))
    forged = both(path, anchors)
    unsigned = both(path, anchors, is_signed=False)
    anchors.write_bytes(head(lines[2], is_signed=False) + head(lines[2]))
    outweighed = both(path, anchors)

    assert (forged, unsigned, outweighed) == ((3, "signature"), (None, ""), (None, ""))


def test_two_signed_heads_of_one_entry_that_differ_are_told(tmp_path: Path) -> None:
    lines, others = trail(4), rechained([each.replace(b"bank-a", b"bank-b") for each in trail(4)], 0)
    path, anchors = written(tmp_path / "audit.jsonl", lines), tmp_path / "anchors.jsonl"
    anchors.write_bytes(head(lines[1]) + head(others[1]))

    told = heads_by_sequence(anchors.read_bytes().splitlines(), "audit.jsonl", verify)

    assert told == {2: CONFLICTING}
    assert both(path, anchors) == (2, "rewritten")
    anchors.write_bytes(head(lines[1], is_signed=False))
    assert heads_by_sequence(anchors.read_bytes().splitlines(), "audit.jsonl", verify) == {2: UNPROVEN}


def test_a_forged_signature_of_a_root_is_named(tmp_path: Path) -> None:
    lines = trail(7, answers_per_root=2)
    told = json.loads(lines[2])
    forged = rechained([*lines[:2], lines[2].replace(told["signature"].encode(), b"13" * 64), *lines[3:]], 2)
    path = written(tmp_path / "audit.jsonl", forged)

    assert both(path, None) == (3, "signature")
    assert both(path, None, is_signed=False) == (None, "")


def test_the_chain_is_followed_over_segments_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = trail(12, answers_per_root=2)
    for first in (1, 5, 9):
        written(segment_name(path, first) if first < 9 else path, lines[first - 1 : first + 3])

    whole = both(path, None)
    segment_name(path, 5).unlink()

    assert (whole, both(path, None)) == ((None, ""), (5, "missing"))


def test_a_half_line_at_the_end_is_no_fault_and_a_line_without_end_is_read_in_pieces(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.jsonl", trail(3))
    with path.open("ab") as file:
        file.write(b'{"sequence":4,"prev')

    torn = both(path, None)
    path.write_bytes(path.read_bytes() + b"x" * (9 * 1024 * 1024) + b"\n")

    assert (torn, both(path, None)) == ((None, ""), (4, "unreadable"))


def test_D8_a_verification_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = trail(12, answers_per_root=2)
    written(path, lines[:7])
    first = verify_trail(path, {})
    path.rename(segment_name(path, 1))  # the gateway set it aside in between
    written(segment_name(path, 1), lines[:8])
    written(path, lines[8:])

    second = verify_trail(path, {}, since=first.checkpoint)
    damaged = [*lines[8:10], lines[10].replace(b"a-10", b"a-11"), lines[11]]
    written(path, damaged)
    third = verify_trail(path, {}, since=first.checkpoint)

    assert (first.entry_count, second.entry_count) == (7, 5)
    assert (first.finding, second.finding, second.end.sequence) == (None, None, 12)
    assert third.finding == Finding(11, Fault.ALTERED)
    assert third.checkpoint == Checkpoint(
        9, len(b"".join(lines[8:10])) + 2, 10, second_hash(lines[9]), third_leaves(lines)
    )


def second_hash(line: bytes) -> str:
    apart = taken_apart(line)
    assert apart is not None
    return apart.hash


def third_leaves(lines: Sequence[bytes]) -> tuple[str, ...]:
    apart = taken_apart(lines[9])
    assert apart is not None
    return (apart.leaf.hex(),) if apart.leaf is not None else ()


@pytest.mark.parametrize("count", [8_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_D8_a_long_trail_is_verified_in_bounded_memory(tmp_path: Path, count: int) -> None:
    path = tmp_path / "audit.jsonl"
    link = BEGINNING
    told: list[int] = []
    with path.open("wb") as file:
        for number in range(count):
            line, link = line_of(link, entry(number))
            file.write(line)
    import tracemalloc

    tracemalloc.start()
    found = verify_trail(path, {count: link.hash}, progress=told.append)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (found.finding, found.entry_count, found.anchored_to) == (None, count, count)
    assert most < 16 * 1024 * 1024
    assert len(told) == count // 50_000


def test_the_verifiers_own_sm3_is_the_standards() -> None:
    vectors: Mapping[bytes, str] = {
        b"abc": "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
        b"abcd" * 16: "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
    }

    assert {content: alone.plain_sm3(content).hex() for content in vectors} == vectors
    assert [alone.plain_sm3(bytes(n)) for n in range(130)] == [sm3(bytes(n)) for n in range(130)]


def test_the_verifiers_own_sm2_takes_the_standards_signature_and_nothing_else(tmp_path: Path) -> None:
    # GB/T 32918.5-2017, annex A.2
    point = bytes.fromhex(
        "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
        "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
    )
    r = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
    s = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    der = bytes.fromhex("30") + bytes([len(_der(r)) + len(_der(s))]) + _der(r) + _der(s)
    (tmp_path / "key").write_text((b"\x04" + point).hex())
    keys = alone.read_keys(tmp_path / "key")

    told = [
        alone.is_signed(keys, "SM2-SM3", message, signature)
        for message, signature in (
            (b"message digest", raw.hex()),
            (b"message digest", der.hex()),
            (b"massage digest", raw.hex()),
            (b"message digest", raw[::-1].hex()),
            (b"message digest", bytes(64).hex()),
            (b"message digest", "no hex"),
        )
    ]

    assert told == [True, True, False, False, False, False]
    assert not alone.is_signed(keys, "ED25519", b"message digest", raw.hex())


def _der(number: int) -> bytes:
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes([2, len(content)]) + content


def test_the_verifier_is_short_and_needs_nothing_of_the_gateway() -> None:
    text = VERIFIER.read_text(encoding="utf-8")
    named = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert len(text.splitlines()) <= 300
    assert named - sys.stdlib_module_names == {"cryptography"}
    assert not re.search(r"import_module|__import__|exec\(", text)


def test_the_verifiers_command_says_what_it_found_by_its_exit_code(tmp_path: Path) -> None:
    lines = trail(4, answers_per_root=2)
    path = written(tmp_path / "audit.jsonl", lines)
    worker = written(tmp_path / "audit.2.jsonl", [lines[0], lines[2]])
    (tmp_path / "key").write_text(PUBLIC.hex())

    def run(*arguments: object) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", VERIFIER, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    damaged = run(path, "--public-key", tmp_path / "key", "--json")
    worker.unlink()

    assert (damaged[0], [json.loads(line) for line in damaged[1].splitlines()]) == (
        1,
        [
            {"trail": "audit.jsonl", "entries": 4, "first_bad": None, "fault": ""},
            {"trail": "audit.2.jsonl", "entries": 1, "first_bad": 2, "fault": "missing"},
        ],
    )
    assert run(path)[0] == 0
    assert run(tmp_path / "none.jsonl")[0] == 2


def test_whatever_was_not_looked_at_is_said_beside_a_whole_trail_by_both(tmp_path: Path) -> None:
    lines = trail(4, answers_per_root=2)
    path, renamed = written(tmp_path / "audit.jsonl", lines), written(tmp_path / "copy.jsonl", lines[:2])
    with renamed.open("ab") as file:
        file.write(lines[2][:9])
    anchors, key = tmp_path / "anchors.jsonl", tmp_path / "key"
    anchors.write_bytes(head(lines[-1]))
    key.write_text(PUBLIC.hex())

    def run(*arguments: object) -> tuple[int, str, str]:
        stated = list(map(str, arguments))
        ours = CliRunner().invoke(audit, ["verify", "--trail", *stated])
        theirs = subprocess.run([sys.executable, "-I", VERIFIER, *stated], capture_output=True, text=True, check=False)
        assert theirs.returncode == ours.exit_code, (ours.output, theirs.stderr)
        return ours.exit_code, ours.output, theirs.stdout + theirs.stderr

    whole = run(path, "--anchors", anchors, "--public-key", key)
    bare = run(path)
    unsigned = run(path, "--anchors", anchors)
    strange = run(renamed, "--anchors", anchors, "--public-key", key)

    assert [each[0] for each in (whole, bare, unsigned, strange)] == [0, 0, 0, 2]
    assert not any("not checked" in said or "no anchor" in said for said in whole[1:])
    assert all("signatures not checked" in said and "no anchor" in said for said in bare[1:])
    assert all("signatures not checked" in said and "no anchor" not in said for said in unsigned[1:])
    assert all("has no head of copy.jsonl" in said for said in strange[1:])
    assert "9 bytes of an unfinished line" in strange[1]


def test_keys_are_read_alike_from_a_list_pem_and_hexadecimal(tmp_path: Path) -> None:
    spki = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    sm2 = bytes.fromhex(  # the base point: a point of the curve
        "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
        "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
    )
    listed = {
        "keys": [
            {"key_id": "a", "algorithm": "ED25519", "public_key": PUBLIC.hex()},
            {"key_id": "b", "algorithm": "SM2-SM3", "public_key": sm2.hex()},
        ]
    }
    files = {
        "list": (json.dumps(listed).encode(), [PUBLIC, sm2]),
        "pem": (spki, [PUBLIC]),
        "hex": (PUBLIC.hex().encode(), [PUBLIC]),
        "point": (b"04" + sm2.hex().encode(), [sm2]),
    }
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "short").write_text("00ff")

    assert {name: alone.read_keys(tmp_path / name) for name in files} == {
        name: keys for name, (_, keys) in files.items()
    }
    assert {name: [key.public_key for key in read_keys(tmp_path / name)] for name in files} == {
        name: keys for name, (_, keys) in files.items()
    }
    for read in (alone.read_keys, read_keys):
        with pytest.raises(ValueError, match=r"neither|is no public key"):
            read(tmp_path / "short")
    check = verifier(read_keys(tmp_path / "hex"))
    assert check("ED25519", b"m", KEY.sign(b"m"))
    assert not check("SM2-SM3", b"m", KEY.sign(b"m"))


def test_A13_a_signed_root_is_at_its_own_place_only_whatever_number_its_entry_states_again(tmp_path: Path) -> None:
    lines, link = [], BEGINNING
    for line in trail(9, answers_per_root=2)[3:]:  # the first batch is left out, the others move up
        told, apart = json.loads(line), taken_apart(line)
        assert apart is not None
        body = {name: value for name, value in told.items() if name not in ("sequence", "previous", "leaf", "hash")}
        if told["event"] == "root":
            body["sequence"] = told["sequence"]
        moved, link = line_of(link, json.dumps(body, separators=(",", ":")).encode(), apart.leaf)
        lines.append(moved[:-1])

    assert both(written(tmp_path / "audit.jsonl", lines), None) == (3, "signature")
