"""The green review over real gRPC: an enterprise on the 2018 list, its repair, and who may ask."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Sequence
from datetime import date

import aiohttp
import grpc
import pytest
from rich.console import Console

from connectors.kit.enterprises import make_world
from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2_grpc
from gateway.cli.green_card import show_assessment, show_recognition
from gateway.domain.green import stored
from tests.e2e.conftest import Rig
from tests.e2e.test_command import run

LISTED_2018 = make_world(40).examples["env_2018"]


def stub(rig: Rig) -> green_credit_service_pb2_grpc.GreenCreditServiceAsyncStub:
    return green_credit_service_pb2_grpc.GreenCreditServiceStub(rig.channel)


async def assess(rig: Rig, uscc: str = LISTED_2018, *, is_fresh: bool = True) -> pb.GreenAssessment:
    request = pb.AssessEnterpriseRequest(uscc=uscc, operator="u7", is_fresh=is_fresh)
    return (await stub(rig).AssessEnterprise(request)).assessment


async def recognise(rig: Rig, list_code: str) -> pb.RecogniseEnterpriseResponse:
    return await stub(rig).RecogniseEnterprise(pb.RecogniseEnterpriseRequest(uscc=LISTED_2018, list_code=list_code))


async def test_a_repair_changes_the_assessment_and_the_trail_has_both(rig: Rig) -> None:
    before = await assess(rig)
    async with aiohttp.ClientSession() as session:
        told = {"uscc": LISTED_2018, "kind": "list_entry", "on": date(2026, 11, 2).isoformat()}
        await session.post(f"{rig.platforms['zhejiang'].control_url}/repairs", json=told)
    after = await assess(rig)

    assert (before.measure, before.admission) == (pb.GREEN_MEASURE_EXIT, pb.GREEN_ADMISSION_CLOSED)
    assert [reason.rule for reason in before.reasons if reason.measure == pb.GREEN_MEASURE_EXIT] == ["V1"]
    evidence = next(e for e in before.evidence if e.fact == "env_list")
    assert evidence.text == "YRD_ENV 2018 REGIONAL_MEMO"
    assert sorted(source.platform for source in evidence.sources) == ["shanghai", "zhejiang"]
    # Jiangsu never provided the list's years, so nothing passes by itself; but nothing adverse is left.
    assert (after.measure, after.at_least) == (pb.GREEN_MEASURE_INCOMPLETE, pb.GREEN_MEASURE_NONE)
    years = {m.platform: m.detail for m in after.missing if m.kind == pb.GREEN_MISSING_KIND_LIST_YEAR}
    assert years == {"anhui": "2018, 2019", "jiangsu": "2017, 2018, 2019", "shanghai": "2019"}
    assert {m.kind for m in after.missing} == {pb.GREEN_MISSING_KIND_LIST_YEAR}
    assert not [e for e in after.evidence if e.fact == "env_list"]
    assert [each.admission for each in after.changes] == [pb.GREEN_ADMISSION_GREEN_CHANNEL]
    entries = [json.loads(line) for line in rig.trail.read_text().splitlines()]
    assert [entry["event"] for entry in entries] == ["answered", "assessed"] * 2
    assert entries[1]["answer_id"] == entries[0]["answer_id"] == before.answer_id
    assert entries[1]["assessment"]["decision_digest"] == before.decision_digest
    assert entries[1]["purpose"] == "GREEN_REVIEW"
    assert stored(before.stored).decision_digest == before.decision_digest


async def test_the_card_says_measure_reasons_evidence_and_gaps(rig: Rig) -> None:
    said = io.StringIO()

    show_assessment(Console(file=said, width=118), await assess(rig))
    show_recognition(
        Console(file=said, width=118),
        await stub(rig).RecogniseEnterprise(pb.RecogniseEnterpriseRequest(uscc=LISTED_2018)),
    )

    for word in ("次年退出不再续贷 leave next year", "不予新增授信 no new credit", "列入生态环境领域严重失信名单",
                 "YRD_ENV 长三角区域生态环境领域严重失信名单 Severe dishonesty in the ecological environment", "YRD_ENV 2018 REGIONAL_MEMO", "jiangsu 名单 list entry", "2017, 2018, 2019", "未列入", "R34.none", "unsure"):  # fmt: skip
        assert word in said.getvalue()


async def test_the_command_prints_json_and_says_what_to_do(rig: Rig) -> None:
    at = ("--address", rig.address, "--plaintext")

    code, out, err = await run("green", "assess", LISTED_2018, *at, "--json")
    wrong = await run("green", "assess", "123", *at, language="zh_CN.UTF-8")

    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["measure"], found["admission"]) == ("GREEN_MEASURE_EXIT", "GREEN_ADMISSION_CLOSED")
    assert wrong[0] == 1
    assert "INVALID_ARGUMENT" in wrong[2]


async def test_a_platform_that_is_down_makes_it_incomplete_and_is_named(rig: Rig) -> None:
    clean = make_world(40).examples["clean"]
    await rig.platforms["anhui"].set_fault("refuse")

    found = await assess(rig, clean)

    assert found.measure == pb.GREEN_MEASURE_INCOMPLETE
    assert {m.category for m in found.missing if m.platform == "anhui" and m.kind == pb.GREEN_MISSING_KIND_PLATFORM} == {
        "REGISTRATION", "LICENCE", "PENALTY", "LIST_ENTRY", "EVALUATION"
    }  # fmt: skip


async def test_many_are_assessed_over_one_stream_and_a_bad_item_ends_nothing(rig: Rig) -> None:
    async def items() -> AsyncIterator[pb.AssessEnterprisesRequest]:
        for number, uscc in enumerate([LISTED_2018, "91310115MA0TERT167", "not-a-code"]):
            request = pb.AssessEnterpriseRequest(uscc=uscc)
            yield pb.AssessEnterprisesRequest(correlation_id=str(number), request=request)
        yield pb.AssessEnterprisesRequest(correlation_id="0", request=pb.AssessEnterpriseRequest(uscc=LISTED_2018))

    answers = [answer async for answer in stub(rig).AssessEnterprises(items())]

    assessed = {a.correlation_id: a.assessment for a in answers if a.HasField("assessment")}
    refused: Sequence[str] = sorted(a.correlation_id for a in answers if a.HasField("error"))
    assert assessed["0"].measure == pb.GREEN_MEASURE_EXIT
    assert set(assessed) == {"0", "1"}
    assert refused == ["0", "2"]


async def test_the_provinces_criteria_are_compared(rig: Rig) -> None:
    found = await stub(rig).RecogniseEnterprise(pb.RecogniseEnterpriseRequest(uscc=LISTED_2018))

    assert [each.province for each in found.provinces] == ["31", "32", "33", "34"]
    assert {each.certainty for each in found.provinces} == {"unsure", "likely"}
    assert {each.recognised for each in found.provinces} == {pb.RECOGNISED_NO}
    assert not found.differs


async def test_the_criteria_of_another_list_are_compared_by_its_code(rig: Rig) -> None:
    at = ("--address", rig.address, "--plaintext", "--json")

    code, out, _ = await run("green", "recognise", LISTED_2018, "--list", "YRD_FOOD", *at)
    refused = await run("green", "recognise", LISTED_2018, "--list", "SDL_COURT", *at)

    found = json.loads(out)
    assert (code, found["list_code"]) == (0, "YRD_FOOD")
    assert {each["rules"]["name"] for each in found["provinces"]} == {"recognise_food"}
    assert refused[0] == 1
    assert "no list with criteria; those are: YRD_ENV" in refused[2]


async def test_a_code_that_is_none_is_refused_by_name(rig: Rig) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await assess(rig, "91310115MA0TERT16X")

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_ends_with_an_error_is_counted_by_its_reason_the_items_of_a_stream_too(rig: Rig) -> None:
    async def items() -> AsyncIterator[pb.AssessEnterprisesRequest]:
        for number in range(2):
            request = pb.AssessEnterpriseRequest(uscc="91310115MA0TERT16X")
            yield pb.AssessEnterprisesRequest(correlation_id=str(number), request=request)

    for call in (assess(rig, "91310115MA0TERT16X"), recognise(rig, "NO_SUCH_LIST")):
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    answers = [answer async for answer in stub(rig).AssessEnterprises(items())]

    page = (await rig.gateway.metrics.page()).decode()
    assert [answer.HasField("error") for answer in answers] == [True, True]
    assert 'xinyidai_errors_total{reason="INVALID_IDENTIFIER"} 3.0' in page
    assert 'xinyidai_errors_total{reason="INVALID_REQUEST"} 1.0' in page
