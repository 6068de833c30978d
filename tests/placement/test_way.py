"""The way of a task through real processes: an API, two workers, one database. The first four invariants in small."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.database import Database
from app.local.embedded import free_port
from app.services.audit.invariants import find_violations
from tests.builders import add_pool
from tests.servers import ROOT

pytestmark = pytest.mark.slow

DECISIONS = """
SELECT task.id, task.pool_id, task.parameters ->> 'skill' AS skill, person.pool_id AS persons_pool,
       person.parameters ->> 'skill' AS persons_skill, person.id AS executor_id
FROM assignments one JOIN tasks task ON task.id = one.task_id JOIN executors person ON person.id = one.executor_id
WHERE one.released_at IS NULL
"""
SAME_SKILL = {
    "operator": "eq",
    "field": "executor.parameters.skill",
    "value": {"field": "task.parameters.skill"},
}


@contextlib.contextmanager
def process(settings: Settings, *command: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the product, as a user starts it, on this test's servers."""
    own = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url or "", "METRICS_PORT": "0"}
    started = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=os.environ | own | {"LOG_LEVEL": "warning"} | environment
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@contextlib.contextmanager
def api(settings: Settings) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    port = str(free_port())
    with process(settings, "-m", "uvicorn", "app.main:app", "--port", port, "--no-access-log") as served:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while not is_live(address):
            assert served.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield served, address


def is_live(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{address}/v1/health/live").is_success
    return False


@contextlib.contextmanager
def two_workers(settings: Settings) -> Iterator[None]:
    """Small batches, so that both have their turns."""
    with (
        process(settings, "app/worker.py", WORKER_BATCH="20"),
        process(settings, "app/worker.py", WORKER_BATCH="20"),
    ):
        yield


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 120
    while not await condition():
        assert time.monotonic() < deadline, "the state did not come in time"
        await asyncio.sleep(0.05)


async def made(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def a_team(
    client: httpx.AsyncClient, code: str, people: list[dict[str, Any]], rules: list[object]
) -> int:
    """A pool over HTTP, with rules in force."""
    pool_id = (await made(client, "/v1/pools", {"code": code, "name": code}))["pool_id"]
    for owner in ("task", "executor"):
        await made(
            client, "/v1/parameters", {"pool_id": pool_id, "owner": owner, "key": "skill", "type": "string"}
        )
    await made(client, "/v1/executors/batch", {"pool_id": pool_id, "executors": people})
    draft = {"pool_id": pool_id, "name": "rules", "rules": {"conditions": rules}}
    rule_set = (await made(client, "/v1/rules", draft))["rule_set_id"]
    await made(client, f"/v1/rules/{rule_set}/activate", {})
    return int(pool_id)


def people(skills: str, **limits: object) -> list[dict[str, Any]]:
    return [{"name": f"P{n}", "parameters": {"skill": skill}, **limits} for n, skill in enumerate(skills)]


async def send_burst(client: httpx.AsyncClient, pools: list[int], each: int) -> set[int]:
    """Single tasks and batches of both pools at once, each external id twice; the ids that were answered."""
    singles = [
        made(client, "/v1/tasks", {"pool_id": pool, "external_id": f"s{n % 50}", "parameters": skill(n)})
        for pool in pools
        for n in range(100)
    ]
    batches = [
        made(client, "/v1/tasks/batch", {"tasks": [
            {"pool_id": pool, "external_id": f"b{n}", "parameters": skill(n)} for n in range(each - 50)
        ]})
        for pool in pools * 2
    ]  # fmt: skip
    told = await asyncio.gather(*batches, *singles)
    return {item["task_id"] for answer in told for item in answer.get("items", [answer])}


def skill(number: int) -> dict[str, str]:
    return {"skill": "ab"[number % 2]}


async def test_pitfall_3_and_4_a_burst_to_two_workers_is_placed_once_within_limits_each_pool_by_its_own_rules(
    settings: Settings, database: Database
) -> None:
    await add_pool(database)
    with api(settings) as (_, address), two_workers(settings):
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            strict = await a_team(client, "strict", people("aaabb", daily_limit=60), [SAME_SKILL])
            free = await a_team(client, "free", people("aaabb", max_open=50), [])
            answered = await send_burst(client, [strict, free], 400)
            await until(lambda: all_looked_at(database))
    async with database.hot.acquire() as connection:
        ids = {row["id"] for row in await connection.fetch("SELECT id FROM tasks")}
        rows = await connection.fetch(DECISIONS)
        assert await find_violations(connection) == []
    assert ids == answered and len(ids) == 800
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["pool_id"] == row["persons_pool"] for row in rows)
    assert all(row["skill"] == row["persons_skill"] for row in rows if row["pool_id"] == strict)
    assert sorted(Counter(row["executor_id"] for row in rows).values()) == [50] * 5 + [60] * 5


async def all_looked_at(database: Database) -> bool:
    async with database.hot.acquire() as connection:
        return not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM tasks WHERE status = 'pending' AND wait_reason IS NULL)"
        )


async def test_every_task_that_was_answered_is_there_after_the_api_was_killed(
    settings: Settings, database: Database
) -> None:
    await add_pool(database)
    answered: list[int] = []

    async def send_until_it_dies(client: httpx.AsyncClient) -> None:
        with contextlib.suppress(httpx.TransportError):
            while True:
                answered.append((await made(client, "/v1/tasks", {}))["task_id"])

    with api(settings) as (served, address):
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            senders = asyncio.gather(*(send_until_it_dies(client) for _ in range(16)))
            await until(lambda: at_least(answered, 100))
            served.send_signal(signal.SIGKILL)
            await senders
    async with database.hot.acquire() as connection:
        stored = {row["id"] for row in await connection.fetch("SELECT id FROM tasks")}
    assert set(answered) <= stored
    assert len(answered) == len(set(answered)) >= 100


async def at_least(answered: list[int], count: int) -> bool:
    return len(answered) >= count
