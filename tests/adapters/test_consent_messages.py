"""Consents in and out: what comes in goes out again, and odd requests are refused by name, never by a crash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway.adapters.rpc.consent_messages import after_of, consent_message, consent_of, page_token, person_ref_of
from gateway.adapters.rpc.requests import check_annotations
from gateway.domain.consent import ConsentState
from gateway.domain.errors import InvalidRequestError, RequestError
from tests.adapters.stores.consents import DEMO, NOON, consent
from tests.conftest import PROFILE

PLATFORMS = ("anhui", "jiangsu", "shanghai", "zhejiang")
often = settings(max_examples=150 if PROFILE == "quick" else 1_500)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
references = st.text("abc019._:-", max_size=12)


@st.composite
def consents(draw: Any) -> Any:
    begin, end = sorted(draw(st.lists(moments, min_size=2, max_size=2, unique=True)))
    return consent(
        draw(st.integers(0, 2**40)),
        person_ref=draw(references),
        purposes=tuple(sorted(draw(st.sets(st.integers(1, 7), min_size=1)))),
        categories=tuple(sorted(draw(st.sets(st.integers(1, 19), min_size=1)))),
        platforms=tuple(sorted(draw(st.sets(st.sampled_from(PLATFORMS))))),
        valid_from=begin,
        valid_to=max(end, NOON.replace(year=2090)),
        max_uses=draw(st.integers(0, 1_000_000)),
        channel=draw(st.sampled_from(["PAPER_SCAN", "E_SIGN", "PLATFORM_CLICK", "CREDIT_CODE_SCAN"])),
        document_digest=draw(st.binary(min_size=32, max_size=32)),
        signature=draw(st.binary(min_size=1, max_size=60)),
        certificate_serial=draw(st.text("0123456789abcdefABCDEF", min_size=1, max_size=20)),
        signatory_ref=draw(references),
        document_ref=draw(st.text("abc019._:/-", max_size=12)),
        institution_code=draw(st.sampled_from(["", "C1010011000013"])),
        signed_at=draw(st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))),
        created_at=NOON,
        changed_at=NOON,
    )


@often
@given(consents())
def test_what_comes_in_goes_out_again(one: Any) -> None:
    message = consent_message(one, NOON)
    check_annotations(pb.RegisterConsentRequest(terms=message.terms))

    assert consent_of(message.terms, one.bank, PLATFORMS, consent_id=one.consent_id, at=NOON) == one


@often
@given(st.binary(max_size=300))
def test_C6_random_bytes_are_no_registration_or_a_refused_one(raw: bytes) -> None:
    try:
        request = pb.RegisterConsentRequest.FromString(raw)
        check_annotations(request)
        consent_of(request.terms, "bank", PLATFORMS, consent_id="id", at=NOON)
    except (DecodeError, RequestError):
        return


@often
@given(
    st.text(max_size=40), st.lists(st.integers(-3, 40), max_size=4), st.integers(), st.integers(), st.text(max_size=9)
)
def test_C8_odd_terms_are_refused_by_name(uscc: str, numbers: list[int], begin: int, end: int, ref: str) -> None:
    terms = consent_message(consent(), NOON).terms
    terms.uscc, terms.person_ref = uscc or DEMO, ref
    terms.purposes[:] = numbers  # type: ignore[assignment]
    terms.valid_from.CopyFrom(Timestamp(seconds=begin % 2**63 - 2**62))
    terms.valid_to.CopyFrom(Timestamp(seconds=end % 2**63 - 2**62))
    try:
        check_annotations(pb.RegisterConsentRequest(terms=terms))
        made = consent_of(terms, "bank", PLATFORMS, consent_id="id", at=NOON)
    except RequestError as error:
        assert str(error)
    else:
        assert made.valid_from < made.valid_to


@often
@given(st.text(max_size=60), st.sampled_from(["", DEMO]))
def test_a_token_is_of_its_own_list_or_refused(token: str, uscc: str) -> None:
    try:
        after = after_of(token, uscc)
    except InvalidRequestError:
        return
    assert not after or token == page_token(after, uscc)


def test_a_token_names_the_last_consent_of_its_page_for_that_list_only() -> None:
    token = page_token(consent().consent_id, DEMO)
    with pytest.raises(InvalidRequestError):
        after_of(page_token("c\0", DEMO), DEMO)  # invented: no id has that character, and not every store looks for it

    assert after_of(token, DEMO) == consent().consent_id
    for strange, uscc in ((token, ""), ("!", DEMO)):
        with pytest.raises(InvalidRequestError, match="is no token of this list; begin with an empty one"):
            after_of(strange, uscc)


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, pb.CONSENT_STATE_ACTIVE),
        ({"state": ConsentState.PAUSED}, pb.CONSENT_STATE_PAUSED),
        ({"state": ConsentState.REVOKED}, pb.CONSENT_STATE_REVOKED),
        ({"max_uses": 1, "uses": 1}, pb.CONSENT_STATE_EXHAUSTED),
        ({"valid_to": NOON}, pb.CONSENT_STATE_EXPIRED),
    ],
)
def test_where_a_consent_stands_is_told_as_of_now(more: dict[str, Any], shown: int) -> None:
    assert consent_message(consent(**more), NOON).state == shown


def test_a_document_signed_in_the_future_is_refused_beyond_what_clocks_may_differ() -> None:
    terms = consent_message(consent(), NOON).terms

    def signed(ahead: timedelta) -> datetime | None:
        terms.sign_time.FromDatetime(NOON + ahead)
        return consent_of(terms, "bank", PLATFORMS, consent_id="id", at=NOON).signed_at

    just = timedelta(minutes=5)
    with pytest.raises(InvalidRequestError, match="still to come") as refused:
        signed(just + timedelta(microseconds=1))

    assert refused.value.field == "terms.sign_time"
    assert signed(just) == NOON + just


def test_a_time_of_signing_that_is_no_moment_is_refused() -> None:
    terms = consent_message(consent(), NOON).terms
    terms.sign_time.seconds = 2**50

    with pytest.raises(InvalidRequestError, match="no moment"):
        consent_of(terms, "bank", PLATFORMS, consent_id="id", at=NOON)


@pytest.mark.parametrize(
    ("name", "ref", "has_key", "fault"),
    [
        ("测试甲", "p-1", True, "state one of them"),
        ("\u3000 ", "", True, "is blank"),
        ("测*甲", "", True, "is masked itself"),
        ("测＊甲", "", True, "is masked itself"),
        ("测试甲", "", False, "enforces consents"),
    ],
)
def test_a_persons_name_that_cannot_be_referred_to_is_refused_without_repeating_it(
    name: str, ref: str, has_key: bool, fault: str
) -> None:
    request = pb.RegisterConsentRequest(terms=pb.ConsentTerms(person_ref=ref), person_name=name)

    with pytest.raises(InvalidRequestError, match=fault) as refused:
        person_ref_of(request, DEMO, (lambda uscc, name: "made") if has_key else None)

    assert name not in str(refused.value)


def test_a_name_makes_the_reference_and_without_one_the_stated_one_stays() -> None:
    named = pb.RegisterConsentRequest(person_name="测试甲")
    stated = pb.RegisterConsentRequest(terms=pb.ConsentTerms(person_ref="p-1"))

    assert person_ref_of(named, DEMO, lambda uscc, name: f"{uscc}:{name}") == f"{DEMO}:测试甲"
    assert person_ref_of(stated, DEMO, None) == "p-1"
