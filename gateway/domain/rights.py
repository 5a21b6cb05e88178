"""Who may do what (权限), as values: what is asked of a policy, what it said, and which duties no one may hold together.

Roles are given out in banks.toml; policies in config/policies say what each may do. The table of separated duties stands
here, since no policy may give it away: an administrator cannot query, an auditor cannot act, an operator is neither.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from gateway.domain.caller import Role

DENY_BY_DEFAULT: Final = "deny-by-default"
"""What stands for the deciding policy where none permitted."""
NOT_DECIDABLE: Final = "not-decidable"
"""What stands for the deciding policy where the question fits no policy's terms, or a policy could not be evaluated."""


class Resource(NamedTuple):
    """What is asked for: nothing but the method itself, or one category for a purpose.

    `purpose` and `category` are names of the catalogue's enums without prefix, stated both or neither; `province` is the two
    digits of the enterprise's code, `branch` the branch in whose name is asked. A tuple, since every query is decided.
    """

    purpose: str = ""
    category: str = ""
    province: str = ""
    branch: str = ""


METHOD: Final = Resource()
"""The method itself, whatever will be asked of it."""


class Decision(NamedTuple):
    """Whether it is allowed, and the ids of the policies that decided, by comma: for the trail, never for the caller."""

    is_allowed: bool
    policy: str


class Separation(NamedTuple):
    """Two roles that one bank entry may not hold together, and why."""

    one: Role
    other: Role
    why_en: str
    why_zh: str


_WHY_AUDITOR: Final = ("who audits must not act on what is audited", "审计人员不得从事被审计的操作")
_WHY_OPERATOR: Final = ("who operates the platforms must not use them for a bank", "平台运维人员不得代银行查询")
_WHY_ADMIN: Final = ("who gives out rights must not use them", "权限管理人员不得行使所授权限")
_WHY_THREE: Final = (
    "administration, operation and audit are three persons' duties",
    "系统管理、安全管理、审计管理三权分立",
)
SEPARATED: Final = (
    Separation(Role.BANK_AUDITOR, Role.BANK_QUERY, *_WHY_AUDITOR),
    Separation(Role.BANK_AUDITOR, Role.BANK_GREEN_REVIEWER, *_WHY_AUDITOR),
    Separation(Role.PLATFORM_OPERATOR, Role.BANK_QUERY, *_WHY_OPERATOR),
    Separation(Role.PLATFORM_OPERATOR, Role.BANK_GREEN_REVIEWER, *_WHY_OPERATOR),
    Separation(Role.PLATFORM_OPERATOR, Role.BANK_AUDITOR, *_WHY_THREE),
    Separation(Role.GATEWAY_ADMIN, Role.BANK_QUERY, *_WHY_ADMIN),
    Separation(Role.GATEWAY_ADMIN, Role.BANK_GREEN_REVIEWER, *_WHY_ADMIN),
    Separation(Role.GATEWAY_ADMIN, Role.BANK_AUDITOR, *_WHY_THREE),
    Separation(Role.GATEWAY_ADMIN, Role.PLATFORM_OPERATOR, *_WHY_THREE),
)
"""Every pair but one: a bank's credit query and its green review are the same bank's, told apart by purpose."""


def broken_separations(roles: Collection[Role]) -> tuple[Separation, ...]:
    """Gives the pairs among these roles that one entry may not hold together."""
    return tuple(pair for pair in SEPARATED if pair.one in roles and pair.other in roles)
