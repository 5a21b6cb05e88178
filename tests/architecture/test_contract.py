"""What holds the house together beyond the import contracts."""

from __future__ import annotations

from datetime import date
from importlib import import_module

import pytest
from google.protobuf.descriptor import FieldDescriptor

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.gateway.v1.error_reason_pb2 import ErrorReason
from gateway.adapters.rpc.status import CODES, error_reason
from gateway.domain.answer import OUTCOME_RANK
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.crosswalk import Grade
from gateway.domain.errors import Reason
from tests.shipped import shipped_settings

PLATFORMS = ("shanghai", "jiangsu", "zhejiang", "anhui")


def test_reasons_and_the_contracts_reasons_are_one_to_one() -> None:
    assert {error_reason(reason) for reason in Reason} == set(ErrorReason.values()) - {0}
    assert set(CODES) == set(Reason)


def test_every_category_has_one_record_type_and_records_holds_them_all() -> None:
    assert set(CATALOGUE.by_category) == set(Category.values()) - {0}
    assert len(CATALOGUE.plans) == len(view_pb2.Records.DESCRIPTOR.fields)


def test_every_outcome_has_its_place_in_the_join() -> None:
    assert set(OUTCOME_RANK) == set(view_pb2.Outcome.values()) - {0}


def test_coded_fields_keep_their_raw_sibling() -> None:
    derived = {"canonical_grade", "period_type"}  # one is set by the gateway, the other is implied by the period
    for plan in CATALOGUE.plans:
        names = {field.name for field in plan.fields}
        for field in plan.fields:
            if field.enum_names is not None and field.name not in derived:
                assert f"{field.name}_raw" in names, f"{plan.records_field}.{field.name}"


def test_every_code_list_tells_unmapped_from_unspecified() -> None:
    for plan in CATALOGUE.plans:
        for field in plan.fields:
            if field.enum_names is not None and field.name != "period_type":
                ends = {name.rsplit("_", 1)[1] for name in field.enum_names.values()}
                assert {"UNSPECIFIED", "UNMAPPED"} <= ends


def test_the_catalogue_has_no_float_map_or_any() -> None:
    banned = {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}
    for plan in CATALOGUE.plans:
        for field in plan.message.DESCRIPTOR.fields:
            assert field.type not in banned
            assert field.message_type is None or not field.message_type.GetOptions().map_entry


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_connector_has_the_same_files_and_a_mapping_for_what_it_covers(platform: str) -> None:
    module = import_module(f"connectors.{platform}")

    facts = module.plugin.platform()

    assert facts.id == platform
    assert facts.is_simulated
    assert facts.coverage


def test_what_a_mapping_calls_a_list_or_scheme_is_known_to_the_configuration() -> None:
    import tomllib
    from pathlib import Path

    settings = shipped_settings()
    known = set(settings.publication.lists) | set(settings.crosswalk.schemes) | {"UNMAPPED"}
    for path in sorted(Path("connectors").glob("*/mapping.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for table, field in (("list_entries", "list_code"), ("evaluations", "scheme_id")):
            codes = set(document[table]["fields"][field]["codes"].values())
            assert codes <= known, f"{path}: {codes - known}"


def test_grades_of_the_crosswalk_and_of_the_contract_are_one_to_one() -> None:
    from gateway.domain.crosswalk import proto_grade

    assert {proto_grade(grade) for grade in Grade} == set(range(1, 8))


def test_the_publication_table_holds_a_rule_for_today() -> None:
    rules = shipped_settings().publication.rules

    assert [rule.holds(date(2026, 3, 31)) for rule in rules] == [True, False]
    assert [rule.holds(date(2026, 4, 1)) for rule in rules] == [False, True]
