"""Metrics for Prometheus: what the platforms, the wrappers around them and the gateway itself do.

    event ──► a plain number here ──► flush: half-secondly, before each page, at the end ──► a child of prometheus_client

Children are resolved once. They are not touched per event all the same: each `inc` takes a lock (0.3 µs), in multiprocess
mode it writes to a mapped file as well (0.9 µs), and a histogram does both twice; a view has some thirty of them. All events
come on the event loop, so plain numbers need no lock.

In multiprocess mode (PROMETHEUS_MULTIPROC_DIR, to be set before prometheus_client is imported) any process's page holds all
processes' numbers, those of the others half a second old; gauges are summed over live processes. Labels are closed sets:
platforms, outcomes, reasons of ours. Never a bank, whose name anybody may invent, and never an enterprise.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome
from gateway.adapters.telemetry.tallies import BulkHistogram, BulkSummary, Level, Mean, Part, Spread, Tallies, Tally
from gateway.domain.answer import HEARD, Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.errors import Reason
from gateway.domain.figures import ViewFigures
from gateway.domain.reach import WITHDRAWALS

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
MERGED_BY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder of multiprocess mode."""

_DAY_S: Final = 86_400
_FILES_EVERY: Final = 20
"""Flushes, ten seconds."""
_OUTCOMES: Final[Mapping[int, str]] = {number: name.removeprefix("OUTCOME_") for name, number in Outcome.items()}
_CACHE_RESULTS: Final = ("hit", "miss", "shared", "stale")
CORRUPTIBLE: Final = ("archive", "consents", "trail")
RELOADED: Final = ("banks", "certificates", "policies")
"""What is read anew while the gateway runs."""
_TIMED: Final = ("answered", "unanswered")
"""Events of queries whose latency means something: a refusal is over at once, a cancelled query when its caller likes."""

_LATENCY_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_RATIO: Final = (0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


def render(registry: CollectorRegistry) -> bytes:
    """Gives the metrics page: the registry's, or all processes' in multiprocess mode."""
    folder = os.environ.get(MERGED_BY)
    return generate_latest(registry) if folder is None else merged(folder)


def merged(folder: str) -> bytes:
    """Gives the page of all processes that keep their numbers in the folder, or kept them there while they lived."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget_process(pid: int, folder: str) -> None:
    """Takes the gauges of a process that has ended out of the sum of live ones; what it counted stays counted."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


class Metrics:
    """Counts what happens; fulfils `QueryObserver` and `CallObserver`. All on one event loop."""

    def __init__(
        self,
        platforms: Iterable[str],
        registry: CollectorRegistry | None = None,
        *,
        in_flight: Callable[[], int] | None = None,
        open_files: Callable[[], float] | None = None,
        log_lines_lost: Callable[[], int] = lambda: 0,
        calls_per_day: Mapping[str, int] | None = None,
    ) -> None:
        """Takes what tells how many queries are under way and log lines were lost, asked at each flush, and this process's
        part of daily quotas.

        `open_files` tells the share of the open files it may have, asked now and then: it takes as long as there are many.
        """
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads
        self.registry = registry or CollectorRegistry()
        families = _Families(self.registry)
        self._platforms = {platform: _PlatformNumbers(platform, families) for platform in platforms}
        self._in_flight = in_flight
        self._open_files = open_files
        self._log_lines_lost = log_lines_lost
        self._known_lost = 0
        self._flushes = 0
        self._under_way = Level(families.in_flight, value=0)
        self._queries = Tallies[tuple[str, str]](
            families.queries,
            lambda key: key,
            [
                ("answered", ""),
                ("cancelled", Reason.CANCELLED.value),
                *((event, reason.value) for event in ("refused", "unanswered") for reason in Reason),
                *(("withheld", reason.value) for reason in WITHDRAWALS),
            ],
        )
        self._latencies = {event: Spread(families.query_latency.labels(event), _LATENCY_S) for event in _TIMED}
        self._completeness = Spread(families.completeness, _RATIO)
        self._errors = Tallies[Reason](families.errors, lambda reason: (reason.value,), Reason)
        self._unknown_fields = Tally(families.unknown_fields)
        self._stale_copies = Tally(families.stale_copies)
        self._corrupt = Tallies[str](families.corrupt_records, lambda kind: (kind,), CORRUPTIBLE)
        self._trail_failures = Tally(families.trail_failures)
        self._trail_ailing = Level(families.trail_ailing, value=0)
        self._anchor_failures = Tally(families.anchor_failures)
        self._anchors_late = Level(families.anchors_late, value=0)
        self._refused = {what: Level(families.reload_refused, what, value=0) for what in RELOADED}
        self._keys_lost = Level(families.keys_lost, value=0)
        self._log_lost = Tally(families.log_lines_lost)
        self._lag = Spread(families.loop_lag, _LAG_S)
        self._parts: tuple[Part, ...] = (
            self._under_way,
            self._queries,
            *self._latencies.values(),
            self._completeness,
            self._errors,
            self._unknown_fields,
            self._stale_copies,
            self._corrupt,
            self._trail_failures,
            self._trail_ailing,
            self._anchor_failures,
            self._anchors_late,
            *self._refused.values(),
            self._keys_lost,
            self._log_lost,
            self._lag,
            *(part for numbers in self._platforms.values() for part in numbers.parts),
        )
        self._certificate_left = families.certificate_left
        self._files_open = families.files_open
        for platform, calls in (calls_per_day or {}).items():
            families.quota_calls.labels(platform).set(calls)

    def answers_landed(self, answers: Sequence[Answer]) -> None:
        """Counts the answers; one from the cache as the cache's, and beside a stale one the failure it stands for."""
        for answer in answers:
            said, latency_s, attempts, _, cache_age_s, _, _, stale_because = answer
            numbers = self._platforms[said.platform]
            if attempts:
                numbers.attempts.pending += attempts
            if cache_age_s is None:
                numbers.answers[said.outcome].pending += 1
                if attempts:
                    numbers.latency.note(latency_s)
                if said.drifts:
                    numbers.drifts.pending += len(said.drifts)
                continue
            numbers.cached[said.outcome].pending += 1
            numbers.cache_age.count += 1
            numbers.cache_age.total += cache_age_s
            if stale_because is not None:
                numbers.answers[stale_because].pending += 1

    def query_ended(self, entry: AuditEntry, latency_s: float) -> None:
        """Counts the query by how it ended, and why."""
        event = entry.event
        self._queries[event, entry.reason].pending += 1
        spread = self._latencies.get(event)
        if spread is not None:
            spread.note(latency_s)
        if entry.stale_copies:
            self._stale_copies.pending += entry.stale_copies

    def view_answered(self, figures: ViewFigures) -> None:
        """Notes how complete the view is, and of each platform its age, completeness and agreement where there are any."""
        if figures.completeness_bp is not None:
            self._completeness.note(figures.completeness_bp / 10_000)
        # Added up here: a call for each of these would cost more than they do.
        for platform, (_, _, completeness_bp, agreement_bp, age_days) in figures.platforms.items():
            numbers = self._platforms[platform]
            if completeness_bp is not None:
                mean = numbers.completeness
                mean.count += 1
                mean.total += completeness_bp / 10_000
            if agreement_bp is not None:
                mean = numbers.agreement
                mean.count += 1
                mean.total += agreement_bp / 10_000
            if age_days is not None:
                mean = numbers.data_age
                mean.count += 1
                mean.total += age_days * _DAY_S

    def error_sent(self, reason: Reason) -> None:
        """Counts a call, or an item of a batch, that ended with an error status; refusals of broken requests included."""
        self._errors[reason].pending += 1

    def unknown_fields_ignored(self, count: int) -> None:
        """Counts fields of queries that this gateway does not know: some client is newer."""
        self._unknown_fields.pending += count

    def corrupt_found(self, kind: str) -> None:
        """Counts a record that was altered since it was kept, each time it is read."""
        self._corrupt[kind].pending += 1

    def trail_failed(self) -> None:
        """Counts an entry that could not be written: its query was not answered."""
        self._trail_failures.pending += 1

    def trail_ails(self, is_ailing: bool) -> None:
        """Notes whether the trail cannot be written, or its disk is nearly full."""
        self._trail_ailing.value = int(is_ailing)

    def anchor_failed(self) -> None:
        """Counts a head of the trail that an anchor did not take."""
        self._anchor_failures.pending += 1

    def anchors_late(self, count: int) -> None:
        """Notes how many anchors have taken no head for longer than the grace period."""
        self._anchors_late.value = count

    def reload_refused(self, what: str, is_refused: bool) -> None:
        """Notes whether the files of that kind, as they are now, were refused: what was in force stays, until a restart."""
        self._refused[what].value = int(is_refused)

    def keys_lost(self, count: int) -> None:
        """Notes how many files of keys are gone or hold another key than the one in use."""
        self._keys_lost.value = count

    def certificate_has(self, name: str, left_s: float) -> None:
        """Notes how long a certificate of the server is still valid; not a number for one that is no longer used."""
        self._certificate_left.labels(name).set(left_s)

    def call_repeated(self, platform: str) -> None:
        """Counts the repeat."""
        self._platforms[platform].repeats.pending += 1

    def call_hedged(self, platform: str, *, won: bool) -> None:
        """Counts the second attempt by whether its answer was used."""
        self._platforms[platform].hedges["won" if won else "lost"].pending += 1

    def breaker_turned(self, platform: str, *, is_open: bool) -> None:
        """Notes whether the breaker is open, and counts the turn."""
        numbers = self._platforms[platform]
        numbers.breaker_open.value = int(is_open)
        numbers.breaker_turns["open" if is_open else "closed"].pending += 1

    def quota_refused(self, platform: str, reason: str) -> None:
        """Counts the call that was not made."""
        self._platforms[platform].quota_refused[reason].pending += 1

    def quota_left(self, platform: str, calls: int) -> None:
        """Notes what is left of the day; a platform never told of has no such series, rather than one at zero."""
        self._platforms[platform].quota_left.value = calls

    def limit_moved(self, platform: str, calls: int) -> None:
        """Notes how many calls may be under way."""
        self._platforms[platform].call_limit.value = calls

    def cache_asked(self, platform: str, result: str) -> None:
        """Counts what the cache had."""
        self._platforms[platform].cache[result].pending += 1

    def loop_lagged(self, lag_s: float) -> None:
        """Notes how late the loop was, and flushes: `LoopLag` is the pulse at which other processes see these numbers."""
        self._lag.note(lag_s)
        self.flush()

    def flush(self) -> None:
        """Hands the numbers on to prometheus_client; the last time when the process ends."""
        if self._in_flight is not None:
            self._under_way.value = self._in_flight()
        if self._open_files is not None and self._flushes % _FILES_EVERY == 0:
            self._files_open.set(self._open_files())
        self._flushes += 1
        lost = self._log_lines_lost()
        self._log_lost.pending += lost - self._known_lost
        self._known_lost = lost
        for part in self._parts:
            part.flush()

    async def page(self) -> bytes:
        """Gives the metrics page; it is written in a thread, so that a scrape holds up no query."""
        self.flush()
        return await asyncio.to_thread(render, self.registry)


class _Families:
    """The metrics by name. In multiprocess mode gauges are summed over live processes, each of which has its part."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"xinyidai_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"xinyidai_{name}", text, labels, registry=registry, multiprocess_mode="livesum")

        def spread(name: str, text: str, bounds: Sequence[float], *labels: str) -> BulkHistogram:
            return BulkHistogram(f"xinyidai_{name}", text, labels, registry=registry, buckets=bounds)

        def mean(name: str, text: str) -> BulkSummary:
            return BulkSummary(f"xinyidai_{name}", text, ("platform",), registry=registry)

        of = "platform"
        self.queries = counter("queries", "Queries by how they ended, and why", "event", "reason")
        self.query_latency = spread("query_latency_seconds", "Time from arrival to answer", _LATENCY_S, "event")
        self.errors = counter("errors", "Calls and items of batches that ended with an error status", "reason")
        self.unknown_fields = counter("unknown_fields", "Fields of queries that this gateway does not know and ignored")
        self.in_flight = gauge("queries_in_flight", "Queries under way")
        self.completeness = spread(
            "view_completeness_ratio", "Heard over covered pairs of platform and category", _RATIO
        )
        self.stale_copies = counter(
            "stale_copies", "Copies of repaired or revoked records that a platform still states"
        )
        self.corrupt_records = counter(
            "corrupt_records", "Records found altered when they were read: not served, not honoured", "kind"
        )
        self.trail_failures = counter("trail_failures", "Entries that could not be written to the audit trail")
        self.trail_ailing = gauge("trail_ailing", "Trails that cannot be written, or whose disk is nearly full")
        self.anchor_failures = counter("anchor_failures", "Heads of the trail that an anchor did not take")
        self.anchors_late = gauge("anchors_late", "Anchors that took no head for longer than the grace period")
        self.reload_refused = gauge(
            "reload_refused", "Processes that go on with what was in force, since its files have faults now", "what"
        )
        self.keys_lost = gauge("keys_lost", "Keys in use whose file is gone or holds another key, of each process")
        self.log_lines_lost = counter("log_lines_lost", "Lines that could not be written to the log")
        self.loop_lag = spread("loop_lag_seconds", "How late the event loop was", _LAG_S)
        self.certificate_left = Gauge(
            "xinyidai_certificate_left_seconds",
            "Time until a certificate of the server expires, below zero when it has",
            ("certificate",),
            registry=registry,
            multiprocess_mode="livemin",  # each process reads the files for itself: the worst is told
        )
        self.files_open = Gauge(
            "xinyidai_open_files_ratio",
            "Open files over how many a process may have, of the process that is nearest to it",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.answers = counter(
            "platform_answers", "Answers by outcome, and where they came from", of, "outcome", "source"
        )
        self.attempts = counter("platform_attempts", "Attempts that the answers took, repeats and hedges included", of)
        self.latency = spread(
            "platform_latency_seconds", "Time to the answer of a platform that was asked", _LATENCY_S, of
        )
        self.drifts = counter("platform_drifts", "Values that could not be read, outside of records", of)
        self.repeats = counter("platform_repeats", "Calls made again after a failure", of)
        self.hedges = counter("platform_hedges", "Second attempts beside a slow first one", of, "result")
        self.breaker_open = gauge("platform_breaker_open", "Processes whose breaker is open", of)
        self.breaker_turns = counter("platform_breaker_turns", "Turns of the breaker", of, "to")
        self.call_limit = gauge("platform_call_limit", "Calls that may be under way at once", of)
        self.quota_calls = gauge("platform_quota_calls", "Calls allowed a day", of)
        self.quota_left = gauge("platform_quota_left_calls", "Calls left of the day, as of the last call", of)
        self.quota_refused = counter("platform_quota_refused", "Calls not made for want of quota", of, "reason")
        self.cache = counter("platform_cache_requests", "Questions to the answer cache", of, "result")
        self.cache_age = mean("platform_cache_age_seconds", "Age of answers from the cache")
        self.data_age = mean("platform_data_age_seconds", "Age of the platform's data, in whole days")
        self.platform_completeness = mean("platform_completeness_ratio", "Heard over covered categories")
        self.agreement = mean("platform_agreement_ratio", "Comparable fields that equal what the view shows")


class _PlatformNumbers:
    """One platform's numbers; `parts` are all of them."""

    def __init__(self, platform: str, families: _Families) -> None:
        def by_outcome(source: str, known: Iterable[int]) -> Tallies[int]:
            return Tallies(families.answers, lambda number: (platform, _OUTCOMES[number], source), known)

        def by_text(family: Counter, *known: str) -> Tallies[str]:
            return Tallies(family, lambda key: (platform, key), known)

        self.answers = by_outcome("platform", _OUTCOMES.keys() - {view_pb2.OUTCOME_UNSPECIFIED})
        self.cached = by_outcome("cache", HEARD)
        self.attempts = Tally(families.attempts.labels(platform))
        self.latency = Spread(families.latency.labels(platform), _LATENCY_S)
        self.drifts = Tally(families.drifts.labels(platform))
        self.repeats = Tally(families.repeats.labels(platform))
        self.hedges = by_text(families.hedges, "won", "lost")
        self.breaker_open = Level(families.breaker_open, platform, value=0)
        self.breaker_turns = by_text(families.breaker_turns, "open", "closed")
        self.call_limit = Level(families.call_limit, platform)
        self.quota_left = Level(families.quota_left, platform)
        self.quota_refused = by_text(families.quota_refused)
        self.cache = by_text(families.cache, *_CACHE_RESULTS)
        self.cache_age = Mean(families.cache_age.labels(platform))
        self.data_age = Mean(families.data_age.labels(platform))
        self.completeness = Mean(families.platform_completeness.labels(platform))
        self.agreement = Mean(families.agreement.labels(platform))
        self.parts: tuple[Part, ...] = tuple(vars(self).values())
