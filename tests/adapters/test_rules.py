"""The rule book: versions by day, every fault at once; and that the engine reads the tables as they were compiled."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from itertools import product
from pathlib import Path
from random import Random

import pytest

from gateway.adapters.rules.book import RuleBook
from gateway.adapters.rules.zen_engine import ZenTable, engine_faults
from gateway.domain.decision_table import DecisionTable
from gateway.domain.errors import ConfigError
from gateway.settings import load_settings
from tests.conftest import PROFILE

FOLDER = Path("config/rules")
FACTS = tomllib.loads((FOLDER / "facts.toml").read_text(encoding="utf-8"))
FILES = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
BOOK = RuleBook.read(FACTS, FILES)
DRAWN = 2_000 if PROFILE == "long" else 60


def test_the_engine_reads_every_row_as_it_was_compiled() -> None:
    assert engine_faults(BOOK.tables, BOOK.facts) == []


@pytest.mark.parametrize("table", BOOK.tables, ids=lambda table: table.table_id)
def test_the_engine_gives_the_same_for_drawn_facts(table: DecisionTable) -> None:
    engine, rng = ZenTable(table), Random(7)
    domains = [(*BOOK.facts[name].values, None) for name in table.facts]
    everything = list(product(*domains)) if len(domains) < 4 else []
    for values in rng.sample(everything, min(DRAWN, len(everything))) or (
        [rng.choice(domain) for domain in domains] for _ in range(DRAWN)
    ):
        facts = dict(zip(table.facts, values, strict=True))

        assert engine.matching(facts) == table.matching(facts), facts


def test_a_version_is_in_force_on_its_days_only() -> None:
    document = json.loads(FILES["green_veto.json"])
    document["meta"].update(version="2027", valid_from="2027-01-01")
    older = json.loads(FILES["green_veto.json"])
    older["meta"]["valid_to"] = "2026-12-31"
    book = RuleBook.read(FACTS, {"green_veto.json": json.dumps(older), "green_veto@2027.json": json.dumps(document)})

    assert book.at(date(2026, 12, 31)).evaluate("green_veto", {}).version == "2026-11"
    assert book.at(date(2027, 1, 1)).evaluate("green_veto", {}).version == "2027"
    with pytest.raises(KeyError):
        book.at(date(2025, 12, 31)).evaluate("green_veto", {})


def test_every_fault_of_every_file_is_named_at_once() -> None:
    document = json.loads(FILES["recognise_env_34.json"])
    del document["nodes"][1]["content"]["rules"][0]

    with pytest.raises(ConfigError) as refused:
        RuleBook.read(FACTS, {**FILES, "recognise_env_34.json": json.dumps(document), "twice.json": FILES["green_veto.json"], "no.json": "{"})  # fmt: skip

    said = "\n".join(refused.value.faults)
    assert "rules/recognise_env_34.json: rule : leaves a gap: no row for" in said
    assert "rules/twice.json: meta: its days overlap those of rules/green_veto.json" in said
    assert "rules/no.json: not JSON" in said


def test_a_banks_file_with_faults_stops_the_settings_with_each_named(tmp_path: Path) -> None:
    (tmp_path / "green").mkdir()
    (tmp_path / "green" / "demo-bank.toml").write_text(
        'regional_memo = "MAYBE"\ncolour = 1\n[measures]\nV7 = "NONE"\nV99 = "EXIT"\nV2 = "INCOMPLETE"\n'
        '[[waived_years]]\nplatform = "jiangsu"\nyears = [2017]\n',
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as refused:
        load_settings(tmp_path)

    said = "\n".join(refused.value.faults)
    for complaint in ("regional_memo: must be", "colour: is not known", "measures.V7: incomplete data never pass",
                      "measures.V99: is no rule", "measures.V2: must be one of", "waived_years[0]: needs"):  # fmt: skip
        assert f"green/demo-bank.toml: {complaint}" in said
