"""Who calls: one name of a certificate, one holder, and duties kept apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.domain.caller import (
    BANK_ROLES,
    Caller,
    CertificateHolder,
    PeerCertificate,
    Register,
    Role,
    development_caller,
)
from gateway.domain.errors import Reason
from gateway.domain.rights import broken_separations

QUERY = frozenset({Role.BANK_QUERY})
REGISTER = Register(
    {
        "URI:urn:xinyidai:bank:a": CertificateHolder("a", QUERY, "31"),
        "URI:urn:xinyidai:bank:b": CertificateHolder("b", QUERY),
        "DNS:a.bank.example": CertificateHolder("a", QUERY, "31"),
        "URI:urn:xinyidai:operator:o": CertificateHolder("", frozenset({Role.PLATFORM_OPERATOR})),
    }
)


def certificate(*names: str) -> PeerCertificate:
    return PeerCertificate("ab" * 32, names, datetime(2030, 1, 1, tzinfo=UTC))


def test_a_certificate_is_known_by_its_name() -> None:
    caller = REGISTER.caller(certificate("DNS:somewhere.example", "URI:urn:xinyidai:bank:a"))

    assert caller == Caller("a", QUERY, province="31", certificate="ab" * 32)


def test_an_operator_s_certificate_is_no_bank_s() -> None:
    caller = REGISTER.caller(certificate("URI:urn:xinyidai:operator:o"))

    assert caller is not None
    assert (caller.bank, caller.is_development) == ("", False)


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("URI:urn:xinyidai:bank:c",),
        ("DNS:urn:xinyidai:bank:a",),
        ("URI:a.bank.example",),
        ("URI:urn:xinyidai:bank:A",),
        ("URI:urn:xinyidai:bank:a", "URI:urn:xinyidai:bank:b"),
        ("URI:urn:xinyidai:bank:a", "DNS:a.bank.example"),
        ("URI:urn:xinyidai:bank:a", "URI:urn:xinyidai:operator:o"),
    ],
    ids=[
        "none",
        "unknown",
        "of another kind",
        "of another kind too",
        "other case",
        "two banks",
        "two names",
        "two duties",
    ],
)
def test_a_certificate_that_is_not_one_holder_s_only_is_nobody_s(names: tuple[str, ...]) -> None:
    assert REGISTER.caller(certificate(*names)) is None


def test_a_development_caller_is_whatever_bank_it_says_and_no_operator() -> None:
    assert development_caller("x") == Caller("x", BANK_ROLES)
    assert development_caller().bank == "anonymous"
    assert development_caller().is_development


@pytest.mark.parametrize(
    ("roles", "is_fine"),
    [
        ({Role.BANK_QUERY}, True),
        ({Role.BANK_QUERY, Role.BANK_GREEN_REVIEWER}, True),
        ({Role.BANK_AUDITOR}, True),
        ({Role.BANK_AUDITOR, Role.BANK_QUERY}, False),
        ({Role.PLATFORM_OPERATOR, Role.GATEWAY_ADMIN}, False),
        ({Role.PLATFORM_OPERATOR, Role.BANK_QUERY}, False),
    ],
)
def test_who_audits_or_operates_does_nothing_else(roles: set[Role], is_fine: bool) -> None:
    assert (broken_separations(roles) == ()) is is_fine


def test_a_revoked_certificate_is_nobody_s_while_others_of_its_name_serve_on() -> None:
    register = replace(REGISTER, revoked=frozenset({"ab" * 32}))
    other = PeerCertificate("cd" * 32, ("URI:urn:xinyidai:bank:a",), datetime(2030, 1, 1, tzinfo=UTC))

    assert register.caller(certificate("URI:urn:xinyidai:bank:a")) is None
    assert register.caller(other) is not None


@pytest.mark.parametrize(
    ("until", "at", "reason"),
    [
        ({}, 10.0, None),
        ({"token_until": 10.0}, 9.999, None),
        ({"token_until": 10.0}, 10.0, Reason.TOKEN_EXPIRED),
        ({"certificate_until": 10.0}, 10.0, Reason.CALLER_UNKNOWN),
        ({"certificate_until": 10.0, "token_until": 5.0}, 11.0, Reason.CALLER_UNKNOWN),
    ],
)
def test_A3_a_caller_is_proven_until_its_token_or_certificate_ends(
    until: dict[str, float], at: float, reason: Reason | None
) -> None:
    lapse = Caller("a", QUERY, **until).lapse(datetime.fromtimestamp(at, UTC))  # type: ignore[arg-type]

    assert (None if lapse is None else lapse.reason) is reason
