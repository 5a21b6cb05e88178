"""When banks.toml is read anew, and what is in force when it cannot be; see tests/e2e for what that does to calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.adapters.identity.callers import KnownCallers
from gateway.adapters.identity.tokens import BankTokens
from gateway.domain.caller import PeerCertificate
from gateway.domain.errors import ConfigError, UnauthenticatedError
from gateway.identity_reload import BankWatch
from gateway.identity_settings import BankFiles, BankTable
from tests.adapters.simulated import NOON, MovedClock

_FOR_EVER = 3_600.0
PLAIN = """
[banks.a]
name_zh = "银行"
name_en = "Bank"
certificates = [{ san = "URI:a", roles = ["bank-query"] }]
"""
SHOWN = PeerCertificate("1f" * 32, ("URI:a",), NOON + timedelta(days=30))
REVOKED = f'{PLAIN}revoked = ["{SHOWN.fingerprint}"]\n'


class NoIssuers:
    """Stands for issuers where no bank has tokens; fails once where told to."""

    failure: Exception | None = None

    async def verifiers(self, _: Mapping[str, BankTable]) -> Mapping[str, BankTokens]:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return {}


class House:
    """A folder with its banks.toml, and who is known by it."""

    def __init__(self, folder: Path, *, wanted: Collection[str] = ("a",), every_s: float = _FOR_EVER) -> None:
        self.file = folder / "banks.toml"
        self.file.write_text(PLAIN, encoding="utf-8")
        shipped = folder / "shipped"
        shipped.mkdir()
        (shipped / "banks.toml").write_text(PLAIN.replace("URI:a", "URI:demo"), encoding="utf-8")
        self.files = BankFiles([folder, shipped], wanted=wanted)
        self.callers = KnownCallers(self.files.read().register, {}, MovedClock(NOON))
        self.issuers = NoIssuers()
        self.refused: list[bool] = []
        told = self.refused.append
        self.watch = BankWatch(self.callers, self.issuers, self.files, told, every_s=every_s)  # type: ignore[arg-type]

    async def is_known(self) -> bool:
        try:
            await self.callers.identify(SHOWN, ())
        except UnauthenticatedError:
            return False
        return True

    async def looked(self, *texts: str) -> list[Any]:
        """Gives what was told at two looks at each text."""
        with capture_logs() as logs:
            for text in texts:
                self.file.write_text(text, encoding="utf-8")
                await self.watch.look()
                await self.watch.look()
        return logs


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    built = House(tmp_path)
    yield built
    await built.watch.aclose()


BROKEN = {
    "not TOML": "[banks.",
    "unknown key": PLAIN + 'revokd = ["1f"]\n',
    "fingerprint": PLAIN + 'revoked = ["1f"]\n',
    "green/a.toml: no bank": PLAIN.replace("banks.a", "banks.b"),
}


@pytest.mark.parametrize("why", BROKEN)
async def test_D9_a_broken_file_leaves_all_as_it_is_and_is_told_once(house: House, why: str) -> None:
    told = await house.looked(BROKEN[why])
    await house.watch.look()
    known = await house.is_known()
    caller = await house.callers.identify(SHOWN, ())
    mended = await house.looked(REVOKED)

    assert [log["event"] for log in told] == ["banks.refused"]
    assert why in told[0]["faults"][0]
    assert house.refused == [True, False]
    assert known
    assert [(log["event"], log["revoked"], log["certificates_ended"]) for log in mended] == [("banks.reloaded", 1, 1)]
    assert caller.is_withdrawn
    assert not await house.is_known()


async def test_D9_a_file_that_is_gone_is_not_replaced_by_the_one_that_ships(house: House) -> None:
    house.file.unlink()
    with capture_logs() as logs:
        for _ in range(3):
            await house.watch.look()
    gone = await house.is_known()
    back = await house.looked(PLAIN)

    assert [log["event"] for log in logs] == ["banks.refused"]
    assert "is gone" in logs[0]["faults"][0]
    assert gone
    assert [log["event"] for log in back] == ["banks.reloaded"]


async def test_D9_a_file_that_is_cut_to_nothing_shuts_nobody_out(tmp_path: Path) -> None:
    house = House(tmp_path, wanted=())

    told = await house.looked("")
    known = await house.is_known()
    await house.watch.aclose()

    assert [log["event"] for log in told] == ["banks.refused"]
    assert "names no bank and no operator" in told[0]["faults"][0]
    assert known


async def test_a_file_that_is_being_written_is_not_read_before_it_is_the_same_at_two_looks(house: House) -> None:
    house.file.write_text("", encoding="utf-8")  # reads like a file without banks
    await house.watch.look()
    half = await house.is_known()
    house.file.write_text(REVOKED, encoding="utf-8")
    await house.watch.look()
    whole = await house.is_known()
    await house.watch.look()

    assert (half, whole, await house.is_known()) == (True, True, False)


async def test_nothing_is_read_again_while_nothing_changes(house: House) -> None:
    with capture_logs() as logs:
        await house.watch.look()
        await house.watch.look()

    assert logs == []


@pytest.mark.parametrize("failure", [ConfigError(["no store"]), OSError("no thread")])
async def test_without_what_a_new_file_needs_the_old_one_stays(house: House, failure: Exception) -> None:
    house.issuers.failure = failure
    house.file.write_text(REVOKED, encoding="utf-8")
    await house.watch.look()
    with contextlib.suppress(OSError):
        await house.watch.look()

    assert await house.is_known()


async def test_calls_under_way_end_by_what_changed_for_their_certificate_alone(house: House) -> None:
    other = PeerCertificate("2e" * 32, ("URI:a",), NOON + timedelta(days=30))
    revoked, kept = [await house.callers.identify(shown, ()) for shown in (SHOWN, other)]

    await house.looked(PLAIN + "# nothing else", REVOKED)

    assert (revoked.is_withdrawn, kept.is_withdrawn) == (True, False)
    assert revoked.lapse(NOON) is not None
    assert kept.lapse(NOON) is None
    await house.looked(PLAIN)
    assert revoked.is_withdrawn  # its calls have been told; new ones are let in
    assert not (await house.callers.identify(SHOWN, ())).is_withdrawn


@pytest.mark.parametrize("changed", [("bank-query", "bank-auditor"), ("[banks.a]", '[banks.a]\nprovince = "31"')])
async def test_calls_under_way_end_when_their_certificate_is_taken_otherwise(
    house: House, changed: tuple[str, str]
) -> None:
    caller = await house.callers.identify(SHOWN, ())

    await house.looked(PLAIN.replace(*changed))

    assert caller.is_withdrawn


async def test_who_is_told_reads_at_once_and_who_is_not_looks_by_itself(tmp_path: Path) -> None:
    for name, every_s in (("told", _FOR_EVER), ("alone", 0.01)):
        (tmp_path / name).mkdir()
        house = House(tmp_path / name, every_s=every_s)
        house.file.write_text(REVOKED, encoding="utf-8")
        if every_s == _FOR_EVER:
            house.watch.tell()
        async with asyncio.timeout(10):
            while await house.is_known():
                await asyncio.sleep(0.01)
        await house.watch.aclose()
