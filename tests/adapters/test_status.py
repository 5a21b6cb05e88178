"""What of an error leaves with its status: no more than gRPC allows a trailer, or the client never reads why."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from google.rpc import error_details_pb2

from gateway.adapters.rpc.status import status_of
from gateway.adapters.stores.failures import Trouble
from gateway.domain.errors import GatewayError, InvalidRequestError, ListFileError, Reason, StoreUnavailableError
from gateway.domain.list_fault import at_line

SOFT_LIMIT = 8 * 1024


def size_of_trailer(error: GatewayError) -> int:
    """Gives the bytes of message and details as they stand on the wire."""
    status = status_of(error, "0" * 32)
    return len(quote(status.message, safe=" ")) + len(base64.b64encode(status.SerializeToString()))


@pytest.mark.parametrize("character", ["x", "北", "\U0001f9fe", "\x1b", "%"])
def test_an_error_that_quotes_a_long_text_is_cut(character: str) -> None:
    error = InvalidRequestError(
        "list_codes[0]", f"no list {character * 20_000!r}; see ListJointLists", Reason.LIST_UNKNOWN
    )

    status = status_of(error)

    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert size_of_trailer(error) < SOFT_LIMIT
    assert status.message.startswith("list_codes[0]: no list ")
    assert status.message.endswith("…")
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.reason, bad.field_violations[0].field) == ("LIST_UNKNOWN", "list_codes[0]")


def test_of_many_long_faults_of_a_file_as_many_are_told_as_there_is_room_for() -> None:
    short = ListFileError(
        [at_line(number, "due_off: must be after listed_on", "due_off：须晚于 listed_on") for number in range(60)]
    )
    long = ListFileError([at_line(number, "省" * 900, "省" * 900) for number in range(60)])

    told = []
    for error in (short, long):
        bad = error_details_pb2.BadRequest()
        assert status_of(error).details[1].Unpack(bad)
        told.append(len(bad.field_violations))

    assert max(map(size_of_trailer, (short, long))) < SOFT_LIMIT
    assert (told[0] >= 30, 1 <= told[1] < 50) == (True, True)


def test_an_error_of_usual_length_stands_as_it_is() -> None:
    error = InvalidRequestError("purpose", "状态 " * 20)

    assert status_of(error).message == str(error)


@pytest.mark.parametrize("trouble", Trouble)
def test_a_caller_learns_nothing_of_what_ails_the_store(trouble: Trouble) -> None:
    status = status_of(StoreUnavailableError(f"the store {trouble} (InvalidPasswordError)"))

    assert status.message == "the gateway's store cannot be used now; ask again"
