"""A14 over the whole run: the watch that every test ends with finds what it should, and no fixture holds a person's number."""

from __future__ import annotations

import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Final

import pytest

from gateway.connector_bootstrap import find_sandboxes
from tests.canaries import CANARIES, SECRETS, leaks_in_folder, leaks_in_sections

ROOT: Final = Path(__file__).parents[1]
_ID: Final = re.compile(r"(?<![0-9A-Za-z])\d{17}[0-9Xx](?![0-9A-Za-z])")
_INVENTED: Final = {"310101199001011234"}
"""The number that tests of masking plant: it fits the standard's arithmetic, and is nobody's on purpose."""
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@pytest.mark.plants_canaries
@pytest.mark.parametrize("canary", CANARIES)
def test_A14_a_planted_value_is_found_in_trail_export_and_log(canary: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("audit.jsonl", "audit.2.jsonl.000000000000001", "export.csv"):
        (tmp_path / "sub" / name).write_text(f"1\n{canary}\n", encoding="utf-8")
    (tmp_path / "view.json").write_text(canary, encoding="utf-8")

    left = list(leaks_in_folder(tmp_path))
    logged = leaks_in_sections([("Captured stderr call", f"a\n{canary}"), ("Captured log call", canary)])
    line = leaks_in_sections([("Captured stdout call", f"2026-11-26 [warning  ] x  why={canary}")])

    assert len(left) == 3
    assert len(logged) == 2
    assert line


def test_A14_every_secret_of_the_simulated_platforms_is_a_canary() -> None:
    secrets = {
        f"{platform}.{name}": value
        for platform, sandbox in find_sandboxes(["shanghai", "jiangsu", "zhejiang", "anhui"]).items()
        for name, value in sandbox.credentials().items()
        if name not in ("access_key", "client_id", "app_key", "platform_key")  # names of callers, and a public key
    }

    assert len(secrets) == 6
    assert [name for name, value in secrets.items() if not any(canary in value for canary in SECRETS)] == []


def test_A14_no_file_of_the_project_holds_the_number_of_a_person() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    ).stdout.decode().split("\0")  # fmt: skip

    held = [
        f"{name}: {number}"
        for name in listed
        if name and (ROOT / name).is_file()
        for number in _ID.findall((ROOT / name).read_text(encoding="utf-8", errors="replace"))
        if _is_identity(number) and number not in _INVENTED
    ]

    assert held == []


def _is_identity(number: str) -> bool:
    """Whether it is one that GB 11643 allows: a date of birth, and the right check character."""
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True))
    return 1900 < born.year < 2027 and "10X98765432"[total % 11] == number[17].upper()


def test_a_number_of_a_person_would_be_found() -> None:
    stem = "11010119900307" + "747"  # never in one piece, lest it be found here

    assert [_is_identity(stem + last) for last in "0123456789X"].count(True) == 1
