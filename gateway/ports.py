"""What the use cases need from the world, as protocols; adapters and connectors fulfil them."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.caller import Caller, PeerCertificate
from gateway.domain.consent import Permit
from gateway.domain.decision import TableResult
from gateway.domain.figures import ViewFigures
from gateway.domain.keeping import AnswerKey, KeptAnswer, RepairTombstone
from gateway.domain.merge import Merged
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.domain.rights import Decision, Resource
from gateway.domain.told import Told

if TYPE_CHECKING:
    import aiohttp  # a command that only reads settings need not load it


class Clock(Protocol):
    """The time of day and the time that only runs forward."""

    def now(self) -> datetime:
        """Gives the moment, knowing its zone."""
        ...

    def monotonic(self) -> float:
        """Gives seconds on the running event loop's own scale, on which deadlines are points."""
        ...


class Connector(Protocol):
    """The plug to one platform (连接器), and the shape of every wrapper around it."""

    @property
    def platform(self) -> Platform:
        """The facts about the platform."""
        ...

    def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Awaitable[Answer]:
        """Makes one attempt and tells the truth about it; plans every wait before `fetch_by`, a point of `Clock.monotonic`.

        It is cancelled by its caller at that point: one timer bounds all platforms. As a rule a coroutine; a wrapper may
        give the future of what is under way already.

        Asks for the permitted categories the platform covers. Never raises for a platform's failure: that is an outcome.
        """
        ...


@dataclass(frozen=True, slots=True)
class ConnectorSetup:
    """What a deployment gives a connector: address, credentials already resolved, quota, and what it shares.

    `options` is the table of that name in the platform's own table in `platforms.toml`; the connector checks it, and the
    kit's `Plugin` takes those it declares. `secrets` holds values by name; they never enter logs or errors. `tls` is None
    where the system's authorities are trusted.
    """

    base_url: str
    session: aiohttp.ClientSession
    clock: Clock
    secrets: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None


class ConnectorPlugin(Protocol):
    """What an entry point of the group `xinyidai.connectors` names."""

    def platform(self) -> Platform:
        """Gives the facts of the manifest; raises ValueError with every fault of manifest and mapping."""
        ...

    def notes(self) -> Sequence[str]:
        """Gives what an operator should know of how it runs here, such as which implementation of a cipher serves."""
        ...

    def connect(self, setup: ConnectorSetup) -> Connector:
        """Builds the connector; raises ValueError with every fault of the deployment's settings."""
        ...


class AnswerCache(Protocol):
    """Whoever keeps platforms' answers (应答缓存): this process, or what replicas share.

    What is kept stays until it is `kept_s` old, is purged, or room is needed; a missing answer is never an error.
    """

    def peek(self, key: AnswerKey) -> KeptAnswer | None:
        """Gives what is kept, as far as that can be told without waiting."""
        ...

    async def find(self, key: AnswerKey) -> KeptAnswer | None:
        """Gives what is kept, wherever that is."""
        ...

    async def keep(self, key: AnswerKey, kept: KeptAnswer) -> None:
        """Keeps an answer, unless one asked for later is kept already."""
        ...

    async def purge(self, uscc: str, platform: str | None = None) -> int:
        """Forgets what is kept about an enterprise, of one platform or of all; gives how many answers that were."""
        ...

    async def purge_repaired(self, tombstones: Collection[RepairTombstone]) -> int:
        """Forgets the answers that may still show what was repaired; gives how many that were."""
        ...


class KeptAnswers(Protocol):
    """What the use case asks before it asks a platform."""

    def at_hand(self, platform: str, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer | None:
        """Gives a platform's answer if it is kept, or if there is no time to ask for it; None when it is to be asked."""
        ...

    async def forget(self, uscc: str, platform: str | None = None) -> int:
        """Forgets what is kept about an enterprise; gives how many answers that were."""
        ...


class KeptView(NamedTuple):
    """A view with its figures and its bytes, empty where they are not kept; `told` is what is told of its answers."""

    merged: Merged
    figures: ViewFigures
    encoded: bytes = b""
    told: tuple[Told, ...] = ()


class KeptViews(Protocol):
    """Whoever keeps the views that were made of kept answers, so that the same question is not merged anew."""

    def find(self, query: CreditQuery, permit: Permit, as_of: date, answers: Sequence[Answer]) -> KeptView | None:
        """Gives the view of these very answers, ordered by platform; None where it is not kept."""
        ...

    def keep(
        self, query: CreditQuery, permit: Permit, as_of: date, answers: Sequence[Answer], merged: Merged
    ) -> KeptView:
        """Keeps the view of these answers, which must not be changed any more, and gives it with its bytes."""
        ...

    def forget(self, uscc: str) -> None:
        """Forgets the views of an enterprise."""
        ...


class DecisionTables(Protocol):
    """Whoever runs decision tables (决策表)."""

    def evaluate(self, table: str, facts: Mapping[str, Any]) -> TableResult:
        """Gives what a table says of facts; raises KeyError for an unknown table. Never waits."""
        ...


class Rights(Protocol):
    """Whoever decides what a caller may do (权限)."""

    def decide(self, caller: Caller, action: str, resource: Resource) -> Decision:
        """Gives the decision on a method, named "<Service>/<Method>", or on what is asked for by it; never waits."""
        ...

    def decide_each(self, caller: Caller, action: str, resources: tuple[Resource, ...]) -> tuple[Decision, ...]:
        """Gives the decision on each of what one question asks for, in order; the same as one by one."""
        ...


class Callers(Protocol):
    """Whoever knows who calls."""

    async def identify(
        self, certificate: PeerCertificate | None, metadata: Iterable[tuple[str, str | bytes]]
    ) -> Caller:
        """Gives who calls, by the certificate of a verified handshake (None on a plain connection) and the call's metadata.

        Raises UnauthenticatedError, CallerMismatchError, InvalidRequestError, or IdentityUnavailableError.
        """
        ...


class QueryObserver(Protocol):
    """Whoever watches queries from outside: logs, health, metrics."""

    def answers_landed(self, answers: Sequence[Answer]) -> None:
        """The platforms' answers to one query are in."""
        ...

    def view_answered(self, figures: ViewFigures) -> None:
        """A view is about to leave: its entry in the trail is durable."""
        ...

    def query_ended(self, entry: AuditEntry, latency_s: float) -> None:
        """One query ended, answered or not, and its entry in the trail is durable."""
        ...

    def trail_failed(self) -> None:
        """An entry could not be written to the trail, and its query was not answered."""
        ...


class CallObserver(Protocol):
    """Whoever watches what the wrappers around a connector do: metrics, and the log for what is rare."""

    def call_repeated(self, platform: str) -> None:
        """A call was made again after a failure."""
        ...

    def call_hedged(self, platform: str, *, won: bool) -> None:
        """A second attempt was begun beside a slow first one and is over; `won` says whether its answer was the one used."""
        ...

    def breaker_turned(self, platform: str, *, is_open: bool) -> None:
        """The breaker opened, or closed again."""
        ...

    def quota_refused(self, platform: str, reason: str) -> None:
        """A call was not made for want of quota; `reason` is the sub-reason of its answer."""
        ...

    def quota_left(self, platform: str, calls: int) -> None:
        """How many calls the platform's day still has."""
        ...

    def limit_moved(self, platform: str, calls: int) -> None:
        """How many calls may now be under way at once."""
        ...

    def cache_asked(self, platform: str, result: str) -> None:
        """The cache was asked: "hit", "miss", "shared" (another query's call was waited for) or "stale"."""
        ...


class RunningSandbox(Protocol):
    """A simulated platform that is up."""

    @property
    def url(self) -> str:
        """Where the platform answers."""
        ...

    @property
    def control_url(self) -> str:
        """Where its faults are switched on and off."""
        ...

    async def aclose(self) -> None:
        """Stops it."""
        ...


class SandboxPlugin(Protocol):
    """What an entry point of the group `xinyidai.sandboxes` names: a simulated platform (沙箱)."""

    def credentials(self) -> Mapping[str, str]:
        """Gives the credentials its connector needs, by name; worthless anywhere but at this sandbox."""
        ...

    async def start(self, host: str, port: int, control_port: int, *, enterprises: int, seed: int) -> RunningSandbox:
        """Starts the platform; port 0 takes a free one."""
        ...
