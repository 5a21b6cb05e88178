"""The files of config/deploy against what the gateway really exports: names, labels and values, and both languages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome
from gateway.adapters.telemetry.metrics import CORRUPTIBLE, render
from gateway.adapters.telemetry.worker_metrics import WorkerMetrics
from gateway.domain.errors import Reason
from tests.adapters.test_metrics import Told, everything
from tests.architecture.deploy_files import DEPLOY, RULES, document
from tests.shipped import shipped_settings

DASHBOARDS: Final = sorted((DEPLOY / "grafana").glob("*.json"))
FOREIGN: Final[Mapping[str, frozenset[str]]] = {"up": frozenset({"job", "instance"})}
"""Prometheus's own metrics that rules may use."""
ADDED: Final = frozenset({"instance", "job"})
"""Labels that Prometheus adds to every series when it scrapes."""

_METRIC: Final = re.compile(r"(?<![\w$\"])(xinyidai_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
_BY: Final = re.compile(r"\bby\s*\(([^)]*)\)")


async def exported(tmp_path: Path) -> dict[str, frozenset[str]]:
    """Gives every sample's name with its labels, of the gateway and of a supervisor."""
    told = Told()
    everything(told.metrics)
    told.metrics.flush()
    pages = [render(told.metrics.registry), await WorkerMetrics(2, str(tmp_path)).page(ready=1)]
    return {
        sample.name: frozenset(sample.labels)
        for page in pages
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def rules() -> list[dict[str, Any]]:
    return [rule for group in document(RULES)["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Gives each expression with the place it stands at."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]
    for rule in rules():
        yield f"{RULES.name}: {rule['alert']}", rule["expr"]


EXPRESSIONS: Final = list(expressions())


@pytest.mark.parametrize(("place", "expression"), EXPRESSIONS, ids=[place for place, _ in EXPRESSIONS])
async def test_an_expression_uses_metrics_and_labels_that_exist(place: str, expression: str, tmp_path: Path) -> None:
    known = {**await exported(tmp_path), **FOREIGN}

    used = _METRIC.findall(expression)

    assert used
    for name, matchers in used:
        assert name in known, f"{place}: no metric {name}"
        for label, _, _ in _MATCHER.findall(matchers):
            assert label in known[name] | ADDED, f"{place}: {name} has no label {label}"
    shared = frozenset.intersection(*(known[name] for name, _ in used)) | ADDED
    for labels in _BY.findall(expression):
        for label in labels.replace(" ", "").split(","):
            assert label in shared, f"{place}: not every metric has the label {label}"
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize(("place", "expression"), EXPRESSIONS, ids=[place for place, _ in EXPRESSIONS])
def test_an_expression_s_values_are_ones_that_occur(place: str, expression: str) -> None:
    values: Mapping[str, set[str]] = {
        "outcome": {name.removeprefix("OUTCOME_") for name, _ in Outcome.items()},
        "reason": {reason.value for reason in Reason},
        "event": {"answered", "refused", "unanswered", "cancelled"},
        "source": {"platform", "cache"},
        "kind": set(CORRUPTIBLE),
    }

    for label, _, value in _MATCHER.findall(expression):
        for each in value.split("|") if label in values else ():
            assert each in values[label], f"{place}: {label} is never {each}"


def test_every_metric_is_on_a_dashboard_or_in_a_rule() -> None:
    text = " ".join(expression for _, expression in EXPRESSIONS)
    told = Told()

    families = [f.name for f in text_string_to_metric_families(render(told.metrics.registry).decode())]

    assert [name for name in families if name not in text] == []


async def test_the_manual_names_every_metric_and_no_other(tmp_path: Path) -> None:
    manual = (DEPLOY.parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")

    named = set(re.findall(r"`(xinyidai_\w+)`", manual))

    known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in await exported(tmp_path)}
    assert named == known


@pytest.mark.parametrize("path", DASHBOARDS, ids=[path.name for path in DASHBOARDS])
def test_a_dashboard_is_one_grafana_can_load(path: Path) -> None:
    board = json.loads(path.read_text(encoding="utf-8"))

    ids = [panel["id"] for panel in board["panels"]]
    assert (board["uid"], len(ids)) == (f"xinyidai-{path.stem}", len(set(ids)))
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"]["uid"] == "${datasource}"
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))


def is_bilingual(text: str) -> bool:
    return bool(re.search(r"[a-z]{2}", text)) and bool(re.search(r"[\u4e00-\u9fff]", text))


def test_titles_and_summaries_are_in_english_and_chinese() -> None:
    boards: Sequence[dict[str, Any]] = [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS]
    titles = [board["title"] for board in boards] + [panel["title"] for board in boards for panel in board["panels"]]
    texts = [rule["annotations"][key] for rule in rules() for key in ("summary", "description")]

    assert len(boards) == 2
    assert [text for text in (*titles, *texts) if not is_bilingual(text)] == []


def test_every_rule_has_its_severity_and_a_name_of_its_own() -> None:
    names = [rule["alert"] for rule in rules()]

    assert len(names) == len(set(names))
    assert {rule["labels"]["severity"] for rule in rules()} == {"critical", "warning", "info"}
    assert all(re.fullmatch(r"\d+[smh]", rule.get("for", "1m")) for rule in rules())


def test_the_scrape_example_asks_where_the_gateway_answers_by_default() -> None:

    example = document(DEPLOY / "prometheus" / "scrape.yaml")

    (job,) = example["scrape_configs"]
    assert job["static_configs"] == [{"targets": [shipped_settings().gateway.admin.listen]}]
    assert example["rule_files"] == [RULES.name]
    assert job["job_name"] in str(rules()[0]["expr"])
