"""Every Prometheus metric, named and described once.

What a process counts itself (counters, histograms) is in the default registry: the API gives it at /metrics, each
worker on a port of its own, and queries sum over processes. What is true of the whole system is in `SYSTEM`: the API
reads it from the database (`app.services.live.gauges`), so that every process tells the same and nothing is told twice.

Labels are bounded: kinds, routes; pools by id up to MOST_POOLS, all others as "other"; executors by id, of large pools
only those at both ends.
"""

import os
from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

MOST_POOLS = 50
"""Pools that have series of their own in a process, and in each gauge of the system."""
OTHER = "other"
_labelled: set[int] = set()

SYSTEM = CollectorRegistry()


def pool_label(pool_id: int) -> str:
    """Return the label of a pool for what this process counts: its id for the first MOST_POOLS that it counts."""
    if pool_id not in _labelled:
        if len(_labelled) >= MOST_POOLS:
            return OTHER
        _labelled.add(pool_id)
    return str(pool_id)


class SystemGauge:
    """A gauge of the whole system; holds what was read last."""

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        self._about = (name, documentation, labels)
        self._values: dict[tuple[str, ...], float] = {}
        SYSTEM.register(self)

    def clear(self) -> None:
        """Forget what was read."""
        self._values.clear()

    def set(self, value: float, *labels: object) -> None:
        """Say what was read; labels in their order."""
        self._values[tuple(map(str, labels))] = value

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the samples for Prometheus."""
        name, documentation, labels = self._about
        family = GaugeMetricFamily(name, documentation, labels=labels)
        for values, value in self._values.items():
            family.add_metric(values, value)
        yield family


class BulkHistogram(Histogram):
    """A histogram that takes the same value many times at once: a batch holds the tasks of a few commits."""

    def observe_many(self, amount: float, count: int) -> None:
        """Observe `amount`, `count` times."""
        self._sum.inc(amount * count)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(count)


assignments_total = Counter("assignments_total", "Assignments committed.", ["pool", "kind"])
assignment_latency_seconds = BulkHistogram(
    "assignment_latency_seconds",
    "From the commit of a task to the commit of its first assignment. Where PostgreSQL keeps no commit times "
    "(track_commit_timestamp), and for tasks that waited, from the beginning of the task's own statement.",
    ["pool"],
    buckets=LATENCY_BUCKETS,
)
database_old_timeline_total = Counter(
    "database_old_timeline_total",
    "Connections refused: the server is on an older timeline than one seen before.",
)
tasks_without_anyone_total = Counter(
    "tasks_without_anyone_total",
    "Looks at a task that nobody of the pool is eligible for by the rules.",
    ["pool"],
)
tasks_accepted_total = Counter("tasks_accepted_total", "Tasks committed by intake.", ["pool"])
batch_size = Histogram(
    "worker_batch_size",
    "Tasks decided in one transaction.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000),
)
batch_seconds = Histogram(
    "worker_batch_seconds", "Time of one decision transaction, from lock to commit.", buckets=LATENCY_BUCKETS
)
worker_failures_total = Counter(
    "worker_failures_total", "Decision transactions that were rolled back.", ["reason"]
)
loop_failures_total = Counter(
    "background_loop_failures_total",
    "Rounds of a background loop, or of one pool in it, that failed.",
    ["loop"],
)
rule_compile_seconds = Histogram(
    "rule_compile_seconds", "Time to parse and compile the rules of a pool.", buckets=LATENCY_BUCKETS[:12]
)
audit_log_fault = Gauge(
    "audit_log_fault",
    "1 where the audit log does not hold: its chain (chain), or what was anchored outside of the database (anchors).",
    ["kind"],
    multiprocess_mode="max",
)
doorbell_up = Gauge(
    "doorbell_up",
    "1 where the last word to or from Redis succeeded, in this process.",
    multiprocess_mode="min",
)
doorbell_failures_total = Counter(
    "doorbell_failures_total", "Times that Redis was lost; workers sweep the database meanwhile."
)
listening = Gauge(
    "database_listening", "1 while this process hears PostgreSQL's notifications.", multiprocess_mode="min"
)
listen_connections_total = Counter(
    "database_listen_connections_total", "Connections made to hear notifications: one, and one for each loss."
)
pool_wait_seconds = Histogram(
    "database_pool_wait_seconds",
    "Time waited for a connection of the pool for hot statements, tried every few seconds in each process.",
    buckets=LATENCY_BUCKETS[:14],
)
event_watchers = Gauge("event_stream_watchers", "Open streams of /v1/events.", multiprocess_mode="livesum")
sign_in_failures_total = Counter(
    "sign_in_failures_total", "Sign-ins and refreshes that were refused for what was sent."
)
clock_offset_seconds = Gauge(
    "clock_offset_seconds",
    "How far the clock of an API host is ahead of the database's, by which it goes; below 0 it is behind.",
    multiprocess_mode="mostrecent",
)
fairness_alarms_total = Counter("fairness_alarms_total", "Alarms of fairness raised.", ["pool", "kind"])
deliveries_total = Counter("deliveries_total", "Messages that a receiver took in.", ["pool"])
delivery_failures_total = Counter(
    "delivery_failures_total", "Requests that a receiver did not answer as agreed.", ["receiver"]
)
http_seconds = Histogram(
    "http_request_seconds",
    "From a request to the beginning of its answer, by route and status.",
    ["method", "route", "status"],
    buckets=LATENCY_BUCKETS,
)

database_up = SystemGauge("database_up", "Whether the last look at the database succeeded.")
queue_lag = SystemGauge("queue_lag", "Tasks that wait for a worker to look at them, up to 100,000.", "pool")
tasks_misplaced = SystemGauge(
    "tasks_misplaced", "Open tasks whose executor was deactivated or no longer passes the rules.", "pool"
)
queue_oldest_seconds = SystemGauge(
    "queue_oldest_seconds", "Age of the oldest task that waits for a worker to look at it.", "pool"
)
tasks_waiting = SystemGauge(
    "tasks_waiting", "Tasks that were looked at and that nobody can take now.", "pool", "reason"
)
mae_fairness = SystemGauge(
    "mae_fairness",
    "Mean absolute deviation of utilization from its mean, today, over the pool's executors.",
    "pool",
)
mae_fairness_optimum = SystemGauge(
    "mae_fairness_optimum", "The same figure of the fair optimum: what mae_fairness could be at best.", "pool"
)
fairness_gap = SystemGauge(
    "fairness_gap", "Sum of |received - fair share| over all fair shares, today: 0 is perfect.", "pool"
)
fairness_alerts = SystemGauge("fairness_alerts", "Alarms of fairness that stand.", "pool", "kind")
executor_utilization = SystemGauge(
    "executor_utilization",
    "Assigned today over the daily limit; without a limit, over qualification times the pool's mean. "
    "Of large pools only those at both ends.",
    "pool",
    "executor",
)
executor_utilization_quantile = SystemGauge(
    "executor_utilization_quantile", "Quantiles of the utilization of a pool's executors.", "pool", "quantile"
)
outbox_pending = SystemGauge("outbox_pending", "Messages not delivered yet, up to 100,000.", "destination")
outbox_oldest_seconds = SystemGauge(
    "outbox_oldest_seconds", "Age of the oldest message not delivered yet.", "destination"
)
delivery_breakers_open = SystemGauge(
    "delivery_breakers_open",
    "Receivers that did not answer several times in a row and are left alone for now, by kind (ais, webhook).",
    "receiver",
)
loops_unwell = SystemGauge(
    "background_loops_unwell",
    "Background loops that keep failing or are late, by loop and by the pool or receiver in it.",
    "loop",
    "part",
)
outbox_dead = SystemGauge("outbox_dead", "Messages given up after too many attempts.", "destination")


def exposition() -> bytes:
    """All metrics of this process, and the system's, in Prometheus' text format.

    Where PROMETHEUS_MULTIPROC_DIR is set (several API processes on one port), those of all of them.
    """
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return generate_latest(registry) + generate_latest(SYSTEM)
