"""The command as a person runs it: help in two languages, faults with exit codes, a clean end on SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.adapters.telemetry.logs import configure_logs
from gateway.bootstrap import build_gateway
from gateway.connector_bootstrap import find_plugins
from gateway.domain.crosswalk import Crosswalk
from tests.e2e import warm
from tests.e2e.conftest import DEMO, Rig, query
from tests.shipped import shipped_settings

NO_CERTIFICATES = {"XINYIDAI_CERTS": str(Path(__file__).parent / "no-such-folder")}
"""So that the commands speak plain text, whatever `make run` has left in the checkout."""
COMMAND = str(Path(sys.executable).parent / "xinyidai")


async def run(*arguments: str, language: str = "C.UTF-8", cwd: Path | None = None) -> tuple[int, str, str]:
    process = await warm.start(*arguments, env=_environment(language), cwd=cwd)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


def _environment(language: str) -> dict[str, str]:
    return {**os.environ, "LANG": language, "LC_ALL": language, "TERM": "dumb", **NO_CERTIFICATES}


@pytest.mark.parametrize(("language", "word"), [("C.UTF-8", "one merged view"), ("zh_CN.UTF-8", "统一信用视图")])
async def test_help_speaks_the_locales_language(language: str, word: str) -> None:
    process = await asyncio.create_subprocess_exec(
        COMMAND, "--help", stdout=asyncio.subprocess.PIPE, env=_environment(language)
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, word in out.decode()) == (0, True)


@pytest.mark.parametrize(("language", "word"), [("C.UTF-8", "quotas."), ("zh_CN.UTF-8", "并均分调用配额。")])
async def test_help_of_serve_is_told_to_the_end_in_both_languages(language: str, word: str) -> None:
    code, out, _ = await run("serve", "--help", language=language)

    assert code == 0
    assert word in out
    assert "…" not in out
    assert "--worker " not in out


async def test_broken_configuration_is_listed_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("[server]\nlisten_port = 3\n[deadline]\ndefault_s = -1\n")

    code, _, err = await run("check-config", "--config", str(tmp_path))

    assert code == 2
    assert "gateway.toml: server.listen_port" in err
    assert "gateway.toml: deadline.default_s" in err


async def test_sound_configuration_is_said_to_be_sound() -> None:
    code, out, _ = await run("check-config")

    assert (code, "The configuration is sound." in out) == (0, True)


async def test_each_banks_green_policy_that_was_found_is_printed_and_a_file_of_another_name_is_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "green").mkdir()
    own = 'version = "own"\n[measures]\nV2 = "EXIT"\n[[waived_years]]\nplatform = "anhui"\nyears = [2018, 2019]\nbecause = "x"\n'
    (tmp_path / "green" / "demo-bank.toml.txt").write_text(own)
    _, without, _ = await run("check-config", "--config", str(tmp_path))
    (tmp_path / "green" / "demo-bank.toml").write_text(own)

    _, found, _ = await run("check-config", "--config", str(tmp_path))

    told = [[line.split() for line in out.splitlines() if line.startswith("green ")] for out in (without, found)]
    assert [[words[1] for words in lines] for lines in told] == [["default:"], ["default:", "demo-bank:"]]
    assert " ".join(told[1][1][2:3] + told[1][1][4:]) == "own 2 list years waived, V2 = EXIT"


async def test_a_scheme_or_list_that_a_mapping_states_and_no_table_has_is_noted(tmp_path: Path) -> None:
    for folder, name in (("crosswalk", "tax"), ("lists", "joint")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.toml").touch()  # in place of the shipped one

    code, out, _ = await run("check-config", "--config", str(tmp_path))

    notes = [line.strip() for line in out.splitlines() if " is in no file of " in line]
    assert code == 0
    assert sum(note.startswith("mapping.toml: evaluations.fields.scheme_id: 'TAX_CREDIT'") for note in notes) == 4
    assert sum(note.startswith("mapping.toml: list_entries.fields.list_code: 'YRD_ENV'") for note in notes) == 4
    assert out.endswith("The configuration is sound. Notes marked ⚠: 8.\n")


async def test_a_scheme_that_no_table_has_is_logged_at_the_start(tmp_path: Path) -> None:
    settings = shipped_settings()
    known = {key: scheme for key, scheme in settings.crosswalk.schemes.items() if key != "CUSTOMS"}
    settings = replace(settings, crosswalk=Crosswalk(known))
    configure_logs("warning")  # a command before may have wanted errors only

    with capture_logs() as events:
        gateway = await build_gateway(settings, find_plugins(settings), audit_path=tmp_path / "audit.jsonl")
        await gateway.aclose()

    (told,) = [event for event in events if event["event"] == "platform.unknown_id"]
    assert (told["platform"], "'CUSTOMS' is in no file of crosswalk/" in told["note"]) == ("shanghai", True)


async def test_serving_beyond_loopback_is_refused(tmp_path: Path) -> None:
    code, _, err = await run("serve", "--development", "--listen", "0.0.0.0:0", cwd=tmp_path)

    assert (code, "loopback" in err) == (2, True)


async def test_query_prints_a_view_for_people_and_for_machines(rig: Rig) -> None:
    code, out, err = await run("query", DEMO, "--address", rig.address, "--category", "penalty")
    code_json, out_json, _ = await run("query", DEMO, "--address", rig.address, "--json")

    assert (code, err) == (0, "")
    assert "行政处罚" in out
    assert (code_json, json.loads(out_json)["view"]["query"]["uscc"]) == (0, DEMO)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("91310115MA0TERT168",), 1, "position 18"),
        ((DEMO, "--category", "nonsense"), 2, "use one of"),
        ((DEMO, "--purpose", "nonsense"), 2, "use one of"),
        ((DEMO, "--platform", "beijing"), 1, "platforms[0]"),
    ],
)
async def test_a_refused_query_says_what_to_do(rig: Rig, arguments: tuple[str, ...], code: int, text: str) -> None:
    ended, _, err = await run("query", *arguments, "--address", rig.address)

    assert (ended, text in err) == (code, True)


async def test_without_a_gateway_the_command_says_how_to_start_one() -> None:
    code, _, err = await run("query", DEMO, "--address", "127.0.0.1:1", "--timeout", "2")

    assert (code, "xinyidai up" in err) == (1, True)


async def test_platforms_are_listed(rig: Rig) -> None:
    code, out, _ = await run("platforms", "jiangsu", "--address", rig.address, "--json")

    assert (code, json.loads(out)["platform"]) == (0, "jiangsu")


async def test_what_is_in_force_around_a_platform_is_shown_wrapper_by_wrapper(rig: Rig) -> None:
    code, out, _ = await run("platforms", "show", "jiangsu", "--address", rig.address)
    code_json, out_json, _ = await run("platforms", "show", "jiangsu", "--address", rig.address, "--json")
    unknown, _, err = await run("platforms", "show", "beijing", "--address", rig.address)

    wrappers = {wrapper["wrapper"]: wrapper for wrapper in json.loads(out_json)["wrappers"]}
    assert (code, code_json, unknown) == (0, 0, 1)
    assert list(wrappers) == ["cache", "quota", "breaker", "bulkhead", "retry", "hedge"]
    assert {"key": "calls_per_s", "value": "20"} in wrappers["quota"]["settings"]  # by its manifest
    assert (wrappers["hedge"]["is_active"], wrappers["hedge"]["inactive_because"]) == (
        False,
        "it is asked by submit and poll",
    )
    assert "熔断 breaker" in out
    assert "no platform 'beijing'" in err


async def test_a_purge_forgets_what_is_kept_about_an_enterprise(rig: Rig) -> None:
    asked = pb.GetCreditViewRequest(query=query())
    await rig.credit.GetCreditView(asked)
    calls = {name: platform.simulated.faults.calls for name, platform in rig.platforms.items()}

    one = await run("cache", "purge", DEMO, "--platform", "anhui", "--address", rig.address)
    rest = await run("cache", "purge", DEMO, "--address", rig.address, language="zh_CN.UTF-8")
    none = await run("cache", "purge", DEMO, "--address", rig.address)
    wrong, _, err = await run("cache", "purge", "91310115MA0TERT168", "--address", rig.address)
    await rig.credit.GetCreditView(asked)

    assert [out for _, out, _ in (one, rest, none)] == [
        "1 kept answers were forgotten\n",
        "已清除 3 份缓存应答\n",
        "0 kept answers were forgotten\n",
    ]
    assert (wrong, "position 18" in err) == (1, True)
    assert all(platform.simulated.faults.calls > calls[name] for name, platform in rig.platforms.items())


async def test_D11_sigterm_lets_a_call_under_way_finish_and_loses_no_entry(rig: Rig, tmp_path: Path) -> None:
    platforms = "".join(
        f'[{name}]\nbase_url = "{p.url}"\nsecrets = {{ '
        + ", ".join(f'{k} = "sandbox:{k}"' for k in credentials(name))
        + " }\n"
        for name, p in rig.platforms.items()
    )
    (tmp_path / "platforms.toml").write_text(platforms)
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "serve",
        "--development",
        "--config",
        str(tmp_path),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    port = 0
    while not port:
        line = json.loads(await asyncio.wait_for(process.stderr.readline(), 20))
        port = line.get("port", 0)
    await rig.platforms["shanghai"].set_fault("latency", median_ms=700)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = credit_service_pb2_grpc.CreditServiceStub(channel).GetCreditView(pb.GetCreditViewRequest(query=query()))
        while not rig.platforms["shanghai"].simulated.faults.calls:
            await asyncio.sleep(0.01)

        process.terminate()
        response = await asyncio.wait_for(call, 10)

    await asyncio.wait_for(process.communicate(), 10)
    entries = [json.loads(line) for line in (tmp_path / "var" / "audit.jsonl").read_text().splitlines()]
    assert process.returncode == 0
    assert [e["answer_id"] for e in entries] == [response.delivery.answer_id]


def credentials(name: str) -> list[str]:
    from gateway.connector_bootstrap import find_sandboxes

    return list(find_sandboxes([name])[name].credentials())


async def test_the_sandbox_ends_cleanly_with_its_terminal(tmp_path: Path) -> None:
    (tmp_path / "platforms.toml").write_text('[shanghai]\nbase_url = "http://shanghai.invalid"\n')
    process = await asyncio.create_subprocess_exec(
        COMMAND, "sandbox", "--config", str(tmp_path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said = await asyncio.wait_for(process.stdout.readline(), 30)
    process.send_signal(signal.SIGHUP)
    _, err = await asyncio.wait_for(process.communicate(), 30)

    assert said.startswith(b"shanghai")
    assert (process.returncode, err) == (0, b"")
