"""The table of all fault cases, `docs/faults.md`, made from what the tests declare and hold against what came.

    python -m tests.faults.table            # writes docs/faults.md

Rows of the platforms' side (U, P) come from `@fault`, whose outcome each run asserts. Rows of the caller's side and of
operations and identity (C, A, D) are told by `@row`, or by the names of the tests that prove them, wherever in the suite they stand.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.faults.declared import PLATFORMS, Declared, Row

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "faults.md"
ROWS: Final[Mapping[str, Sequence[int]]] = {
    "U": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27, 28, 29, 30, 31, 32,
          34, 36, 37),
    "P": (1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 21, 23, 24),
}  # fmt: skip
"""The rows of the fault catalogue that are a platform's fault; the numbers have gaps there too."""
PROVEN: Final[Mapping[str, Sequence[int]]] = {
    "C": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21),
    "A": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17),
    "D": (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16),
}
"""The rows of the caller's side and of operations that tests prove somewhere in the suite."""
TITLES: Final[Mapping[str, str]] = {
    "U": "Network and HTTP 网络与 HTTP",
    "P": "Payload and meaning 报文与语义",
    "C": "The caller's side 调用方一侧",
    "A": "Identity and consent 身份与授权",
    "D": "Store, process, operations 存储、进程与运维",
}
UNUSED: Final[Mapping[str, str]] = {
    "U7": "a pinned certificate: the gateway offers no pinning; trust is the platform's `ca_file` 未提供证书固定，以 `ca_file` 为信任根",
}
"""Parts of a row that have no test of their own, and why."""
_NUMBERED: Final = re.compile(r"test_([ACD]\d+)_(\w+)")


def declared_cases() -> list[Declared]:
    """Gives the cases that the tests of this folder declare, by row and then as they stand in their file."""
    found: list[Declared] = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.faults.{path.stem}")
        found += [value.fault for value in vars(module).values() if isinstance(getattr(value, "fault", None), Declared)]
    return sorted(found, key=lambda case: _order(case.number))


def sentences_by_row() -> Mapping[str, Sequence[tuple[str, str, str]]]:
    """Gives (case or sentence, outcome, file) of each test of the suite that is named by a row of C, A or D, by row."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    declared = declared_rows()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            match = _NUMBERED.fullmatch(node.name)
            if match:
                told = declared.get(node.name)
                sentence = match[2].replace("_", " ") if told is None else f"{told.case_en} {told.case_zh}"
                outcome = "as said 如所述" if told is None else told.outcome
                found.setdefault(match[1], []).append((sentence, outcome, path.relative_to(ROOT).as_posix()))
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def declared_rows() -> Mapping[str, Row]:
    """Gives what tests of this folder declare of the caller's side and of operations, by the test's name."""
    return {
        name: value.row
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        for name, value in vars(importlib.import_module(f"tests.faults.{path.stem}")).items()
        if isinstance(getattr(value, "row", None), Row)
    }


def page() -> str:
    """Gives the whole page."""
    cases = declared_cases()
    lines = [
        "# Faults, and how the gateway answers them 故障情形与网关应答",
        "",
        "Generated from the tests by `python -m tests.faults.table`; a test fails when it is out of step. 由测试生成，请勿手改。",
        "",
        "Each row was acted out on a real socket between connector and sandbox, once per platform, and its outcome asserted.",
        "In every one also: the answer came before the deadline, the other platforms' answers were as without the fault, a",
        "failure carried no records and read nowhere as “no records”, the trail had its entry, and no task, socket or file was",
        "left open. ⏱ marks rows in simulated time (without the trail). **Owed** marks an outcome that is asserted and not",
        "reached yet: the test is expected to fail, and breaks the build once it no longer does.",
        "",
        "每一行均在连接器与沙箱之间的真实套接字上逐平台演练并断言结果；同时断言：截止时间前应答，其他平台应答不变，失败不含记录、",
        "不得视为“无记录”，留痕已写入，任务、套接字与文件均无遗留。⏱ 为模拟时间（不含留痕）；**Owed 未达** 为已断言但尚未达到的结果。",
    ]
    for kind in ("U", "P"):
        lines += [
            "",
            f"## {TITLES[kind]}",
            "",
            "| # | Case 情形 | Platforms 平台 | Outcome 结果 |",
            "|---|---|---|---|",
        ]
        lines += [line for case in cases if case.number.startswith(kind) for line in _lines(case)]
        lines += [f"| {number} | {why} | – | – |" for number, why in UNUSED.items() if number.startswith(kind)]
    named = sentences_by_row()
    for kind in ("C", "A", "D"):
        lines += [
            "",
            f"## {TITLES[kind]}",
            "",
            "| # | Case, or what the test holds 情形或断言 | Outcome 结果 | Where 所在 |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {number} | {sentence} | {outcome} | `{file}` |"
            for number, tests in named.items()
            if number.startswith(kind)
            for sentence, outcome, file in tests
        ]
        lines += [f"| {number} | {why} | – | – |" for number, why in UNUSED.items() if number.startswith(kind)]
    return "\n".join(lines) + "\n"


def _lines(case: Declared) -> Iterable[str]:
    """Gives the case's lines: one for each outcome, then those of platforms that are spared."""
    title = f"{case.case_en} {case.case_zh}" + (" ⏱" if case.is_simulated else "")
    by_outcome: dict[str, list[str]] = {}
    for platform, outcome in case.outcomes.items():
        reason = case.owed.get(platform)
        shown = f"`{outcome}`" + (f" **Owed 未达**: {reason}" if reason else "")
        by_outcome.setdefault(shown, []).append(platform)
    for shown, platforms in by_outcome.items():
        yield f"| {case.number} | {title} | {_platforms(platforms)} | {shown} |"
    by_reason: dict[str, list[str]] = {}
    for platform, why in case.spared.items():
        by_reason.setdefault(why, []).append(platform)
    for why, platforms in by_reason.items():
        yield f"| {case.number} | {title} | {_platforms(platforms)} | not applicable 不适用: {why} |"


def _platforms(platforms: Sequence[str]) -> str:
    return "all 全部" if len(platforms) == len(PLATFORMS) else ", ".join(platforms)


def _order(number: str) -> tuple[str, int]:
    return number[0], int(number[1:])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
