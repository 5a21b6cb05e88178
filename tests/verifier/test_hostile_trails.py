"""Trails, anchors and keys as somebody hostile would write them: both verifiers give a verdict, the same, and name the place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import pytest
from typer.testing import CliRunner

from gateway.cli.audit import audit
from gateway.domain.statement import sm3
from gateway.domain.trail import BEGINNING
from tests.domain.trails import PUBLIC, trail
from tests.verifier.test_verify_trail import alone, head, written

LINES: Final = trail(6, answers_per_root=2)
NEST: Final = b"[" * 100_000 + b"]" * 100_000
DIGITS: Final = b"9" * 5_000


class Both(Protocol):
    """Gives the exit code and what is said of each trail, the same of both programs."""

    def __call__(
        self, anchors: Path | None = None, key: str = "key"
    ) -> tuple[int, list[tuple[str, int | None, str]]]: ...


@pytest.fixture
def verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Both:
    """Gives the exit code and what is said of each trail, the same of both programs, called as an auditor calls them."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    (tmp_path / "key").write_text(PUBLIC.hex())

    def both(anchors: Path | None = None, key: str = "key") -> tuple[int, list[tuple[str, int | None, str]]]:
        options = ["--public-key", str(tmp_path / key), "--json"]
        options += ["--anchors", str(anchors)] if anchors is not None else []
        ours = CliRunner().invoke(audit, ["verify", "--trail", str(tmp_path / "audit.jsonl"), *options])
        code = alone.main([str(tmp_path / "audit.jsonl"), *options])
        told = [
            [(each["trail"], each["first_bad"], each["fault"]) for each in map(json.loads, said.splitlines())]
            for said in (ours.stdout, capsys.readouterr().out)
        ]
        assert (ours.exit_code, told[0]) == (code, told[1])
        return code, told[0]

    return both


def rooted(old: bytes, new: bytes) -> list[bytes]:
    """Gives a trail whose first root's entry, number 3, says something else, hashed anew from there on."""
    lines, link = [], BEGINNING.hash
    for number, line in enumerate([*LINES[:2], re.sub(old, lambda _: new, LINES[2], count=1), *LINES[3:]], 1):
        body = re.sub(rb',"hash":"[0-9a-f]{64}"\}$', b"}", line)
        body = re.sub(
            rb'^\{"sequence":\d+,"previous":"[0-9a-f]*"',
            b'{"sequence":%d,"previous":"%b"' % (number, link.encode()),
            body,
        )
        link = sm3(body).hex()
        lines.append(b'%b,"hash":"%b"}' % (body[:-1], link.encode()))
    return lines


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (rb'"leaf_count":2', b'"leaf_count":2,"x":' + NEST),
        (rb'"leaf_count":2', b'"leaf_count":' + DIGITS),
        (rb'"leaf_count":2', b'"leaf_count":true'),
        (rb'"leaf_count":2', b'"leaf_count":2,"x":NaN'),
        (rb'"leaf_count":2', b'"leaf_count":2,"x":"\xff"'),
        (rb'"leaf_count":2', b'"leaf_count":2,"x":"\\ud800"'),
        (rb'"key_id":"[^"]*"', b'"key_id":"\\ud800"'),
        (rb'"key_id":"[^"]*",', b""),
        (rb'"algorithm":"[^"]*"', b'"algorithm":["ED25519"]'),
        (rb'"time":"[^"]*"', b'"time":null'),
        (rb',"signature":"[^"]*"', b""),
        (rb'"root":"[^"]*"', b'"root":"' + LINES[2].split(b'"root":"')[1][:64].upper() + b'"'),
    ],
)
def test_a_root_that_is_written_in_no_way_of_the_gateways_is_named_by_both(
    tmp_path: Path, verdict: Both, old: bytes, new: bytes
) -> None:
    written(tmp_path / "audit.jsonl", rooted(old, new))

    assert verdict() == (1, [("audit.jsonl", 3, "root")])


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000,
        b'{"x":' + NEST + b"}",
        b'{"trail":"audit.jsonl","sequence":' + DIGITS + b"}",
        head(LINES[0]).replace(b'"test-1"', b'"\xff"').rstrip(),
        head(LINES[0]).replace(b'"test-1"', b'"\\ud800"').rstrip(),
        re.sub(rb'"signature":"[^"]*"', b'"signature":1', head(LINES[0])).rstrip(),
        b"\x00" * 9,
        head(LINES[0]).decode().encode("utf-16"),
    ],
)
def test_a_line_among_the_anchors_that_is_no_head_stops_no_verification(
    tmp_path: Path, verdict: Both, line: bytes
) -> None:
    written(tmp_path / "audit.jsonl", LINES[:-1])
    (tmp_path / "anchors").write_bytes(line + b"\n" + head(LINES[-1]))

    assert verdict(tmp_path / "anchors") == (1, [("audit.jsonl", len(LINES), "cut")])


def test_A13_the_last_head_counts_though_a_copy_left_its_line_end_out(tmp_path: Path, verdict: Both) -> None:
    written(tmp_path / "audit.jsonl", LINES[:-1])
    (tmp_path / "anchors").write_bytes(head(LINES[0]) + head(LINES[-1]).rstrip())

    assert verdict(tmp_path / "anchors") == (1, [("audit.jsonl", len(LINES), "cut")])


def test_A13_a_whole_trail_that_is_gone_is_told_by_its_heads(tmp_path: Path, verdict: Both) -> None:
    written(tmp_path / "audit.1.jsonl", LINES)
    heads: Sequence[bytes] = [head(LINES[-1], name) for name in ("audit.1.jsonl", "audit.2.jsonl", "another.jsonl")]
    (tmp_path / "anchors").write_bytes(b"".join(heads))

    assert verdict(tmp_path / "anchors") == (1, [("audit.1.jsonl", None, ""), ("audit.2.jsonl", 1, "cut")])


def test_what_is_named_nearly_like_a_trail_is_none_and_a_link_to_nothing_neither(tmp_path: Path, verdict: Both) -> None:
    for name in ("audit.٣.jsonl", "audit.01.jsonl", "audit.jsonl.٠٠٠٠٠٠٠٠٠٠٠٠٠٠١"):
        written(tmp_path / name, LINES)
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "nowhere")

    nothing = verdict()
    (tmp_path / "audit.jsonl").unlink()
    written(tmp_path / "audit.jsonl", LINES)

    assert nothing == (2, [])
    assert verdict() == (0, [("audit.jsonl", None, "")])


@pytest.mark.parametrize("content", [b"", b"{", b'{"keys":' + NEST + b"}", b'{"keys":[1]}', b"\x00" * 32, b"zz"])
def test_what_is_no_key_leaves_nothing_checked_and_is_no_verdict(tmp_path: Path, verdict: Both, content: bytes) -> None:
    written(tmp_path / "audit.jsonl", LINES)
    (tmp_path / "no key").write_bytes(content)

    assert verdict(key="no key") == (2, [])
