"""Joint lists as banks and operators meet them, through the door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from google.type.date_pb2 import Date

from connectors.kit.enterprise_codes import code_of
from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import JOINT_FIELD_ENVIRONMENT
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2_grpc
from gateway.domain.statement import sm3
from tests.domain.joint_entries import DEMO, OTHER
from tests.e2e.conftest import Rig
from tests.e2e.test_consent_service import refusal, registered

A, B = ((("xinyidai-bank", bank),) for bank in ("bank-a", "bank-b"))
SHOWN, REMOVED = pb.ENTRY_CHANGE_SHOWN, pb.ENTRY_CHANGE_REMOVED
FOUNDING = {2017: {"33": 60, "34": 25, "31": 14}, 2018: {"33": 40, "31": 15}, 2019: {"33": 3}}


def stub(rig: Rig) -> joint_list_service_pb2_grpc.JointListServiceAsyncStub:
    return joint_list_service_pb2_grpc.JointListServiceStub(rig.channel)


def proposal(**more: Any) -> pb.PublishEntryRequest:
    values: dict[str, Any] = {
        "list_code": "YRD_ENV",
        "uscc": DEMO,
        "province": "33",
        "list_year": 2018,
        "listed_on": Date(year=2018, month=5, day=2),
        "content": pb.EntryContent(
            subject_name="示例化工有限公司", document_number="浙环〔2018〕1号", reason="超标排放"
        ),
        "operator": "first",
    }
    return pb.PublishEntryRequest(**{**values, **more})


async def published(rig: Rig, **more: Any) -> pb.JointEntry:
    entry = (await stub(rig).PublishEntry(proposal(**more))).entry
    return await confirmed(rig, entry)


async def confirmed(rig: Rig, entry: pb.JointEntry) -> pb.JointEntry:
    request = pb.ConfirmEntryRequest(entry_id=entry.entry_id, expected_version=entry.version, operator="second")
    response: pb.ConfirmEntryResponse = await stub(rig).ConfirmEntry(request)
    return response.entry


async def entries_of(rig: Rig, uscc: str = DEMO, **more: Any) -> Sequence[pb.JointEntry]:
    response: pb.GetEntriesResponse = await stub(rig).GetEntries(pb.GetEntriesRequest(uscc=uscc, **more), metadata=A)
    return response.entries


async def watched(rig: Rig, bank: Any = A, token: str = "", **more: Any) -> list[pb.WatchEntriesResponse]:
    request = pb.WatchEntriesRequest(resume_token=token, ends_when_told=True, **more)
    return [one async for one in stub(rig).WatchEntries(request, metadata=bank)]


async def loaded(rig: Rig, *lines: dict[str, Any], digest: bytes = b"", **header: Any) -> pb.LoadListFileResponse:
    first = {"list": "YRD_ENV", "year": 2018, "provinces": ["33"], "kind": "FULL", **header}
    raw = "\n".join(json.dumps(one) for one in (first, *lines)).encode()

    async def pieces() -> AsyncIterator[pb.LoadListFileRequest]:
        yield pb.LoadListFileRequest(digest=digest or sm3(raw), operator="loader", content=raw[:50])
        yield pb.LoadListFileRequest(content=raw[50:])

    response: pb.LoadListFileResponse = await stub(rig).LoadListFile(pieces())
    return response


def line(uscc: str = DEMO, **more: Any) -> dict[str, Any]:
    return {"uscc": uscc, "province": "33", "listed_on": "2018-05-02", **more}


def trail(rig: Rig) -> list[dict[str, Any]]:
    told = [json.loads(text) for text in rig.trail.read_text("utf-8").splitlines()]
    return [one.get("entry", one) for one in told]


async def test_an_entry_is_shown_to_banks_once_a_second_person_has_confirmed_it(rig: Rig) -> None:
    proposed = (await stub(rig).PublishEntry(proposal())).entry

    before = await entries_of(rig)
    self_confirmation = await refusal(
        stub(rig).ConfirmEntry(pb.ConfirmEntryRequest(entry_id=proposed.entry_id, operator="First"))
    )
    entry = await confirmed(rig, proposed)

    assert list(before) == []
    assert self_confirmation[:2] == (grpc.StatusCode.PERMISSION_DENIED, "SELF_CONFIRMATION")
    assert [one.entry_id for one in await entries_of(rig)] == [entry.entry_id]
    assert (entry.state, entry.version) == (pb.ENTRY_STATE_PUBLISHED, 2)
    events = [(one["event"], one["operator"], one["reason"]) for one in trail(rig) if one["event"][:4] == "list"]
    assert events == [
        ("list_entry_proposed", "first", ""),
        ("lists_read", "", ""),
        ("list_entry_refused", "First", "SELF_CONFIRMATION"),
        ("list_entry_published", "second", ""),
        ("lists_read", "", ""),
    ]


async def test_refusals_say_what_is_wrong(rig: Rig) -> None:
    entry = await published(rig)
    lists = stub(rig)

    told = [
        await refusal(lists.PublishEntry(proposal(list_code="YRD_AIR"))),
        await refusal(lists.PublishEntry(proposal(operator=""))),
        await refusal(lists.DisputeEntry(pb.DisputeEntryRequest(entry_id="none", operator="a"))),
        await refusal(
            lists.DisputeEntry(pb.DisputeEntryRequest(entry_id=entry.entry_id, operator="a", is_settled=True))
        ),
        await refusal(
            lists.WithdrawEntry(
                pb.WithdrawEntryRequest(entry_id=entry.entry_id, operator="a", because="x", expected_version=1)
            )
        ),
    ]

    assert [one[1] for one in told] == [
        "LIST_UNKNOWN",
        "INVALID_REQUEST",
        "ENTRY_NOT_FOUND",
        "ENTRY_STATE_FORBIDS",
        "ENTRY_CHANGED",
    ]


async def test_a_repair_before_the_lists_early_exit_is_refused_saying_from_when(rig: Rig) -> None:
    entry = await published(
        rig, list_code="SDL_SAMR", listed_on=Date(year=2024, month=1, day=31), list_year=2024, province="31"
    )

    code, reason, text = await refusal(
        stub(rig).RepairEntry(
            pb.RepairEntryRequest(
                entry_id=entry.entry_id, repaired_on=Date(year=2024, month=2, day=1), because="x", operator="a"
            )
        )
    )

    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ENTRY_STATE_FORBIDS")
    assert "2025-01-31" in text
    assert entry.content.due_off == Date(year=2027, month=1, day=31)


async def test_who_was_away_misses_nothing_sees_nothing_twice_and_nothing_of_what_came_and_went(rig: Rig) -> None:
    stays, goes, waits = [await published(rig, uscc=one) for one in (DEMO, OTHER, DEMO)]
    first = await watched(rig)
    token = first[-1].resume_token

    nothing = await watched(rig, token=token)
    withdrawal = pb.WithdrawEntryRequest(entry_id=goes.entry_id, because="wrong", operator="first")
    await confirmed(rig, (await stub(rig).WithdrawEntry(withdrawal)).entry)
    await stub(rig).DisputeEntry(pb.DisputeEntryRequest(entry_id=stays.entry_id, operator="a"))
    await stub(rig).WithdrawEntry(pb.WithdrawEntryRequest(entry_id=waits.entry_id, because="?", operator="first"))
    second = await watched(rig, token=token)
    half = await watched(rig, token=second[0].resume_token)

    assert [(one.change, one.entry.entry_id) for one in first] == [
        (SHOWN, one.entry_id) for one in (stays, goes, waits)
    ]
    assert nothing == []
    assert [(one.change, one.entry.entry_id) for one in second] == [(REMOVED, goes.entry_id), (SHOWN, stays.entry_id)]
    assert second[0].entry == pb.JointEntry(entry_id=goes.entry_id)
    assert [one.entry for one in half] == [second[1].entry]
    assert goes.entry_id not in {one.entry.entry_id for one in await watched(rig, bank=B)}
    assert (await refusal(watched(rig, bank=B, token=token)))[1] == "RESUME_TOKEN_REFUSED"
    assert (await refusal(watched(rig, token=token, list_codes=["YRD_ENV"])))[1] == "RESUME_TOKEN_REFUSED"


async def test_a_gateway_that_closes_ends_its_watches_at_once(rig: Rig) -> None:
    await published(rig)
    call = stub(rig).WatchEntries(pb.WatchEntriesRequest(), metadata=A)
    await call.read()

    began = asyncio.get_running_loop().time()
    await rig.gateway.server.stop(30)

    assert await call.read() is grpc.aio.EOF
    assert asyncio.get_running_loop().time() - began < 5


async def test_whoever_is_refused_while_still_sending_a_file_is_told_why(rig: Rig) -> None:
    async def pieces() -> AsyncIterator[pb.LoadListFileRequest]:
        yield pb.LoadListFileRequest(digest=bytes(32), content=b"x")  # nobody is named who decides
        for _ in range(40):
            await asyncio.sleep(0.0005)
            yield pb.LoadListFileRequest(content=b"x" * 5_000)

    for _ in range(10):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub(rig).LoadListFile(pieces())
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "state who decides" in str(refused.value.details())


async def test_a_watch_goes_on_with_what_changes_meanwhile(rig: Rig) -> None:
    call = stub(rig).WatchEntries(pb.WatchEntriesRequest(), metadata=A)
    entry = await published(rig)

    seen: Any = await call.read()
    await stub(rig).DisputeEntry(pb.DisputeEntryRequest(entry_id=entry.entry_id, operator="a"))
    after: Any = await call.read()
    call.cancel()

    assert (seen.entry.entry_id, seen.entry.state) == (entry.entry_id, pb.ENTRY_STATE_PUBLISHED)
    assert (after.entry.entry_id, after.entry.state) == (entry.entry_id, pb.ENTRY_STATE_DISPUTED)


async def test_the_founding_files_give_157_entries_with_coverage_and_jiangsu_never_as_zero(rig: Rig) -> None:
    number = 0
    for year, provinces in FOUNDING.items():
        lines = []
        for province, count in provinces.items():
            for _ in range(count):
                number += 1
                code = code_of("91", f"{province}0000", f"MA{number:06X}")
                lines.append(line(code, province=province, listed_on=f"{year}-12-01"))
        done = await loaded(rig, *lines, year=year, provinces=sorted(provinces))
        assert done.added == len(lines)

    request = pb.GetListStatisticsRequest(joint_field=JOINT_FIELD_ENVIRONMENT)
    told: pb.GetListStatisticsResponse = await stub(rig).GetListStatistics(request, metadata=A)

    assert [(one.list_year, one.entry_count, list(one.not_covered)) for one in told.years] == [
        (2017, 99, ["32"]),
        (2018, 55, ["32", "34"]),
        (2019, 3, ["31", "32", "34"]),
    ]
    jiangsu = [one for one in told.cells if one.province == "32"]
    assert [(one.coverage, one.HasField("entry_count")) for one in jiangsu] == [
        (pb.LIST_COVERAGE_NOT_COVERED, False)
    ] * 3
    found: list[str] = []
    token = ""
    while True:
        page: pb.SearchEntriesResponse = await stub(rig).SearchEntries(
            pb.SearchEntriesRequest(
                joint_field=JOINT_FIELD_ENVIRONMENT, list_year=2018, page_size=20, page_token=token
            ),
            metadata=A,
        )
        found += [one.entry_id for one in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert (len(found), len(set(found))) == (55, 55)
    none = pb.SearchEntriesRequest(joint_field=JOINT_FIELD_ENVIRONMENT, list_codes=["SDL_TAX"])
    assert list((await stub(rig).SearchEntries(none, metadata=A)).entries) == []


async def test_a_file_is_loaded_whole_or_not_at_all_and_a_second_time_does_nothing(rig: Rig) -> None:
    first = await loaded(rig, line(), line(OTHER))
    again = await loaded(rig, line(), line(OTHER))
    wrong = await refusal(loaded(rig, line(), line(OTHER, province="99")))
    false = await refusal(loaded(rig, line(), digest=bytes(32)))

    assert (first.added, first.is_repeated, again.added, again.is_repeated) == (2, False, 0, True)
    assert {wrong[1], false[1]} == {"LIST_FILE_REFUSED"}
    assert len(await entries_of(rig)) == 1

    after = await loaded(rig, line())

    assert (after.removed, after.unchanged) == (1, 1)
    assert list(await entries_of(rig, OTHER)) == []


async def test_an_upload_that_breaks_off_changes_nothing_and_is_begun_again(rig: Rig) -> None:
    header = {"list": "YRD_ENV", "year": 2018, "provinces": ["33"], "kind": "FULL"}
    raw = "\n".join(json.dumps(one) for one in (header, line(), line(OTHER))).encode()
    call = stub(rig).LoadListFile()
    await call.write(pb.LoadListFileRequest(digest=sm3(raw), operator="loader", content=raw[:80]))
    call.cancel()

    assert list(await entries_of(rig)) == []
    assert (await loaded(rig, line(), line(OTHER))).added == 2
    # The server may read the call's end before it learns that it was cancelled: then what came does not fit its digest.
    events = [one["event"] for one in trail(rig) if one["event"].startswith("list_file")]
    assert events in (["list_file_loaded"], ["list_file_refused", "list_file_loaded"])


async def test_codes_are_screened_against_all_lists(rig: Rig) -> None:
    entry = await published(rig)
    await published(rig, uscc=OTHER, person_ref="p-1")

    async def asked() -> AsyncIterator[pb.ScreenEnterprisesRequest]:
        yield pb.ScreenEnterprisesRequest(usccs=[OTHER, DEMO, "nonsense"])
        yield pb.ScreenEnterprisesRequest(usccs=[DEMO])

    one, two = [answer async for answer in stub(rig).ScreenEnterprises(asked(), metadata=A)]

    assert [(hit.index, hit.entry_id, hit.list_code, hit.list_year) for hit in one.hits] == [
        (1, entry.entry_id, "YRD_ENV", 2018)
    ]
    assert (list(one.invalid), one.code_count, len(two.hits)) == ([2], 3, 1)


async def test_a_related_persons_entries_need_the_persons_consent(rig: Rig) -> None:
    entry = await published(rig, person_ref="p-1")
    consent = await registered(rig, categories=[CATEGORY_LIST_ENTRY], person_ref="p-1")
    other = await registered(rig, categories=[CATEGORY_LIST_ENTRY], person_ref="p-2")

    told = await entries_of(rig, person_ref="p-1", consent_id=consent.consent_id)

    assert list(await entries_of(rig)) == []
    assert [one.entry_id for one in told] == [entry.entry_id]
    for consent_id in ("", other.consent_id):
        denied = await refusal(entries_of(rig, person_ref="p-1", consent_id=consent_id))
        assert denied[:2] == (grpc.StatusCode.PERMISSION_DENIED, "CONSENT_MISSING")


async def test_the_lists_are_told_with_what_they_rest_on(rig: Rig) -> None:
    told: pb.ListJointListsResponse = await stub(rig).ListJointLists(pb.ListJointListsRequest(), metadata=A)

    (environment,) = [one for one in told.lists if one.list_code == "YRD_ENV"]
    assert len(environment.measures) == 8
    assert [one.place for one in environment.criteria] == ["31", "32", "33", "34"]
    assert not environment.HasField("stay_months")


async def test_a_sample_of_10147_is_drawn_by_lot_with_its_record_in_the_trail(rig: Rig) -> None:
    sizes = {"守信": 21_000, "警示": 9_000, "失信": 2_600, "严重失信": 431}
    members: list[tuple[str, str]] = []
    for grade, size in sizes.items():
        members += [(f"{len(members) + number:018}", grade) for number in range(size)]

    async def asked() -> AsyncIterator[pb.DrawInspectionSampleRequest]:
        yield pb.DrawInspectionSampleRequest(scheme="QUALITY_YRD", seed="2026", total=10_147, operator="inspector")
        for begin in range(0, len(members), 5_000):
            part = [
                pb.InspectedEnterprise(uscc=uscc, grade_raw=grade) for uscc, grade in members[begin : begin + 5_000]
            ]
            yield pb.DrawInspectionSampleRequest(population=part)

    drawn: pb.DrawInspectionSampleResponse = await stub(rig).DrawInspectionSample(asked())

    codes = sorted(uscc for one in drawn.samples for uscc in one.usccs)
    assert (drawn.sample_count, len(set(codes)), drawn.population_count) == (10_147, 10_147, len(members))
    assert drawn.digest == sm3("".join(f"{uscc}\n" for uscc in codes).encode())
    (entry,) = [one for one in trail(rig) if one["event"] == "inspection_drawn"]
    assert (entry["operator"], entry["lists"]["seed"], entry["lists"]["entry_count"]) == ("inspector", "2026", 10_147)
    assert entry["lists"]["digest"] == drawn.digest.hex()
