"""The main story: a bank asks about one enterprise, all platforms are asked at once, one merged view is answered.

Decide (permit), fetch (fan-out), decide (does the permit still hold? merge, verdict), write (trail), answer. The trail is
written before anything leaves: an answer, a refusal, a cancellation, and an answer withheld since its consent was withdrawn
in between each have their entry, and without an entry nothing is answered. So has an answer withheld since the caller's token
or certificate ended in between: a stream or a batch may outlive both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.application.authorise import Authoriser, Watch
from gateway.application.fan_out import fan_out
from gateway.application.story import Admission, Story
from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.audit_entries import audit_entry
from gateway.domain.caller import Caller
from gateway.domain.consent import Permit
from gateway.domain.dates import china_date
from gateway.domain.errors import (
    ConsentError,
    DeadlineError,
    PermissionRefusedError,
    Reason,
    RequestError,
    StoreError,
    UnauthenticatedError,
)
from gateway.domain.evidence import Receipt, ViewCopy, retention_class
from gateway.domain.figures import ViewFigures, figures_of
from gateway.domain.masking import Masker
from gateway.domain.merge import NONE_REPAIRED, Merged, Merger, view_id
from gateway.domain.merkle import Digest
from gateway.domain.query import CreditQuery
from gateway.domain.record_repair import Remembered
from gateway.domain.response_digest import DigestOf
from gateway.domain.statement import Reader, Reading
from gateway.domain.told import Told, told_of_all
from gateway.domain.verdict import obstacle
from gateway.domain.visible import visible
from gateway.ports import Clock, Connector, KeptAnswers, KeptView, KeptViews, QueryObserver
from gateway.store_ports import AuditLog, KnownRepairs


@dataclass(slots=True)
class CreditAnswer:
    """A view with what delivery needs: `answers` are ordered by platform id; `encoded` are the view's bytes where kept.

    Never changed once made, as `CreditQuery`.

    `permit` is what it was made under: it is looked at again before the same answer is given a second time. `receipt` proves
    it, None where answers are not signed; it is of the very bytes in `encoded`. `told` is what is told of the answers, where
    it was read of them already.
    """

    answer_id: str
    merged: Merged
    figures: ViewFigures
    answers: tuple[Answer, ...]
    encoded: bytes = b""
    permit: Permit | None = None
    receipt: Receipt | None = None
    told: tuple[Told, ...] = ()

    @property
    def view(self) -> view_pb2.CreditView:
        """The view as a message, made when it is first asked for: most answers leave as bytes."""
        return self.merged.view


@dataclass(frozen=True, slots=True)
class Landed:
    """One platform's answer in a stream, with the view over all answers so far."""

    answer: Answer
    view_so_far: view_pb2.CreditView


class CreditQueries:
    """Answers credit queries; built once by the composition root."""

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        reader: Reader,
        merger: Merger,
        audit: AuditLog,
        clock: Clock,
        observer: QueryObserver,
        *,
        authoriser: Authoriser,
        new_answer_id: Callable[[datetime], str],
        kept: KeptAnswers | None = None,
        views: KeptViews | None = None,
        repairs: KnownRepairs | None = None,
        masker: Masker | None = None,
        digest_of: DigestOf = bytes.hex,
        digest: Digest | None = None,
    ) -> None:
        """Takes the digest of questions where answers are proven; None where they are neither signed nor archived."""
        self._connectors = connectors
        self._reader = reader
        self._merger = merger
        self._audit = audit
        self._clock = clock
        self._observer = observer
        self._authoriser = authoriser
        self._masker = masker
        self._digest_of = digest_of
        self._digest = digest
        self._new_answer_id = new_answer_id
        self._kept = kept
        self._views = views
        self._repairs = repairs
        self._under_way = 0

    @property
    def under_way(self) -> int:
        """How many queries have begun and not ended: until they have, the trail must stay open."""
        return self._under_way

    async def answer(self, query: CreditQuery, admission: Admission) -> CreditAnswer:
        """Gives the view; raises RequestError, UnansweredError or StoreError, each after its entry in the trail."""
        self._under_way += 1
        watch: Watch | None = None
        try:
            story = await self._begin(query, admission)
            watch = self._authoriser.watch(query, story.permit)
            withdrawn = watch.withdrawn if watch is not None else None
            try:
                await fan_out(
                    self._connectors, query, story.permit, admission.fetch_by, story.note, self._kept, withdrawn
                )
                return await self._finish(story)
            except asyncio.CancelledError:
                await self._note_cancelled(story)
                raise
        finally:
            if watch is not None:
                watch.close()
            self._under_way -= 1

    async def stream(self, query: CreditQuery, admission: Admission) -> AsyncIterator[Landed | CreditAnswer]:
        """Yields each answer as it lands with the view so far, and last the final answer; raises as `answer` does."""
        self._under_way += 1
        try:
            story = await self._begin(query, admission)
        except BaseException:
            self._under_way -= 1
            raise
        queue: asyncio.Queue[Reading | None] = asyncio.Queue()
        watch = self._authoriser.watch(query, story.permit)
        withdrawn = watch.withdrawn if watch is not None else None

        def take(answer: Answer) -> None:
            queue.put_nowait(story.take(answer))

        async def ask() -> None:
            try:
                await fan_out(self._connectors, query, story.permit, admission.fetch_by, take, self._kept, withdrawn)
            finally:
                queue.put_nowait(None)

        asking = asyncio.create_task(ask())
        seen: list[Reading] = []
        try:
            while (reading := await queue.get()) is not None:
                seen.append(reading)
                await self._recheck(story, [reading.answer])
                repaired = self._repaired(query)
                merged = self._merger.merge(seen, query, story.permit, china_date(admission.at), None, repaired)
                shown = visible(reading, merged.view)
                if self._masker is not None and story.permit.is_masked:
                    self._masker.mask_answer(shown.said, query.uscc.value, story.permit, merged.view.records)
                    self._mask(merged.view, story.permit)
                stale = len(merged.stale_copies)
                now = self._clock.now()
                await self._append(story.entry("streamed", now, [reading.answer], figures_of(merged.view), stale))
                await self._recheck(story, [reading.answer])
                yield Landed(shown, merged.view)
            await asking
            yield await self._finish(story)
        except (asyncio.CancelledError, GeneratorExit):
            asking.cancel()
            await asyncio.wait([asking])
            await self._note_cancelled(story)
            raise
        finally:
            asking.cancel()
            if watch is not None:
                watch.close()
            self._under_way -= 1

    async def require_proven(self, query: CreditQuery, admission: Admission) -> None:
        """Raises UnauthenticatedError, after its entry in the trail, when the caller is proven no more: for batch items."""
        lapsed = admission.lapse(self._clock.now())
        if lapsed is None:
            return
        self._under_way += 1
        try:
            story = Story(query, admission, self._new_answer_id(admission.at), self._reader, self._digest_of)
            await self._write(story, "refused", reason=lapsed.reason)
        finally:
            self._under_way -= 1
        raise lapsed

    async def note_repeated(self, query: CreditQuery, answered: CreditAnswer, caller: Caller | None = None) -> None:
        """Writes that an answer given before is given again under the same request id; raises RequestError if it may not be.

        Whoever asks again may be another of the bank's callers, or may have waited for the first: its own proof must hold
        and its own rights reach as far. A use that was taken for it stays taken: giving it again takes none.
        """
        refusal = await self._why_not_again(query, answered.permit, caller)
        if refusal is None:
            await self._note_again("repeated", query, answered, caller)
            refusal = await self._why_not_again(query, answered.permit, caller)  # the disk may have taken its time
        if refusal is not None:
            await self._note_again("withheld", query, answered, caller, refusal)
            raise refusal

    async def _why_not_again(
        self, query: CreditQuery, permit: Permit | None, caller: Caller | None
    ) -> PermissionRefusedError | UnauthenticatedError | None:
        """Gives why an answer may not be given again now."""
        lapsed = caller.lapse(self._clock.now()) if caller is not None else None
        if lapsed is not None or permit is None:
            return lapsed
        try:
            if caller is not None:
                self._authoriser.require_right(query, permit, caller)
            rechecked = self._authoriser.recheck(query, permit)
            if rechecked is not None:
                await rechecked
        except (PermissionRefusedError, UnauthenticatedError) as error:
            return error
        return None

    async def _note_again(
        self,
        event: str,
        query: CreditQuery,
        answered: CreditAnswer,
        caller: Caller | None,
        refusal: PermissionRefusedError | UnauthenticatedError | None = None,
    ) -> None:
        entry = audit_entry(
            event,
            query,
            answered.permit,
            (),
            answer_id=answered.answer_id,
            at=self._clock.now(),
            reason=refusal.reason if refusal is not None else "",
            policy=refusal.policy if isinstance(refusal, PermissionRefusedError) else "",
            certificate=caller.certificate if caller is not None else "",
        )
        await self._append(entry)

    async def forget(self, uscc: str, platform: str | None = None) -> int:
        """Forgets what is kept about an enterprise, of one platform or of all; gives how many answers that were."""
        if self._views is not None:
            self._views.forget(uscc)
        return await self._kept.forget(uscc, platform) if self._kept is not None else 0

    def _repaired(self, query: CreditQuery) -> Mapping[bytes, Sequence[Remembered]]:
        return self._repairs.of(query.uscc.value) if self._repairs is not None else NONE_REPAIRED

    async def _begin(self, query: CreditQuery, admission: Admission) -> Story:
        story = Story(query, admission, self._new_answer_id(admission.at), self._reader, self._digest_of)
        try:
            # Too short to ask is not too short to answer from what is kept; if that does not suffice, the verdict says so.
            if admission.deadline <= self._clock.monotonic():
                raise DeadlineError("the deadline is past")
            permit = self._authoriser.permit(query, admission.caller)
            story.permit = permit if isinstance(permit, Permit) else await permit
        except RequestError as error:
            story.denied_by = error.policy if isinstance(error, PermissionRefusedError) else ""
            await self._write(story, "refused", reason=error.reason)
            raise
        except StoreError as error:
            await self._write(story, "unanswered", reason=error.reason)
            raise
        except asyncio.CancelledError:  # while the store was waited for; a use may have been taken
            await self._note_cancelled(story)
            raise
        return story

    async def _recheck(self, story: Story, answers: Sequence[Answer], receipt: Receipt | None = None) -> None:
        """Raises ConsentError or UnauthenticatedError, after its entry, when what was fetched may not be released.

        `receipt` is that of the answer where the trail says already that it was given: it is taken back.
        """
        try:
            lapsed = story.admission.lapse(self._clock.now())
            if lapsed is not None:
                raise lapsed
            rechecked = self._authoriser.recheck(story.query, story.permit)
            if rechecked is not None:
                await rechecked
        except (ConsentError, UnauthenticatedError) as error:
            await self._write(story, "withheld", answers, reason=error.reason, taken_back=receipt)
            raise
        except StoreError as error:
            await self._write(story, "unanswered", answers, reason=error.reason, taken_back=receipt)
            raise

    def _mask(self, view: view_pb2.CreditView, permit: Permit) -> None:
        """Masks what the permit does not lift; the view's id is that of what is shown."""
        if self._masker is not None and self._masker.mask(view, permit):
            view.ClearField("view_id")
            view.view_id = view_id(view)

    async def _finish(self, story: Story) -> CreditAnswer:
        query, permit, as_of = story.query, story.permit, china_date(story.admission.at)
        views = self._views if story.is_all_kept else None
        answers = story.answers()
        kept = views.find(query, permit, as_of, answers) if views is not None else None
        readings: Sequence[Reading] = ()
        if kept is None:
            readings = story.in_order()
            answers = story.answers()  # reading may have dropped one
        self._observer.answers_landed(answers)
        if permit.consents or story.admission.lapse(self._clock.now()) is not None:
            await self._recheck(story, answers)
        for platform in story.distrusted:
            await self.forget(query.uscc.value, platform)
        refusal = obstacle(query, answers)
        if refusal is not None:
            await self._write(story, "unanswered", answers, reason=refusal.reason)
            raise refusal
        if kept is None:
            merged = self._merger.merge(readings, query, permit, as_of, self._masker, self._repaired(query))
            if self._repairs is not None and (merged.heard or merged.stale_copies):
                self._repairs.note(query.uscc.value, merged, story.admission.at)
            if views is not None and not story.distrusted:
                kept = views.keep(query, permit, as_of, answers, merged)
            else:
                kept = KeptView(merged, merged.figures, merged.encoded, told_of_all(answers))
        merged, figures, encoded, told = kept
        copy = None
        if self._digest is not None:
            copy = ViewCopy(encoded, query.uscc.value, self._digest(query.sent), retention_class(permit))
        entry = story.entry("answered", self._clock.now(), answers, figures, len(merged.stale_copies), told=told)
        receipt = await self._append(entry, copy)
        # Once more: the disk may have taken its time.
        if permit.consents or story.admission.lapse(self._clock.now()) is not None:
            await self._recheck(story, answers, receipt)
        self._observer.query_ended(entry, self._clock.monotonic() - story.admission.arrived)
        self._observer.view_answered(figures)
        return CreditAnswer(story.answer_id, merged, figures, answers, encoded, permit, receipt, told)

    async def _note_cancelled(self, story: Story) -> None:
        if story.is_cancelled:  # told where it was cut off
            return
        story.is_cancelled = True
        answers = story.answers()
        # Shielded: the entry is written though the caller is gone.
        await asyncio.shield(self._write(story, "cancelled", answers, reason=Reason.CANCELLED))

    async def _write(
        self,
        story: Story,
        event: str,
        answers: Sequence[Answer] = (),
        *,
        reason: str,
        taken_back: Receipt | None = None,
    ) -> None:
        """Writes how a query ended that was not answered."""
        entry = story.entry(event, self._clock.now(), answers, reason=reason)
        await self._append(entry, taken_back=taken_back)
        self._observer.query_ended(entry, self._clock.monotonic() - story.admission.arrived)

    async def _append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Receipt | None:
        try:
            return await self._audit.append(entry, copy, taken_back=taken_back)
        except StoreError:
            self._observer.trail_failed()
            raise
