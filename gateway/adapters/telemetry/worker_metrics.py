"""What a supervisor shows of its workers: how many there are beside how many should be, and then all their own numbers."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

from gateway.adapters.telemetry.metrics import merged


class WorkerMetrics:
    """The page of all workers; `folder` is where they keep their numbers."""

    def __init__(self, wanted: int, folder: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads
        self.registry = CollectorRegistry()
        self._folder = folder
        gauge = Gauge("xinyidai_workers_wanted", "Workers that should take queries", registry=self.registry)
        gauge.set(wanted)
        self._ready = Gauge("xinyidai_workers_ready", "Workers that take queries", registry=self.registry)
        self._ends = Counter("xinyidai_worker_ends", "Workers that ended by themselves", registry=self.registry)

    def worker_ended(self) -> None:
        """Counts a worker that ended without being told to."""
        self._ends.inc()

    async def page(self, ready: int) -> bytes:
        """Gives the metrics page; it is merged in a thread, so that workers are heard meanwhile."""
        self._ready.set(ready)
        return generate_latest(self.registry) + await asyncio.to_thread(merged, self._folder)
