"""The main job over real gRPC, HTTP and files: one question, four dialects, one view."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from connectors.kit.enterprises import make_world
from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import MATCH_METHOD_REGISTRATION_NUMBER
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY, CATEGORY_SUBJECT, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.cli.client import query_message
from gateway.cli.demo import CATEGORIES, check_partial, check_whole
from tests.e2e.conftest import DEMO, Rig, query


async def refused(call: Any) -> tuple[grpc.aio.AioRpcError, dict[str, Any]]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    details: dict[str, Any] = {}
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]
    for detail in status.details if status is not None else ():
        for kind in (
            error_details_pb2.ErrorInfo,
            error_details_pb2.BadRequest,
            error_details_pb2.RetryInfo,
            pb.PlatformOutcomes,
        ):
            message = kind()
            if detail.Unpack(message):
                details[kind.__name__] = message
    return raised.value, details


async def test_four_dialects_become_one_view_with_its_conflict_marked(rig: Rig) -> None:
    asked = query_message(DEMO, "PRE_LOAN", [], CATEGORIES)

    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked))

    check_whole(response)
    entries = [json.loads(line) for line in rig.trail.read_text().splitlines()]
    assert [(e["event"], e["answer_id"]) for e in entries] == [("answered", response.delivery.answer_id)]
    assert entries[0]["view_id"] == response.view.view_id


async def test_a_platform_that_is_down_is_named_and_nothing_is_called_clean(rig: Rig) -> None:
    await rig.platforms["anhui"].set_fault("refuse")
    asked = query_message(DEMO, "PRE_LOAN", [], CATEGORIES)

    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked))

    check_partial(response)


async def test_default_categories_are_those_that_need_no_authorisation(rig: Rig) -> None:
    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()))

    assert CATEGORY_PENALTY in response.view.query.categories
    assert CATEGORY_TAX_PAYMENT not in response.view.query.categories
    assert not response.view.records.tax_payments


async def test_the_stream_ends_with_the_unary_view(rig: Rig) -> None:
    unary = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()))

    steps = [step async for step in rig.credit.StreamCreditView(pb.StreamCreditViewRequest(query=query()))]

    landed = [step.answer_landed for step in steps if step.HasField("answer_landed")]
    assert {step.answer.platform for step in landed} == {"anhui", "jiangsu", "shanghai", "zhejiang"}
    assert steps[-1].final.view.SerializeToString(deterministic=True) == unary.view.SerializeToString(
        deterministic=True
    )
    assert not any(step.view_so_far.coverage[0].is_known_empty for step in landed)


async def test_a_repaired_penalty_leaves_no_hint_in_the_stream(rig: Rig) -> None:
    steps = [
        step
        async for step in rig.credit.StreamCreditView(
            pb.StreamCreditViewRequest(query=query(platforms=["anhui"], categories=[CATEGORY_PENALTY]))
        )
    ]

    numbers = [p.document_number for p in steps[0].answer_landed.answer.records.penalties]
    assert len(numbers) == 1
    assert "７７" not in numbers[0]
    assert steps[0].answer_landed.delivery.record_count == 1


async def test_records_matched_by_the_old_number_are_marked(rig: Rig) -> None:
    uscc = make_world(40).examples["old_number_only"]

    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query(uscc)))

    methods = {s.match_method for p in response.view.records.penalties for s in p.envelope.provenances}
    assert methods == {MATCH_METHOD_REGISTRATION_NUMBER}


async def test_a_firm_that_moved_takes_its_new_home(rig: Rig) -> None:
    uscc = make_world(40).examples["moved_province"]

    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query(uscc)))

    assert response.view.home_province == "33"
    assert response.view.records.registrations[0].envelope.provenances[0].platform == "zhejiang"


async def test_a_batch_answers_every_item_and_survives_a_bad_one(rig: Rig) -> None:
    items = [
        pb.BatchGetCreditViewsRequest(correlation_id="good", query=query()),
        pb.BatchGetCreditViewsRequest(correlation_id="bad", query=query("91310115MA0TERT168")),
        pb.BatchGetCreditViewsRequest(correlation_id="good", query=query()),
        pb.BatchGetCreditViewsRequest(correlation_id="empty"),
        pb.BatchGetCreditViewsRequest(correlation_id="last", query=query(platforms=["shanghai"])),
    ]

    answers = [answer async for answer in rig.credit.BatchGetCreditViews(iter(items))]

    results = sorted((a.correlation_id, a.WhichOneof("result"), a.error.code) for a in answers)
    assert results == [
        ("bad", "error", 3),
        ("empty", "error", 3),
        ("good", "error", 3),
        ("good", "view", 0),
        ("last", "view", 0),
    ]


async def test_a_wrong_code_names_its_position_and_no_platform_is_asked(rig: Rig) -> None:
    error, details = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query("91310115MA0TERT168"))))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details["ErrorInfo"].reason == "INVALID_IDENTIFIER"
    assert "position 18" in details["BadRequest"].field_violations[0].description
    assert sum(p.simulated.faults.calls for p in rig.platforms.values()) == 0


@pytest.mark.parametrize(
    ("wrong", "reason", "field"),
    [
        ({"purpose": 0}, "UNKNOWN_PURPOSE", "purpose"),
        ({"purpose": 99}, "UNKNOWN_PURPOSE", "purpose"),
        ({"categories": [1, 99]}, "UNKNOWN_CATEGORY", "categories[1]"),
        ({"platforms": ["beijing"]}, "UNKNOWN_PLATFORM", "platforms[0]"),
        ({"platforms": ["anhui"], "required_platforms": ["shanghai"]}, "UNKNOWN_PLATFORM", "required_platforms[0]"),
        ({"quorum": 5}, "QUORUM_TOO_LARGE", "quorum"),
        ({"request_id": "x" * 129}, "INVALID_REQUEST", "request_id"),
        ({"platforms": ["anhui", "anhui"]}, "INVALID_REQUEST", "platforms"),
    ],
)
async def test_a_wrong_field_is_named(rig: Rig, wrong: dict[str, Any], reason: str, field: str) -> None:
    asked = query()
    for name, value in wrong.items():
        if isinstance(value, list):
            getattr(asked, name).extend(value)
        else:
            setattr(asked, name, value)

    error, details = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked)))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details["ErrorInfo"].reason == reason
    assert details["BadRequest"].field_violations[0].field == field


async def test_a_required_platform_that_is_not_asked_is_told_from_one_that_does_not_exist(rig: Rig) -> None:
    told = []
    for required in ("shanghai", "beijing"):
        asked = query(platforms=["anhui"], required_platforms=[required])
        error, _ = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked)))
        told.append(str(error.details()).partition(";")[0])

    assert told == [
        "required_platforms[0]: 'shanghai' is not among the platforms asked: anhui",
        "required_platforms[0]: no platform 'beijing' among anhui, jiangsu, shanghai, zhejiang",
    ]


async def test_an_enterprise_nobody_knows_is_not_found(rig: Rig) -> None:
    error, details = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query("91350100M000100Y43"))))

    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert {a.outcome for a in details["PlatformOutcomes"].answers} == {view_pb2.OUTCOME_NOT_FOUND}


async def test_unknown_to_three_and_one_unheard_is_no_proof_that_it_does_not_exist(rig: Rig) -> None:
    await rig.platforms["jiangsu"].set_fault("maintenance")

    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query("91350100M000100Y43")))

    assert response.view.completeness_bp < 10_000
    assert not any(c.is_known_empty for c in response.view.coverage if "jiangsu" in c.missing)


async def test_nobody_heard_is_unavailable_with_all_outcomes(rig: Rig) -> None:
    for platform in rig.platforms.values():
        await platform.set_fault("refuse")

    error, details = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()), timeout=3))

    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert len(details["PlatformOutcomes"].answers) == 4
    assert details["RetryInfo"].retry_delay.seconds > 0


@pytest.mark.parametrize(
    ("fault", "code"),
    [("refuse", grpc.StatusCode.UNAVAILABLE), ("html", grpc.StatusCode.UNAVAILABLE)],
)
async def test_a_required_platform_that_is_not_heard_ends_the_query(
    rig: Rig, fault: str, code: grpc.StatusCode
) -> None:
    await rig.platforms["anhui"].set_fault(fault)
    asked = query(required_platforms=["anhui"])

    error, details = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked), timeout=3))

    assert (error.code(), details["ErrorInfo"].reason) == (code, "REQUIRED_PLATFORM_MISSING")


async def test_a_required_platform_that_refuses_us_for_good_is_a_failed_precondition(rig: Rig) -> None:
    await rig.platforms["anhui"].set_fault("status", code=403)
    asked = query(required_platforms=["anhui"])

    error, _ = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked), timeout=3))

    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_missed_quorum_ends_the_query(rig: Rig) -> None:
    for name in ("anhui", "zhejiang"):
        await rig.platforms[name].set_fault("refuse")

    error, details = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query(quorum=3)), timeout=3))

    assert (error.code(), details["ErrorInfo"].reason) == (grpc.StatusCode.UNAVAILABLE, "QUORUM_MISSED")


async def test_a_failure_that_a_retry_cures_is_not_seen_by_the_bank(rig: Rig) -> None:
    await rig.platforms["shanghai"].set_fault("status", code=503, times=1)

    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query(platforms=["shanghai"])))

    delivery = response.delivery.answers[0]
    assert (delivery.outcome, delivery.attempts) == (view_pb2.OUTCOME_OK, 2)


async def test_a_retry_after_beyond_the_deadline_is_not_waited_for(rig: Rig) -> None:
    await rig.platforms["shanghai"].set_fault("status", code=429, retry_after=60)

    error, details = await refused(
        rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query(platforms=["shanghai"])), timeout=2)
    )

    answer = details["PlatformOutcomes"].answers[0]
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert (answer.outcome, answer.retry_after.seconds, answer.attempts) == (view_pb2.OUTCOME_RATE_LIMITED, 60, 1)


async def test_a_slow_platform_is_timed_out_and_the_others_are_answered(rig: Rig) -> None:
    await rig.platforms["zhejiang"].set_fault("stall")

    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()), timeout=1.0)

    outcomes = {a.platform: a.outcome for a in response.view.answers}
    assert outcomes["zhejiang"] == view_pb2.OUTCOME_TIMEOUT
    assert outcomes["shanghai"] == view_pb2.OUTCOME_OK


async def test_C1_a_deadline_in_the_past_asks_no_platform(rig: Rig) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()), timeout=0)

    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert sum(p.simulated.faults.calls for p in rig.platforms.values()) == 0


async def test_C4_a_cancelled_call_cancels_every_platform_call_and_is_written(rig: Rig) -> None:
    for platform in rig.platforms.values():
        await platform.set_fault("stall")
    call = rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()), timeout=20)
    while sum(p.simulated.faults.calls for p in rig.platforms.values()) < 4:
        await asyncio.sleep(0.01)
    # For each platform whoever waits, and the call that is waited for.
    fetching = [
        t for t in asyncio.all_tasks() if any(name in repr(t.get_coro()) for name in ("Sharing._find", "Sharing._call"))
    ]
    assert len(fetching) == 8

    call.cancel()
    _done, pending = await asyncio.wait(fetching, timeout=0.5)

    assert not pending
    while not rig.trail.read_text():
        await asyncio.sleep(0.01)
    assert json.loads(rig.trail.read_text())["event"] == "cancelled"


async def test_one_request_id_gives_one_answer(rig: Rig) -> None:
    asked = pb.GetCreditViewRequest(query=query(request_id="r-1"))

    first = await rig.credit.GetCreditView(asked)
    second = await rig.credit.GetCreditView(asked)

    assert (first.delivery.is_repeated, second.delivery.is_repeated) == (False, True)
    assert first.delivery.answer_id == second.delivery.answer_id
    assert first.view == second.view
    assert [json.loads(line)["event"] for line in rig.trail.read_text().splitlines()] == ["answered", "repeated"]


async def test_C21_one_request_id_with_another_body_is_refused(rig: Rig) -> None:
    await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query(request_id="r-1")))

    other = query(request_id="r-1", categories=[CATEGORY_SUBJECT])
    error, details = await refused(rig.credit.GetCreditView(pb.GetCreditViewRequest(query=other)))

    assert error.code() == grpc.StatusCode.ALREADY_EXISTS
    assert details["ErrorInfo"].reason == "REQUEST_ID_REUSED"


async def test_one_request_id_of_two_banks_is_two_questions(rig: Rig) -> None:
    asked = pb.GetCreditViewRequest(query=query(request_id="r-1"))

    first = await rig.credit.GetCreditView(asked, metadata=(("xinyidai-bank", "bank-a"),))
    second = await rig.credit.GetCreditView(asked, metadata=(("xinyidai-bank", "bank-b"),))

    assert first.delivery.answer_id != second.delivery.answer_id
    assert first.view.view_id == second.view.view_id


async def test_U13_a_pooled_connection_that_died_meanwhile_is_not_the_platforms_failure(rig: Rig) -> None:
    await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()))
    for platform in rig.platforms.values():
        await platform.set_fault("refuse")  # closes what was kept open
        await platform.clear_faults()

    asked = query(oldest_acceptable_age=Duration())
    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked))

    assert response.view.completeness_bp == 10_000
    assert all(answer.attempts <= 2 for answer in response.delivery.answers)
