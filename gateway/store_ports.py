"""Ports of what lasts: the trail and its evidence, and the stores of consents, joint lists, repairs and used tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gateway.domain.anchor import TrailHead
from gateway.domain.audit import AuditEntry
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentChange
from gateway.domain.evidence import ArchivedView, Receipt, RootStanding, SignedRoot, ViewCopy
from gateway.domain.joint_lists import JointEntry, Provision
from gateway.domain.merge import Merged
from gateway.domain.record_repair import RecordRepair, Remembered, SeenStale
from gateway.domain.trail_query import FoundRecord, TrailPosition, TrailQuery


class AuditLog(Protocol):
    """The append-only trail."""

    def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Awaitable[Receipt | None]:
        """Gives what is done once the entry is durable; raises StoreError when it cannot be made so.

        With the copy of an answer, that is archived by the same group commit, and the answer's receipt is given where answers
        are signed; None otherwise. `taken_back` is the receipt of an answer that the entry says was withheld after all: its
        copy is taken out of the archive.
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

    async def since(self, trail: str, sequence: int, *, limit: int) -> Sequence[ArchivedView]:
        """Gives the copies whose root has a greater number in that trail, so many, the least numbers first, views left out.

        Those that do not open are left out.
        """
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
        """Gives the changes of all banks after a mark, in order: what a process that keeps consents must forget.

        Raises StoreRewoundError where what it gave at that mark before is not there any more, as the other followed logs do.
        """
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

    async def put_all(self, repairs: Sequence[RecordRepair]) -> Sequence[RecordRepair]:
        """Keeps each of several repairs, all of them or none, as `put` does one."""
        ...

    async def remember(self, repairs: Sequence[RecordRepair]) -> None:
        """Keeps those whose ids are not known yet; the others are as they were."""
        ...

    async def get(self, repair_id: str) -> RecordRepair | None:
        """Gives a repair, whatever its state."""
        ...

    async def of_ids(self, repair_ids: Sequence[str]) -> Sequence[RecordRepair]:
        """Gives those repairs that are there, whatever their state."""
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


class SeenTokens(Protocol):
    """Whoever remembers which tokens were used, for all processes and across restarts."""

    async def note(self, issuer: str, jti: str, digest: bytes, until: float) -> bool | None:
        """Remembers a use until that time (seconds since 1970), and says what was known of the issuer's `jti` before.

        None: nothing; True: it was this very token; False: it was another. Raises IdentityUnavailableError.
        """
        ...
