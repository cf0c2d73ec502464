"""What /metrics tells Prometheus, counted as things happen and written out when it asks."""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nodegraph.events import Event, NodeFailed, NodeFinished, NodesCached, Retried
from nodegraph.jobs import Job

if TYPE_CHECKING:
    from nodegraph.engine import Engine
    from nodegraph.jobs import JobQueue

BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)  # seconds


@dataclass
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        total, found = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Metrics:
    """Counts. From any thread.

    queue, engine, sockets: asked when Prometheus asks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[str, _Histogram] = {}
        self._jobs = _Histogram()
        self._ended: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._requests: Counter[tuple[str, str]] = Counter()
        self.queue: JobQueue | None = None
        self.engine: Callable[[], Engine | None] = lambda: None
        self.sockets: Callable[[], int] = lambda: 0

    def event(self, event: Event) -> None:
        """Something happened in a run."""
        match event:
            case NodeFinished():
                with self._lock:
                    self._nodes.setdefault(event.class_type, _Histogram()).add(event.seconds)
            case NodeFailed():
                self._count("failed")
            case Retried():
                self._count("retried")
            case NodesCached():
                self._count("cached", len(event.nodes))

    def ended(self, job: Job) -> None:
        """A job has ended."""
        with self._lock:
            self._ended[job.status.value] += 1
            if job.started is not None and job.ended is not None:
                self._jobs.add(job.ended - job.started)

    def request(self, method: str, status: int) -> None:
        """A request was answered."""
        with self._lock:
            self._requests[method, str(status)] += 1

    def text(self) -> tuple[bytes, str]:
        """All of it in Prometheus' format, and its content type."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        registry = CollectorRegistry()
        registry.register(_Collected(list(self._families())))
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def _count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self._counts[what] += number

    def _families(self) -> Iterator[Any]:
        with self._lock:
            yield from self._counted()
        yield from self._queue()
        yield _gauge("nodegraph_websockets", "open websockets", self.sockets())
        engine = self.engine()
        if engine is not None:
            yield from _cache(engine)
            yield from _memory(engine)

    def _counted(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        nodes = HistogramMetricFamily(
            "nodegraph_node_seconds", "time in nodes that ran to their end", labels=["class_type"]
        )
        for name, histogram in self._nodes.items():
            nodes.add_metric([name], histogram.buckets(), histogram.sum)
        yield nodes
        yield HistogramMetricFamily(
            "nodegraph_job_seconds",
            "time from a job's begin to its end",
            buckets=self._jobs.buckets(),
            sum_value=self._jobs.sum,
        )
        for name, help in (
            ("failed", "nodes that failed"),
            ("retried", "nodes that ran out of memory and were run again"),
            ("cached", "nodes that did not have to run"),
        ):
            yield CounterMetricFamily(f"nodegraph_nodes_{name}", help, value=self._counts[name])
        jobs = CounterMetricFamily("nodegraph_jobs", "jobs that have ended", labels=["status"])
        for status, count in self._ended.items():
            jobs.add_metric([status], count)
        yield jobs
        requests = CounterMetricFamily(
            "nodegraph_http_requests", "requests answered", labels=["method", "status"]
        )
        for labels, count in self._requests.items():
            requests.add_metric(list(labels), count)
        yield requests

    def _queue(self) -> Iterator[Any]:
        if self.queue is not None:
            yield _gauge("nodegraph_queue_pending", "jobs that wait", len(self.queue.pending))
            yield _gauge("nodegraph_queue_running", "jobs that run", len(self.queue.running))
            yield _gauge("nodegraph_queue_paused", "1 while no job is begun", self.queue.paused)


@dataclass(frozen=True, eq=False)
class _Collected:
    families: list[Any]

    def collect(self) -> Iterable[Any]:
        return self.families


def _gauge(name: str, help: str, value: float) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, help, value=float(value))


def _counter(name: str, help: str, value: float) -> Any:
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(name, help, value=float(value))


def _cache(engine: Engine) -> Iterator[Any]:
    stats = engine.cache.stats()
    yield _gauge("nodegraph_cache_entries", "results in memory", stats.entries)
    yield _gauge("nodegraph_cache_bytes", "size of results in memory", stats.bytes)
    for name in ("hits", "disk_hits", "misses", "evicted"):
        yield _counter(f"nodegraph_cache_{name}", f"cache: {name}", getattr(stats, name))
    if stats.disk is not None:
        yield _gauge("nodegraph_disk_cache_bytes", "size of results on disk", stats.disk.bytes)


def _memory(engine: Engine) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    stats = engine.models.stats()
    families = {
        "resident": GaugeMetricFamily(
            "nodegraph_model_bytes", "weights on a device", labels=["device"]
        ),
        "budget": GaugeMetricFamily(
            "nodegraph_model_budget_bytes", "what weights may take", labels=["device"]
        ),
    }
    for device, found in stats.devices.items():
        for name, family in families.items():
            family.add_metric([device], float(getattr(found, name)))
    yield from families.values()
    yield _counter("nodegraph_model_loads", "models loaded", stats.loads)
    yield _counter("nodegraph_model_evictions", "models moved off a device", stats.evictions)
