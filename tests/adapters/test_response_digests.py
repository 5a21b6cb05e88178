"""What stands in the trail for a platform's answer: with a key, a digest that nobody without it can guess at."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime

import pytest

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.domain.answer import Answer
from gateway.domain.audit_entries import audit_entry
from gateway.domain.errors import ConfigError
from gateway.domain.response_digest import keyed_digest
from gateway.domain.statement import sm3
from gateway.gateway_file import GatewayFile
from gateway.trail_bootstrap import response_digests
from tests.adapters.test_audit_file import QUERY


def test_an_entry_tells_of_each_answer_by_the_digest_that_is_given() -> None:
    said = Answer(view_pb2.Answer(platform="anhui", outcome=view_pb2.OUTCOME_OK, raw_digest=sm3(b"body")))
    at = datetime(2026, 11, 26, tzinfo=UTC)
    keyed = keyed_digest(b"a key of this deployment")

    plain = audit_entry("answered", QUERY, None, (said,), answer_id="a", at=at)
    told = audit_entry("answered", QUERY, None, (said,), answer_id="a", at=at, digest_of=keyed)

    assert plain.platforms[0].response_digest == sm3(b"body").hex()
    assert told.platforms[0].response_digest == keyed(sm3(b"body"))


def test_the_key_is_the_trails_own_or_else_the_one_for_masking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TRAIL_KEY", "the trail's own key")
    monkeypatch.setenv("TEST_MASKING_KEY", "the key for masking")
    masking = {"consent": {"masking_key": "env:TEST_MASKING_KEY"}}
    own = {"audit": {"digest_key": "env:TEST_TRAIL_KEY"}}

    told = [response_digests(GatewayFile.model_validate(each))(b"x") for each in ({}, masking, own, {**masking, **own})]

    masked, trails = keyed_digest(b"the key for masking")(b"x"), keyed_digest(b"the trail's own key")(b"x")
    assert told == [b"x".hex(), masked, trails, trails]
    for missing in ("env:NO_SUCH_KEY", "file:/no/such/file"):
        with pytest.raises(ConfigError, match=r"gateway.toml: audit\.digest_key: "):
            response_digests(GatewayFile.model_validate({"audit": {"digest_key": missing}}))


@pytest.mark.parametrize("key", [b"k" * 16, b"k" * 64, b"k" * 65, b"k" * 200])
def test_the_keyed_digest_is_hmac_sm3(key: bytes) -> None:
    digest = keyed_digest(key)

    assert digest(sm3(b"body")) == hmac.new(key, sm3(b"body"), "sm3").hexdigest()
    assert digest(b"") == ""
    assert digest(sm3(b"body")) != keyed_digest(b"other key of 16+")(sm3(b"body"))


def test_a_key_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        keyed_digest(b"k" * 15)
