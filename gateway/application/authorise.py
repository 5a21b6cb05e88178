"""Who may ask what, put to use (鉴权): a query becomes a permit before any platform is asked, and is looked at again after.

    permit    stated consents are looked up, the rules decide, and of limited consents a use is taken: all before the
              fan-out, so that of several queries with one one-time consent exactly one asks
    recheck   before anything leaves: a consent revoked, paused or run out in between withholds the answer
    watch     while platforms are asked: a withdrawal cuts the calls short that are still under way

A use is spent once platforms may be asked, and is not given back: they may have answered. In development everything that is
asked is permitted, and nothing is awaited; nor is anything where all stated consents are at hand and none is limited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Protocol

from gateway.application.rights import permit_by_rights, permitted_categories, require_some, require_still
from gateway.domain.caller import Caller
from gateway.domain.consent import Consent, ConsentState, Permit, development_permit
from gateway.domain.errors import InvalidRequestError, Reason
from gateway.domain.permission import Decision, Rules, refusal
from gateway.domain.query import CreditQuery
from gateway.domain.reach import withdrawn
from gateway.ports import Clock, Rights
from gateway.store_ports import ConsentsAtHand


class Authoriser(Protocol):
    """Whoever gives permits; what need not be awaited is given as it is."""

    def permit(self, query: CreditQuery, caller: Caller | None) -> Permit | Awaitable[Permit]:
        """Gives what the query may ask; raises PermissionRefusedError, InvalidRequestError or StoreError."""
        ...

    def require_right(self, query: CreditQuery, permit: Permit, caller: Caller) -> None:
        """Raises PolicyDeniedError when the caller may not ask now for what the permit allowed."""
        ...

    def recheck(self, query: CreditQuery, permit: Permit) -> Awaitable[None] | None:
        """Raises ConsentError when the permit holds no more; None where it always does."""
        ...

    def watch(self, query: CreditQuery, permit: Permit) -> Watch | None:
        """Gives what tells of a withdrawal while the query is under way; None where nothing can be withdrawn."""
        ...


class DevelopmentAuthoriser:
    """Asks for no consent; `xinyidai serve` has it on loopback only.

    Where there are `rights` it permits what they permit the caller; without them everything that is asked.
    """

    def __init__(self, rights: Rights | None = None) -> None:
        self._rights = rights

    def permit(self, query: CreditQuery, caller: Caller | None) -> Permit:
        """Gives the development permit; raises PolicyDeniedError where the caller may ask for nothing."""
        if self._rights is None or caller is None:
            return development_permit(query)
        return permit_by_rights(self._rights, caller, query)

    def require_right(self, query: CreditQuery, permit: Permit, caller: Caller) -> None:
        """Raises PolicyDeniedError when policies do not permit the caller now what the permit allowed."""
        if self._rights is not None:
            require_still(self._rights, caller, query, permit)

    def recheck(self, query: CreditQuery, permit: Permit) -> None:
        """Does nothing: it always holds."""
        return

    def watch(self, query: CreditQuery, permit: Permit) -> None:
        """Gives nothing: nothing can be withdrawn."""
        return


class Watch:
    """Waits for the withdrawal of any consent a query rests on; to be closed when the query has ended."""

    __slots__ = ("_keys", "_watches", "withdrawn")

    def __init__(self, watches: dict[tuple[str, str], set[Watch]], keys: tuple[tuple[str, str], ...]) -> None:
        self.withdrawn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watches = watches
        self._keys = keys
        for key in keys:
            watching = watches.get(key)
            if watching is None:
                watches[key] = {self}
            else:
                watching.add(self)

    def tell(self) -> None:
        """Says that a consent was withdrawn."""
        if not self.withdrawn.done():
            self.withdrawn.set_result(None)

    def close(self) -> None:
        """Stops waiting."""
        for key in self._keys:
            watching = self._watches.get(key)
            if watching is not None:
                watching.discard(self)
                if not watching:
                    del self._watches[key]


class ConsentAuthoriser:
    """Permits what consents, purposes and policies permit."""

    def __init__(
        self,
        consents: ConsentsAtHand,
        rules: Rules,
        clock: Clock,
        rights: Rights | None = None,
    ) -> None:
        self._consents = consents
        self._rules = rules
        self._clock = clock
        self._rights = rights
        self._watches: dict[tuple[str, str], set[Watch]] = {}

    def permit(self, query: CreditQuery, caller: Caller | None) -> Permit | Awaitable[Permit]:
        """Gives what the query may ask, with a use taken of every limited consent it rests on."""
        ids = _folded(query.consent_ids)
        denied: tuple[int, ...] = ()
        policy = ""
        if self._rights is not None and caller is not None:
            asked = permitted_categories(self._rights, caller, query)
            require_some(asked, query)
            denied, policy = asked.refused, asked.policy
        stated: dict[str, Consent] = {}
        for consent_id in ids:
            consent = self._consents.at_hand(query.bank, consent_id)
            if consent is None or consent.max_uses:
                return self._permit(query, ids, denied, policy)
            stated[consent_id] = consent
        return self._rules.decide(query, stated.values(), self._clock.now(), denied=denied, policy=policy).permit

    async def _permit(self, query: CreditQuery, ids: tuple[str, ...], denied: tuple[int, ...], policy: str) -> Permit:
        """Gives the same where the store must be asked: for a consent that is not at hand, or a use."""
        stated: dict[str, Consent] = {}
        for consent_id in ids:
            consent = await self._consents.get(query.bank, consent_id)
            if consent is not None:
                stated[consent_id] = consent
        used: dict[str, Consent] = {}
        while True:
            decision = self._rules.decide(query, stated.values(), self._clock.now(), denied=denied, policy=policy)
            limited = [c for c in decision.relied_on if c.max_uses and c.consent_id not in used]
            if not limited:
                return _with_versions(decision, used)
            for consent in limited:
                left = await self._consents.use(query.bank, consent.consent_id, consent.version, self._clock.now())
                if left is None:  # another query was faster, or it was changed: what it says now decides
                    stated[consent.consent_id] = await self._changed(query.bank, consent)
                    break
                used[consent.consent_id] = left

    def require_right(self, query: CreditQuery, permit: Permit, caller: Caller) -> None:
        """Raises PolicyDeniedError when policies do not permit the caller now what the permit allowed."""
        if self._rights is not None:
            require_still(self._rights, caller, query, permit)

    def recheck(self, query: CreditQuery, permit: Permit) -> Awaitable[None] | None:
        """Raises ConsentError when a consent the permit rests on was revoked or paused, or has run out, since."""
        now = self._clock.now()
        for consent_id in permit.relies_on():
            consent = self._consents.at_hand(query.bank, consent_id)
            if consent is None:
                return self._recheck(query, permit)
            reason = withdrawn(consent, now)
            if reason is not None:
                raise refusal([reason], permit.policy)
        return None

    async def _recheck(self, query: CreditQuery, permit: Permit) -> None:
        """Does the same where the store must be asked."""
        now = self._clock.now()
        for consent_id in permit.relies_on():
            reason = withdrawn(await self._consents.get(query.bank, consent_id), now)
            if reason is not None:
                raise refusal([reason], permit.policy)

    def watch(self, query: CreditQuery, permit: Permit) -> Watch | None:
        """Gives what waits for a withdrawal, of a permit that rests on consents."""
        if not permit.consents:
            return None
        return Watch(self._watches, tuple([(query.bank, consent_id) for consent_id in permit.relies_on()]))

    def changed(self, bank: str, consent_id: str, state: ConsentState) -> None:
        """Takes word of a consent's change, from this process or another; a use is no withdrawal."""
        if state is not ConsentState.ACTIVE:
            for watch in tuple(self._watches.get((bank, consent_id), ())):
                watch.tell()

    async def _changed(self, bank: str, tried: Consent) -> Consent:
        """Gives what a consent has become that no use could be taken of; as used up where the store says nothing new."""
        found = await self._consents.get(bank, tried.consent_id)
        if found is None or found.version == tried.version:
            return replace(tried, uses=tried.max_uses)
        return found


def _folded(consent_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Gives the stated ids in the letter case they are kept in; raises InvalidRequestError for one stated twice."""
    folded = tuple([stated.lower() for stated in consent_ids])
    if len(folded) < 2:
        return folded
    if len(set(folded)) < len(folded):
        place = next(i for i, stated in enumerate(folded) if stated in folded[:i])
        raise InvalidRequestError(f"consent_ids[{place}]", "is stated twice", Reason.CONSENT_REPEATED)
    return folded


def _with_versions(decision: Decision, used: dict[str, Consent]) -> Permit:
    """Gives the permit with the versions that its consents have after their uses."""
    if not used:
        return decision.permit
    current = [used.get(consent.consent_id, consent) for consent in decision.relied_on]
    return replace(decision.permit, consents=tuple([f"{c.consent_id}@{c.version}" for c in current]))
