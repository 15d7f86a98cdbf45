"""What happens on the GPUs as figures for Prometheus."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from scheduler.gate import Hold
from scheduler.gpu import Gpu
from scheduler.lease import Tenant
from scheduler.lock import Ownership
from scheduler.news import Interrupted, LeaseExpired, News, Parked, Waited

PREFIX = "kitty_images_gpu"
_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class GpuMetrics(Collector):
    """Counts the GPUs' news, and reads what is true at the moment of a scrape."""

    def __init__(self, registry: CollectorRegistry, gpus: Iterable[Gpu]) -> None:
        self._gpus = tuple(gpus)
        self._wait = Histogram(
            f"{PREFIX}_wait_seconds", "From the wish for the GPU to having it, by class.",
            ["gpu", "class"], buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._parked = Counter(
            f"{PREFIX}_parked_seconds", "Time that pictures were parked, all in all.",
            ["gpu"], registry=registry,
        )  # fmt: skip
        self._expired = Counter(
            f"{PREFIX}_leases_expired", "Leases whose holders died or forgot them.",
            ["gpu", "class"], registry=registry,
        )  # fmt: skip
        self._interrupted = Counter(
            f"{PREFIX}_jobs_interrupted", "Jobs that a chat sent back to the queue.",
            ["gpu"], registry=registry,
        )  # fmt: skip
        registry.register(self)
        for gpu in self._gpus:
            gpu.listen(self.count)

    def count(self, news: News) -> None:
        """Take in one piece of news."""
        match news:
            case Waited(gpu=gpu, tenant=tenant, seconds=seconds):
                self._wait.labels(gpu, tenant.value).observe(seconds)
            case Parked(gpu=gpu, seconds=seconds):
                self._wait.labels(gpu, Tenant.IMAGES.value).observe(seconds)
                self._parked.labels(gpu).inc(seconds)
            case LeaseExpired(gpu=gpu, tenant=tenant):
                self._expired.labels(gpu, tenant.value).inc()
            case Interrupted(gpu=gpu):
                self._interrupted.labels(gpu).inc()

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield leases, waiters, parked pictures and the state of the lock."""
        leases = GaugeMetricFamily(f"{PREFIX}_leases", "Leases held.", labels=["gpu", "class"])
        waiters = GaugeMetricFamily(f"{PREFIX}_waiters", "Who waits.", labels=["gpu", "class"])
        parked = GaugeMetricFamily(f"{PREFIX}_parked", "Pictures parked now.", labels=["gpu"])
        alone = GaugeMetricFamily(
            f"{PREFIX}_lock_down", "1 while Redis cannot keep our lock.", labels=["gpu"]
        )
        for gpu in self._gpus:
            roll = gpu.leases.roll
            for tenant in Tenant:
                held = sum(lease.tenant is tenant for lease in roll.leases)
                waiting = sum(ask.tenant is tenant for ask in roll.asks)
                leases.add_metric([gpu.name, tenant.value], held)
                waiters.add_metric([gpu.name, tenant.value], waiting)
            visitors = gpu.gate.visitors()
            parked.add_metric([gpu.name], sum(v.hold is Hold.PARKED for v in visitors))
            alone.add_metric([gpu.name], float(gpu.lock_state is Ownership.DOWN))
        yield from (leases, waiters, parked, alone)
