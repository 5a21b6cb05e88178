"""The matrix of purposes and categories: what ships, what it forbids, and how its faults are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    PURPOSE_GREEN_REVIEW,
    PURPOSE_IN_LOAN,
    PURPOSE_POST_LOAN,
    PURPOSE_PRE_LOAN,
    Purpose,
)
from gateway.domain.errors import ConfigError, InvalidRequestError
from gateway.domain.purposes import PurposeMatrix
from tests.domain.worlds import query
from tests.shipped import shipped_settings

_NAMES: dict[int, str] = {value: name for name, value in Category.items()}
SHIPPED = shipped_settings().purposes
EVERY: dict[str, Any] = {
    name.removeprefix("PURPOSE_"): {"categories": ["*"]} for name, value in Purpose.items() if value
}


def faults(**tables: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        PurposeMatrix.from_toml({**EVERY, **tables})
    return list(raised.value.faults)


def test_a_green_review_asks_for_nothing_of_taxes_wages_or_consumption() -> None:
    names = {_NAMES[category].removeprefix("CATEGORY_") for category in SHIPPED.allowed(PURPOSE_GREEN_REVIEW)}

    assert names == {
        *("SUBJECT", "REGISTRATION", "LICENCE", "PENALTY", "LIST_ENTRY", "ABNORMAL_OPERATION", "EVALUATION", "HONOUR")
    }


def test_every_other_purpose_may_ask_for_every_category_as_shipped() -> None:
    others = set(Purpose.values()) - {0, PURPOSE_GREEN_REVIEW}

    assert {SHIPPED.allowed(purpose) for purpose in others} == {frozenset(Category.values()) - {0}}


def test_an_unknown_purpose_allows_nothing() -> None:
    assert SHIPPED.allowed(99) == frozenset()


@pytest.mark.parametrize("reference", ["", "  "])
def test_a_query_after_a_loan_wants_the_loans_reference(reference: str) -> None:
    asked = replace(query(), purpose=PURPOSE_POST_LOAN, loan_reference=reference)

    with pytest.raises(InvalidRequestError) as refused:
        SHIPPED.check_references(asked)

    assert refused.value.field == "loan_reference"


def test_a_query_before_a_loan_wants_an_application_only_where_the_configuration_says_so() -> None:
    strict = PurposeMatrix.from_toml({**EVERY, "PRE_LOAN": {"categories": ["*"], "wants_application_reference": True}})
    asked = replace(query(), purpose=PURPOSE_PRE_LOAN)

    SHIPPED.check_references(asked)
    strict.check_references(replace(asked, application_reference="A-1"))
    strict.check_references(replace(asked, purpose=PURPOSE_IN_LOAN))
    with pytest.raises(InvalidRequestError):
        strict.check_references(asked)


def test_every_fault_is_told_with_its_purpose_and_key() -> None:
    broken = {name: table for name, table in EVERY.items() if name != "SELF"}
    with pytest.raises(ConfigError) as raised:
        PurposeMatrix.from_toml(
            {**broken, "LEASE": {}, "IN_LOAN": {"categories": ["TAX"], "colour": 1}, "GUARANTEE": 3}
        )

    assert list(raised.value.faults) == [
        "purposes.toml: IN_LOAN: colour: is not known here",
        "purposes.toml: IN_LOAN: categories: TAX is no category; see CatalogueService.DescribeCatalogue",
        "purposes.toml: GUARANTEE: must be a table",
        "purposes.toml: LEASE: is no purpose; known are "
        "PRE_LOAN, IN_LOAN, POST_LOAN, GUARANTEE, GREEN_REVIEW, OBJECTION, SELF",
        "purposes.toml: GUARANTEE: has no table",
        "purposes.toml: SELF: has no table",
    ]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"categories": "*"}, 'categories: must be a list of categories, or ["*"]'),
        ({"categories": []}, 'categories: must be a list of categories, or ["*"]'),
        ({}, 'categories: must be a list of categories, or ["*"]'),
        ({"categories": ["*"], "wants_loan_reference": "yes"}, "wants_loan_reference: must be true or false"),
        (
            {"categories": ["*"], "wants_loan_reference": False},
            "wants_loan_reference: a query after a loan always needs the loan's reference",
        ),
    ],
)
def test_a_table_that_says_nothing_useful_is_a_fault(table: dict[str, Any], fault: str) -> None:
    assert faults(POST_LOAN=table) == [f"purposes.toml: POST_LOAN: {fault}"]
