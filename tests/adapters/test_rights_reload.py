"""Policies reloaded under a running gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from gateway.adapters.rights.cedar import CedarRights
from gateway.adapters.rights.policies import compile_policies
from gateway.adapters.rights.reload import PolicyWatch
from gateway.adapters.rights.sources import PolicyFolders
from gateway.domain.caller import Role
from gateway.domain.rights import METHOD
from tests.adapters.policies import CONFIG, caller, write

GET = "CreditService/GetCreditView"
SHUT = '@id("shut") forbid (principal, action, resource);'
_FOR_EVER = 3_600.0


def watched(folder: Path) -> tuple[CedarRights, PolicyFolders]:
    write(folder, own="")
    folders = PolicyFolders([CONFIG, folder])
    return CedarRights(compile_policies(folders.read())), folders


def is_open(rights: CedarRights) -> bool:
    alone = rights.decide(caller(Role.BANK_QUERY), GET, METHOD)
    assert rights.decide_each(caller(Role.BANK_QUERY), GET, (METHOD,)) == (alone,)
    return alone.is_allowed


async def test_D9_broken_policies_on_reload_leave_the_old_ones_in_force_and_are_told_once(tmp_path: Path) -> None:
    rights, folders = watched(tmp_path)
    refused: list[bool] = []
    watch = PolicyWatch(rights, folders, refused.append, every_s=_FOR_EVER)
    version = rights.policies.version

    with structlog.testing.capture_logs() as logs:
        write(tmp_path, own=SHUT + "permit (")
        await watch.look()
        await watch.look()
        kept = is_open(rights)
        write(tmp_path, own=SHUT)
        await watch.look()
    await watch.aclose()

    assert kept
    assert not is_open(rights)
    assert [entry["event"] for entry in logs] == ["policies.refused", "policies.reloaded"]
    assert refused == [True, False]
    assert logs[0]["in_force"] == version
    assert "policies/own.cedar" in logs[0]["faults"][0]


async def test_nothing_is_read_again_while_nothing_changes(tmp_path: Path) -> None:
    rights, folders = watched(tmp_path)
    watch = PolicyWatch(rights, folders, every_s=_FOR_EVER)
    before = rights.policies

    with structlog.testing.capture_logs() as logs:
        await watch.look()
    await watch.aclose()

    assert rights.policies is before
    assert logs == []


async def test_a_removed_file_and_a_new_one_are_changes(tmp_path: Path) -> None:
    rights, folders = watched(tmp_path)
    watch = PolicyWatch(rights, folders, every_s=_FOR_EVER)

    write(tmp_path, another=SHUT)
    await watch.look()
    shut = is_open(rights)
    (tmp_path / "policies" / "another.cedar").unlink()
    await watch.look()
    await watch.aclose()

    assert (shut, is_open(rights)) == (False, True)


async def test_who_is_told_reloads_at_once_and_who_is_not_looks_by_itself(tmp_path: Path) -> None:
    rights, folders = watched(tmp_path)
    told = PolicyWatch(rights, folders, every_s=_FOR_EVER)

    write(tmp_path, own=SHUT)
    told.tell()
    async with asyncio.timeout(10):
        while is_open(rights):
            await asyncio.sleep(0.01)
    await told.aclose()
    by_itself = PolicyWatch(rights, folders, every_s=0.01)
    write(tmp_path, own="")
    async with asyncio.timeout(10):
        while not is_open(rights):
            await asyncio.sleep(0.01)
    await by_itself.aclose()
