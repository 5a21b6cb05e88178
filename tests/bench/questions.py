"""How each server is asked, and what is a right answer: a wrong one ends the row, whatever it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import grpc

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_EVALUATION,
    CATEGORY_LICENCE,
    CATEGORY_LIST_ENTRY,
    CATEGORY_PENALTY,
    CATEGORY_REGISTRATION,
    CATEGORY_SOCIAL_INSURANCE,
    CATEGORY_TAX_PAYMENT,
)
from gateway._pb.xinyidai.catalogue.v1.registration_pb2 import Registration
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_OK,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    PURPOSE_PRE_LOAN,
    CreditView,
    QueryScope,
    Records,
)
from gateway._pb.xinyidai.gateway.v1.credit_service_pb2 import (
    DESCRIPTOR,
    CreditQuery,
    GetCreditViewRequest,
    GetCreditViewResponse,
)
from gateway.adapters.rpc.evidence import receipt_of
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import CONSENTED
from gateway.domain.masks import mask_name
from gateway.domain.merkle import is_included
from gateway.domain.statement import sm3
from tests.bench.child import METHOD
from tests.bench.fixture import DISTINCT, FOUR, PLAIN, RECORDS, sent_records, truth, twelve
from tests.bench.processes import StartError
from tests.bench.trusted import consent_of

SERVICE: Final = f"/{DESCRIPTOR.services_by_name['CreditService'].full_name}"
_VIEW: Final = f"{SERVICE}/GetCreditView"
_OUT_OF_TIME: Final = {OUTCOME_TIMEOUT, OUTCOME_SKIPPED}
_REALISTIC: Final = (
    CATEGORY_REGISTRATION,
    CATEGORY_LICENCE,
    CATEGORY_PENALTY,
    CATEGORY_LIST_ENTRY,
    CATEGORY_EVALUATION,
    CATEGORY_TAX_PAYMENT,
    CATEGORY_SOCIAL_INSURANCE,
)

PRIVATE: Final = tuple(c for c in _REALISTIC if not CATALOGUE.by_category[c].is_public)
"""What of the realistic payload needs a consent."""


class WrongAnswerError(Exception):
    """An answer that is not the truth: what it cost or how long it took says nothing."""


FAILURES: Final = (StartError, WrongAnswerError, grpc.aio.AioRpcError, ExceptionGroup)
"""What ends one row and leaves the others to be measured."""


@dataclass(frozen=True, slots=True)
class Target:
    """How one server is asked.

    `check` says whether the answer to the enterprise of that code is whole, and raises WrongAnswerError for a wrong one.
    `calls_per_view` is how often the platforms are called for one view: 0 where the view is kept.
    """

    method: str
    request: Callable[[str], bytes]
    check: Callable[[str, bytes], bool]
    calls_per_view: int = len(FOUR)


def cold_query(uscc: str, categories: Sequence[int] = (CATEGORY_REGISTRATION,)) -> CreditQuery:
    """Gives a query that accepts no age: nothing kept will do, nor a call under way, which is as old as its beginning."""
    query = kept_query(uscc, categories)
    query.oldest_acceptable_age.SetInParent()
    return query


def kept_query(uscc: str, categories: Sequence[int] = (CATEGORY_REGISTRATION,)) -> CreditQuery:
    """Gives a query that leaves the age to the categories' lifetimes."""
    return CreditQuery(uscc=uscc, purpose=PURPOSE_PRE_LOAN, categories=categories)  # type: ignore[arg-type]


def check_view(uscc: str, view: CreditView, platforms: int = len(FOUR)) -> None:
    """Raises WrongAnswerError unless every platform was heard and the twelve values are the true ones."""
    outcomes = [answer.outcome for answer in view.answers]
    drifts = [drift for answer in view.answers for drift in answer.drifts]
    if outcomes != [OUTCOME_OK] * platforms or drifts:
        raise WrongAnswerError(f"{uscc}: not {platforms} whole answers: {outcomes}, {drifts}")
    _check_twelve(uscc, view.records.registrations[0])


def _check_twelve(uscc: str, record: Registration) -> None:
    said, true = twelve(record), truth(uscc)
    if said != true:
        raise WrongAnswerError(f"{uscc}: the twelve values differ\n--- expected\n{true}\n--- given\n{said}")


def _ask_peer(uscc: str) -> bytes:
    return QueryScope(uscc=uscc, purpose=PURPOSE_PRE_LOAN, categories=[CATEGORY_REGISTRATION]).SerializeToString()


def _check_floor(_uscc: str, content: bytes) -> bool:
    if not content:
        raise WrongAnswerError("no bytes came out")
    return True


def _check_peer(uscc: str, content: bytes) -> bool:
    _check_twelve(uscc, Registration.FromString(content))
    return True


def _check_peer_realistic(uscc: str, content: bytes) -> bool:
    records = Records.FromString(content)
    _check_twelve(uscc, records.registrations[0])
    found = sum(len(rows) for _, rows in records.ListFields())
    if found != DISTINCT:
        raise WrongAnswerError(f"{uscc}: {found} records after merging, not {DISTINCT}")
    return True


def _cold(uscc: str, categories: Sequence[int] = (CATEGORY_REGISTRATION,)) -> bytes:
    return GetCreditViewRequest(query=cold_query(uscc, categories)).SerializeToString()


def _kept(uscc: str) -> bytes:
    return GetCreditViewRequest(query=kept_query(uscc)).SerializeToString()


def _check_kept(uscc: str, content: bytes) -> bool:
    response = GetCreditViewResponse.FromString(content)
    check_view(uscc, response.view)
    if not all(answer.HasField("cache_age") for answer in response.delivery.answers):
        raise WrongAnswerError(f"{uscc}: not every answer was a kept one")
    return True


def _check_realistic(uscc: str, content: bytes) -> bool:
    view = GetCreditViewResponse.FromString(content).view
    check_view(uscc, view)
    if sum(len(records) for _, records in view.records.ListFields()) != DISTINCT:
        raise WrongAnswerError(f"{uscc}: not {DISTINCT} records after merging")
    provenances = sum(
        len(record.envelope.provenances) for _, records in view.records.ListFields() for record in records
    )
    if provenances != RECORDS:
        raise WrongAnswerError(f"{uscc}: the view accounts for {provenances} of {RECORDS} records")
    return True


def _check_partial(uscc: str, content: bytes) -> bool:
    view = GetCreditViewResponse.FromString(content).view
    outcomes = [answer.outcome for answer in view.answers]
    if outcomes == [OUTCOME_OK] * len(FOUR):
        check_view(uscc, view)
        return True
    # Without the authoritative platform's copy some values are older, rightly; who was not heard must be told.
    unheard = set(outcomes) - {OUTCOME_OK}
    if len(outcomes) != len(FOUR) or not unheard <= _OUT_OF_TIME or view.completeness_bp >= 10_000:
        raise WrongAnswerError(f"{uscc}: neither whole nor a partial view that says so: {outcomes}")
    return False


def _check_heard(uscc: str, content: bytes) -> bool:
    view = GetCreditViewResponse.FromString(content).view
    if view.completeness_bp != 10_000:
        raise WrongAnswerError(f"{uscc}: not every platform was heard: {list(view.answers)}")
    return True


def gateway_plain(platforms: int = len(FOUR)) -> Target:
    """Gives how the gateway is asked cold for the twelve fields that so many platforms hold."""

    def check(uscc: str, content: bytes) -> bool:
        check_view(uscc, GetCreditViewResponse.FromString(content).view, platforms)
        return True

    return Target(_VIEW, _cold, check, platforms)


def _consented(uscc: str, categories: Sequence[int]) -> bytes:
    query = cold_query(uscc, categories)
    query.consent_ids.append(consent_of(uscc))
    return GetCreditViewRequest(query=query).SerializeToString()


def _check_trusted(uscc: str, content: bytes) -> bool:
    """Checks a view under a consent: whole and true, but for the person's name, which is masked."""
    view = GetCreditViewResponse.FromString(content).view
    record = view.records.registrations[0]
    shown, true = record.legal_representative, truth(uscc).legal_representative
    if shown != mask_name(true) or view.permit.kind != CONSENTED:
        raise WrongAnswerError(f"{uscc}: {shown!r} under permit {view.permit.kind!r}: not masked under a consent")
    record.legal_representative = true
    check_view(uscc, view)
    return True


def _check_trusted_realistic(uscc: str, content: bytes) -> bool:
    _check_trusted(uscc, content)
    found = sum(len(rows) for _, rows in GetCreditViewResponse.FromString(content).view.records.ListFields())
    if found != DISTINCT:
        raise WrongAnswerError(f"{uscc}: {found} records under the consent, not {DISTINCT}")
    return True


def _kept_consented(uscc: str) -> bytes:
    query = kept_query(uscc)
    query.consent_ids.append(consent_of(uscc))
    return GetCreditViewRequest(query=query).SerializeToString()


def _check_trusted_kept(uscc: str, content: bytes) -> bool:
    if not all(answer.HasField("cache_age") for answer in GetCreditViewResponse.FromString(content).delivery.answers):
        raise WrongAnswerError(f"{uscc}: not every answer was a kept one")
    return _check_trusted(uscc, content)


def _proven(check: Callable[[str, bytes], bool]) -> Callable[[str, bytes], bool]:
    """Gives what checks an answer, and that its receipt is of its very bytes and leads to the root."""

    def check_both(uscc: str, content: bytes) -> bool:
        response = GetCreditViewResponse.FromString(content)
        receipt = receipt_of(response.delivery.evidence)
        if receipt.leaf.view_digest != sm3(response.view.SerializeToString()) or not is_included(receipt, sm3):
            raise WrongAnswerError(f"{uscc}: the receipt does not prove the answer")
        return check(uscc, content)

    return check_both


FLOOR: Final = Target(METHOD, _ask_peer, _check_floor, 0)
PEER: Final = Target(METHOD, _ask_peer, _check_peer)
PEER_REALISTIC: Final = Target(METHOD, _ask_peer, _check_peer_realistic)
GATEWAY_REALISTIC: Final = Target(_VIEW, lambda uscc: _cold(uscc, _REALISTIC), _check_realistic)
TRUSTED_PLAIN: Final = Target(_VIEW, lambda uscc: _consented(uscc, (CATEGORY_REGISTRATION,)), _check_trusted)
TRUSTED_REALISTIC: Final = Target(_VIEW, lambda uscc: _consented(uscc, _REALISTIC), _check_trusted_realistic)
TRUSTED_KEPT: Final = Target(_VIEW, _kept_consented, _check_trusted_kept, 0)
PROVEN_PLAIN: Final = replace(TRUSTED_PLAIN, check=_proven(_check_trusted))
PROVEN_KEPT: Final = replace(TRUSTED_KEPT, check=_proven(_check_trusted_kept))
GATEWAY_KEPT: Final = Target(_VIEW, _kept, _check_kept, 0)
GATEWAY_PARTIAL: Final = Target(_VIEW, _cold, _check_partial)
GATEWAY_DIALECTS: Final = Target(_VIEW, lambda uscc: _cold(uscc, []), _check_heard)


def check_fixture(enterprises: Sequence[str], payload: str) -> None:
    """Makes sure the fixture holds what its rows claim."""
    expected = len(FOUR) if payload == PLAIN else RECORDS
    for uscc in enterprises:
        if sent_records(payload, uscc) != expected:
            raise WrongAnswerError(f"the fixture sends {sent_records(payload, uscc)} records, not {expected}")
