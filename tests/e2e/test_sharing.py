"""What several queries share, over real gRPC: kept answers, calls under way, and the places at the door."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from connectors.kit.sandbox import Running
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, OUTCOME_UNREACHABLE, CreditView
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.rpc.callers import is_loopback
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.gateway_file import AdmissionSettings
from tests.e2e.conftest import Rig, query
from tests.e2e.test_credit_service import refused
from tests.shipped import shipped_settings

BANK = "xinyidai-bank"
_MANY_PLACES = AdmissionSettings()


def calls(rig: Rig) -> dict[str, int]:
    """Gives how often each platform was asked; of one asked by submit and poll, what was submitted: polls vary with time."""
    asked = {name: platform.simulated.faults.calls for name, platform in rig.platforms.items()}
    return {**asked, "jiangsu": len(rig.platforms["jiangsu"].simulated.tasks)}  # type: ignore[attr-defined]


def entries(trail: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trail.read_text(encoding="utf-8").splitlines()]


async def view(rig: Rig, bank: str = "one", **more: Any) -> pb.GetCreditViewResponse:
    request = pb.GetCreditViewRequest(query=query(**more))
    response: pb.GetCreditViewResponse = await rig.credit.GetCreditView(request, metadata=((BANK, bank),), timeout=20)
    return response


@asynccontextmanager
async def house(
    trail: Path, admission: AdmissionSettings = _MANY_PLACES, *, least_attempt_s: float = 0.05
) -> AsyncIterator[Rig]:
    """Starts a gateway with so many places, whose platforms are not asked with less time left than that."""
    configure_logs("error")
    settings = shipped_settings()
    table = settings.resilience_of("default")
    retry = table.retry.model_copy(update={"least_attempt_s": least_attempt_s})
    settings = replace(
        settings,
        gateway=settings.gateway.model_copy(update={"admission": admission}),
        resilience={"default": table.model_copy(update={"retry": retry})},
    )
    async with (
        sandboxes(list(settings.platforms), World(enterprises=40)) as platforms,
        gateway(at_sandboxes(settings, platforms), listen="127.0.0.1:0", audit_path=trail) as (built, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        running: Mapping[str, Running] = platforms  # type: ignore[assignment]  # ours are all of the kit
        yield Rig(f"127.0.0.1:{port}", running, trail, built, channel)


async def test_C20_five_hundred_identical_queries_at_once_make_one_call_per_platform_and_500_entries(rig: Rig) -> None:
    await view(rig, categories=[CATEGORY_PENALTY])  # has tokens fetched, so that what is counted is the data's calls
    before = calls(rig)

    responses = await asyncio.gather(*[view(rig, f"bank-{number % 7}") for number in range(500)])

    assert {name: asked - before[name] for name, asked in calls(rig).items()} == dict.fromkeys(before, 1)
    written = [entry["answer_id"] for entry in entries(rig.trail) if entry["event"] == "answered"]
    assert len(set(written)) == len(written) == 501
    assert {response.delivery.answer_id for response in responses} <= set(written)
    assert len({response.view.view_id for response in responses}) == 1


async def test_a_kept_answer_makes_the_same_view_and_says_its_age(rig: Rig) -> None:
    first = await view(rig, "one")
    before = calls(rig)

    again = await view(rig, "two")

    assert calls(rig) == before
    assert again.view == first.view
    assert all(answer.HasField("cache_age") and answer.attempts == 0 for answer in again.delivery.answers)
    assert not any(answer.HasField("cache_age") for answer in first.delivery.answers)
    assert [answer.fetched_at for answer in again.delivery.answers] == [
        answer.fetched_at for answer in first.delivery.answers
    ]
    kept = [[platform["cache_age_s"] for platform in entry["platforms"]] for entry in entries(rig.trail)]
    assert kept == [[None] * 4, [0] * 4]


async def test_a_kept_answer_is_merged_anew_for_each_query(rig: Rig) -> None:
    whole = await view(rig)

    part = await view(rig, platforms=["anhui", "shanghai"])

    assert [answer.platform for answer in part.view.answers] == ["anhui", "shanghai"]
    assert part.view.view_id != whole.view.view_id
    assert all(answer.HasField("cache_age") for answer in part.delivery.answers)


async def test_banks_do_not_share_what_needs_authorisation(rig: Rig) -> None:
    asked = {"categories": [CATEGORY_TAX_PAYMENT], "platforms": ["shanghai"], "consent_ids": ["c-1"]}

    answers = [
        (await view(rig, bank, **{**asked, **other})).delivery.answers[0]
        for bank, other in (("one", {}), ("two", {}), ("one", {"consent_ids": ["c-2"]}), ("one", {}))
    ]

    assert [answer.HasField("cache_age") for answer in answers] == [False, False, False, True]


async def test_a_stale_answer_stands_in_for_a_failed_platform_only_where_the_query_allows_it(rig: Rig) -> None:
    await view(rig)
    await rig.platforms["anhui"].set_fault("refuse")

    strict = await view(rig, oldest_acceptable_age=Duration())
    lenient = await view(rig, oldest_acceptable_age=Duration(), is_stale_acceptable=True)

    assert outcome(strict.view) == OUTCOME_UNREACHABLE
    assert outcome(lenient.view) == OUTCOME_OK
    stale = next(answer for answer in lenient.delivery.answers if answer.platform == "anhui")
    assert (stale.outcome, stale.stale_because) == (OUTCOME_OK, OUTCOME_UNREACHABLE)
    assert stale.HasField("cache_age")
    assert entries(rig.trail)[-1]["platforms"][0]["stale_because"] == "UNREACHABLE"


def outcome(view: CreditView) -> int:
    return next(answer.outcome for answer in view.answers if answer.platform == "anhui")


async def test_C2_a_deadline_too_short_for_any_platform_is_answered_from_what_is_kept_or_at_once(
    tmp_path: Path,
) -> None:
    # An attempt is given no less than ten seconds here, so that five are too short and yet plenty on a slow machine.
    async with house(tmp_path / "audit.jsonl", least_attempt_s=10.0) as rig:
        request = pb.GetCreditViewRequest(query=query())
        began = time.monotonic()
        error, details = await refused(rig.credit.GetCreditView(request, timeout=5))
        took_s = time.monotonic() - began
        asked_in_vain = calls(rig)

        await view(rig)
        before = calls(rig)
        kept = await rig.credit.GetCreditView(request, timeout=5)
        again = calls(rig)

    assert (error.code(), details["ErrorInfo"].reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT")
    assert took_s < 2.0
    assert set(asked_in_vain.values()) == {0}
    assert kept.view.completeness_bp == 10_000
    assert again == before


async def test_C19_a_flood_of_one_bank_is_sent_away_with_a_hint_and_others_are_served(tmp_path: Path) -> None:
    few = AdmissionSettings(
        most_under_way=60, bank_most_under_way=40, most_waiting=40, bank_most_waiting=20, longest_queue_s=0.2
    )
    async with house(tmp_path / "audit.jsonl", few) as rig:
        for platform in rig.platforms.values():
            await platform.set_fault("latency", median_ms=1_000.0)
        asked = pb.GetCreditViewRequest(query=query(categories=[CATEGORY_PENALTY]))
        flood = [rig.credit.GetCreditView(asked, metadata=((BANK, "flood"),), timeout=20) for _ in range(1_000)]
        flooding = asyncio.gather(*flood, return_exceptions=True)
        await asyncio.sleep(0.05)

        others = await asyncio.gather(*[view(rig, f"bank-{number}") for number in range(10)])
        answers = await flooding
        error, details = await refused(flood[[isinstance(a, Exception) for a in answers].index(True)])

    ended = Counter(a.code() if isinstance(a, grpc.aio.AioRpcError) else "answered" for a in answers)
    assert all(response.view.answers for response in others)
    assert set(ended) == {grpc.StatusCode.RESOURCE_EXHAUSTED, "answered"}
    assert ended["answered"] >= 40
    assert ended[grpc.StatusCode.RESOURCE_EXHAUSTED] >= 800
    assert (error.code(), details["ErrorInfo"].reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert details["RetryInfo"].retry_delay.ToTimedelta().total_seconds() >= 1.0


async def test_C19_a_query_behind_300_of_another_bank_is_answered_before_most_of_them(rig: Rig) -> None:
    await view(rig)
    flood = [asyncio.create_task(view(rig, "flood")) for _ in range(300)]
    await asyncio.sleep(0)  # all are sent

    await view(rig, "other")
    await asyncio.gather(*flood)

    answered = [entry["bank"] for entry in entries(rig.trail) if entry["event"] == "answered"]
    assert len(answered) == 302
    assert answered.index("other") < 150


async def test_a_batch_leaves_places_to_interactive_queries(tmp_path: Path) -> None:
    few = AdmissionSettings(most_under_way=5, bank_most_under_way=5, batch_share=0.8, batch_longest_queue_s=0.0)
    async with house(tmp_path / "audit.jsonl", few) as rig:
        await rig.platforms["shanghai"].set_fault("latency", median_ms=1_000.0)
        asked = query(platforms=["shanghai"])
        items = [pb.BatchGetCreditViewsRequest(correlation_id=str(n), query=asked) for n in range(8)]
        batch = asyncio.create_task(_read_all(rig, items))
        await asyncio.sleep(0.3)

        interactive = await view(rig, platforms=["shanghai"])
        responses = await batch

    refusals = [response.error for response in responses if response.HasField("error")]
    assert interactive.view.completeness_bp == 10_000
    assert [status.code for status in refusals] == [grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]] * 4


async def _read_all(rig: Rig, items: list[pb.BatchGetCreditViewsRequest]) -> list[pb.BatchGetCreditViewsResponse]:
    return [response async for response in rig.credit.BatchGetCreditViews(iter(items), timeout=20)]


@pytest.mark.parametrize(
    ("peer", "is_ours"),
    [
        ("ipv4:127.0.0.1:50213", True),
        ("ipv6:%5B::1%5D:50213", True),
        ("ipv6:[::1]:50213", True),
        ("ipv6:%5B::ffff:127.0.0.1%5D:50213", True),
        ("unix:/run/xinyidai.sock", True),
        ("ipv4:10.0.0.7:50213", False),
        ("ipv6:%5B2001:db8::1%5D:50213", False),
        ("ipv6:%5B::ffff:10.0.0.7%5D:50213", False),
        ("", False),
    ],
)
def test_the_operators_service_knows_its_own_machine(peer: str, is_ours: bool) -> None:
    assert is_loopback(peer) is is_ours
