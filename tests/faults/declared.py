"""What a test of a fault declares about itself: the row of the fault catalogue, the case, the platforms, the outcome.

    @fault("U16", "closed without a byte", "一字节未回即关闭", "UNREACHABLE(closed)")
    async def test_U16_a_connection_closed_without_a_byte_is_unreachable(case: Case) -> None: ...

The test runs once per platform, and `case.check` holds the declared outcome against what came: the table of all cases
shows nothing that was not asserted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome
from gateway.domain.answer import Answer

PLATFORMS: Final = ("shanghai", "jiangsu", "zhejiang", "anhui")

Test = TypeVar("Test", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Declared:
    """One case of a row: `outcomes` by platform as `told` writes them, `owed` and `spared` by platform with the reason.

    A platform is spared where its dialect cannot have the fault; owed where the code does not do yet what is declared.
    """

    number: str
    case_en: str
    case_zh: str
    outcomes: Mapping[str, str]
    owed: Mapping[str, str] = field(default_factory=dict)
    spared: Mapping[str, str] = field(default_factory=dict)
    is_simulated: bool = False


@dataclass(frozen=True, slots=True)
class ForPlatform:
    """What one run of a test is about: the platform that fails, and the outcome its answer must have."""

    platform: str
    expected: str


@dataclass(frozen=True, slots=True)
class Row:
    """One case of a row of the caller's side or of operations, and what the test asserts of it, in both languages."""

    number: str
    case_en: str
    case_zh: str
    outcome: str


def row(number: str, case_en: str, case_zh: str, outcome: str) -> Callable[[Test], Test]:
    """Declares a test's case and what it asserts, where there is no platform whose outcome could say it."""

    def declare(test: Test) -> Test:
        name = test.__name__
        if not name.startswith(f"test_{number}_"):
            raise ValueError(f"{name}: is declared as a case of {number}; begin its name with test_{number}_")
        test.row = Row(number, case_en, case_zh, outcome)  # type: ignore[attr-defined]
        return test

    return declare


def told(answer: Answer) -> str:
    """Gives an answer's outcome with its reason, such as "BAD_ANSWER(truncated)" or "OK"."""
    name = Outcome.Name(answer.outcome).removeprefix("OUTCOME_")
    return f"{name}({answer.said.reason})" if answer.said.reason else name


def fault(
    number: str,
    case_en: str,
    case_zh: str,
    outcome: str,
    *,
    owed: Mapping[str, str] | str = "",
    spared: Mapping[str, str] | None = None,
    is_simulated: bool = False,
    **outcomes: str,
) -> Callable[[Test], Test]:
    """Declares a test's case and runs it for each platform that is not spared.

    `outcomes` are those of single platforms where they differ; `owed` the reasons by platform, or one for all, why the
    code falls short (the test must then fail); `is_simulated` says that the test's time is.
    """
    spared = spared or {}
    asked = [platform for platform in PLATFORMS if platform not in spared]
    by_platform = {platform: outcomes.get(platform, outcome) for platform in asked}
    lacking = dict.fromkeys(asked, owed) if isinstance(owed, str) and owed else dict(owed or {})
    declared = Declared(number, case_en, case_zh, by_platform, lacking, spared, is_simulated)

    def declare(test: Test) -> Test:
        name = test.__name__
        if not name.startswith(f"test_{number}_"):
            raise ValueError(f"{name}: is declared as a case of {number}; begin its name with test_{number}_")
        test.fault = declared  # type: ignore[attr-defined]
        runs = [
            pytest.param(
                ForPlatform(platform, expected),
                id=platform,
                marks=[pytest.mark.xfail(strict=True, raises=AssertionError, reason=lacking[platform])]
                if platform in lacking
                else [],
            )
            for platform, expected in by_platform.items()
        ]
        fixture = "simulated" if is_simulated else "case"
        run: Test = pytest.mark.parametrize(fixture, runs, indirect=True)(test)
        if not is_simulated:  # the sandboxes live on one loop for the whole session, and so do those who ask them
            run = pytest.mark.asyncio(loop_scope="session")(run)
        return run

    return declare
