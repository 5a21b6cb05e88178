"""A platform (融资信用服务平台): the facts about it that hold everywhere, as its connector's manifest states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal


class Tier(IntEnum):
    """Where a platform stands among others when they disagree; a smaller value ranks first."""

    PROVINCE = 1
    NATIONAL = 2
    HUB = 3
    CREDIT_CHINA = 4
    THIRD_PARTY = 5


@dataclass(frozen=True, slots=True)
class CategoryCoverage:
    """What a platform holds in one category; `missing_years` are list years known to exist that it does not hold."""

    category: int
    update_cycle: int = 0
    years: tuple[int, ...] = ()
    missing_years: tuple[int, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class PlatformLimits:
    """Limits of a platform: calls per second and day (0 = none), largest body in bytes, most records of one answer.

    `is_metered` says that calls are billed, `is_billed_per_bank` that each bank pays for its own: an answer to one is then
    not given to another.
    """

    calls_per_second: int = 0
    calls_per_day: int = 0
    is_metered: bool = False
    is_billed_per_bank: bool = False
    max_body_bytes: int = 4 * 1024 * 1024
    max_records: int = 5_000
    maintenance_windows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatedId:
    """An id by which a connector names an entry of a deployment's own tables; `table` is their folder, `where` it does so."""

    table: Literal["crosswalk", "lists"]
    where: str
    id: str


@dataclass(frozen=True, slots=True)
class Platform:
    """One connected platform.

    `province` is its two-digit code or None; `lists_kept` are the list codes it keeps itself; `is_idempotent` says whether
    asking twice is harmless, `is_direct` whether it answers at once rather than by submit and poll; `stated_ids` are what
    its records may name of a deployment's tables.
    """

    id: str
    title_zh: str
    title_en: str
    tier: Tier
    province: str | None = None
    dialect: str = ""
    is_simulated: bool = True
    is_idempotent: bool = True
    is_direct: bool = True
    coverage: Mapping[int, CategoryCoverage] = field(default_factory=dict)
    lists_kept: frozenset[str] = frozenset()
    limits: PlatformLimits = PlatformLimits()
    documentation: str = ""
    owner: str = ""
    stated_ids: tuple[StatedId, ...] = ()

    def covers(self, category: int) -> bool:
        """Whether the platform holds the category at all."""
        return category in self.coverage
