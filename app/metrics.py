"""Every Prometheus metric, named and described once. Labels are bounded: pools, never people or tasks."""

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

assignments_total = Counter("assignments_total", "Assignments committed.", ["pool", "kind"])
assignment_latency_seconds = Histogram(
    "assignment_latency_seconds",
    "From the commit of a task to the commit of its assignment.",
    ["pool"],
    buckets=LATENCY_BUCKETS,
)
mae_fairness = Gauge(
    "mae_fairness",
    "Mean absolute deviation of utilisation from its mean, today, over the pool's executors.",
    ["pool"],
)
fairness_gap = Gauge(
    "fairness_gap", "Sum of |received - fair share| over all fair shares, today: 0 is perfect.", ["pool"]
)
fairness_alerts = Gauge("fairness_alerts", "Alarms of fairness that stand.", ["pool", "kind"])
fairness_alarms_total = Counter("fairness_alarms_total", "Alarms of fairness raised.", ["pool", "kind"])
queue_lag = Gauge("queue_lag", "Tasks that wait for a worker to look at them.", ["pool"])
executor_utilization = Gauge(
    "executor_utilization",
    "Assigned today over the daily limit; without a limit, over qualification times the pool's mean.",
    ["pool", "statistic"],
)
tasks_waiting = Gauge(
    "tasks_waiting", "Tasks that were looked at and that nobody can take now.", ["pool", "reason"]
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
http_seconds = Histogram(
    "http_request_seconds",
    "Requests by route and status.",
    ["method", "route", "status"],
    buckets=LATENCY_BUCKETS,
)
