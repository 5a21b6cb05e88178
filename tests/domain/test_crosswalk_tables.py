"""The tables of the crosswalk as they are read: what puts a version in force, and all faults listed at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import pytest

from gateway.domain.crosswalk import Crosswalk, CrosswalkFaults, Domain, Grade
from gateway.domain.errors import ConfigError

IN_2026 = date(2026, 6, 1)


def document(**changes: object) -> dict[str, object]:
    """A valid document of one scheme; a change of None takes the key away."""
    version = {
        "version": "1",
        "basis": "a rule",
        "certainty": "sure",
        "labels": {"EXCELLENT": ["A"], "NOT_RATED": ["M"]},
    }
    scheme = {
        "title_zh": "试",
        "authority": "某局",
        "domain": "TAX",
        "period": "yearly",
        "versions": [version],
    } | changes
    return {"S": {key: value for key, value in scheme.items() if value is not None}}


def versions(*tables: Mapping[str, object]) -> list[dict[str, object]]:
    """Versions that are valid by default, each changed by its table."""
    return [
        {"version": str(i), "basis": "a rule", "certainty": "sure", "labels": {"GOOD": ["B"]}} | dict(table)
        for i, table in enumerate(tables)
    ]


def faults_of(tables: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    with pytest.raises(CrosswalkFaults) as caught:
        Crosswalk.from_tables(tables)
    return caught.value.faults


def test_raising_the_certainty_is_what_puts_an_unsure_version_in_force() -> None:
    labels = {"GOOD": ["B"]}

    grades = {
        certainty: Crosswalk.from_tables(
            {"s.toml": document(versions=versions({"certainty": certainty, "labels": labels}))}
        )
        .canonical("S", "B", IN_2026)
        .grade
        for certainty in ("unsure", "likely")
    }

    assert grades == {"unsure": Grade.UNMAPPED, "likely": Grade.GOOD}


def test_a_valid_document_has_no_fault() -> None:
    assert list(Crosswalk.from_tables({"s.toml": document()}).schemes) == ["S"]


def test_all_faults_of_all_files_are_listed_at_once() -> None:
    broken = document(domain="SPACE", colour="red", title_zh=None)
    twice = document(period="weekly", neutral_as="GOOD", published="yes", versions=[])

    assert faults_of({"a.toml": broken, "b.toml": twice}) == (
        (
            "a.toml: S.colour: unknown key; known are title_zh, authority, domain, nature, "
            "period, published, internal_use, neutral_as, versions"
        ),
        "a.toml: S.title_zh: must be a text that is not empty",
        f"a.toml: S.domain: must be one of {', '.join(Domain)}",
        "b.toml: S.period: must be one of yearly, monthly, dynamic, event, unknown",
        "b.toml: S.published: must be true or false",
        "b.toml: S.neutral_as: must be NOT_RATED or ATTENTION",
        "b.toml: S.versions: must be a list of at least one table",
        "b.toml: S: stands in a.toml already",
    )


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([{"valid_from": date(2020, 1, 2), "valid_to": date(2020, 1, 1)}],
         "S.versions[0].valid_to: lies before valid_from (2020-01-02)"),
        ([{"valid_to": date(2020, 1, 1)}, {"valid_from": date(2020, 1, 1)}],
         "S.versions[1]: its days overlap those of 0"),
        ([{"valid_to": date(2020, 1, 1)}, {"version": "0", "valid_from": date(2020, 1, 2)}],
         "S.versions[1].version: 0 stands here twice"),
        ([{"valid_from": datetime(2020, 1, 1)}],
         "S.versions[0].valid_from: must be a date without a time, such as 2026-04-01"),
        ([{"labels": {"GOOD": ["A"], "POOR": ["ａ "]}}],
         "S.versions[0].labels.POOR: label ａ  stands in this version already"),
        ([{"labels": {"GOOD": ["A"]}, "unsure_labels": {"POOR": ["A"]}}],
         "S.versions[0].unsure_labels.POOR: label A stands in this version already"),
        ([{"labels": {"UNMAPPED": ["A"]}}],
         "S.versions[0].labels.UNMAPPED: is no grade; use EXCELLENT … SEVERE or NOT_RATED"),
        ([{"labels": {"GOOD": "A"}}],
         "S.versions[0].labels.GOOD: must be a list of texts that are not empty"),
        ([{"labels": {"GOOD": [" "]}}],
         "S.versions[0].labels.GOOD: must be a list of texts that are not empty"),
        ([{"labels": ["A"]}], "S.versions[0].labels: must be a table"),
        ([{"labels": {}}],
         'S.versions[0].labels: must not be empty unless certainty is "unsure"'),
        ([{"certainty": "certain"}],
         "S.versions[0].certainty: must be one of sure, likely, unsure"),
        ([{"grades": {}}],
         ("S.versions[0].grades: unknown key; known are version, basis, valid_from, valid_to, "
          "certainty, labels, unsure_labels")),
        ([{"basis": 7}], "S.versions[0].basis: must be a text that is not empty"),
    ],
)  # fmt: skip
def test_a_faulty_version_is_named_by_file_and_key(tables: list[Mapping[str, object]], expected: str) -> None:
    assert faults_of({"s.toml": document(versions=versions(*tables))}) == (f"s.toml: {expected}",)


def test_a_scheme_that_is_no_table_is_a_fault_and_no_crash() -> None:
    assert "s.toml: S: must be a table" in faults_of({"s.toml": {"S": "A"}})


def test_crosswalk_faults_are_config_errors_and_value_errors() -> None:
    with pytest.raises(CrosswalkFaults) as caught:
        Crosswalk.from_tables({"s.toml": document(domain="SPACE")})

    assert isinstance(caught.value, ConfigError)
    assert isinstance(caught.value, ValueError)
