"""Certificates as an operator meets them: nothing configured, a development authority, its rotation, faults told."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.kinds import Kind
from tests.e2e import warm
from tests.e2e.conftest import DEMO, Rig
from tests.e2e.test_workers import configure, until

QUIET = {key: value for key, value in os.environ.items() if not key.startswith("XINYIDAI_C")}


async def run(
    folder: Path, *arguments: str, language: str = "C.UTF-8", env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Runs the command in a folder of its own, where var/certs is."""
    environment = {**QUIET, "LANG": language, "LC_ALL": language, "TERM": "dumb", **(env or {})}
    process = await warm.start(*arguments, env=environment, cwd=folder)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


@dataclass
class Served:
    """`xinyidai serve` as its log tells of it."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == name]

    @property
    def address(self) -> str:
        return next(f"127.0.0.1:{line['port']}" for line in self.lines if "port" in line)

    async def has(self, event: str, count: int = 1) -> None:
        async def told() -> bool:
            return len(self.events(event)) >= count

        await until(told)


@asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[Served]:
    where = ("--config", str(folder), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    process = await warm.start("serve", *where, *arguments, cwd=folder, env=QUIET)
    served = Served()

    async def follow() -> None:
        while line := await process.stderr.readline():
            served.lines.append(json.loads(line))

    following = asyncio.create_task(follow())
    try:
        yield served
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
        await following


@pytest.mark.parametrize(("language", "word"), [("C.UTF-8", "no certificates"), ("zh_CN.UTF-8", "未配置证书")])
async def test_serve_without_certificates_refuses_and_names_the_two_commands_that_help(
    tmp_path: Path, language: str, word: str
) -> None:
    told = [
        await run(tmp_path, "serve", "--listen", "127.0.0.1:0", *more, language=language)
        for more in ((), ("--workers", "2"))
    ]

    for code, _, err in told:
        assert code == 2
        assert word in err
        assert "xinyidai certs init" in err
        assert "xinyidai serve --development" in err


async def test_one_authority_serves_one_machine_and_is_rotated_while_the_gateway_runs(rig: Rig, tmp_path: Path) -> None:
    configure(rig, tmp_path)
    (tmp_path / "gateway.toml").write_text("[server.tls]\nreload_s = 0.05\n")
    made, _, _ = await run(tmp_path, "certs", "init")

    async with serving(tmp_path) as served:
        await served.has("gateway.development_authority")
        at = ("--address", served.address)
        first = await run(tmp_path, "query", DEMO, "--json", *at)
        show = await run(tmp_path, "platforms", "show", "jiangsu", *at)
        purge = await run(tmp_path, "cache", "purge", DEMO, *at)
        plain = await run(tmp_path, "query", DEMO, "--plaintext", *at)
        as_operator = await run(tmp_path, "query", DEMO, *at, env={"XINYIDAI_PROFILE": "demo-operator"})
        rotated = await run(tmp_path, "certs", "rotate", "ca")
        await served.has("certificate.reloaded")
        after = await run(tmp_path, "query", DEMO, "--json", *at)

    entries = [json.loads(line) for line in (tmp_path / "var" / "audit.jsonl").read_text().splitlines()]
    assert [made, first[0], show[0], purge[0], rotated[0], after[0]] == [0] * 6, (first, show, purge, rotated, after)
    assert {(entry["event"], entry["bank"]) for entry in entries} == {("answered", "demo-bank"), ("denied", "")}
    assert all(entry["certificate"] for entry in entries)
    assert plain[0] == 1
    assert "it may want a certificate" in plain[2]
    assert (as_operator[0], "not permitted to this caller" in as_operator[2]) == (1, True)


@pytest.mark.long
async def test_workers_serve_with_certificates_too(rig: Rig, tmp_path: Path) -> None:
    configure(rig, tmp_path)
    Authority(tmp_path / "var" / "certs").init()

    async with serving(tmp_path, "--workers", "2") as served:
        await served.has("worker.ready", 2)
        code, out, err = await run(tmp_path, "query", DEMO, "--json", "--address", served.address)

    assert (code, err) == (0, "")
    assert json.loads(out)["view"]["query"]["uscc"] == DEMO
    assert len(served.events("gateway.development_authority")) == 1


@pytest.mark.long
async def test_certificates_are_taken_from_options_variables_or_profile(rig: Rig, tmp_path: Path) -> None:
    configure(rig, tmp_path)
    authority = Authority(tmp_path / "elsewhere")
    authority.init()
    files = [str(authority.folder / name) for name in ("demo-bank.pem", "demo-bank.key", "ca.pem")]
    tls = authority.server_files()
    (tmp_path / "gateway.toml").write_text(
        f'[server.tls]\ncertificate = "{tls.certificate}"\nkey = "file:{tls.key}"\nclient_ca = "{tls.client_ca}"\n'
    )
    by_name = dict(zip(("XINYIDAI_CERT", "XINYIDAI_KEY", "XINYIDAI_CA"), files, strict=True))

    async with serving(tmp_path) as served:
        await served.has("gateway.serving")
        at = ("query", DEMO, "--address", served.address)
        told = [
            await run(tmp_path, *at, "--cert", files[0], "--key", files[1], "--ca", files[2]),
            await run(tmp_path, *at, env=by_name),
            await run(tmp_path, *at, env={"XINYIDAI_CERTS": str(authority.folder)}),
            await run(tmp_path, *at, "--cert", files[0]),
            await run(tmp_path, *at, "--cert", files[0], "--key", "none.key", "--ca", files[2]),
        ]
        checked = await run(tmp_path, "check-config", "--config", str(tmp_path))
        listed = await run(tmp_path, "certs", "list", "--config", str(tmp_path), "--json")

    assert [code for code, _, _ in told] == [0, 0, 0, 2, 2]
    assert "belong together" in told[3][2]
    assert "none.key: No such file" in told[4][2]
    assert (checked[0], "server.tls server: until 20" in checked[1]) == (0, True)
    assert [one["name"] for one in json.loads(listed[1])] == ["server.tls server", "server.tls client_ca"]
    assert not served.events("gateway.development_authority")


async def test_broken_certificates_are_told_with_file_and_key(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certs")
    authority.init()
    (authority.folder / "server.key").write_bytes((authority.folder / "demo-bank.key").read_bytes())
    stated = f'[server.tls]\ncertificate = "{authority.folder}/server.pem"\nkey = "{authority.folder}/server.key"\n'
    (tmp_path / "gateway.toml").write_text(stated + 'client_ca = "none.pem"\n')

    code, _, err = await run(tmp_path, "check-config", "--config", str(tmp_path))
    served, _, said = await run(tmp_path, "serve", "--config", str(tmp_path), "--listen", "127.0.0.1:0")

    assert (code, served) == (2, 2)
    for text in (err, said):
        assert f"gateway.toml: server.tls.key: {authority.folder}/server.key: is not the key of the certificate" in text
        assert "gateway.toml: server.tls.client_ca: none.pem: cannot be read" in text


@pytest.mark.long
async def test_what_is_issued_is_listed_for_people_and_for_machines(tmp_path: Path) -> None:
    empty = await run(tmp_path, "certs", "list")
    await run(tmp_path, "certs", "init")

    twice = await run(tmp_path, "certs", "init")
    issued = await run(tmp_path, "certs", "issue", "reviewer", "bank-b", "--days", "20", "--json")
    told = await run(tmp_path, "certs", "issue", "bank", "bank-b")
    listed = await run(tmp_path, "certs", "list", language="zh_CN.UTF-8")
    machine = await run(tmp_path, "certs", "list", "--json")
    wrong = await run(tmp_path, "certs", "rotate", "nobody")

    (reviewer,) = json.loads(issued[1])
    assert [empty[0], twice[0], wrong[0]] == [1, 1, 1]
    assert (reviewer["name"], reviewer["names"]) == ("bank-b-reviewer", ["URI:urn:xinyidai:reviewer:bank-b"])
    assert 19 * 86_400 < reviewer["seconds_left"] < 20 * 86_400
    assert told[1].splitlines()[-2:] == [
        "Add to certificates of [banks.bank-b] in banks.toml, beside what stands there:",
        '  { san = "URI:urn:xinyidai:bank:bank-b", roles = ["bank-query"] },',
    ]
    assert "URI:urn:xinyidai:reviewer:bank-b" in listed[1]
    assert "⚠" in listed[1]
    assert [one["name"] for one in json.loads(machine[1])] == [
        "ca",
        "bank-b",
        "bank-b-reviewer",
        "demo-bank",
        "demo-bank-reviewer",
        "demo-operator",
        "server",
    ]
    assert oct((tmp_path / "var/certs/bank-b.key").stat().st_mode)[-3:] == "600"


@pytest.mark.long
@pytest.mark.parametrize(
    ("language", "word"), [("C.UTF-8", "development authority"), ("zh_CN.UTF-8", "开发用证书机构")]
)
async def test_help_of_certs_speaks_the_locales_language(tmp_path: Path, language: str, word: str) -> None:
    pages = [await run(tmp_path, "certs", *more, "--help", language=language) for more in ((), ("issue",), ("rotate",))]

    assert word in pages[0][1]
    assert [code for code, _, _ in pages] == [0, 0, 0]
    assert not any("…" in page for _, page, _ in pages)


async def test_plain_text_goes_no_further_than_this_machine(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path, "query", DEMO, "--address", "192.0.2.1:50051", "--plaintext")
    without, _, _ = await run(tmp_path, "query", DEMO, "--address", "192.0.2.1:50051")

    assert (code, without) == (2, 2)
    assert "--cert, --key and --ca" in err


def test_a_kind_s_profile_is_used_by_the_commands_that_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.cli.reach import profile

    authority = Authority(tmp_path)
    authority.init()
    authority.issue(Kind.BANK, "another")

    used = {kind: profile(tmp_path, kind)[0].stem for kind in (Kind.BANK, Kind.OPERATOR)}

    assert used == {Kind.BANK: "demo-bank", Kind.OPERATOR: "demo-operator"}
    assert profile(tmp_path, Kind.BANK, "another")[0].stem == "another"


async def test_the_demo_makes_its_own_certificates_and_leaves_nothing(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path, "demo")

    assert (code, err) == (0, "")
    assert "Both views were checked" in out
    assert list(tmp_path.iterdir()) == []
