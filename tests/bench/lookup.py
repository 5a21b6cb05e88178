"""What consents cost a query that has all of them at hand, and how soon a revocation is effective in another process.

    python -m tests.bench.lookup

The path is the whole of what a query does about its consents: rights and rules give the permit, the consents being looked up
in what this process keeps of the store; the watch for withdrawals is begun and ended; the permit is looked at again before
release. The other process (`follower.py`) keeps the same store's consents as a gateway does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import grpc
import uvloop

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway.adapters.identity.kinds import DEMO_BANK
from gateway.adapters.rights.cedar import CedarRights
from gateway.adapters.rights.policies import compile_policies
from gateway.adapters.rights.sources import PolicyFolders
from gateway.adapters.state.clock import SystemClock
from gateway.adapters.state.consent_cache import POLL_S, CachedConsents
from gateway.adapters.stores.door import StoreDoor
from gateway.application.authorise import ConsentAuthoriser
from gateway.domain.caller import Caller, Role
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import ConsentState, Permit
from gateway.domain.identifiers import Uscc
from gateway.domain.permission import Rules
from gateway.domain.query import CreditQuery
from gateway.domain.type_masks import masked_fields
from gateway.gateway_file import StoreSettings
from gateway.settings import load_settings
from tests.bench.child import METHOD as CHILD
from tests.bench.fixture import FOUR, enterprise
from tests.bench.interval import middle
from tests.bench.questions import FAILURES, PRIVATE, WrongAnswerError
from tests.bench.report import Claim, Row, why
from tests.bench.stage import Size, Stage
from tests.bench.trusted import consent_of, register

PATH: Final = "consents at hand"
REVOKED: Final = "revoked elsewhere"
TITLES: Final = (PATH, REVOKED)
METHOD: Final = (
    "Consents at hand: CPU time of rights, rules, look-up, watch and second look of one query, in tight loops of one process.",
    "Revoked elsewhere: two processes on one SQLite store; time from the request to revoke in one until the other, which had the "
    "consent at hand and looks every millisecond, refuses to release what was fetched under it.",
)
_HAS: Final = {
    PATH: f"a query of {len(PRIVATE)} categories that need consent, at four platforms; policies as shipped, one consent, kept",
    REVOKED: "SQLite with WAL, every commit synced; the log of changes is read as often as shipped",
}
_MOST_US: Final = 20.0
_MOST_MS: Final = 1_000.0
_ROUNDS: Final = 15
_TURNS: Final = 2_000
_PATIENT_S: Final = 10.0
_GOLDEN: Final = 0.618
"""Multiples of it spread evenly over the time between two looks at the log, however few they are."""
_CALLER: Final = Caller(DEMO_BANK, frozenset({Role.BANK_QUERY}), "teller-1", "branch-1", "31", "ab" * 32)


@asynccontextmanager
async def consents_at(url: str) -> AsyncIterator[tuple[CachedConsents, ConsentAuthoriser]]:
    """Gives what keeps a store's consents at hand, and what permits by them, as a gateway has it."""
    clock, settings = SystemClock(), load_settings()
    door = StoreDoor(url)
    try:
        consents = CachedConsents(await door.consents(), clock)
        await consents.start()
        try:
            rights = CedarRights(compile_policies(PolicyFolders([Path(__file__).parents[2] / "config"]).read()))
            rules = Rules(CATALOGUE, settings.purposes, masked_fields(CATALOGUE))
            authoriser = ConsentAuthoriser(consents, rules, clock, rights)
            consents.tell(authoriser.changed)
            yield consents, authoriser
        finally:
            await consents.aclose()
    finally:
        await door.aclose()


def question(uscc: str) -> CreditQuery:
    """Gives a query that rests on the consent about an enterprise."""
    stated = (consent_of(uscc),)
    return CreditQuery(Uscc.parse(uscc), PURPOSE_PRE_LOAN, tuple(sorted(PRIVATE)), FOUR, DEMO_BANK, consent_ids=stated)


async def permit_of(authoriser: ConsentAuthoriser, query: CreditQuery) -> Permit:
    """Gives the permit, awaited where something must be."""
    given = authoriser.permit(query, _CALLER)
    return given if isinstance(given, Permit) else await given


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives both rows; one that cannot be measured says why."""
    trail = Path(stage.trail())
    settings = load_settings()
    url = f"sqlite+aiosqlite:///{trail}-store.db"
    store = settings.gateway.model_copy(update={"store": StoreSettings(url=url)})
    usccs = [enterprise(number) for number in range(size.revocations + 1)]
    rows = []
    try:
        await register(replace(settings, gateway=store), trail, usccs, PRIVATE)
        async with consents_at(url) as (consents, authoriser):
            rows.append(await _path(consents, authoriser, question(usccs[-1])))
            rows.append(await _revoked(stage, consents, url, usccs[:-1]))
    except FAILURES as error:
        rows += [Row(title, missing=why(error)) for title in TITLES[len(rows) :]]
    return rows


async def _path(consents: CachedConsents, authoriser: ConsentAuthoriser, query: CreditQuery) -> Row:
    async def path() -> None:
        given = authoriser.permit(query, _CALLER)
        permit = given if isinstance(given, Permit) else await given
        watch = authoriser.watch(query, permit)
        rechecked = authoriser.recheck(query, permit)
        if rechecked is not None:
            await rechecked
        if watch is None:
            raise WrongAnswerError("the query rests on no consent")
        watch.close()

    async def look_up() -> None:
        await consents.get(DEMO_BANK, query.consent_ids[0])

    whole: list[float] = []
    found: list[float] = []
    for _ in range(_ROUNDS):
        for work, rounds in ((path, whole), (look_up, found)):
            await work()  # what was kept may be trusted no longer: the log is read beside this loop, not in it
            began = time.process_time()
            for _ in range(_TURNS):
                await work()
            rounds.append((time.process_time() - began) / _TURNS * 1e6)
            await asyncio.sleep(0)
    claim = middle("µs a query", whole, _MOST_US)
    return Row(PATH, _HAS[PATH], {"µs": median(whole), "µs the look-up alone": median(found)}, (claim,))


async def _revoked(stage: Stage, consents: CachedConsents, url: str, usccs: list[str]) -> Row:
    follower = await stage.peer("tests.bench.follower", url)
    took_ms = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{follower.addresses[0]}") as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHILD)
        for number, uscc in enumerate(usccs):
            await ask(uscc.encode(), timeout=_PATIENT_S)  # it has a permit now, and the consent at hand
            await asyncio.sleep(number * _GOLDEN % 1 * POLL_S)
            refused = asyncio.ensure_future(ask(uscc.encode(), timeout=_PATIENT_S))
            await asyncio.sleep(0.01)
            asked = time.monotonic()
            await consents.change(DEMO_BANK, consent_of(uscc), 1, ConsentState.REVOKED, datetime.now(UTC), "withdrawn")
            took_ms.append((float(await refused) - asked) * 1e3)
    if min(took_ms) <= 0:
        raise WrongAnswerError("the other process refused before the consent was revoked")
    figures = {"ms median": median(took_ms), "ms at most": max(took_ms), "trials": len(took_ms)}
    return Row(REVOKED, _HAS[REVOKED], figures, (Claim("ms at most", max(took_ms), _MOST_MS),))


async def main() -> None:
    """Prints both rows."""
    from rich.console import Console

    from tests.bench.__main__ import make_stage
    from tests.bench.report import show
    from tests.bench.stage import FULL

    async with make_stage() as stage:
        show(Console(width=150), await measure(stage, FULL), METHOD)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
