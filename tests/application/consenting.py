"""A whole use case with consents enforced, in simulated time: platforms that say all they know, asked or not."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_HOLDER,
    CATEGORY_PENALTY,
    CATEGORY_REGISTRATION,
    CATEGORY_TAX_PAYMENT,
)
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, PURPOSE_PRE_LOAN, CreditView
from gateway.adapters.state.consent_cache import CachedConsents
from gateway.adapters.state.kept_views import LocalKeptViews
from gateway.application.authorise import ConsentAuthoriser
from gateway.application.query_credit import CreditAnswer, CreditQueries, Landed
from gateway.application.story import Admission
from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.caller import development_caller
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Consent, Permit
from gateway.domain.evidence import Receipt, ViewCopy
from gateway.domain.masking import Masker
from gateway.domain.merkle import Digest
from gateway.domain.permission import Rules
from gateway.domain.platform import Platform
from gateway.domain.purposes import PurposeMatrix
from gateway.domain.query import CreditQuery
from gateway.domain.type_masks import masked_fields
from gateway.ports import Rights
from tests.adapters.evidence import archived
from tests.adapters.memory_consents import MemoryConsents
from tests.adapters.simulated import NOON, LoopClock, simulated
from tests.domain.worlds import MERGER, PLATFORMS, READER, USCC

BANK: Final = "bank-a"
ASKED: Final = ("anhui", "jiangsu", "shanghai")
PENALTY, REGISTRATION = CATEGORY_PENALTY, CATEGORY_REGISTRATION
TAX, HOLDER = CATEGORY_TAX_PAYMENT, CATEGORY_HOLDER
KEY: Final = b"a key of this deployment"
MATRIX: Final = PurposeMatrix.from_toml(tomllib.loads(Path("config/purposes.toml").read_text(encoding="utf-8")))
RULES: Final = Rules(CATALOGUE, MATRIX, masked_fields(CATALOGUE))
MASKER: Final = Masker(CATALOGUE, KEY)

RECEIPT: Final = archived().receipt
"""Of every answer, where answers are proven."""

Story = Callable[..., Awaitable[None]]


def consent(consent_id: str = "c-1", **more: Any) -> Consent:
    """Gives a consent in force to ask for tax payments and holders before a loan."""
    stated: dict[str, Any] = {
        "bank": BANK,
        "uscc": USCC.value,
        "purposes": (PURPOSE_PRE_LOAN,),
        "categories": (HOLDER, TAX),
        "valid_from": NOON - timedelta(days=1),
        "valid_to": NOON + timedelta(days=1),
        "created_at": NOON - timedelta(days=1),
        "changed_at": NOON - timedelta(days=1),
    }
    return Consent(consent_id=consent_id, **{**stated, **more})


def asking(*categories: int, consents: Sequence[str] = ("c-1",), **more: Any) -> CreditQuery:
    """Gives a query of three platforms."""
    stated: dict[str, Any] = {"purpose": PURPOSE_PRE_LOAN, "platforms": ASKED, "bank": BANK}
    chosen = tuple(sorted(categories or (TAX,)))
    return CreditQuery(USCC, categories=chosen, consent_ids=tuple(consents), **{**stated, **more})


def everything_of(platform: str) -> view_pb2.Answer:
    """Gives all a platform knows: a registration, a holder, a penalty and a tax payment."""
    said = view_pb2.Answer(platform=platform, outcome=OUTCOME_OK)
    records = said.records
    found: list[Any] = [
        records.registrations.add(legal_representative=f"张{platform}", address="上海市浦东新区"),
        records.holders.add(holder_name="李小四", position="董事长"),
        records.penalties.add(
            document_number="沪罚〔2026〕1号", facts="当事人身份证号310101199001011234，电话13812345678"
        ),
        records.tax_payments.add(period="2026-01", region="310000"),
    ]
    found[2].authority.code = "110000000000000000"
    for record in found:
        record.envelope.provenances.add(platform=platform, match_method=envelope_pb2.MATCH_METHOD_CODE)
    for category in (REGISTRATION, HOLDER, PENALTY, TAX):
        said.categories.add(category=category, outcome=OUTCOME_OK, record_count=1)
    return said


class Talkative:
    """A platform that says all it knows, whatever it was asked for."""

    def __init__(self, facts: Platform) -> None:
        self.platform = facts
        self.takes_s = 0.0
        self.asked: list[tuple[int, ...]] = []
        self.was_cancelled = False
        self.meanwhile: Callable[[], Any] | None = None

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.asked.append(permit.categories)
        if self.meanwhile is not None:
            await self.meanwhile()
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return Answer(everything_of(self.platform.id), attempts=1, fetched_at=NOON)


class Trail:
    """Keeps entries in memory; `meanwhile` is what happens before the first entry of that event is durable."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.meanwhile: dict[str, Callable[[], Any]] = {}
        self.taken_back: list[Receipt | None] = []

    async def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Receipt | None:
        self.entries.append(entry)
        if taken_back is not None:
            self.taken_back.append(taken_back)
        meanwhile = self.meanwhile.pop(entry.event, None)
        if meanwhile is not None:
            await meanwhile()
        return RECEIPT if copy is not None else None

    @property
    def told(self) -> list[tuple[str, str]]:
        """Each entry's event and reason."""
        return [(entry.event, entry.reason) for entry in self.entries]


class Nobody:
    """Observes nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **more: None


@dataclass
class House:
    """Everything of one story; made on the running loop."""

    store: MemoryConsents = field(default_factory=MemoryConsents)
    platforms: dict[str, Talkative] = field(
        default_factory=lambda: {name: Talkative(PLATFORMS[name]) for name in ASKED}
    )
    trail: Trail = field(default_factory=Trail)
    rights: Rights | None = None
    digest: Digest | None = None

    def __post_init__(self) -> None:
        clock = LoopClock()
        self.clock = clock
        self.consents = CachedConsents(self.store, clock)
        self.authoriser = ConsentAuthoriser(self.consents, RULES, clock, self.rights)
        self.consents.tell(self.authoriser.changed)
        self.numbers = iter(range(1_000_000))
        self.queries = CreditQueries(
            self.platforms,
            READER,
            MERGER,
            self.trail,
            clock,
            Nobody(),
            authoriser=self.authoriser,
            new_answer_id=lambda at: f"answer-{next(self.numbers)}",
            views=LocalKeptViews(clock, most_bytes=1_000_000),
            masker=MASKER,
            digest=self.digest,
        )

    async def open(self, *consents: Consent) -> None:
        """Registers consents and follows their changes."""
        for each in consents:
            await self.store.register(each)
        await self.consents.start()

    async def aclose(self) -> None:
        """Stops following."""
        await self.consents.aclose()

    def admit(self) -> Admission:
        """Lets a query in for ten seconds."""
        now = self.clock.monotonic()
        return Admission(self.clock.now(), now, now + 10, development_caller(BANK))

    async def ask(self, *categories: int, **more: Any) -> CreditAnswer:
        """Gives the answer to a query."""
        return await self.queries.answer(asking(*categories, **more), self.admit())

    async def stream(self, *categories: int, **more: Any) -> list[Landed | CreditAnswer]:
        """Gives every step of a stream."""
        return [step async for step in self.queries.stream(asking(*categories, **more), self.admit())]

    @property
    def calls(self) -> int:
        """How often platforms were asked."""
        return sum(len(platform.asked) for platform in self.platforms.values())


def in_simulated_time(story: Story) -> Callable[..., None]:
    """Runs a test on a loop that jumps to its next timer."""

    @wraps(story)
    def run(*args: Any, **more: Any) -> None:
        simulated(story(*args, **more))  # type: ignore[arg-type]

    return run


@asynccontextmanager
async def house(*consents: Consent, **more: Any) -> AsyncIterator[House]:
    """Opens a house with these consents, and closes it."""
    built = House(**more)
    await built.open(*consents)
    try:
        yield built
    finally:
        await built.aclose()


def outcomes(view: CreditView, category: int) -> dict[str, int]:
    """Gives how a category came out, by platform."""
    return {a.platform: c.outcome for a in view.answers for c in a.categories if c.category == category}


def withheld(view: CreditView) -> set[tuple[int, str, str]]:
    """Gives what a view leaves out: category, field and why."""
    return {(entry.category, entry.field, entry.reason) for entry in view.permit.withheld}
