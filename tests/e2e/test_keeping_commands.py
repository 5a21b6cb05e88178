"""The commands by which operators keep lists and repairs, in this process, against a running gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.cli.joint_lists import lists
from gateway.cli.repairs import repairs
from tests.domain.joint_entries import DEMO
from tests.e2e.conftest import Rig
from tests.e2e.test_command import NO_CERTIFICATES, run
from tests.e2e.test_joint_lists import trail

PUBLISH = (
    "publish", "YRD_ENV", DEMO, "--province", "33", "--listed-on", "2018-05-02", "--year", "2018", "--reason", "超标排放",
    "--document", "浙环〔2018〕1号",
)  # fmt: skip
PROPOSE = (
    "propose", DEMO, "--document", "合环罚〔2026〕12号", "--authority", "合肥市生态环境局", "--decided-on", "2026-05-08",
    "--severity", "general", "--on", "2026-08-08", "--because", "修〔2026〕1号",
)  # fmt: skip


async def told(rig: Rig, app: Any, *arguments: str, language: str = "C.UTF-8") -> tuple[int, str]:
    env = {**NO_CERTIFICATES, "LC_ALL": language}
    done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--address", rig.address], env=env)
    return done.exit_code, done.output


async def kept(rig: Rig, app: Any, *arguments: str, operator: str = "first") -> Any:
    """Runs a command that must succeed and gives its JSON."""
    code, output = await told(rig, app, *arguments, "--operator", operator, "--json")
    assert code == 0, output
    return json.loads(output)


async def test_an_entry_is_published_amended_disputed_and_repaired_by_two(rig: Rig) -> None:
    entry = (await kept(rig, lists, *PUBLISH))["entry_id"]
    confirm = ("confirm", entry)
    published = await kept(rig, lists, *confirm, operator="second")
    waiting = await told(rig, lists, "amend", entry, DEMO, "--reason", "超标排放废水", "--operator", "first")
    amended = await kept(rig, lists, *confirm, operator="second")
    disputed = await kept(rig, lists, "dispute", entry)
    settled = await kept(rig, lists, "dispute", entry, "--settled")
    await kept(rig, lists, "withdraw", entry, "--because", "误列")
    declined = await kept(rig, lists, *confirm, "--decline", operator="second")
    await kept(rig, lists, "repair", entry, "--on", "2024-06-01", "--because", "修〔2024〕7号")
    repaired = await kept(rig, lists, *confirm, operator="second")

    assert (published["state"], published["content"]["reason"]) == ("ENTRY_STATE_PUBLISHED", "超标排放")
    assert waiting[0] == 0
    assert f"amendment waits for somebody else than first: xinyidai lists confirm {entry}" in waiting[1]
    assert amended["content"] == {**published["content"], "reason": "超标排放废水"}
    events = [(one["event"], one["operator"]) for one in trail(rig) if one["event"].startswith("list_entry_")]
    assert events == [
        ("list_entry_proposed", "first"), ("list_entry_published", "second"), ("list_entry_pending", "first"),
        ("list_entry_amended", "second"), ("list_entry_disputed", "first"), ("list_entry_settled", "first"),
        ("list_entry_pending", "first"), ("list_entry_declined", "second"), ("list_entry_pending", "first"),
        ("list_entry_repaired", "second"),
    ]  # fmt: skip
    states = [one["state"].removeprefix("ENTRY_STATE_") for one in (disputed, settled, declined, repaired)]
    assert states == ["DISPUTED", "PUBLISHED", "PUBLISHED", "REPAIRED"]


async def test_a_penalty_is_repaired_by_two_and_the_stale_copies_are_listed(rig: Rig) -> None:
    repair = (await kept(rig, repairs, *PROPOSE))["repair_id"]
    _, output = await told(rig, repairs, "list", language="zh_CN.UTF-8")
    in_force = await kept(rig, repairs, "confirm", repair, operator="second")
    lifting = await told(rig, repairs, "lift", repair, "--because", "误登", "--operator", "second")
    lifted = await kept(rig, repairs, "confirm", repair, operator="first")
    code, listed = await told(rig, repairs, "list", DEMO, "--json")

    assert "待复核" in output
    assert (in_force["state"], lifted["state"]) == ("REPAIR_STATE_IN_FORCE", "REPAIR_STATE_LIFTED")
    assert f"xinyidai repairs confirm {repair}" in lifting[1]
    assert (code, [json.loads(line)["repair_id"] for line in listed.splitlines()]) == (0, [repair])
    assert (await told(rig, repairs, "stale", "--json"))[0] == 0
    assert "平台 platform" in (await told(rig, repairs, "stale"))[1]


REFUSALS: Any = (
    (lists, ("confirm", "ENTRY", "--operator", "FIRST"), 1, "a second person must"),
    (lists, ("confirm", "ENTRY"), 1, "operator: state who decides"),
    (lists, ("dispute", "ENTRY", "--operator", "a"), 1, "it is proposed and not published yet"),
    (lists, ("withdraw", "none", "--because", "x", "--operator", "a"), 1, "no such entry"),
    (lists, ("amend", "none", DEMO, "--reason", "x", "--operator", "a"), 1, f"{DEMO} has no entry none"),
    (lists, ("repair", "ENTRY", "--on", "2026-02-31", "--because", "x"), 2, "2026-02-31"),
    (lists, (*PUBLISH[:3], "--province", "33", "--listed-on", "2018"), 2, "2018"),
    (repairs, ("confirm", "REPAIR", "--operator", "first"), 1, "a second person must"),
    (repairs, ("lift", "REPAIR", "--because", "x", "--operator", "a"), 1, "not in force"),
    (repairs, ("propose", DEMO, "--on", "2026-08-08", "--because", "x"), 2, "--document, --authority"),
    (repairs, (*PROPOSE, "--severity", "grave"), 2, "use one of MINOR, GENERAL, SERIOUS"),
    (repairs, (*PROPOSE, "--on", "2026-08-07", "--operator", "a"), 1, "may be repaired from 2026-08-08"),
    (repairs, (*PROPOSE, "--record-key", "xyz"), 2, "hexadecimal"),
    (repairs, ("propose", DEMO, "--record", "FILE", "--on", "2026-08-08", "--because", "x"), 2, "no JSON"),
)


async def test_a_refusal_says_what_is_wrong(rig: Rig, tmp_path: Path) -> None:
    entry = (await kept(rig, lists, *PUBLISH))["entry_id"]
    repair = (await kept(rig, repairs, *PROPOSE))["repair_id"]
    (tmp_path / "record").write_text("{", "utf-8")
    named = {"ENTRY": entry, "REPAIR": repair, "FILE": str(tmp_path / "record")}

    for app, arguments, code, words in REFUSALS:
        found = await told(rig, app, *(named.get(one, one) for one in arguments))

        assert found[0] == code, arguments
        assert words in " ".join(found[1].replace("│", "").split())


async def test_help_is_in_both_languages() -> None:
    chinese = await run("repairs", "propose", "--help", language="zh_CN.UTF-8")

    assert "修复日期（北京时间）" in chinese[1]
    for app, command, words in (
        (lists, "repair", "Day of the repair, China time."),
        (repairs, "stale", "Only of this"),
    ):
        assert words in (await asyncio.to_thread(CliRunner().invoke, app, [command, "--help"])).output
