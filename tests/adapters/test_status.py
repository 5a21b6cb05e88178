"""What of an error leaves with its status."""

from __future__ import annotations

import pytest

from gateway.adapters.rpc.status import status_of
from gateway.adapters.stores.failures import Trouble
from gateway.domain.errors import StoreUnavailableError


@pytest.mark.parametrize("trouble", Trouble)
def test_a_caller_learns_nothing_of_what_ails_the_store(trouble: Trouble) -> None:
    status = status_of(StoreUnavailableError(f"the store {trouble} (InvalidPasswordError)"))

    assert status.message == "the gateway's store cannot be used now; ask again"
