"""What the use cases need from the world, as protocols; adapters and connectors fulfil them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gateway.domain.anchor import TrailHead
from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.caller import Caller, PeerCertificate
from gateway.domain.consent import Consent, ConsentState, Permit
from gateway.domain.consent_life import ConsentChange
from gateway.domain.decision import TableResult
from gateway.domain.evidence import ArchivedView, Receipt, RootStanding, SignedRoot, ViewCopy
from gateway.domain.figures import ViewFigures
from gateway.domain.joint_lists import JointEntry, Provision
from gateway.domain.keeping import AnswerKey, KeptAnswer, RepairTombstone
from gateway.domain.merge import Merged
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.domain.record_repair import RecordRepair, Remembered, SeenStale
from gateway.domain.rights import Decision, Resource
from gateway.domain.trail_query import FoundRecord, TrailPosition, TrailQuery

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

    `options` are the keys of the platform's table in `config/platforms.toml` that the gateway itself does not know; the
    connector checks them. `secrets` holds values by name; they never enter logs or errors. `tls` is None where the system's
    authorities are trusted.
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
    """A view with its figures and its bytes, empty where they are not kept."""

    merged: Merged
    figures: ViewFigures
    encoded: bytes = b""


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


class AuditLog(Protocol):
    """The append-only trail."""

    def append(self, entry: AuditEntry, copy: ViewCopy | None = None) -> Awaitable[Receipt | None]:
        """Gives what is done once the entry is durable; raises StoreError when it cannot be made so.

        With the copy of an answer, that is archived by the same group commit, and the answer's receipt is given where answers
        are signed; None otherwise.
        """
        ...


class TrailReader(Protocol):
    """Whoever reads the trail for those it is about."""

    def read(self, asked: TrailQuery, after: TrailPosition | None) -> AsyncIterator[Sequence[FoundRecord]]:
        """Yields the entries that are asked for in order, those after a position; raises StoreError, InvalidRequestError."""
        ...


class Signer(Protocol):
    """Whoever signs with a key of the deployment, wherever that is: in a file, or in a module that never gives it out."""

    @property
    def key_id(self) -> str:
        """Names the key: what a verifier finds the public key by."""
        ...

    @property
    def algorithm(self) -> str:
        """Names the signature: ED25519 or SM2-SM3."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Gives the signature; called from any thread. Raises SigningUnavailableError."""
        ...


class Cipher(Protocol):
    """Whoever encrypts what is kept, authenticated, with a key of the deployment."""

    @property
    def key_id(self) -> str:
        """Names the key that new content is encrypted with."""
        ...

    def seal(self, content: bytes, bound_to: bytes) -> bytes:
        """Gives the encrypted content, key id and nonce in it, that opens only with the same `bound_to`; from any thread."""
        ...

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Gives the content; raises CorruptRecordError where it was altered, and SigningUnavailableError without the key."""
        ...


class Anchor(Protocol):
    """Wherever heads of the trail are kept that whoever rewrites it cannot reach (锚定)."""

    async def publish(self, head: TrailHead) -> None:
        """Keeps a head there; raises StoreError where that is not sure. A head that is published twice is harmless."""
        ...

    async def aclose(self) -> None:
        """Lets go of what it holds."""
        ...


class ViewArchive(Protocol):
    """Whoever keeps answered views (归档) as they were sent: always by bank and answer id."""

    def keep(self, copies: Sequence[ArchivedView]) -> None:
        """Keeps all of them durably, or none; waits, so never call it on the loop. Raises StoreUnavailableError."""
        ...

    def withdraw(self, copies: Sequence[ArchivedView]) -> None:
        """Takes back copies that nobody was answered with, where they were kept, those of that very commit only.

        Waits, so never call it on the loop. Raises StoreUnavailableError.
        """
        ...

    async def since(self, trail: str, sequence: int) -> Sequence[ArchivedView]:
        """Gives the copies whose root has a greater number in that trail; those that do not open are left out."""
        ...

    async def find(self, bank: str, answer_id: str) -> ArchivedView | None:
        """Gives the bank's copy, sealed ones included; None when it has no such one. Raises CorruptRecordError."""
        ...

    async def seal(self, uscc: str, because: str, at: datetime) -> int:
        """Seals every copy about an enterprise; gives how many that were."""
        ...

    async def count_expired(self, now: datetime, *, limit: int) -> int:
        """Gives how many copies there are whose retention has ended, counting no further than to the limit."""
        ...

    async def delete_expired(self, now: datetime, *, limit: int) -> int:
        """Deletes copies whose retention has ended; gives how many that were."""
        ...


class TrailRoots(Protocol):
    """Whoever knows which signed roots stand in the trails here."""

    async def standing(self, trail: str, root: SignedRoot) -> RootStanding:
        """Gives what is known of a root; raises StoreUnavailableError where a trail cannot be read, CorruptRecordError."""
        ...


class ConsentStore(Protocol):
    """Whoever keeps consents (授权): always by bank and id, so that no bank can reach another's.

    Every method raises StoreUnavailableError when the store cannot be reached or stays busy for too long.
    """

    async def register(self, consent: Consent, *, request_id: str = "", request_digest: bytes = b"") -> Consent:
        """Keeps a new consent, durably, and gives it.

        The bank's consent that was registered under the same request id is given instead, where there is one; raises
        RequestIdReusedError where that request's digest differs.
        """
        ...

    async def get(self, bank: str, consent_id: str) -> Consent | None:
        """Gives a consent of the bank; None when it has no such one."""
        ...

    async def list(self, bank: str, uscc: str, *, after: str, limit: int) -> Sequence[Consent]:
        """Gives the bank's consents about an enterprise, about any where `uscc` is "", by id, those after the id `after`."""
        ...

    async def change(
        self, bank: str, consent_id: str, expected_version: int, state: ConsentState, at: datetime, reason: str = ""
    ) -> Consent:
        """Puts a consent of that version into a state that was decided, and gives it with its next version.

        Raises ConsentNotFoundError, and ConsentChangedError when the version has moved. Whether the change may be is the
        domain's to say (`consent_life`).
        """
        ...

    async def use(self, bank: str, consent_id: str, version: int, at: datetime) -> Consent | None:
        """Takes one use of a consent of that version, atomically, and gives it with its next version.

        None when it is not active and valid at that moment, when no use is left, or when the version has moved.
        """
        ...

    async def history(self, bank: str, consent_id: str, *, limit: int) -> Sequence[ConsentChange]:
        """Gives the latest changes of a consent of the bank, the newest last; none when it has no such one."""
        ...

    async def newest_mark(self) -> int:
        """Gives the mark of the newest change, 0 before the first."""
        ...

    async def versions_since(self, mark: int, *, limit: int = 1_000) -> Sequence[ConsentChange]:
        """Gives the changes of all banks after a mark, in order: what a process that keeps consents must forget."""
        ...


class ConsentsAtHand(ConsentStore, Protocol):
    """A store that keeps what was looked up at hand, for as long as it may be trusted."""

    def at_hand(self, bank: str, consent_id: str) -> Consent | None:
        """Gives a consent of the bank where that needs no waiting; None says nothing: `get` knows."""
        ...


class JointListStore(Protocol):
    """Whoever keeps entries of joint lists (名单条目); raises StoreUnavailableError when it cannot be reached.

    Every change gets the next mark, in the order in which the changes are visible: a watcher that saw a mark has seen all
    before it.
    """

    async def put(self, entries: Sequence[JointEntry], *, provisions: Sequence[Provision] = ()) -> int:
        """Keeps new entries and next versions of old ones, all or none, each with the next mark; gives the last mark.

        The marks follow each other without gaps. With the entries of a file, what it provides is kept too.

        Raises EntryChangedError where a version is not the one after the kept one.
        """
        ...

    async def get(self, entry_id: str) -> JointEntry | None:
        """Gives an entry as it stands, whatever its state."""
        ...

    async def of_enterprise(self, uscc: str) -> Sequence[JointEntry]:
        """Gives every entry about an enterprise and its related persons, whatever its state, by mark."""
        ...

    async def search(
        self, *, list_codes: Collection[str], province: str, list_year: int | None, after: int, limit: int
    ) -> Sequence[JointEntry]:
        """Gives entries whose mark is greater than `after`, by mark; "" and None take any."""
        ...

    async def changes_since(self, mark: int, *, limit: int) -> Sequence[JointEntry]:
        """Gives entries as each change left them, by mark: an entry that changed twice is given twice."""
        ...

    async def seen_since(self, mark: int, *, list_codes: Collection[str], limit: int) -> Sequence[JointEntry]:
        """Gives entries as they stand whose last change that banks can see is after a mark, by that change; no codes, any.

        Each is given once, in its newest form: what was published and repaired in between is not told to whoever was away.
        """
        ...

    async def newest_mark(self) -> int:
        """Gives the mark of the newest change, 0 before the first."""
        ...

    async def provisions(self) -> Sequence[Provision]:
        """Gives which province provided which list's year."""
        ...


class RepairStore(Protocol):
    """Whoever keeps repairs of records (信用修复), and where stale copies of them were seen; raises StoreUnavailableError.

    Every change gets the next mark, in the order in which the changes are visible. A repair is given in its newest form: what
    came before stands in the trail.
    """

    async def put(self, repair: RecordRepair) -> RecordRepair:
        """Keeps a new repair or the next version of an old one, and gives it with its mark.

        Raises RepairChangedError where its version is not the one after the kept one.
        """
        ...

    async def remember(self, repairs: Sequence[RecordRepair]) -> None:
        """Keeps those whose ids are not known yet; the others are as they were."""
        ...

    async def get(self, repair_id: str) -> RecordRepair | None:
        """Gives a repair, whatever its state."""
        ...

    async def search(self, uscc: str, *, after: int, limit: int) -> Sequence[RecordRepair]:
        """Gives repairs of an enterprise's records, of anybody's where `uscc` is "", whose mark is after one, by mark."""
        ...

    async def newest_mark(self) -> int:
        """Gives the mark of the newest change, 0 before the first."""
        ...

    async def saw(self, copies: Sequence[SeenStale]) -> None:
        """Keeps where stale copies were seen: the first moment of each stays, the last one moves, with the next mark."""
        ...

    async def stale_copies(self, platform: str, uscc: str, *, after: int, limit: int) -> Sequence[SeenStale]:
        """Gives stale copies, of any platform or enterprise where those are "", whose mark is after one, by mark."""
        ...


class KnownRepairs(Protocol):
    """What a process knows of repairs, and is told of them, while it answers: nothing here waits."""

    def of(self, uscc: str) -> Mapping[bytes, Sequence[Remembered]]:
        """Gives the repairs in force of an enterprise's records, by record key."""
        ...

    def note(self, uscc: str, merged: Merged, at: datetime) -> None:
        """Takes what answers told of repairs, and where stale copies were seen, to be kept soon after."""
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


class SeenTokens(Protocol):
    """Whoever remembers which tokens were used, for all processes and across restarts."""

    async def note(self, issuer: str, jti: str, digest: bytes, until: float) -> bool | None:
        """Remembers a use until that time (seconds since 1970), and says what was known of the issuer's `jti` before.

        None: nothing; True: it was this very token; False: it was another. Raises IdentityUnavailableError.
        """
        ...


class QueryObserver(Protocol):
    """Whoever watches queries from outside: logs, health, metrics."""

    def answer_landed(self, answer: Answer) -> None:
        """One platform's answer landed."""
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
