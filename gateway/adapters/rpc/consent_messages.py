"""Consents in and out: proto messages become checked values, or an error that names the field, and values messages."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Purpose
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Consent
from gateway.domain.consent_life import ConsentChange
from gateway.domain.errors import InvalidIdentifierError, InvalidRequestError, Reason
from gateway.domain.identifiers import Uscc
from gateway.domain.names import normalise_name

_CATEGORIES: Final = frozenset(CATALOGUE.by_category)
_PURPOSES: Final = frozenset(Purpose.values()) - {0}
_FILTER_BYTES: Final = 8
_SKEW: Final = timedelta(minutes=5)
"""How far a bank's clock may be ahead of ours."""


def consent_of(
    terms: pb.ConsentTerms, bank: str, platforms: Collection[str], *, consent_id: str, at: datetime
) -> Consent:
    """Gives the consent that a bank registers at that moment; annotations must have been checked.

    Raises InvalidRequestError naming the field.
    """
    try:
        uscc = Uscc.parse(terms.uscc)
    except InvalidIdentifierError as error:
        raise InvalidRequestError("terms.uscc", str(error), error.reason) from error
    _known("purposes", terms.purposes, _PURPOSES, Reason.UNKNOWN_PURPOSE)
    _known("categories", terms.categories, _CATEGORIES, Reason.UNKNOWN_CATEGORY)
    for index, platform in enumerate(terms.platforms):
        if platform not in platforms:
            raise InvalidRequestError(
                f"terms.platforms[{index}]",
                f"no platform {platform!r} among {', '.join(sorted(platforms))}; see PlatformService.ListPlatforms",
                Reason.UNKNOWN_PLATFORM,
            )
    valid_from, valid_to = _moment("valid_from", terms.valid_from), _moment("valid_to", terms.valid_to)
    if valid_to <= valid_from:
        raise InvalidRequestError("terms.valid_to", "must be later than valid_from")
    if valid_to <= at:
        raise InvalidRequestError("terms.valid_to", "is past already")
    if terms.channel == pb.CONSENT_CHANNEL_E_SIGN and not (terms.signature and terms.certificate_serial):
        missing = "certificate_serial" if terms.signature else "signature"
        raise InvalidRequestError(f"terms.{missing}", "is needed where a consent was signed electronically")
    signed_at = _moment("sign_time", terms.sign_time) if terms.HasField("sign_time") else None
    if signed_at is not None and signed_at > at + _SKEW:
        raise InvalidRequestError("terms.sign_time", "is still to come; state when the document was signed")
    return Consent(
        consent_id=consent_id,
        bank=bank,
        uscc=uscc.value,
        person_ref=terms.person_ref,
        purposes=tuple(sorted(terms.purposes)),
        categories=tuple(sorted(terms.categories)),
        platforms=tuple(sorted(terms.platforms)),
        valid_from=valid_from,
        valid_to=valid_to,
        max_uses=terms.max_uses,
        channel=pb.ConsentChannel.Name(terms.channel).removeprefix("CONSENT_CHANNEL_"),
        document_digest=terms.document_digest,
        signature=terms.signature,
        certificate_serial=terms.certificate_serial,
        signatory_ref=terms.signatory_ref,
        document_ref=terms.document_ref,
        institution_code=terms.institution_code,
        signed_at=signed_at,
        created_at=at,
        changed_at=at,
    )


def person_ref_of(request: pb.RegisterConsentRequest, uscc: str, refer: Callable[[str, str], str] | None) -> str:
    """Gives the reference of the person whose consent it is, "" for the enterprise's own; no error repeats the name.

    `refer` makes a reference of a canonical code and a name; None where the gateway has no key for it.
    """
    name = request.person_name
    if not name:
        return request.terms.person_ref
    if request.terms.person_ref:
        raise InvalidRequestError("person_name", "is stated beside terms.person_ref; state one of them")
    if not normalise_name(name):
        raise InvalidRequestError("person_name", "is blank; state it as it stands in the signed document")
    if "*" in normalise_name(name):  # no platform states it like this, so that the consent would never show anything
        raise InvalidRequestError("person_name", "is masked itself; state it as it stands in the signed document")
    if refer is None:
        raise InvalidRequestError("person_name", "needs a gateway that enforces consents; this one masks nothing")
    return refer(uscc, name)


def consent_message(consent: Consent, now: datetime) -> pb.Consent:
    """Gives the message of a consent as it stands at that moment."""
    return pb.Consent(
        consent_id=consent.consent_id,
        terms=pb.ConsentTerms(
            uscc=consent.uscc,
            person_ref=consent.person_ref,
            purposes=consent.purposes,  # type: ignore[arg-type]  # numbers of the enum
            categories=consent.categories,  # type: ignore[arg-type]
            platforms=consent.platforms,
            valid_from=_timestamp(consent.valid_from),
            valid_to=_timestamp(consent.valid_to),
            max_uses=consent.max_uses,
            channel=pb.ConsentChannel.Value(f"CONSENT_CHANNEL_{consent.channel}"),
            document_digest=consent.document_digest,
            signature=consent.signature,
            certificate_serial=consent.certificate_serial,
            signatory_ref=consent.signatory_ref,
            document_ref=consent.document_ref,
            institution_code=consent.institution_code,
            sign_time=None if consent.signed_at is None else _timestamp(consent.signed_at),
        ),
        state=pb.ConsentState.Value(f"CONSENT_STATE_{consent.state_at(now)}"),
        version=consent.version,
        use_count=consent.uses,
        create_time=_timestamp(consent.created_at),
        change_time=_timestamp(consent.changed_at),
        revocation_reason=consent.revocation_reason,
    )


def change_message(change: ConsentChange) -> pb.ConsentChange:
    """Gives the message of one change."""
    return pb.ConsentChange(
        event=pb.ConsentEvent.Value(f"CONSENT_EVENT_{change.event}"),
        version=change.version,
        change_time=_timestamp(change.at),
    )


def page_token(last_id: str, uscc: str) -> str:
    """Gives what asks for the page after a consent, of the same list only."""
    return base64.urlsafe_b64encode(_filter(uscc) + last_id.encode()).decode()


def after_of(token: str, uscc: str) -> str:
    """Gives the id a page begins after, "" for the first; raises InvalidRequestError for a token of another list."""
    if not token:
        return ""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        after = raw[_FILTER_BYTES:].decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("page_token", "is no token of this list; begin with an empty one") from error
    if raw[:_FILTER_BYTES] != _filter(uscc) or not after or not after.isprintable():
        raise InvalidRequestError("page_token", "is no token of this list; begin with an empty one")
    return after


def _filter(uscc: str) -> bytes:
    return hashlib.sha256(uscc.encode()).digest()[:_FILTER_BYTES]


def _known(field: str, stated: Sequence[int], known: Collection[int], reason: Reason) -> None:
    for index, number in enumerate(stated):
        if number not in known:
            raise InvalidRequestError(
                f"terms.{field}[{index}]", f"{number} is none; see CatalogueService.DescribeCatalogue", reason
            )


def _moment(field: str, stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(f"terms.{field}", "is no moment between the years 1 and 9999") from error


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
