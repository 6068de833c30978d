"""Health: says what is down, soon, and never fails itself."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from app.config import Settings
from tests.api.conftest import client_of, problem_in

NOBODY = "127.0.0.1:9"


@pytest.fixture
async def frozen_server() -> AsyncIterator[str]:
    """An address where connections are taken and nothing is ever said."""
    open_ends = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ends.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    for writer in open_ends:
        writer.transport.abort()
    server.close()


async def test_all_parts_up_is_ok_and_ready(client: httpx.AsyncClient) -> None:
    health = (await client.get("/v1/health")).json()
    assert health["status"] == "ok"
    assert {name: part["status"] for name, part in health["parts"].items()} == {
        "database": "up",
        "doorbell": "up",
        "external_system": "up",
        "background": "up",
    }
    assert health["version"]
    assert (await client.get("/v1/health/ready")).json() == health


async def test_database_out_of_reach_is_named_and_the_process_lives(settings: Settings) -> None:
    lost = settings.model_copy(update={"database_url": f"postgresql+asyncpg://u:secret@{NOBODY}/x"})
    async with client_of(lost) as client:
        assert (await client.get("/v1/health/live")).status_code == 200
        health = await client.get("/v1/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        ready = await client.get("/v1/health/ready")
        assert ready.status_code == 503
        assert ready.headers["retry-after"] == "1"
        problem = problem_in(ready)
        assert problem["detail"].startswith("database: ")
        assert problem["parts"]["database"]["status"] == "down"
        assert problem["parts"]["doorbell"]["status"] == "up"
        assert "secret" not in ready.text + health.text


async def test_lost_redis_is_named_but_the_system_is_ready(settings: Settings) -> None:
    quiet = settings.model_copy(update={"redis_url": f"redis://{NOBODY}/0"})
    async with client_of(quiet) as client:
        ready = await client.get("/v1/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert ready.json()["parts"]["doorbell"]["status"] == "down"


async def test_no_redis_at_all_is_no_fault(settings: Settings) -> None:
    async with client_of(settings.model_copy(update={"redis_url": None})) as client:
        health = (await client.get("/v1/health")).json()
        assert health["status"] == "ok"
        assert "REDIS_URL" in health["parts"]["doorbell"]["detail"]


async def test_missing_schema_is_named_with_the_remedy(empty_database_url: str) -> None:
    async with client_of(Settings(database_url=empty_database_url)) as client:
        problem = problem_in(await client.get("/v1/health/ready"))
        assert problem["detail"] == "database: no schema: run python init_db.py"


async def test_hanging_database_and_redis_are_found_out_within_the_deadline(frozen_server: str) -> None:
    hanging = Settings(
        database_url=f"postgresql://u@{frozen_server}/x",
        redis_url=f"redis://{frozen_server}/0",
        database_timeout=120,
    )
    async with client_of(hanging) as client:
        began = time.monotonic()
        answers = await asyncio.gather(*(client.get("/v1/health/ready") for _ in range(20)))
        assert time.monotonic() - began < 60, "its own patience, not the timeout of the database"
        assert {answer.status_code for answer in answers} == {503}
        assert all(part["status"] == "down" for part in problem_in(answers[0])["parts"].values())


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    await client.post("/v1/tasks", json={})
    metrics = await client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    for name in (
        "assignments_total",
        "assignment_latency_seconds",
        "mae_fairness",
        "queue_lag",
        "executor_utilization",
    ):
        assert f"# HELP {name} " in metrics.text
    assert "tasks_accepted_total{" in metrics.text
