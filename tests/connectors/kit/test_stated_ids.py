"""Ids of the deployment's tables: what a mapping may write of them is known before anything is asked."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kit.mapping import MappingFault, compile_mapping
from connectors.kit.stated_ids import stated_ids
from gateway.domain.platform import StatedId

MAPPING: dict[str, Any] = {
    "subject_code": "code",
    "penalties": {"rows": "penalties", "fields": {"document_number": "no"}},
    "list_entries": {"rows": "lists", "fields": {"list_code": {"constant": "YRD_ENV"}}},
    "evaluations": {
        "rows": "grades",
        "fields": {
            "scheme_id": {
                "from": "kind",
                "as": "table",
                "codes": {"税": "TAX_CREDIT", "纳税": "TAX_CREDIT", "公": "PUB_JX"},
            },
            "raw_grade": "grade",
        },
    },
}


def test_each_id_of_a_table_or_constant_is_given_once_with_its_place() -> None:
    place = "mapping.toml: evaluations.fields.scheme_id"

    assert sorted(stated_ids(MAPPING), key=str) == [
        StatedId("crosswalk", place, "PUB_JX"),
        StatedId("crosswalk", place, "TAX_CREDIT"),
        StatedId("lists", "mapping.toml: list_entries.fields.list_code", "YRD_ENV"),
    ]


@pytest.mark.parametrize("codes", [["TAX_CREDIT"], {"税": 1}])
def test_ids_that_are_no_table_of_texts_are_a_fault(codes: Any) -> None:
    line = {"from": "kind", "as": "table", "codes": codes}

    with pytest.raises(MappingFault, match=r"evaluations\.fields\.scheme_id: codes: must be a table of texts"):
        compile_mapping({**MAPPING, "evaluations": {"rows": "grades", "fields": {"scheme_id": line}}})
