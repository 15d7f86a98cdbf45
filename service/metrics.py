"""Counters and gauges for Prometheus, fed by the scheduler's events."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from engines import errors
from scheduler.events import JobEvent
from scheduler.job import Cancelled, Failed, JobId, Queued, Running, Succeeded
from scheduler.scheduler import Scheduler

PREFIX = "kitty_images"
ENGINE_CODES = frozenset(
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.EngineError)
)
"""What engines fail with; a shutdown, a full disk or a bug of ours is not their error."""

_BUCKETS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280)


class _Now(Collector):
    """What is true at the moment of the scrape."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield how many jobs wait and run, per engine."""
        waiting = GaugeMetricFamily(f"{PREFIX}_jobs_queued", "Jobs that wait.", labels=["engine"])
        drawing = GaugeMetricFamily(
            f"{PREFIX}_pictures_drawing", "Pictures on an engine.", labels=["engine"]
        )
        for name, station in self._scheduler.stations.items():
            waiting.add_metric([name], station.waiting)
            drawing.add_metric([name], len(station.seats))
        yield waiting
        yield drawing


class Metrics:
    """The registry and the counters that events move."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._running: dict[JobId, datetime] = {}
        self.registry = CollectorRegistry()
        self.registry.register(_Now(scheduler))
        labels = ["engine"]
        self._begun = Counter(
            f"{PREFIX}_jobs_started", "Jobs that began.", labels, registry=self.registry
        )
        self._succeeded = Counter(
            f"{PREFIX}_jobs_succeeded", "Jobs with every picture stored.", labels,
            registry=self.registry,
        )  # fmt: skip
        self._failed = Counter(
            f"{PREFIX}_jobs_failed", "Jobs that ended without their pictures.",
            [*labels, "code"], registry=self.registry,
        )  # fmt: skip
        self._errors = Counter(
            f"{PREFIX}_engine_errors", "Failed attempts, by what failed.",
            [*labels, "code"], registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            f"{PREFIX}_job_duration_seconds", "From submit to the last picture stored.",
            labels, buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip

    def count(self, event: JobEvent) -> None:
        """Take in one event."""
        if event.kind != "status":
            return
        job = event.job
        if isinstance(job.status, Running):
            if self._running.get(job.id) != job.status.since:
                self._running[job.id] = job.status.since
                self._begun.labels(job.engine).inc()
            return
        ran = self._running.pop(job.id, None) is not None
        match job.status:
            case Succeeded(at=at):
                self._succeeded.labels(job.engine).inc()
                self._seconds.labels(job.engine).observe((at - job.created_at).total_seconds())
            case Failed(code=code):
                self._failed.labels(job.engine, code).inc()
                if code in ENGINE_CODES:
                    self._errors.labels(job.engine, code).inc()
            case Cancelled():
                self._failed.labels(job.engine, "cancelled").inc()
            case Queued(reason=reason) if ran and reason in ENGINE_CODES:
                self._errors.labels(job.engine, reason).inc()
            case _:
                pass

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
