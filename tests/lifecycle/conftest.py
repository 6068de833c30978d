"""The API, a worker, and short words for what happens to a task."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.database import Database
from app.engine.types import PoolId
from app.services.audit.invariants import find_violations
from tests.api.conftest import client, pool_id, working

__all__ = ["client", "pool_id", "working"]


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """The first true answer; a busy machine is given time."""
    deadline = time.monotonic() + seconds
    while not (answer := await condition()):
        assert time.monotonic() < deadline, "the state did not come in time"
        await asyncio.sleep(0.01)
    return answer


@dataclass(frozen=True)
class Story:
    """What a client does with tasks and people, said shortly."""

    client: httpx.AsyncClient
    database: Database
    pool_id: PoolId

    async def executor(self, **fields: Any) -> int:
        answer = await self.client.post("/v1/executors", json={"name": "Anna", **fields})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["executor_id"])

    async def task(self, *, wait: float = 30, **fields: Any) -> dict[str, Any]:
        answer = await self.client.post("/v1/tasks", params={"wait": wait}, json=fields)
        assert answer.status_code in {201, 202}, answer.text
        return dict(answer.json())

    async def get(self, task: dict[str, Any]) -> dict[str, Any]:
        return dict((await self.client.get(f"/v1/tasks/{task['task_id']}")).json())

    async def move(
        self,
        task: dict[str, Any],
        name: str,
        *,
        wait: float | None = None,
        version: int | None = None,
        **body: Any,
    ) -> httpx.Response:
        if name in {"reject", "return", "reassign"}:
            body.setdefault("reason", "because")
        return await self.client.post(
            f"/v1/tasks/{task['task_id']}/{name}",
            json=body,
            params={} if wait is None else {"wait": wait},
            headers={} if version is None else {"If-Match": f'"{version}"'},
        )

    async def done(self, task: dict[str, Any], name: str, **body: Any) -> dict[str, Any]:
        answer = await self.move(task, name, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def becomes(self, task: dict[str, Any], status: str) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            found = await self.get(task)
            return found if found["status"] == status else None

        return dict(await until(there))

    async def carries(self, executor_id: int) -> tuple[int, float]:
        found = (await self.client.get(f"/v1/executors/{executor_id}")).json()
        return found["open_count"], found["assigned_today"]

    async def history(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        return list((await self.client.get(f"/v1/tasks/{task['task_id']}/history")).json()["items"])

    async def sound(self) -> None:
        async with self.database.hot.acquire() as connection:
            assert await find_violations(connection) == []


@pytest.fixture
def story(client: httpx.AsyncClient, database: Database, pool_id: PoolId, working: None) -> Story:
    """A client of a running system with a pool and nobody in it."""
    return Story(client, database, pool_id)
