"""Metrics: the names that exist, closed labels, values after known events, and all processes on one page."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Drift
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_NO_RECORDS,
    OUTCOME_OK,
    OUTCOME_UNREACHABLE,
    CreditView,
    Outcome,
    PlatformAnswer,
)
from gateway.adapters.telemetry.metrics import MERGED_BY, Metrics, forget_process, merged, render
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.audit import AuditEntry
from gateway.domain.errors import Reason
from gateway.domain.figures import figures_of

PLATFORM_LABELS: Mapping[str, tuple[str, ...]] = {
    "xinyidai_platform_answers": ("platform", "outcome", "source"),
    "xinyidai_platform_attempts": ("platform",),
    "xinyidai_platform_latency_seconds": ("platform",),
    "xinyidai_platform_drifts": ("platform",),
    "xinyidai_platform_repeats": ("platform",),
    "xinyidai_platform_hedges": ("platform", "result"),
    "xinyidai_platform_breaker_open": ("platform",),
    "xinyidai_platform_breaker_turns": ("platform", "to"),
    "xinyidai_platform_call_limit": ("platform",),
    "xinyidai_platform_quota_calls": ("platform",),
    "xinyidai_platform_quota_left_calls": ("platform",),
    "xinyidai_platform_quota_refused": ("platform", "reason"),
    "xinyidai_platform_cache_requests": ("platform", "result"),
    "xinyidai_platform_cache_age_seconds": ("platform",),
    "xinyidai_platform_data_age_seconds": ("platform",),
    "xinyidai_platform_completeness_ratio": ("platform",),
    "xinyidai_platform_agreement_ratio": ("platform",),
}
GATEWAY_LABELS: Mapping[str, tuple[str, ...]] = {
    "xinyidai_queries": ("event", "reason"),
    "xinyidai_query_latency_seconds": ("event",),
    "xinyidai_queries_in_flight": (),
    "xinyidai_view_completeness_ratio": (),
    "xinyidai_errors": ("reason",),
    "xinyidai_unknown_fields": (),
    "xinyidai_stale_copies": (),
    "xinyidai_corrupt_records": ("kind",),
    "xinyidai_trail_failures": (),
    "xinyidai_trail_ailing": (),
    "xinyidai_anchor_failures": (),
    "xinyidai_anchors_late": (),
    "xinyidai_loop_lag_seconds": (),
    "xinyidai_certificate_left_seconds": ("certificate",),
    "xinyidai_open_files_ratio": (),
    "xinyidai_reload_refused": ("what",),
    "xinyidai_log_lines_lost": (),
    "xinyidai_keys_lost": (),
}


def answer(outcome: Outcome.ValueType = OUTCOME_OK, *, attempts: int = 1, latency_s: float = 0.02) -> Answer:
    return failed_answer("a", outcome, "", (5,), attempts=attempts)._replace(latency_s=latency_s)


def entry(event: str, reason: str = "", stale_copies: int = 0) -> AuditEntry:
    facts = (
        "",
        event,
        "a-1",
        "bank-a",
        "op-7",
        "",
        "PRE_LOAN",
        "91310115MA0TERT167",
        (),
        "development",
        (),
        "",
        "",
        "",
    )
    return AuditEntry(*facts, reason=reason, stale_copies=stale_copies)


class Told:
    """Metrics of two platforms, told something, and read as a scraper reads them."""

    def __init__(self) -> None:
        self.metrics = Metrics(["a", "b"], in_flight=lambda: 3, calls_per_day={"a": 500})

    def samples(self) -> dict[str, float]:
        self.metrics.flush()
        return samples(render(self.metrics.registry))

    def value(self, sample: str) -> float:
        return self.samples()[sample]


def samples(page: bytes) -> dict[str, float]:
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def everything(metrics: Metrics) -> None:
    """Tells of every kind of event."""
    metrics.answers_landed((answer(),))
    metrics.answers_landed((answer()._replace(cache_age_s=60.0),))
    for event in ("answered", "refused", "unanswered", "cancelled"):
        metrics.query_ended(entry(event, "" if event == "answered" else Reason.CANCELLED), 0.1)
    view = CreditView(completeness_bp=10_000, answers=[PlatformAnswer(platform="a", completeness_bp=1)])
    metrics.view_answered(figures_of(view))
    metrics.corrupt_found("archive")
    metrics.trail_failed()
    metrics.error_sent(Reason.INTERNAL)
    metrics.call_repeated("a")
    metrics.call_hedged("a", won=True)
    metrics.breaker_turned("a", is_open=True)
    metrics.quota_refused("a", "day")
    metrics.quota_left("a", 3)
    metrics.limit_moved("a", 7)
    metrics.cache_asked("a", "hit")
    metrics.loop_lagged(0.01)
    metrics.certificate_has("server", 86_400.0)


# --- names and labels -------------------------------------------------------------------------------------------------


def test_the_families_and_their_labels_are_these_and_no_others() -> None:
    told = Told()
    everything(told.metrics)
    told.metrics.flush()

    page = render(told.metrics.registry).decode()

    labels = {
        family.name: {frozenset(sample.labels.keys() - {"le"}) for sample in family.samples}
        for family in text_string_to_metric_families(page)
    }
    assert labels == {name: {frozenset(of)} for name, of in {**PLATFORM_LABELS, **GATEWAY_LABELS}.items()}


def test_A14_no_bank_and_no_enterprise_stands_on_the_page() -> None:
    told = Told()
    everything(told.metrics)
    told.metrics.flush()

    page = render(told.metrics.registry)

    assert b"bank-a" not in page
    assert b"op-7" not in page
    assert b"91310115MA0TERT167" not in page


def test_known_series_exist_before_their_first_event_so_that_it_is_seen_as_one() -> None:
    shown = Told().samples()

    assert shown["xinyidai_platform_answers_total outcome=UNREACHABLE platform=b source=platform"] == 0
    assert shown["xinyidai_platform_breaker_open platform=a"] == 0
    assert shown["xinyidai_queries_total event=unanswered reason=NO_PLATFORM_HEARD"] == 0
    assert shown["xinyidai_trail_failures_total"] == 0
    assert shown["xinyidai_corrupt_records_total kind=consents"] == 0
    assert "xinyidai_platform_quota_left_calls platform=a" not in shown


# --- values -----------------------------------------------------------------------------------------------------------


def test_an_answer_is_counted_by_outcome_with_its_attempts_latency_and_drifts() -> None:
    told = Told()
    drifting = answer(latency_s=0.02)
    drifting.said.drifts.extend([Drift(path="x"), Drift(path="y")])

    told.metrics.answers_landed((drifting,))
    told.metrics.answers_landed((answer(OUTCOME_UNREACHABLE, attempts=3, latency_s=0.2),))

    shown = told.samples()
    assert shown["xinyidai_platform_answers_total outcome=OK platform=a source=platform"] == 1
    assert shown["xinyidai_platform_answers_total outcome=UNREACHABLE platform=a source=platform"] == 1
    assert shown["xinyidai_platform_attempts_total platform=a"] == 4
    assert shown["xinyidai_platform_drifts_total platform=a"] == 2
    assert shown["xinyidai_platform_latency_seconds_count platform=a"] == 2
    assert shown["xinyidai_platform_latency_seconds_sum platform=a"] == pytest.approx(0.22)
    assert shown["xinyidai_platform_latency_seconds_bucket le=0.025 platform=a"] == 1
    assert shown["xinyidai_platform_latency_seconds_bucket le=0.25 platform=a"] == 2
    assert shown["xinyidai_platform_latency_seconds_count platform=b"] == 0


def test_an_answer_from_the_cache_is_the_cache_s_and_a_stale_one_names_the_failure_beside_it() -> None:
    told = Told()

    told.metrics.answers_landed((answer(OUTCOME_NO_RECORDS, attempts=0)._replace(cache_age_s=30.0),))
    told.metrics.answers_landed(
        (answer(OUTCOME_OK, attempts=2)._replace(cache_age_s=90.0, stale_because=OUTCOME_UNREACHABLE),)
    )

    shown = told.samples()
    assert shown["xinyidai_platform_answers_total outcome=NO_RECORDS platform=a source=cache"] == 1
    assert shown["xinyidai_platform_answers_total outcome=OK platform=a source=cache"] == 1
    assert shown["xinyidai_platform_answers_total outcome=UNREACHABLE platform=a source=platform"] == 1
    assert shown["xinyidai_platform_answers_total outcome=OK platform=a source=platform"] == 0
    assert shown["xinyidai_platform_cache_age_seconds_sum platform=a"] == 120
    assert shown["xinyidai_platform_attempts_total platform=a"] == 2


def test_an_answer_for_which_nothing_was_asked_has_no_latency() -> None:
    told = Told()

    told.metrics.answers_landed((answer(OUTCOME_UNREACHABLE, attempts=0),))

    assert told.value("xinyidai_platform_latency_seconds_count platform=a") == 0


def test_a_query_is_counted_by_how_it_ended_and_timed_where_that_means_something() -> None:
    told = Told()

    told.metrics.query_ended(entry("answered", stale_copies=2), 0.3)
    told.metrics.query_ended(entry("unanswered", Reason.NO_PLATFORM_HEARD), 2.0)
    told.metrics.query_ended(entry("refused", Reason.NOT_PERMITTED), 0.001)
    told.metrics.query_ended(entry("cancelled", Reason.CANCELLED), 0.001)

    shown = told.samples()
    assert shown["xinyidai_queries_total event=answered reason="] == 1
    assert shown["xinyidai_queries_total event=unanswered reason=NO_PLATFORM_HEARD"] == 1
    assert shown["xinyidai_queries_total event=refused reason=NOT_PERMITTED"] == 1
    assert shown["xinyidai_queries_total event=cancelled reason=CANCELLED"] == 1
    assert shown["xinyidai_query_latency_seconds_sum event=answered"] == pytest.approx(0.3)
    assert shown["xinyidai_query_latency_seconds_count event=unanswered"] == 1
    assert not any("latency" in name and ("refused" in name or "cancelled" in name) for name in shown)
    assert shown["xinyidai_stale_copies_total"] == 2
    assert shown["xinyidai_queries_in_flight"] == 3


def test_an_error_is_counted_by_its_reason() -> None:
    told = Told()

    told.metrics.error_sent(Reason.INVALID_IDENTIFIER)

    shown = told.samples()
    assert shown["xinyidai_errors_total reason=INVALID_IDENTIFIER"] == 1
    assert shown["xinyidai_errors_total reason=INTERNAL"] == 0


def test_a_view_tells_completeness_agreement_and_age_where_it_has_them() -> None:
    told = Told()
    view = CreditView(
        completeness_bp=7_500,
        answers=[
            PlatformAnswer(platform="a", completeness_bp=10_000, agreement_bp=5_000, age_days=2),
            PlatformAnswer(platform="b"),
        ],
    )

    told.metrics.view_answered(figures_of(view))
    told.metrics.view_answered(figures_of(CreditView()))

    shown = told.samples()
    assert shown["xinyidai_view_completeness_ratio_count"] == 1
    assert shown["xinyidai_view_completeness_ratio_bucket le=0.75"] == 1
    assert shown["xinyidai_view_completeness_ratio_bucket le=0.5"] == 0
    assert shown["xinyidai_platform_completeness_ratio_sum platform=a"] == 1
    assert shown["xinyidai_platform_agreement_ratio_sum platform=a"] == 0.5
    assert shown["xinyidai_platform_data_age_seconds_sum platform=a"] == 2 * 86_400
    assert shown["xinyidai_platform_data_age_seconds_count platform=b"] == 0


def test_what_the_wrappers_do_is_counted() -> None:
    told = Told()
    metrics = told.metrics

    metrics.call_repeated("a")
    metrics.call_hedged("a", won=True)
    metrics.call_hedged("a", won=False)
    metrics.call_hedged("a", won=False)
    metrics.breaker_turned("a", is_open=True)
    metrics.quota_refused("a", "day")
    metrics.quota_left("a", 41)
    metrics.quota_left("a", 40)
    metrics.limit_moved("a", 7)
    for result in ("hit", "hit", "miss", "shared", "stale"):
        metrics.cache_asked("a", result)

    shown = told.samples()
    assert shown["xinyidai_platform_repeats_total platform=a"] == 1
    assert shown["xinyidai_platform_hedges_total platform=a result=won"] == 1
    assert shown["xinyidai_platform_hedges_total platform=a result=lost"] == 2
    assert shown["xinyidai_platform_breaker_open platform=a"] == 1
    assert shown["xinyidai_platform_breaker_turns_total platform=a to=open"] == 1
    assert shown["xinyidai_platform_quota_refused_total platform=a reason=day"] == 1
    assert shown["xinyidai_platform_quota_left_calls platform=a"] == 40
    assert shown["xinyidai_platform_quota_calls platform=a"] == 500
    assert shown["xinyidai_platform_call_limit platform=a"] == 7
    assert shown["xinyidai_platform_cache_requests_total platform=a result=hit"] == 2
    assert shown["xinyidai_platform_cache_requests_total platform=a result=stale"] == 1


def test_a_breaker_that_closed_again_is_not_shown_open() -> None:
    told = Told()

    told.metrics.breaker_turned("a", is_open=True)
    told.metrics.flush()
    told.metrics.breaker_turned("a", is_open=False)

    assert told.value("xinyidai_platform_breaker_open platform=a") == 0


def test_a_second_flush_adds_nothing() -> None:
    told = Told()
    everything(told.metrics)
    first = told.samples()

    assert told.samples() == first


async def test_the_page_holds_what_was_not_flushed_yet() -> None:
    told = Told()
    told.metrics.trail_failed()

    page = await told.metrics.page()

    assert samples(page)["xinyidai_trail_failures_total"] == 1


# --- many processes ---------------------------------------------------------------------------------------------------

_PROCESS = """
import os
from gateway.adapters.telemetry.metrics import Metrics
metrics = Metrics(["a"], in_flight=lambda: 2, calls_per_day={"a": 250})
for _ in range(10):
    metrics.call_repeated("a")
metrics.breaker_turned("a", is_open=True)
metrics.loop_lagged(0.002)
print(os.getpid())
"""


def process(folder: Path) -> int:
    """Runs a process that counts and ends; gives its id."""
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS], env={**os.environ, MERGED_BY: str(folder)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_all_processes_stand_on_one_page_and_a_dead_one_keeps_what_it_counted(tmp_path: Path) -> None:
    first, _ = process(tmp_path), process(tmp_path)

    both = samples(merged(str(tmp_path)))
    forget_process(first, str(tmp_path))
    one = samples(merged(str(tmp_path)))

    assert both["xinyidai_platform_repeats_total platform=a"] == 20
    assert both["xinyidai_loop_lag_seconds_count"] == 2
    assert both["xinyidai_platform_breaker_open platform=a"] == 2
    assert both["xinyidai_queries_in_flight"] == 4
    assert both["xinyidai_platform_quota_calls platform=a"] == 500
    assert one["xinyidai_platform_repeats_total platform=a"] == 20
    assert one["xinyidai_platform_breaker_open platform=a"] == 1
    assert one["xinyidai_queries_in_flight"] == 2
