"""What is refused in any request, whatever its service: NUL in a text, and pages after a place that no store has."""

from __future__ import annotations

from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2, consent_service_pb2, joint_list_service_pb2
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.rpc.joint_list_messages import after_of, page_token
from gateway.adapters.rpc.questions import Questions
from gateway.adapters.rpc.requests import check_annotations
from gateway.domain.caller import development_caller
from gateway.domain.errors import InvalidRequestError

USCC = "91310115MA0TERT167"
NUL = "must not hold the character NUL (U+0000)"
QUESTION = ("YRD_ENV", "31", 2018)


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (consent_service_pb2.GetConsentRequest(consent_id="a\0b"), "consent_id"),
        (audit_service_pb2.ExportEntriesRequest(operator="\0"), "operator"),
        (joint_list_service_pb2.SearchEntriesRequest(list_codes=["YRD_ENV", "Y\0"]), "list_codes[1]"),
        (
            joint_list_service_pb2.AmendEntryRequest(
                entry_id="e-1", because="x", content=joint_list_service_pb2.EntryContent(evidence=["a", "b\0"])
            ),
            "content.evidence[1]",
        ),
        (pb.StreamCreditViewRequest(query=pb.CreditQuery(uscc=USCC, branch="b\0")), "branch"),
    ],
)
def test_a_nul_is_refused_by_its_place_in_any_text(request_: Any, place: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check_annotations(request_)

    assert (refused.value.field, refused.value.description) == (place, NUL)


def test_bytes_may_hold_it() -> None:
    check_annotations(joint_list_service_pb2.LoadListFileRequest(digest=bytes(32), operator="teller", content=b"\0"))


@pytest.mark.parametrize("field", ["request_id", "loan_reference", "application_reference", "consent_ids"])
def test_so_it_is_in_a_query_whose_shape_is_known(field: str) -> None:
    questions, caller = Questions(("anhui",), lambda _: None), development_caller("bank-a")

    def asked(text: str) -> bytes:
        more: dict[str, Any] = {field: [text] if field == "consent_ids" else text}
        query = pb.CreditQuery(uscc=USCC, purpose=PURPOSE_PRE_LOAN, **more)
        return pb.GetCreditViewRequest(query=query).SerializeToString()

    for _ in range(2):
        questions.read_bytes(asked("r-1"), caller)
        with pytest.raises(InvalidRequestError) as refused:
            questions.read_bytes(asked("r\0" + "1"), caller)
        assert refused.value.description == NUL


@pytest.mark.parametrize("mark", [2**63, 10**180])
def test_a_page_after_a_place_that_no_store_has_is_refused(mark: int) -> None:
    assert after_of(page_token(2**63 - 1, QUESTION), QUESTION) == 2**63 - 1

    with pytest.raises(InvalidRequestError, match="is no token of this question"):
        after_of(page_token(mark, QUESTION), QUESTION)
