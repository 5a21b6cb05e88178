"""The command `xinyidai lists`, in this process, against a running gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.joint_lists import lists
from gateway.domain.statement import sm3
from tests.domain.joint_entries import DEMO, OTHER
from tests.e2e.conftest import Rig
from tests.e2e.test_command import NO_CERTIFICATES

HEADER = {"list": "YRD_ENV", "year": 2018, "provinces": ["33"], "kind": "FULL"}


async def told(rig: Rig, *arguments: str, language: str = "C.UTF-8") -> tuple[int, str]:
    """Runs a command and gives its exit code and all that it printed; of tables the text, whatever the columns' width."""
    env = {**NO_CERTIFICATES, "LC_ALL": language}
    whole = [*arguments, "--address", rig.address]
    done = await asyncio.to_thread(CliRunner().invoke, lists, whole, env=env)
    return done.exit_code, done.output


def write(path: Path, *lines: dict[str, Any]) -> str:
    raw = "\n".join(json.dumps(one) for one in (HEADER, *lines)).encode()
    path.write_bytes(raw)
    return sm3(raw).hex()


async def test_a_file_is_loaded_and_then_shown_searched_counted_and_watched(rig: Rig, tmp_path: Path) -> None:
    file, token = tmp_path / "list.jsonl", tmp_path / "token"
    line = {"uscc": DEMO, "province": "33", "listed_on": "2018-05-02"}
    digest = write(file, line, {**line, "uscc": OTHER})
    load = ("load", str(file), "--digest", digest, "--operator", "loader")

    assert await told(rig, *load) == (0, "YRD_ENV 2018 (33): 2 added, 0 amended, 0 removed, 0 unchanged\n")
    assert "nothing changed" in (await told(rig, *load))[1]
    assert "2018-05-02" in (await told(rig, "show", DEMO))[1]
    code, found = await told(rig, "search", "--field", "environment", "--year", "2018", "--json")
    assert (code, [json.loads(one)["uscc"] for one in found.splitlines()]) == (0, [DEMO, OTHER])
    assert "未报送" in (await told(rig, "stats", language="zh_CN.UTF-8"))[1]
    watch = ("watch", "--once", "--resume", str(token))
    assert len((await told(rig, *watch))[1].splitlines()) == 2
    assert await told(rig, *watch) == (0, "")

    digest = write(file, line)
    assert "1 removed" in (await told(rig, "load", str(file), "--digest", digest, "--operator", "loader"))[1]
    assert (await told(rig, *watch))[1].startswith("- file-")
    assert "no list that is known here" not in (await told(rig, "show", OTHER, language="zh_CN.UTF-8"))[1]
    assert "on no list that is known here" in (await told(rig, "show", OTHER))[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("load", "FILE", "--digest", "00"), 2, "64 hexadecimal digits"),
        (("load", "FILE", "--digest", "0" * 64, "--operator", "a"), 1, "digest: the file's SM3 is"),
        (("load", "FILE", "--digest", "DIGEST"), 1, "operator: state who decides"),
        (("load", "FILE", "--digest", "DIGEST", "--operator", "a"), 1, "line 2: uscc:"),
        (("search", "--field", "air"), 2, "use one of ENVIRONMENT, TOURISM"),
        (("stats", "--list", "YRD_AIR"), 1, "no list 'YRD_AIR'"),
    ],
)
async def test_a_refusal_says_what_is_wrong_and_where(
    rig: Rig, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    file = tmp_path / "list.jsonl"
    digest = write(file, {"uscc": "nonsense", "province": "33", "listed_on": "2018-05-02"})
    named = {"FILE": str(file), "DIGEST": digest}

    found = await told(rig, *(named.get(one, one) for one in arguments))

    assert found[0] == code
    assert words in found[1]


async def test_a_keeper_reads_the_faults_of_a_file_in_chinese_and_that_a_large_one_takes_a_while(
    rig: Rig, tmp_path: Path
) -> None:
    file = tmp_path / "list.jsonl"
    line = {"uscc": DEMO, "province": "33", "listed_on": "2018/5/2"}
    load = ("load", str(file), "--digest", write(file, line), "--operator", "a")
    refused = await told(rig, *load, language="zh_CN.UTF-8")
    with file.open("ab") as opened:
        opened.write(b"\n" * 2_000_000)

    large = await told(rig, *load)

    assert refused[0] == 1
    assert "  第 2 行：listed_on：须为日期，形如 2018-05-02\n" in refused[1]
    assert "2 MB sent; the gateway checks and stores every line" in large[1]


async def test_a_search_says_that_there_is_more_than_it_shows(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    line = {"uscc": DEMO, "province": "33", "listed_on": "2018-05-02"}
    await told(rig, "load", str(file), "--digest", write(file, line, {**line, "uscc": OTHER}), "--operator", "a")

    some, whole = await told(rig, "search", "--most", "1"), await told(rig, "search", "--most", "2")

    assert "the first 1 only: --most shows more" in some[1]
    assert (OTHER in some[1], OTHER in whole[1]) == (False, True)
    assert "only" not in whole[1]


async def test_the_lists_themselves_are_shown(rig: Rig) -> None:
    code, output = await told(rig, "show", "--json")

    assert code == 0
    assert "YRD_ENV" in {one["list_code"] for one in json.loads(output)["lists"]}
    assert "失信被执行人" in (await told(rig, "show"))[1]
