"""The benchmark's pieces with tiny counts: what it measures is not judged here, only that it measures what it says."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from rich.console import Console

from tests.bench import assess, flight, latency, list_lookup, lookup, paired, proven
from tests.bench.__main__ import ROOMS, Room, bench, make_stage
from tests.bench.batch import batch_line
from tests.bench.fixture import ENTERPRISES, FOUR, PLAIN, PLATFORMS, body, enterprise, number_of
from tests.bench.interval import interval
from tests.bench.load import line, open_loop, percentile
from tests.bench.processes import StartError
from tests.bench.questions import GATEWAY_KEPT, PEER, WrongAnswerError, gateway_plain
from tests.bench.report import Claim, Row, Verdict, cells, document, page, show, summary
from tests.bench.stage import Size, Stage
from tests.bench.upstream import SLOW_S, SLOW_SHARE, delays

ALL_TITLES = [title for room in ROOMS.values() for title in room.titles]
TINY = Size(
    calls=8, tail=10, latency=10, warm=2, tail_warm=2, in_flight=20, runs=1, beside=2, beside_calls=4, pairs=2,
    pair_calls=4, revocations=1, listed=70, screened=100,
)  # fmt: skip


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with make_stage() as made:
        yield made


async def test_naive_and_gateway_give_the_same_twelve_values_and_call_every_platform_for_every_cold_view(
    stage: Stage,
) -> None:
    upstream = await stage.upstream("instant", 8)
    naive = await stage.naive(upstream.addresses[:4])
    gateway = await stage.gateway(PLAIN, upstream.addresses)
    counted = []

    async with line(naive, PEER, ENTERPRISES) as peer, line(gateway, gateway_plain(8), ENTERPRISES) as asked:
        for driven in (peer, asked):
            before = (await upstream.calls()).total
            await driven.drive(6, concurrency=2)
            counted.append((await upstream.calls()).total - before)

    assert counted == [6 * 4, 6 * 8]
    async with line(gateway, GATEWAY_KEPT, ENTERPRISES[6:7]) as unkept:
        with pytest.raises(ExceptionGroup) as raised:
            await unkept.drive(1)
        assert isinstance(
            raised.value.exceptions[0], WrongAnswerError
        )  # not kept, or of eight platforms: told as wrong


async def test_a_batch_is_checked_item_by_item_and_a_server_that_ended_is_told(stage: Stage) -> None:
    upstream = await stage.upstream("instant")
    gateway = await stage.gateway(PLAIN, upstream.addresses)

    async with batch_line(gateway, ENTERPRISES) as batch:
        spent = await batch.drive(10)
    await gateway.stop()

    assert spent.views_per_s > 0
    async with batch_line(gateway, ENTERPRISES) as batch:
        with pytest.raises(StartError, match="gateway_server has ended"):
            await batch.drive(1)


@pytest.mark.long
async def test_the_rooms_that_wait_for_platforms_measure_with_tiny_counts(stage: Stage) -> None:
    rows = [*await latency.measure(stage, TINY), *await flight.measure(stage, TINY, mode="steady")]

    assert [row.title for row in rows] == [*latency.TITLES, *flight.TITLES]
    by_title = {row.title: row for row in rows}
    assert by_title[latency.GATEWAY].figures["ms p50"] > 0
    assert by_title[flight.GATEWAY].figures["failed"] == 0
    assert by_title[flight.GATEWAY].figures["calls at the platforms"] == 20 * 4


def test_green_assessments_are_measured_over_drawn_views() -> None:
    measured = assess.row(20, 1)

    assert measured.claims[0].owed == pytest.approx(333.3, abs=0.1)
    assert 0 < measured.claims[0].measured == pytest.approx(1e6 / measured.figures["assessments/s per core"])


def test_what_is_less_than_the_budget_is_for_is_said_and_set_against_nothing() -> None:
    found = {"built_s": 11.0, "screened_s": 10.0, "look_up_us": 4.0, "hits": 7, "peak_mib": 400.0}

    small, full = list_lookup.rows(70, 100, found), list_lookup.rows(700_000, 1_000_000, found)

    assert [claim.owed for row in small for claim in row.claims] == [None, None, 30.0]
    assert small[0].has == "100 enterprises, 70 entries: less than the budget is for"
    assert [claim.verdict(claim.owed) for claim in full[0].claims] == [Verdict.NO, Verdict.YES]


def test_the_lists_are_built_and_every_enterprise_is_looked_up() -> None:
    found = list_lookup.measured(70, 100)

    assert found["hits"] == 70
    assert min(found.values()) > 0


async def test_a_room_that_repeats_itself_leaves_the_rooms_after_it_their_time() -> None:
    async with make_stage(time.monotonic() + 5) as made:
        assert made.has_time_for(4)
        assert not made.has_time_for(6)


@pytest.mark.long
async def test_every_row_is_measured_with_tiny_counts() -> None:
    said = io.StringIO()

    rows = await bench(Console(file=said), TINY, 400)  # how long it takes is not judged here

    assert [row.title for row in rows] == ALL_TITLES
    assert [row.missing for row in rows] == [""] * len(rows)


async def test_a_room_that_has_no_time_left_is_told_by_the_names_of_its_rows() -> None:
    rows = await bench(Console(file=io.StringIO()), TINY, 0.0)

    assert [row.title for row in rows] == ALL_TITLES
    assert {row.missing for row in rows} == {"its time was up"}
    assert summary(rows)[-1].startswith("not measured: consents at hand; revoked elsewhere;")


async def test_what_was_measured_is_told_though_its_processes_are_slow_to_end_and_the_next_room_has_no_time() -> None:
    async def slow_to_end(stage: Stage, _size: Size) -> list[Row]:
        stage.stack.push_async_callback(asyncio.sleep, 60)
        return [Row("first", figures={"µs": 1.0})]

    async def never(_stage: Stage, _size: Size) -> list[Row]:
        await asyncio.sleep(60)
        return []

    rooms = {"one": Room(["first"], slow_to_end), "two": Room(["second", "third"], never)}
    rows = await bench(Console(file=io.StringIO()), TINY, 0.1, rooms)

    assert [(row.title, row.missing) for row in rows] == [
        ("first", ""),
        ("second", "its time was up"),
        ("third", "its time was up"),
    ]


async def test_processes_end_with_their_stage_whatever_happens() -> None:
    pids = []

    async def fail_on_stage() -> None:
        async with make_stage() as made:
            pids.append((await made.peer("tests.bench.upstream", "instant", "0", "1")).pid)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_on_stage()

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], signal.SIG_DFL)
    async with make_stage() as made:
        with pytest.raises(StartError):
            await made.peer("tests.bench.upstream", "no such mode", "0", "1")


async def test_latency_in_an_open_loop_counts_from_when_the_question_was_due() -> None:
    busy = asyncio.Lock()  # one at a time, so that the second waits for the first

    async def ask(_uscc: str) -> bool:
        async with busy:
            await asyncio.sleep(0.05)
        return True

    began = time.monotonic()
    heard = await open_loop(ask, ["a", "b", "c"], rate_per_s=100)

    assert [each.uscc for each in heard] == ["a", "b", "c"]
    assert heard[1].latency_s == pytest.approx(0.09, abs=0.03)
    assert heard[2].latency_s == pytest.approx(0.13, abs=0.03)
    assert time.monotonic() - began < 1


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(1, 101)]

    assert [percentile(values, share) for share in (0.5, 0.99, 0.999)] == [50, 99, 100]
    assert percentile([7.0], 0.5) == 7


def test_one_answer_in_twenty_is_slow_and_the_others_are_not() -> None:
    draw = delays("tail")

    drawn = [draw() for _ in range(20_000)]

    slow = sum(delay == SLOW_S for delay in drawn)
    assert slow / len(drawn) == pytest.approx(SLOW_SHARE, abs=0.005)
    assert max(delay for delay in drawn if delay != SLOW_S) <= 0.018


def test_the_fixture_has_ten_thousand_enterprises_and_copies_that_are_older_and_older() -> None:
    assert [number_of(enterprise(number)) for number in (0, 49, 9_999)] == [0, 49, 9_999]
    with pytest.raises(ValueError, match="not one of"):
        number_of(enterprise(3)[:-1] + "0")
    assert len({body(platform, PLAIN, enterprise(9_999)) for platform in PLATFORMS}) == 16
    assert PLATFORMS[:4] == FOUR


def test_a_budget_that_is_missed_and_a_row_that_is_missing_are_told() -> None:
    rows = [
        Row("cold", "everything on", {"µs": 500.0}, (Claim("× naive", 0.5, owed=0.55, stretch=0.3),)),
        Row("tail", claims=(Claim("ms", 60.0, owed=50.0), Claim("× naive", 2.0))),
        Row("flight", missing="no platform answered"),
    ]

    assert cells(rows[0]) == [("cold", "500 µs", "0.50 × naive", "≤ 0.55", "yes", "≤ 0.30", "NO")]
    assert cells(rows[1])[1] == ("", "", "2 × naive", "", "", "", "")
    assert summary(rows) == [
        "owed: 1 of 2 hold; not: tail (60 ms)",
        "stretch: 0 of 1 hold; not: cold (0.50 × naive)",
        "not measured: flight",
    ]
    written = page(rows, {"Python": "CPython"}, ["over loopback"])
    shown = io.StringIO()
    show(Console(file=shown, width=150), rows, ["over loopback"])
    for text in (written, shown.getvalue()):
        assert "NOT MEASURED: no platform answered" in text
        assert "over loopback" in text
    claim = document(rows, {}, [])["rows"][0]["claims"][0]
    assert (claim["owed_verdict"], claim["stretch_verdict"]) == ("yes", "NO")


def test_a_number_whose_interval_straddles_its_budget_is_told_as_neither_kept_nor_missed() -> None:
    claims = [Claim("µs more", 58.0, owed=60.0, interval=ends) for ends in ((50.0, 60.0), (50.0, 66.0), (61.0, 66.0))]
    rows = [Row("trusted", claims=tuple(claims))]

    assert [claim.verdict(60.0) for claim in claims] == [Verdict.YES, Verdict.UNKNOWN, Verdict.NO]
    assert claims[1].verdict(None) is None
    assert cells(rows[0])[1] == ("", "", "58 [50, 66] µs more", "≤ 60", "cannot tell", "", "")
    assert summary(rows)[0] == (
        "owed: 1 of 3 hold; not: trusted (58 [61, 66] µs more); cannot tell: trusted (58 [50, 66] µs more)"
    )
    assert document(rows, {}, [])["rows"][0]["claims"][1]["interval"] == (50.0, 66.0)


def test_the_interval_of_a_median_leaves_out_what_so_few_values_may_be_sure_of() -> None:
    values = [float(value) for value in (7, 1, 5, 3, 16, 2, 12, 4, 6, 8, 9, 10, 11, 13, 14, 15)]

    assert interval(values) == (4.0, 13.0)  # the fourth from either end: sure by 97.9 %, the fifth by 92.3 %
    assert interval(values[:6]) == (1.0, 16.0)
    assert interval(values[:4]) == (1.0, 7.0)
    assert interval([3.0]) == (3.0, 3.0)


@pytest.mark.long
async def test_the_rooms_of_trust_measure_with_tiny_counts(stage: Stage) -> None:
    rooms = (paired, proven, lookup)
    rows = [row for room in rooms for row in await room.measure(stage, TINY)]

    assert [(row.title, row.missing) for row in rows] == [(title, "") for room in rooms for title in room.TITLES]
    by_title = {row.title: row for row in rows}
    more = by_title[paired.TRUSTED].claims[0]
    assert more.interval is not None
    assert more.interval[0] <= more.measured <= more.interval[1]
    assert [claim.owed for claim in by_title[proven.PROVEN_HIT].claims] == [2.4, None]
    assert by_title[lookup.PATH].claims[0].owed == 20
    assert 0 < by_title[lookup.REVOKED].claims[0].measured < 2_000
