"""The page of the green review: its words, rules, keys and waivers are the code's and the configuration's."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as pb
from gateway.cli.green import green
from gateway.domain import green_policy
from gateway.domain.green import POSITIVE, VETO
from gateway.domain.green_policy import Admission, Measure
from gateway.domain.recognition import Recognised
from tests.shipped import shipped_settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "green.md").read_text(encoding="utf-8")
SETTINGS = shipped_settings()
ROWS = [row for table in SETTINGS.rules.tables if table.table_id in (VETO, POSITIVE) for row in table.rows]


@pytest.mark.parametrize(
    "words",
    [
        list(Measure),
        list(Admission),
        list(Recognised),
        [name.removeprefix("GREEN_MISSING_KIND_") for name in pb.GreenMissingKind.keys()[1:]],
        list(green_policy._KEYS),
        pb.DESCRIPTOR.services_by_name["GreenCreditService"].methods_by_name,
    ],
)
def test_every_word_of_the_code_stands_on_the_page(words: list[str]) -> None:
    assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_every_rule_stands_on_the_page_with_what_it_proposes() -> None:
    told = re.findall(r"^\| `([\w.]+)` \| [^|]+ \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)

    assert sorted(told) == sorted(
        (row.row_id, row.outputs["measure"], row.outputs["admission"]) for row in ROWS if not row.is_quiet
    )


def test_the_waivers_on_the_page_are_the_years_that_the_shipped_platforms_lack() -> None:
    block = "\n".join(
        line.strip() for line in re.findall(r"^    (?:\[\[w|platform|years|because).*$", PAGE, re.MULTILINE)
    )

    waived = {entry["platform"]: tuple(entry["years"]) for entry in tomllib.loads(block)["waived_years"]}

    lacking = {}
    for name, manifest in ((path.parent.name, path) for path in (ROOT / "connectors").glob("*/manifest.toml")):
        years = tomllib.loads(manifest.read_text(encoding="utf-8"))["coverage"]["LIST_ENTRY"].get("missing_years", [])
        lacking.update({name: tuple(years)} if years else {})
    assert waived == lacking


def test_the_page_names_every_command_and_is_found_from_the_first_pages() -> None:
    names = [command.name or command.callback.__name__ for command in green.registered_commands if command.callback]

    assert [name for name in names if f"xinyidai green {name} " not in PAGE] == []
    for page in ("README.md", "README.zh-CN.md", "docs/architecture.md"):
        assert "green.md)" in (ROOT / page).read_text(encoding="utf-8"), page
