"""Decision tables: what they give, and what is refused with its cells named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.decision_reading import read_facts, read_table
from gateway.domain.decision_table import DecisionTable, FactKind
from gateway.settings import load_settings

FACTS = {
    "grade": FactKind("grade", "等级", "grade", ("GOOD", "POOR", "SEVERE"), {}),
    "listed": FactKind("listed", "列入", "listed", (False, True), {}),
    "count": FactKind("count", "件数", "count", (0, 1, 2), {}),
}
META = {
    "id": "t",
    "title_zh": "表",
    "version": "1",
    "source": "测试",
    "certainty": "sure",
    "outputs": {"say": ["YES", "NO"]},
}


def model(*rows: tuple[str, dict[str, str], str], hit: str = "first", **meta: Any) -> dict[str, Any]:
    """A decision model with these rows as (id, cells, what it says)."""
    return {
        "meta": {**META, **meta},
        "nodes": [
            {
                "id": "n", "type": "decisionTableNode", "name": "表",
                "content": {
                    "hitPolicy": hit,
                    "inputs": [{"id": name, "name": name, "field": name} for name in FACTS],
                    "outputs": [{"id": "o", "name": "o", "field": "say"}],
                    "rules": [{"_id": i, "_description": "行", **cells, "o": f'"{said}"'} for i, cells, said in rows],
                },
            }
        ],
        "edges": [],
    }  # fmt: skip


def read(document: dict[str, Any]) -> DecisionTable:
    table, faults = read_table(document, FACTS, "t.json")
    assert table is not None, faults
    return table


def faults_of(document: dict[str, Any]) -> str:
    table, faults = read_table(document, FACTS, "t.json")
    assert table is None
    return "\n".join(faults)


SOUND = (
    ("a", {"listed": "true"}, "YES"),
    ("b", {"listed": "false", "grade": '"SEVERE", "POOR"', "count": ">= 1"}, "YES"),
    ("c", {"listed": "false", "grade": '"SEVERE", "POOR"', "count": "0"}, "NO"),
    ("d", {"listed": "false", "grade": '"GOOD"'}, "NO"),
)


def test_a_table_says_which_row_fired_on_which_facts_and_which_nearly_did() -> None:
    said = read(model(*SOUND)).evaluate({"listed": False, "grade": "POOR", "count": 0})

    assert [(rule.rule_id, rule.because) for rule in said.fired] == [
        ("c", (("grade", "POOR"), ("listed", False), ("count", 0)))
    ]
    assert said.outputs == ({"say": "NO"},)
    assert [(near.rule_id, near.fact, near.actual, near.wanted) for near in said.nearly] == [
        ("a", "listed", False, "true"),
        ("b", "count", 0, ">= 1"),
        ("d", "grade", "POOR", '"GOOD"'),
    ]


def test_a_fact_that_is_not_known_satisfies_nothing_and_is_named_where_it_matters() -> None:
    table = read(model(*SOUND))

    assert table.evaluate({"listed": False, "grade": "POOR"}).missing == ("count",)
    assert table.evaluate({"listed": True}).missing == ()
    assert table.evaluate({"listed": True}).outputs == ({"say": "YES"},)
    assert table.evaluate({}).fired == ()


def test_an_overlap_a_contradiction_and_a_gap_are_named_with_their_cells() -> None:
    overlap = faults_of(model(*SOUND, ("e", {"listed": "true", "grade": '"GOOD"'}, "YES")))
    contradiction = faults_of(model(*SOUND, ("e", {"listed": "true", "grade": '"GOOD"'}, "NO")))
    gap = faults_of(model(*SOUND[:3]))

    assert 'rows a (listed: true) and e (grade: "GOOD", listed: true): overlap where' in overlap
    assert "contradict each other" in contradiction
    assert "leaves a gap: no row for" in gap
    assert 'grade = "GOOD"' in gap


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"grade": '"BEST"'}, 'cell grade: "BEST" is none of its values'),
        ({"grade": "SEVERE"}, "cell grade: SEVERE is none of its values"),
        ({"listed": '"true"'}, "cell listed"),
        ({"count": "> 7"}, "cell count: > 7 is none of its values"),
        ({"colour": '"RED"'}, "colour: is no column of this table"),
        ({"o": '"MAYBE"'}, "cell say: MAYBE is none of YES, NO"),
        ({"o": "YES"}, "cell say: must be a text in double quotes"),
        ({"_description": ""}, "needs its Chinese title"),
    ],
)
def test_a_cell_that_cannot_be_read_is_a_fault_and_never_ignored(change: dict[str, str], complaint: str) -> None:
    document = model(*SOUND)
    document["nodes"][0]["content"]["rules"][0].update(change)

    assert complaint in faults_of(document)


def test_unknown_columns_and_a_model_without_its_meta_are_refused() -> None:
    document = model(*SOUND)
    document["nodes"][0]["content"]["inputs"].append({"id": "x", "name": "颜色", "field": "colour"})

    assert "input 颜色 (colour): is no known fact" in faults_of(document)
    assert "meta" in faults_of({"nodes": []})
    assert "meta.certainty" in faults_of(model(*SOUND, certainty="perhaps"))
    assert "lies before" in faults_of(model(*SOUND, valid_from="2026-02-01", valid_to="2026-01-01"))
    assert "hitPolicy" in faults_of(model(*SOUND, hit="any"))


def test_the_digest_is_that_of_the_content_not_of_its_layout() -> None:
    one = model(*SOUND)
    other = json.loads(json.dumps(one, indent=4))
    changed = copy.deepcopy(one)
    changed["nodes"][0]["content"]["rules"][0]["_description"] = "别的"

    assert read(one).digest == read(other).digest != read(changed).digest


def test_facts_that_are_not_told_apart_are_refused() -> None:
    faults: list[str] = []
    read_facts(
        {
            "one": {"title_zh": "一", "title_en": "one", "values": [1]},
            "two": {"title_zh": "二", "values": [1, 2]},
            "three": {"title_zh": "三", "title_en": "three", "values": [1, 2], "words": {"9": ["a", "b"]}, "x": 1},
        },
        "facts.toml",
        faults,
    )

    assert [fault.split(": ", 1)[1] for fault in faults] == [
        "one: values: must be a list of at least two different values",
        "two: title_zh and title_en are needed",
        "three: x: is not known here",
        "three: words.9: is none of its values",
    ]


def test_every_shipped_table_has_chinese_titles_and_a_source() -> None:
    tables = load_settings(Path("config")).rules.tables

    assert {"green_veto", "green_positive", *(f"recognise_env_{p}" for p in (31, 32, 33, 34))} <= {
        table.table_id for table in tables
    }
    for table in tables:
        assert table.source
        assert all(any("\u4e00" <= c <= "\u9fff" for c in row.title_zh) for row in table.rows)
