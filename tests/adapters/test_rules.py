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
from gateway.domain.green import table_faults
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
        'regional_memo = "MAYBE"\ncolour = 1\nfield_words = { TOURISM = [] }\n[measures]\nV7 = "NONE"\nV99 = "EXIT"\nV2 = "INCOMPLETE"\n'
        '[[waived_years]]\nplatform = "jiangsu"\nyears = [2017]\n',
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as refused:
        load_settings(tmp_path)

    said = "\n".join(refused.value.faults)
    for complaint in ("regional_memo: must be", "colour: is not known",
                      "field_words: must have a list of texts for each of TOURISM, FOOD_AND_DRUG, QUALITY", "measures.V7: incomplete data never pass",
                      "measures.V99: is no rule", "measures.V2: must be one of", "waived_years[0]: needs"):  # fmt: skip
        assert f"green/demo-bank.toml: {complaint}" in said


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ('waived_years = "2017"', "waived_years: must be tables"),
        ("waived_years = [2017]", "waived_years[0]: needs platform"),
        ('[[waived_years]]\nplatform = "anhui"\nyears = ["x"]\nbecause = "y"', "waived_years[0]: years must be whole"),
        (
            '[[waived_years]]\nplatform = "anhuj"\nyears = [2018]\nbecause = "y"',
            "waived_years: anhuj is not in platforms",
        ),
        ('[[waived_years]]\nplatform = "anhui"\nyears = [18]\nbecause = "y"', "waived_years[0]: years must be whole"),
        ('[[waived_years]]\nplatform = "anhui"\nyears = []\nbecause = "y"', "waived_years[0]: years must be whole"),
        ('environmental_lists = ["YRD_EVN"]', "environmental_lists: YRD_EVN is in no file of the folder lists/"),
        ('permit_industries = ["C17", "34"]', "permit_industries: 34 is no code of GB/T 4754"),
        ('permit_industries = ["c17"]', "permit_industries: c17 is no code of GB/T 4754"),
    ],
)
def test_what_a_bank_states_and_would_change_nothing_is_a_fault(stated: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "green").mkdir()
    (tmp_path / "green" / "demo-bank.toml").write_text(stated, encoding="utf-8")

    with pytest.raises(ConfigError) as refused:
        load_settings(tmp_path)

    assert [fault.startswith(f"green/demo-bank.toml: {complaint}") for fault in refused.value.faults] == [True]


@pytest.mark.parametrize(
    ("stated", "key"),
    [
        ('[measures]\nP1 = "EXIT"', "measures.P1: is no rule that proposes"),  # it only opens the green channel
        ('[admissions]\nP1 = "CLOSED"', "admissions.P1: is no rule that proposes"),
        ('[measures]\n"" = "EXIT"', "measures.: is no rule that proposes"),  # the rule of all criteria of recognition
        ('measures = "EXIT"', "measures: must be a table of rules"),
        ('admissions = ["V2"]', "admissions: must be a table of rules"),
    ],
)
def test_a_measure_or_admission_that_would_change_nothing_is_a_fault(stated: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "green").mkdir()
    (tmp_path / "green" / "demo-bank.toml").write_text(stated, encoding="utf-8")

    with pytest.raises(ConfigError) as refused:
        load_settings(tmp_path)

    assert [fault.startswith(f"green/demo-bank.toml: {key}") for fault in refused.value.faults] == [True]


def test_a_banks_own_file_states_only_what_it_does_otherwise(tmp_path: Path) -> None:
    (tmp_path / "green").mkdir()
    own = '[measures]\nV2 = "EXIT"\n[[waived_years]]\nplatform = "jiangsu"\nyears = [2017]\nbecause = "江苏未建名单"\n'
    (tmp_path / "green" / "demo-bank.toml").write_text(own, encoding="utf-8")

    policies = load_settings(tmp_path).green

    assert policies.of("demo-bank").measures == {"V2": "EXIT"}
    assert policies.of("demo-bank").waived == {("jiangsu", 2017): "江苏未建名单"}
    assert policies.of("demo-bank").required_categories == policies.of("another").required_categories
    assert policies.of("another") is policies.default
    (tmp_path / "green" / "nobody.toml").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"green/nobody\.toml: no bank of that name"):
        load_settings(tmp_path)


def test_a_model_that_is_broken_anywhere_is_refused_and_never_raises_another_error() -> None:
    rng, refused = Random(3), 0
    for _ in range(300):
        document = json.loads(FILES["green_positive.json"])
        place = document
        while True:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
                place = inner
                continue
            place[key] = rng.choice([None, 7, [], {}, "x", [1], True])
            break
        try:
            RuleBook.read(FACTS, {"green_positive.json": json.dumps(document)})
        except ConfigError as error:
            assert all(fault.startswith("rules/green_positive.json: ") for fault in error.faults)
            refused += 1
    assert refused > 60


def test_versions_that_leave_days_between_them_are_refused() -> None:
    older, newer = json.loads(FILES["green_veto.json"]), json.loads(FILES["green_veto.json"])
    older["meta"]["valid_to"] = "2026-11-30"
    newer["meta"].update(version="2027", valid_from="2027-01-01")

    with pytest.raises(ConfigError, match="between 2026-11-30 and 2027-01-01 no version is in force"):
        RuleBook.read(FACTS, {"a.json": json.dumps(older), "b.json": json.dumps(newer)})


def test_tables_that_cannot_serve_today_are_named() -> None:
    document = json.loads(FILES["green_veto.json"])
    document["meta"]["outputs"]["measure"] = ["NONE", "EXIT", "INCOMPLETE", "RECTIFY", "REDUCE", "SHOUT"]
    document["nodes"][1]["content"]["rules"][0]["=measure"] = '"SHOUT"'
    book = RuleBook.read(FACTS, {**FILES, "green_veto.json": json.dumps(document)})

    assert table_faults(BOOK.tables, date(2026, 11, 24)) == []
    assert table_faults(book.tables, date(2025, 11, 24)) == [
        "rules: green_veto: no version is in force on 2025-11-24",
        "rules: green_positive: no version is in force on 2025-11-24",
        "rules: green_veto 2026-11: row V1.listed: needs measure, admission and en",
    ]


def test_a_list_whose_criterion_is_no_table_stops_the_settings_by_file_and_key(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "own.toml").write_text(
        '[list.OWN_1]\ntitle_zh = "名单"\nlister = "某局"\nbasis = "REGIONAL_MEMO"\njoint_field = "QUALITY"\n'
        '[list.OWN_1.criteria]\n340100 = "recognise_chaohu"\n',
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as refused:
        load_settings(tmp_path)

    assert refused.value.faults == (
        "lists/own.toml: list.OWN_1.criteria.340100: recognise_chaohu is no decision table of rules/",
    )
