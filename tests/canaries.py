"""Canaries of the whole run: values of persons and secrets that the simulated platforms plant in every answer and signature.

After each test, whichever it was, what it logged and the trails, exports and anchors it left in its folder are searched for
them. A view may show a person to a bank that may see it; a log, a trail or an export of one never may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

PERSONS: Final = tuple(f"测试{mark}" for mark in "甲乙丙丁戊")
"""Everyone who is named by the simulated platforms: holders, representatives, persons on lists."""
SECRETS: Final = ("-is-no-secret", "00112233445566778899aabbccddeeff", "11" * 32)
"""What every simulated platform's secrets end with, and the keys of those that sign and encipher."""
_LEFT: Final = ("audit*.jsonl*", "anchors*.jsonl", "*.csv", "*.log")
_LOG_LINE: Final = re.compile(r"\x1b|\[(?:debug|info|warning|error|critical)|\"level\":|Traceback|Error\b")


def escaped(text: str) -> str:
    """Gives a text as JSON may write it too: in a log as in the trail."""
    return text.encode("ascii", "backslashreplace").decode()


CANARIES: Final = (*PERSONS, *map(escaped, PERSONS), *SECRETS)


def canaries_in(text: str) -> list[str]:
    """Gives the canaries that stand in a text, over several lines too."""
    folded = text.replace("\\\n", "")
    return [canary for canary in CANARIES if canary in folded]


def leaks_in_sections(sections: Iterable[tuple[str, str]]) -> list[str]:
    """Gives where canaries stand in what a test printed: anything that is logged, and secrets anywhere."""
    found = []
    for name, content in sections:
        if not name.startswith("Captured"):
            continue
        is_output = "stdout" in name
        logged = "\n".join(line for line in content.splitlines() if not is_output or _LOG_LINE.search(line))
        found += [f"{name}: {canary}" for canary in canaries_in(logged)]
        found += [f"{name}: {secret}" for secret in SECRETS if is_output and secret in content]
    return found


def leaks_in_folder(folder: Path) -> Iterator[str]:
    """Yields where canaries stand in the trails, exports, anchors and logs below a folder."""
    for pattern in _LEFT:
        for path in folder.rglob(pattern):
            if path.is_file():
                found = canaries_in(path.read_bytes().decode("utf-8", "replace"))
                yield from (f"{path.relative_to(folder)}: {canary}" for canary in found)
