"""Rights put to use: which of the asked categories a caller may ask for, and the permit that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import CreditView, Purpose
from gateway.domain.caller import Caller
from gateway.domain.consent import DEVELOPMENT, POLICY, Permit, Withheld
from gateway.domain.errors import PolicyDeniedError
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery
from gateway.domain.rights import Decision, Resource
from gateway.ports import Rights

ASK: Final = "CreditService/GetCreditView"
_BATCH: Final = "CreditService/BatchGetCreditViews"
_PURPOSES: Final[Mapping[int, str]] = {value: name.removeprefix("PURPOSE_") for name, value in Purpose.items()}
_CATEGORIES: Final[Mapping[int, str]] = {value: name.removeprefix("CATEGORY_") for name, value in Category.items()}


class PermittedCategories(NamedTuple):
    """What of the asked categories policies permit, in the order asked.

    `policy` are the ids of all policies that decided, by comma, for the trail; `denied_by` are those that denied.
    """

    permitted: tuple[int, ...]
    refused: tuple[int, ...]
    policy: str
    denied_by: str


def permitted_categories(
    rights: Rights, caller: Caller, query: CreditQuery, *, action: str = ""
) -> PermittedCategories:
    """Gives which of the query's categories the caller may ask for its purpose.

    `action` is the method it was asked by; without one, by the batch or by GetCreditView, as the query says.
    """
    action = action or (_BATCH if query.is_batch else ASK)
    asked = _resources(query.purpose, query.categories, query.uscc.division[:2], query.branch)
    return _parted(query.categories, rights.decide_each(caller, action, asked))


@lru_cache(maxsize=4_096)
def _parted(categories: tuple[int, ...], decisions: tuple[Decision, ...]) -> PermittedCategories:
    """Parts the categories by the decisions on them, once for the few ways it comes out."""
    permitted: list[int] = []
    refused: list[int] = []
    permitted_by: set[str] = set()
    denied_by: set[str] = set()
    for category, (is_allowed, policy) in zip(categories, decisions, strict=True):
        if is_allowed:
            permitted.append(category)
            permitted_by.add(policy)
        else:
            refused.append(category)
            denied_by.add(policy)
    return PermittedCategories(tuple(permitted), tuple(refused), _joined(permitted_by | denied_by), _joined(denied_by))


@lru_cache(maxsize=4_096)
def _resources(purpose: int, categories: tuple[int, ...], province: str, branch: str) -> tuple[Resource, ...]:
    """Gives what is asked for, made once for the few ways that banks ask."""
    return tuple(
        Resource(_PURPOSES.get(purpose, ""), _CATEGORIES.get(category, ""), province, branch) for category in categories
    )


def permit_by_rights(rights: Rights, caller: Caller, query: CreditQuery) -> Permit:
    """Gives the development permit, narrowed to what policies permit the caller.

    Raises PolicyDeniedError when that is nothing, or not all while the query wants all or nothing.
    """
    asked = permitted_categories(rights, caller, query)
    require_some(asked, query)
    return _permit(asked, query.consent_ids)


@lru_cache(maxsize=4_096)
def _permit(asked: PermittedCategories, consents: tuple[str, ...]) -> Permit:
    return Permit(
        kind=DEVELOPMENT,
        categories=asked.permitted,
        refused=asked.refused,
        consents=consents,
        withheld=tuple([Withheld(category, POLICY) for category in asked.refused]),
        policy=asked.policy,
    )


def require_some(asked: PermittedCategories, query: CreditQuery) -> None:
    """Raises PolicyDeniedError when nothing is permitted, or not all while the query wants all or nothing."""
    if not asked.permitted or (asked.refused and query.is_all_or_nothing):
        raise PolicyDeniedError(asked.denied_by)


def require_still(rights: Rights, caller: Caller, query: CreditQuery, permit: Permit) -> None:
    """Raises PolicyDeniedError where the caller may not ask now for all of what a permit allowed."""
    asked = permitted_categories(rights, caller, query)
    if not set(permit.categories).issubset(asked.permitted):
        raise PolicyDeniedError(asked.denied_by)


def require_readable(rights: Rights, caller: Caller, view: CreditView) -> None:
    """Raises PolicyDeniedError where the caller may not ask now for all that a view answered: its purpose, each category."""
    answered = view.query
    province = Uscc.parse(answered.uscc).division[:2]
    categories = tuple(view.permit.categories)
    asked = _resources(answered.purpose, categories, province, caller.branch)
    found = _parted(categories, rights.decide_each(caller, ASK, asked))
    if found.refused:
        raise PolicyDeniedError(found.denied_by)


def _joined(policies: Set[str]) -> str:
    """Gives the ids by comma, each once; a decision of several policies has them by comma already."""
    if len(policies) == 1:
        return next(iter(policies))
    return ",".join(sorted({each for policy in policies for each in policy.split(",")})) if policies else ""
