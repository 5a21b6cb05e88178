"""ConsentService over gRPC: the calling bank's own consents, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2_grpc
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.consent_messages import (
    after_of,
    change_message,
    consent_message,
    consent_of,
    page_token,
    person_ref_of,
)
from gateway.adapters.rpc.requests import check_annotations, proven
from gateway.application.consents import By, Consents, Decision
from gateway.domain.caller import Caller
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.identifiers import Uscc
from gateway.ports import Clock

_PAGE = 50


class ConsentService(consent_service_pb2_grpc.ConsentServiceServicer):
    """Serves consents."""

    def __init__(
        self,
        consents: Consents,
        platforms: Collection[str],
        clock: Clock,
        new_consent_id: Callable[[datetime], str],
        callers: RpcCallers,
        refer: Callable[[str, str], str] | None = None,
    ) -> None:
        self._consents = consents
        self._platforms = platforms
        self._clock = clock
        self._new_consent_id = new_consent_id
        self._callers = callers
        self._refer = refer

    async def RegisterConsent(  # noqa: N802  # named by the proto
        self, request: pb.RegisterConsentRequest, context: Context
    ) -> pb.RegisterConsentResponse:
        """Registers a consent."""
        try:
            caller = await self._callers.bank_of(context)
            check_annotations(request)
            now = self._clock.now()
            stated = consent_of(
                request.terms, caller.bank, self._platforms, consent_id=self._new_consent_id(now), at=now
            )
            stated = replace(stated, person_ref=person_ref_of(request, stated.uscc, self._refer))
            by = _by(caller, request.operator, request.branch)
            consent, is_repeated = await self._consents.register(stated, by, request.request_id)
            return pb.RegisterConsentResponse(consent=self._message(consent), is_repeated=is_repeated)
        except Exception as error:
            await abort(context, error)

    async def GetConsent(self, request: pb.GetConsentRequest, context: Context) -> pb.GetConsentResponse:  # noqa: N802
        """Gets one consent and what happened to it."""
        try:
            bank = (await self._callers.bank_of(context)).bank
            check_annotations(request)
            consent, changes = await self._consents.get(bank, request.consent_id)
            return pb.GetConsentResponse(
                consent=self._message(consent), changes=[change_message(change) for change in changes]
            )
        except Exception as error:
            await abort(context, error)

    async def ListConsents(self, request: pb.ListConsentsRequest, context: Context) -> pb.ListConsentsResponse:  # noqa: N802
        """Lists consents page by page."""
        try:
            bank = (await self._callers.bank_of(context)).bank
            check_annotations(request)
            uscc = Uscc.parse(request.uscc).value if request.uscc else ""
            after = after_of(request.page_token, uscc)
            found, has_more = await self._consents.list(bank, uscc, after=after, limit=request.page_size or _PAGE)
            return pb.ListConsentsResponse(
                consents=[self._message(consent) for consent in found],
                next_page_token=page_token(found[-1].consent_id, uscc) if has_more else "",
            )
        except Exception as error:
            await abort(context, error)

    async def RevokeConsent(self, request: pb.RevokeConsentRequest, context: Context) -> pb.RevokeConsentResponse:  # noqa: N802
        """Revokes a consent for good."""
        try:
            consent = await self._decide(request, context, ConsentState.REVOKED)
            return pb.RevokeConsentResponse(consent=consent)
        except Exception as error:
            await abort(context, error)

    async def PauseConsent(self, request: pb.PauseConsentRequest, context: Context) -> pb.PauseConsentResponse:  # noqa: N802
        """Pauses a consent."""
        try:
            return pb.PauseConsentResponse(consent=await self._decide(request, context, ConsentState.PAUSED))
        except Exception as error:
            await abort(context, error)

    async def ResumeConsent(self, request: pb.ResumeConsentRequest, context: Context) -> pb.ResumeConsentResponse:  # noqa: N802
        """Resumes a consent."""
        try:
            return pb.ResumeConsentResponse(consent=await self._decide(request, context, ConsentState.ACTIVE))
        except Exception as error:
            await abort(context, error)

    async def _decide(
        self,
        request: pb.RevokeConsentRequest | pb.PauseConsentRequest | pb.ResumeConsentRequest,
        context: Context,
        state: ConsentState,
    ) -> pb.Consent:
        caller = await self._callers.bank_of(context)
        check_annotations(request)
        reason = request.reason if isinstance(request, pb.RevokeConsentRequest) else ""
        decision = Decision(request.consent_id, state, request.expected_version, reason)
        by = _by(caller, request.operator, request.branch)
        return self._message(await self._consents.decide(decision, by))

    def _message(self, consent: Consent) -> pb.Consent:
        return consent_message(consent, self._clock.now())


def _by(caller: Caller, operator: str, branch: str) -> By:
    """Gives who decides, as the caller's token proves it; raises CallerMismatchError where the request states another."""
    return By(caller.bank, proven("operator", operator, caller.operator), proven("branch", branch, caller.branch))
