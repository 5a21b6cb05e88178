"""What stands in the trail for a platform's answer: with a key, a digest that nobody without it can guess at."""

from __future__ import annotations

import hmac

import pytest

from gateway.domain.audit import keyed_digest
from gateway.domain.statement import sm3


@pytest.mark.parametrize("key", [b"k" * 16, b"k" * 64, b"k" * 65, b"k" * 200])
def test_the_keyed_digest_is_hmac_sm3(key: bytes) -> None:
    digest = keyed_digest(key)

    assert digest(sm3(b"body")) == hmac.new(key, sm3(b"body"), "sm3").hexdigest()
    assert digest(b"") == ""
    assert digest(sm3(b"body")) != keyed_digest(b"other key of 16+")(sm3(b"body"))


def test_a_key_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        keyed_digest(b"k" * 15)
