"""Purposes (用途): which categories may be asked for which purpose, and what a query must then bring; a table of data.

The matrix is part of the configuration (`config/purposes.toml`): no published rule settles it. That POST_LOAN needs the
reference of an existing loan is no matter of configuration alone: a table that waives it is a fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_POST_LOAN, Purpose
from gateway.domain.errors import ConfigError, InvalidRequestError
from gateway.domain.query import CreditQuery

ALL: Final = "*"
_CATEGORIES: Final[Mapping[str, int]] = {
    name.removeprefix("CATEGORY_"): value for name, value in Category.items() if value
}
_PURPOSES: Final[Mapping[str, int]] = {name.removeprefix("PURPOSE_"): value for name, value in Purpose.items() if value}
_KEYS: Final = {"categories", "wants_loan_reference", "wants_application_reference"}


@dataclass(frozen=True, slots=True)
class PurposeRule:
    """What one purpose allows and wants; `categories` are numbers of the catalogue's enum."""

    categories: frozenset[int]
    wants_loan_reference: bool = False
    wants_application_reference: bool = False


@dataclass(frozen=True, slots=True)
class PurposeMatrix:
    """The rules by purpose: every purpose has one."""

    rules: Mapping[int, PurposeRule]

    @classmethod
    def from_toml(cls, tables: Mapping[str, Any]) -> PurposeMatrix:
        """Reads the tables; raises ConfigError with every fault as "purposes.toml: PURPOSE: what is wrong"."""
        faults: list[str] = []
        rules = {}
        for name, table in tables.items():
            if name not in _PURPOSES:
                faults.append(f"{name}: is no purpose; known are {', '.join(_PURPOSES)}")
            elif isinstance(table, Mapping):
                rules[_PURPOSES[name]] = _rule(name, table, faults)
            else:
                faults.append(f"{name}: must be a table")
        faults += [f"{name}: has no table" for name, value in _PURPOSES.items() if value not in rules]
        if faults:
            raise ConfigError([f"purposes.toml: {fault}" for fault in faults])
        return cls(MappingProxyType(rules))

    def allowed(self, purpose: int) -> frozenset[int]:
        """Gives the categories that may be asked for the purpose: none for one that is unknown."""
        rule = self.rules.get(purpose)
        return rule.categories if rule is not None else frozenset()

    def check_references(self, query: CreditQuery) -> None:
        """Raises InvalidRequestError when the query lacks a reference its purpose wants."""
        rule = self.rules.get(query.purpose)
        if rule is None:
            return
        if rule.wants_loan_reference and not query.loan_reference.strip():
            raise InvalidRequestError("loan_reference", "this purpose needs the reference of an existing loan")
        if rule.wants_application_reference and not query.application_reference.strip():
            raise InvalidRequestError("application_reference", "this purpose needs the reference of an application")


def _rule(name: str, table: Mapping[str, Any], faults: list[str]) -> PurposeRule:
    where = f"{name}: "
    faults += [f"{where}{key}: is not known here" for key in sorted(table.keys() - _KEYS)]
    wants: dict[str, bool] = {}
    is_post_loan = _PURPOSES[name] == PURPOSE_POST_LOAN
    for key, default in (("wants_loan_reference", is_post_loan), ("wants_application_reference", False)):
        value = table.get(key, default)
        if not isinstance(value, bool):
            faults.append(f"{where}{key}: must be true or false")
            value = default
        wants[key] = value
    if is_post_loan and not wants["wants_loan_reference"]:
        faults.append(f"{where}wants_loan_reference: a query after a loan always needs the loan's reference")
    return PurposeRule(_categories(where, table.get("categories"), faults), **wants)


def _categories(where: str, stated: object, faults: list[str]) -> frozenset[int]:
    if not isinstance(stated, Sequence) or isinstance(stated, str) or not stated:
        faults.append(f'{where}categories: must be a list of categories, or ["{ALL}"]')
        return frozenset()
    if list(stated) == [ALL]:
        return frozenset(_CATEGORIES.values())
    unknown = [str(name) for name in stated if name not in _CATEGORIES]
    faults += [f"{where}categories: {name} is no category; see CatalogueService.DescribeCatalogue" for name in unknown]
    return frozenset(_CATEGORIES[name] for name in stated if name in _CATEGORIES)
