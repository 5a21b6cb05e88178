"""Whose trace a call is in and whether it is recorded: decided before the SDK is asked."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from gateway.adapters.telemetry.trace_context import Parent, parent_of, read_traceparent
from gateway.adapters.telemetry.tracing import Tracing, TracingPolicy
from tests.adapters.traced import CALL, SAMPLED, SPAN, TRACE, UNSAMPLED, Told, Tree, tracing_to, view


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


class Dice:
    """Gives one number for ever and counts how often it was asked."""

    def __init__(self, number: float) -> None:
        self._number = number
        self.thrown = 0

    def __call__(self) -> float:
        self.thrown += 1
        return self._number


# --- what comes in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        (f"00-{TRACE}-{SPAN}-01", Parent(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", Parent(TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", Parent(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-02", Parent(TRACE, SPAN, False)),
        (f"01-{TRACE}-{SPAN}-01", Parent(TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", Parent(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"01-{TRACE}-{SPAN}-01more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE[1:]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        (f" 00-{TRACE}-{SPAN}-01", None),
        (f"00_{TRACE}_{SPAN}_01", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_by_the_letter_of_its_standard_or_not_at_all(stated: str, read: Parent | None) -> None:
    assert read_traceparent(stated) == read


def test_two_traceparents_are_none() -> None:
    assert parent_of((*SAMPLED, *UNSAMPLED)) is None
    assert parent_of(None) is None
    assert parent_of((("traceparent", b"bytes"),)) is None
    assert parent_of(SAMPLED) == Parent(TRACE, SPAN, True)


async def test_a_sampled_caller_is_gone_on_with_and_no_dice_are_thrown(exporter: InMemorySpanExporter) -> None:
    dice = Dice(0.999)
    tracing = Tracing(TracingPolicy(share=0.01), exporter=exporter, random=dice)

    trace_id = await view(tracing, Told(), SAMPLED)
    await tracing.aclose()

    tree = Tree(exporter)
    assert (trace_id, dice.thrown) == (TRACE, 0)
    assert tree.trace_ids() == {TRACE}
    assert tree.parents() == {CALL: SPAN, "platform.fetch": CALL, "merge": CALL}
    assert tree.kind(CALL) == SpanKind.SERVER


async def test_an_unsampled_caller_s_trace_id_is_kept_and_nothing_is_recorded(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter, share=1.0)
    connector = Told()

    trace_id = await view(tracing, connector, UNSAMPLED)
    await tracing.aclose()

    assert (trace_id, connector.asked_in) == (TRACE, [TRACE])
    assert exporter.get_finished_spans() == ()


async def test_a_broken_traceparent_begins_a_new_trace(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter)

    trace_id = await view(tracing, Told(), [("traceparent", f"00-{TRACE}-{SPAN}-01-more")])
    await tracing.aclose()

    assert trace_id != TRACE
    assert Tree(exporter).parents()[CALL] is None


# --- the decision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("random", "share", "is_recorded"),
    [(0.0, 0.01, True), (0.0099, 0.01, True), (0.01, 0.01, False), (0.0, 0.0, False), (0.999999, 1.0, True)],
)
async def test_without_a_caller_s_trace_one_number_against_the_share_decides(
    exporter: InMemorySpanExporter, random: float, share: float, is_recorded: bool
) -> None:
    dice = Dice(random)
    tracing = Tracing(TracingPolicy(share=share), exporter=exporter, random=dice)

    trace_id = await view(tracing, Told())
    await tracing.aclose()

    assert (bool(exporter.get_finished_spans()), dice.thrown) == (is_recorded, 1)
    assert len(trace_id) == 32
    assert int(trace_id, 16) > 0


async def test_calls_that_are_not_recorded_have_trace_ids_of_their_own(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter, random=0.5)

    trace_ids = {await view(tracing, Told()) for _ in range(100)}
    await tracing.aclose()

    assert len(trace_ids) == 100


async def test_without_a_collector_calls_have_their_trace_ids_and_nothing_is_recorded() -> None:
    tracing = Tracing(TracingPolicy(endpoint=None, share=1.0))
    connector = Told()

    trace_id = await view(tracing, connector, SAMPLED)
    await tracing.aclose()

    assert tracing.around(connector) is connector
    assert tracing.trace_configs() == []
    assert not tracing.is_recording
    assert tracing.span("merge") is tracing.span("audit")
    assert (trace_id, connector.asked_in) == (TRACE, [TRACE])


async def test_the_sdk_s_own_switch_turns_it_off(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracing = tracing_to(exporter)

    trace_id = await view(tracing, Told(), SAMPLED)
    await tracing.aclose()

    assert (trace_id, exporter.get_finished_spans()) == (TRACE, ())


@pytest.mark.parametrize("policy", [{"share": -0.1}, {"share": 1.1}, {"endpoint": "collector:4318"}])
def test_a_policy_that_makes_no_sense_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"share|endpoint"):
        TracingPolicy(**policy)
