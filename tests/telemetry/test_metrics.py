"""Metrics: the promised names, right in every process, bounded however large the pool; alerts that work."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.local.embedded.data import free_port
from app.services.fairness.fairness_watch import FairnessWatch
from app.services.intake.intake import NewTask, write_tasks
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.telemetry import metrics
from tests.api.conftest import client_of, serving
from tests.builders import add_executors, add_pool
from tests.conftest import Figure
from tests.lifecycle.conftest import until
from tests.placement.test_worker import worker_process

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROMISED = {
    "assignments_total",
    "assignment_latency_seconds",
    "mae_fairness",
    "queue_lag",
    "executor_utilization",
}


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    return await add_pool(database)


async def place(database: Database, pool_id: PoolId) -> None:
    picture = PoolSnapshot(pool_id)
    while (await place_batch(database.hot, picture, limit=1000, deliver=True)).found is Found.WORK:
        pass


def series_of(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name, then by the values of their labels in the order of the labels' names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.004, 0.005, 0.3, 99.0]), st.integers(1, 5)), max_size=8))
def test_many_at_once_are_observed_as_one_by_one(batches: list[tuple[float, int]]) -> None:
    texts = []
    for at_once in (True, False):
        registry = CollectorRegistry()
        seen = metrics.BulkHistogram("seen", "Seen.", buckets=(0.005, 0.3, 1.0), registry=registry)
        for amount, count in batches:
            if at_once:
                seen.observe_many(amount, count)
            else:
                for _ in range(count):
                    seen.observe(amount)
        series = series_of(generate_latest(registry).decode())
        texts.append(
            {name: found for name, found in series.items() if not name.endswith(("_created", "_sum"))}
        )
        total = sum(amount * count for amount, count in batches)
        assert sum(series["seen_sum"].values()) == pytest.approx(total)
    assert texts[0] == texts[1]


async def scrape(client: httpx.AsyncClient) -> dict[str, dict[tuple[str, ...], float]]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return series_of(answer.text)


async def test_every_process_tells_the_same_of_the_whole_system(
    settings: Settings, database: Database, pool_id: PoolId
):
    busy, idle = await add_executors(database, pool_id, 2, daily_limit=20)
    await write_tasks(database.hot, [NewTask(pool_id)] * 30)
    await place(database, pool_id)
    await write_tasks(database.hot, [NewTask(pool_id)] * 11)
    await place(database, pool_id)  # one over the limits
    await write_tasks(database.hot, [NewTask(pool_id)] * 5)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE executor_loads SET day_weight = 10 WHERE executor_id = $1", idle)
    pool = str(pool_id)
    for _ in range(2):
        async with client_of(settings) as client:
            told = await scrape(client)
        assert told["queue_lag"] == {(pool,): 5}
        assert told["tasks_waiting"] == {(pool, "all_at_limit"): 1}
        assert told["executor_utilization"] == {(str(busy), pool): 1.0, (str(idle), pool): 0.5}
        assert told["mae_fairness"] == {(pool,): 0.25}
        assert told["executor_utilization_quantile"][pool, "0.5"] == 0.75
        assert told["outbox_pending"] == {("ais",): 40}
        assert told["outbox_oldest_seconds"]["ais",] > 0
        assert told["database_up"] == {(): 1}


async def test_fairness_comes_from_what_the_watch_found(
    settings: Settings, database: Database, pool_id: PoolId
):
    await add_executors(database, pool_id, 4)
    await write_tasks(database.hot, [NewTask(pool_id)] * 30)
    await place(database, pool_id)
    await FairnessWatch(database).look(datetime.now(UTC))
    async with client_of(settings) as client:
        told = await scrape(client)
    assert told["fairness_gap"][str(pool_id),] == pytest.approx(2 / 30)
    assert told["mae_fairness_optimum"][str(pool_id),] == pytest.approx(0)


async def test_ten_thousand_executors_make_few_series(
    settings: Settings, database: Database, pool_id: PoolId
):
    async with database.hot.acquire() as connection:
        await connection.execute(
            "INSERT INTO executors (pool_id, name) SELECT $1, 'E' || n FROM generate_series(1, 10000) n",
            pool_id,
            timeout=120,
        )
        await connection.execute(
            "INSERT INTO executor_loads (executor_id, pool_id, window_start, business_day, day_weight) "
            "SELECT id, pool_id, now()::date, now()::date, id % 100 FROM executors",
            timeout=120,
        )
    async with client_of(settings) as client:
        told = await scrape(client)
    assert 0 < len(told["executor_utilization"]) <= 20
    values = told["executor_utilization"].values()
    assert min(values) == 0 and max(values) == pytest.approx(2.0)
    system = {family.name for family in metrics.SYSTEM.collect()} & told.keys()
    assert sum(len(told[name]) for name in system) < 100


LOADS = (
    "INSERT INTO executor_loads (executor_id, pool_id, window_start, business_day, day_weight) "
    "SELECT id, pool_id, now()::date, now()::date, id % 100 FROM executors"
)


async def test_a_thousand_pools_make_few_series_and_the_rest_is_one(
    settings: Settings, database: Database, pool_id: PoolId, figure: Figure
):
    async with database.hot.acquire() as connection:
        for statement in (
            "INSERT INTO pools (code, name, timezone) SELECT 'p' || n, 'P', 'UTC' FROM generate_series(1, 999) n",
            "INSERT INTO pool_states (pool_id) SELECT id FROM pools WHERE code <> 'default'",
            "INSERT INTO executors (pool_id, name) SELECT id, 'E' || n FROM pools, generate_series(1, 10) n",
            LOADS,
            "INSERT INTO tasks (pool_id) SELECT id FROM pools, generate_series(1, 3)",
            "UPDATE tasks SET wait_reason = 'all_busy' WHERE id % 3 = 0",
            "ANALYZE",
        ):
            await connection.execute(statement, timeout=120)
    async with client_of(settings) as client:
        await scrape(client)
        began = time.perf_counter()
        told = await scrape(client)
        figure("milliseconds of a scrape of 1,000 pools, shared look", (time.perf_counter() - began) * 1000)
    system = {family.name for family in metrics.SYSTEM.collect()} & told.keys()
    assert sum(len(told[name]) for name in system) <= 1_500
    assert len(told["queue_lag"]) == metrics.MOST_POOLS + 1
    assert sum(told["queue_lag"].values()) == 2000, "what the autoscaler sums up stays whole"
    assert told["tasks_waiting"][metrics.OTHER, "all_busy"] == 1000 - metrics.MOST_POOLS
    assert told["mae_fairness"][metrics.OTHER,] <= min(
        value for (pool,), value in told["mae_fairness"].items() if pool != metrics.OTHER
    )


async def test_what_degrades_quietly_is_told(settings: Settings, database: Database, pool_id: PoolId):
    async with client_of(settings) as client:
        first = await scrape(client)  # the process counts for all tests that ran in it
        before, watched = first["sign_in_failures_total"][()], first["event_stream_watchers"][()]
        wrong = {"username": "nobody", "password": "wrong password"}
        assert (await client.post("/v1/auth/token", json=wrong)).status_code == 401
        await client.post("/v1/tasks", json={})  # rings

        async def heard() -> bool:
            told = await scrape(client)
            waits = told["database_pool_wait_seconds_count"][()]
            return bool(told["database_listening"][()] and told["doorbell_up"][()] and waits)

        await until(heard)
        told = await scrape(client)
    assert told["sign_in_failures_total"][()] == before + 1
    assert told["database_listen_connections_total"][()] >= 1
    assert told["event_stream_watchers"][()] == watched and told["doorbell_failures_total"][()] >= 0


def test_a_process_counts_for_few_pools_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "_labelled", set())
    labels = [metrics.pool_label(number) for number in range(1000)]
    assert len(set(labels)) == metrics.MOST_POOLS + 1
    assert metrics.pool_label(7) == "7" and metrics.pool_label(999) == metrics.OTHER


async def test_strange_requests_make_no_series(settings: Settings, database: Database, pool_id: PoolId):
    async with client_of(settings) as client:
        # The process counts for all tests that ran in it: only what these requests add is theirs.
        before = (await scrape(client)).get("http_request_seconds_count", {})
        for number in range(20):
            await client.get(f"/v1/nothing/{number}")
            await client.request(f"METHOD{number}", "/v1/nothing")
            await client.get(f"/v1/tasks/{number + 1}")
        told = (await scrape(client))["http_request_seconds_count"]
    strange = {labels: count - before.get(labels, 0) for labels, count in told.items() if labels[1] == "none"}
    assert {labels for labels, count in strange.items() if count} == {("other", "none", "404")}
    assert ("GET", "/v1/tasks/{task_id}", "404") in told
    assert not any("METHOD" in labels[0] or "nothing" in labels[1] for labels in told)


async def test_the_metrics_token_opens_metrics_and_nothing_else(
    settings: Settings, database: Database, pool_id: PoolId
):
    locked = settings.model_copy(update={"auth_required": True, "metrics_token": SecretStr("let me see")})
    async with client_of(locked) as client:
        with_token = {"Authorization": "Bearer let me see"}
        assert (await client.get("/metrics", headers=with_token)).status_code == 200
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": "Bearer let me"})).status_code == 401
        assert (await client.get("/v1/tasks", headers=with_token)).status_code == 403


async def test_without_a_database_only_what_is_known_is_told(settings: Settings):
    lost = settings.model_copy(update={"database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none"})
    async with client_of(lost) as client:
        told = await scrape(client)
    assert told["database_up"] == {(): 0}
    assert "queue_lag" not in told and "python_info" in told


def test_several_processes_on_one_port_are_summed(tmp_path: Path):
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def run(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", "from app.telemetry import metrics;" + code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    for count in (2, 3):
        run(f"metrics.assignments_total.labels('1', 'primary').inc({count})")
    told = series_of(run("print(metrics.exposition().decode())"))
    assert told["assignments_total"] == {("primary", "1"): 5}


def known_names() -> set[str]:
    """Every sample name that the API, the workers and Prometheus itself may give."""
    metrics.worker_failures_total.labels("example")
    names = {family.name for family in metrics.SYSTEM.collect()}
    for family in metrics.REGISTRY.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(
            family.type, ("",)
        )
        names |= {family.name + suffix for suffix in suffixes}
    return names | {"up"}


def test_the_promised_names_are_there():
    names = known_names()
    for name in PROMISED:
        assert name in names or f"{name}_bucket" in names


def expressions() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    [board] = (DEPLOY / "grafana" / "dashboards").glob("*.json")
    for panel in json.loads(board.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


WORDS = {"sum", "max", "min", "by", "on", "and", "unless", "absent", "rate", "deriv", "increase", "or"}
WORDS |= {"histogram_quantile", "min_over_time", "pool", "reason", "le", "kind", "quantile", "executor"}
WORDS |= {"destination", "receiver", "route", "status", "job", "loop", "part"}


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_alerts_and_panels_ask_for_metrics_that_exist(where: str, expression: str):
    plain = re.sub(r'"[^"]*"|\[[^\]]*\]|\{|\}', " ", expression)
    asked = set(re.findall(r"[a-z_]{2,}", plain)) - WORDS
    assert asked and asked <= known_names(), asked - known_names()


def test_every_alert_says_what_to_do():
    guide = (ROOT / "docs" / "production.md").read_text()
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            page, _, place = rule["annotations"]["runbook"].partition("#")
            assert page == "docs/production.md"
            titles = re.findall(r"^#+ (.*)$", guide, re.MULTILINE)
            assert place in {title.lower().replace(" ", "-") for title in titles}, rule["alert"]


def promtool(*arguments: str, folder: Path = DEPLOY) -> None:
    if (tool := shutil.which("promtool")) is None:
        pytest.skip("no promtool on this machine")
    done = subprocess.run(
        [tool, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_wakes_somebody():
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    cases = yaml.safe_load((DEPLOY / "alerts_test.yml").read_text())["tests"]
    fired = {
        each["alertname"] for case in cases for each in case["alert_rule_test"] if each.get("exp_alerts")
    }
    assert alerts == fired


def test_the_alerts_wake_somebody_when_they_should_and_not_otherwise():
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts_test.yml")


async def test_a_real_prometheus_scrapes_api_and_workers(
    settings: Settings, database: Database, pool_id: PoolId, tmp_path: Path
):
    if (program := shutil.which("prometheus")) is None:
        pytest.skip("no Prometheus on this machine")
    worker_port, port = free_port(), free_port()
    await add_executors(database, pool_id, 3)
    locked = settings.model_copy(update={"auth_required": True, "metrics_token": SecretStr("let me see")})
    with serving(locked) as api, worker_process(settings, METRICS_PORT=str(worker_port)):
        config = scraping(tmp_path, api.removeprefix("http://"), f"127.0.0.1:{worker_port}")
        promtool("check", "config", str(config), folder=tmp_path)
        await write_tasks(database.hot, [NewTask(pool_id)] * 12)
        with prometheus(program, config, tmp_path / "data", port):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
                await until(lambda: answers(client, 'sum(assignments_total{job="worker"}) == 12'))
                await until(lambda: answers(client, "queue_lag == 0"))
                for name in ("executor_utilization", "assignment_latency_seconds_bucket", "mae_fairness"):
                    await until(lambda asked=name: answers(client, asked))
                rules = (await client.get("/rules")).json()["data"]["groups"][0]["rules"]
                assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
                targets = (await client.get("/targets")).json()["data"]["activeTargets"]
                assert {target["health"] for target in targets} == {"up"}, targets


@contextmanager
def prometheus(program: str, config: Path, data: Path, port: int) -> Iterator[None]:
    where = (
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with subprocess.Popen([program, *where], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def scraping(folder: Path, api: str, worker: str) -> Path:
    """The configuration that is delivered, with these addresses in place of the names in compose."""
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["rule_files"] = [str(DEPLOY / "alerts.yml")]
    (folder / "token").write_text("let me see")
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    jobs["api"]["authorization"]["credentials_file"] = str(folder / "token")
    for name, address in (("api", api), ("worker", worker)):
        del jobs[name]["dns_sd_configs"]
        jobs[name]["static_configs"] = [{"targets": [address]}]
    config["scrape_configs"] = [jobs["api"], jobs["worker"]]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return file


async def answers(client: httpx.AsyncClient, query: str) -> bool:
    try:
        answer = await client.get("/query", params={"query": query})
    except httpx.TransportError:
        return False
    return bool(answer.status_code == 200 and answer.json()["data"]["result"])
