"""The rules of a bearer token's claims, at the edges of their times."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import CallerMismatchError, Reason, UnauthenticatedError
from gateway.domain.token import Bearer, TokenPolicy, bearer, certificate_thumbprint

MINE, OTHER = "ab" * 32, "cd" * 32
NOW = 1_790_000_000.0
POLICY = TokenPolicy("https://id.example", "xinyidai-gateway", leeway_s=60, longest_s=3_600)


def claims(**changed: Any) -> dict[str, Any]:
    stated = {
        "sub": "op-7",
        "jti": "t-1",
        "branch": "shanghai-pudong",
        "iat": NOW - 100,
        "exp": NOW + 500,
        "cnf": {"x5t#S256": certificate_thumbprint(MINE)},
        **changed,
    }
    return {name: value for name, value in stated.items() if value is not None}


def refusal(now: float = NOW, policy: TokenPolicy = POLICY, **changed: Any) -> Reason:
    with pytest.raises((UnauthenticatedError, CallerMismatchError)) as caught:
        bearer(claims(**changed), MINE, policy, now)
    return caught.value.reason


def test_a_good_token_says_who_asks() -> None:
    assert bearer(claims(), MINE, POLICY, NOW) == Bearer("op-7", "shanghai-pudong", "t-1", NOW + 560)
    assert bearer(claims(branch=None), MINE, POLICY, NOW).branch == ""


def test_A3_the_window_is_strict_at_both_ends_and_as_wide_as_configured() -> None:
    assert bearer(claims(), MINE, POLICY, NOW + 559.9)
    assert refusal(NOW + 560) is Reason.TOKEN_EXPIRED
    assert bearer(claims(), MINE, POLICY, NOW - 160)
    assert refusal(NOW - 160.1) is Reason.TOKEN_NOT_YET_VALID
    assert bearer(claims(nbf=NOW + 60), MINE, POLICY, NOW)
    assert refusal(nbf=NOW + 60.1) is Reason.TOKEN_NOT_YET_VALID
    assert refusal(NOW + 501, TokenPolicy("i", "a", leeway_s=0)) is Reason.TOKEN_EXPIRED


@given(st.floats(min_value=-1e6, max_value=1e6), st.floats(min_value=0, max_value=900))
def test_A3_no_moment_outside_the_window_is_taken(offset: float, leeway_s: float) -> None:
    policy = TokenPolicy("i", "a", leeway_s=leeway_s)
    now = NOW + offset

    try:
        taken = bearer(claims(), MINE, policy, now) is not None
    except UnauthenticatedError:
        taken = False

    assert taken is (NOW - 100 - leeway_s <= now < NOW + 500 + leeway_s)


def test_a_token_that_lives_too_long_is_refused() -> None:
    assert bearer(claims(iat=NOW, exp=NOW + 3_600), MINE, POLICY, NOW)
    assert refusal(iat=NOW, exp=NOW + 3_601) is Reason.TOKEN_INVALID


def test_A2_a_token_of_another_certificate_is_not_taken() -> None:
    assert refusal(cnf={"x5t#S256": certificate_thumbprint(OTHER)}) is Reason.CALLER_MISMATCH


@pytest.mark.parametrize(
    "changed",
    [
        {"cnf": None},
        {"cnf": "x"},
        {"cnf": {"x5t#S256": 7}},
        {"cnf": {"jkt": "x"}},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": float("nan")},
        {"nbf": "now"},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "王"},
        {"sub": "x" * 129},
        {"jti": 7},
        {"branch": ""},
        {"branch": ["a"]},
    ],
    ids=str,
)
def test_A5_claims_that_are_not_as_they_must_be_are_refused(changed: dict[str, Any]) -> None:
    assert refusal(**changed) is Reason.TOKEN_INVALID
