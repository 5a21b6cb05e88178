"""One suite for SQLite and PostgreSQL of tokens seen: remembered by every process and across restarts, and decided once in a race."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.adapters.identity.seen_tokens import SqlSeenTokens
from gateway.domain.errors import ConfigError, IdentityUnavailableError
from gateway.identity_settings import IdentitySettings
from tests.adapters.roads import road_to
from tests.adapters.simulated import MovedClock
from tests.databases import KINDS, empty

ISSUER = "https://id.example"
MINE, OTHER = b"m" * 32, b"o" * 32


@pytest.fixture(params=KINDS)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with empty(request.param, request, tmp_path / "seen") as address:
        yield address.render_as_string(hide_password=False)


async def opened(url: str, clock: MovedClock | None = None) -> SqlSeenTokens:
    return await SqlSeenTokens.open(url, clock or MovedClock())


def later(clock: MovedClock, s: float) -> float:
    return clock.began.timestamp() + s


async def test_a_use_is_told_from_a_first_one_and_from_another_token_s(url: str) -> None:
    seen = await opened(url)

    told = [
        await seen.note(ISSUER, "t-1", MINE, 2e9),
        await seen.note(ISSUER, "t-1", MINE, 2e9),
        await seen.note(ISSUER, "t-1", OTHER, 2e9),
        await seen.note("https://other.example", "t-1", OTHER, 2e9),
    ]

    await seen.aclose()
    assert told == [None, True, False, None]


async def test_A4_a_use_is_remembered_across_a_restart_and_by_another_node(url: str) -> None:
    first, second = await opened(url), await opened(url)
    await first.note(ISSUER, "t-1", MINE, 2e9)

    at_the_other = await second.note(ISSUER, "t-1", MINE, 2e9)
    await first.aclose()
    await second.aclose()
    restarted = await opened(url)
    after = await restarted.note(ISSUER, "t-1", OTHER, 2e9)
    await restarted.aclose()

    assert (at_the_other, after) == (True, False)


async def test_A4_of_many_uses_at_once_by_two_nodes_exactly_one_is_the_first(url: str) -> None:
    nodes = [await opened(url), await opened(url)]

    told = await asyncio.gather(*[nodes[n % 2].note(ISSUER, f"t-{n // 10}", MINE, 2e9) for n in range(200)])

    for node in nodes:
        await node.aclose()
    assert [told[n : n + 10].count(None) for n in range(0, 200, 10)] == [1] * 20


async def test_workers_that_begin_together_all_have_the_store(url: str) -> None:
    nodes = await asyncio.gather(*[opened(url) for _ in range(8)])

    told = [await node.note(ISSUER, "t-1", MINE, 2e9) for node in nodes]

    for node in nodes:
        await node.aclose()
    assert told == [None, *[True] * 7]


async def test_what_could_not_be_believed_any_more_is_forgotten(url: str) -> None:
    clock = MovedClock()
    seen = await opened(url, clock)
    await seen.note(ISSUER, "old", MINE, later(clock, 100))
    await seen.note(ISSUER, "young", MINE, later(clock, 1_000))

    clock.at_s = 700.0
    await seen.note(ISSUER, "new", MINE, later(clock, 2_000))
    told = [await seen.note(ISSUER, jti, OTHER, later(clock, 2_000)) for jti in ("old", "young")]

    await seen.aclose()
    assert told == [None, False]


async def test_a_store_that_is_gone_lets_no_token_in(tmp_path: Path) -> None:
    seen = await opened(f"sqlite+aiosqlite:///{tmp_path}/seen/tokens.db")
    await seen.aclose()
    (tmp_path / "seen" / "tokens.db").write_bytes(b"no database " * 1_000)

    with pytest.raises(IdentityUnavailableError):
        await seen.note(ISSUER, "t-1", MINE, 2e9)
    await seen.aclose()


async def test_a_server_that_does_not_answer_is_waited_for_so_long_and_lets_no_token_in(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    socket = request.getfixturevalue("postgres_socket")
    async with empty("postgresql", request, tmp_path / "seen") as there, road_to(socket, tmp_path) as road:
        url = there.set(query={"host": str(tmp_path)}).render_as_string(hide_password=False)
        seen = await SqlSeenTokens.open(url, MovedClock(), longest_s=0.2)

        road.is_free.clear()
        async with asyncio.timeout(30):
            with pytest.raises(IdentityUnavailableError):
                await seen.note(ISSUER, "t-1", MINE, 2e9)
        road.is_free.set()
        after = await seen.note(ISSUER, "t-2", MINE, 2e9)
        await seen.aclose()

    assert after is None


async def test_the_password_to_the_store_is_given_beside_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TEST_SECRET", "p@ss:/word")
    stated = IdentitySettings(seen_tokens="postgresql+asyncpg://gw:env:A_TEST_SECRET@/x?host=/nowhere")

    with pytest.raises(ConfigError, match="cannot be had") as caught:
        await SqlSeenTokens.open(stated.seen_tokens, MovedClock(), password=stated.seen_tokens_password())

    assert stated.seen_tokens_password() == "p@ss:/word"
    assert "p@ss" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:////proc/no/such.db", "nonsense", "mysql+nothing://u:geheim@h/d"])
async def test_a_database_that_cannot_be_had_is_a_fault_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await SqlSeenTokens.open(url, MovedClock())

    assert "identity.seen_tokens" in str(caught.value)
    assert "geheim" not in str(caught.value)
