"""What happens, as it happens."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.services.live import event_stream
from tests.api.conftest import serving
from tests.builders import add_executors, add_pool


@pytest.fixture
def address(settings: Settings, pool_id: PoolId, working: None) -> Iterator[str]:
    with serving(settings) as address:
        yield address


class Stream:
    """The events of a stream, read as a client reads them."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines

    async def next(self, *kinds: str) -> tuple[str | None, dict[str, Any]]:
        """The next event of one of these kinds: its id and data."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields.get("event") in kinds:
                return fields.get("id"), json.loads(fields["data"])
            else:
                fields = {}
        raise AssertionError(f"the stream ended without {kinds}")


async def test_an_assignment_is_announced_with_the_figures_it_changes(
    address: str, database: Database, pool_id: PoolId
) -> None:
    [executor_id] = await add_executors(database, pool_id, 1)
    async with (
        httpx.AsyncClient(base_url=address, timeout=60) as client,
        client.stream("GET", "/v1/events") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer.aiter_lines())
        _, figures = await stream.next("kpis")
        assert figures["assigned"] == 0
        task = (await client.post("/v1/tasks", json={})).json()
        _, news = await stream.next("news")
        assert news["assignments"][0]["task_id"] == task["task_id"]
        assert news["assignments"][0]["executor_id"] == executor_id
        figures = {"assigned": 0}
        while figures["assigned"] == 0:
            _, figures = await stream.next("kpis")
        assert figures["received"] == 1


async def test_a_client_that_comes_back_hears_what_it_missed(
    address: str, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 1)
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        async with client.stream("GET", "/v1/events") as answer:
            last, _ = await Stream(answer.aiter_lines()).next("began")
        task = (await client.post("/v1/tasks?wait=30", json={})).json()
        async with client.stream("GET", "/v1/events", headers={"Last-Event-ID": str(last)}) as answer:
            _, news = await Stream(answer.aiter_lines()).next("news")
    assert [each["task_id"] for each in news["assignments"]] == [task["task_id"]]


async def test_the_work_of_another_pool_is_not_told(
    address: str, database: Database, pool_id: PoolId
) -> None:
    other = await add_pool(database, code="other")
    await add_executors(database, pool_id, 1)
    await add_executors(database, other, 1)
    async with (
        httpx.AsyncClient(base_url=address, timeout=60) as client,
        client.stream("GET", "/v1/events", params={"pool_id": pool_id}) as answer,
    ):
        stream = Stream(answer.aiter_lines())
        await stream.next("kpis")
        await client.post("/v1/tasks?wait=30", json={"pool_id": other})
        mine = (await client.post("/v1/tasks", json={"pool_id": pool_id})).json()
        _, news = await stream.next("news")
    assert [each["task_id"] for each in news["assignments"]] == [mine["task_id"]]


@pytest.mark.parametrize("last", ["", "nonsense", "1e400", "-5", "99999999999999999999"])
async def test_an_id_that_is_none_of_ours_is_ignored(address: str, last: str) -> None:
    async with (
        httpx.AsyncClient(base_url=address, timeout=60) as client,
        client.stream("GET", "/v1/events", headers={"Last-Event-ID": last}) as answer,
    ):
        assert answer.status_code == 200
        assert (await Stream(answer.aiter_lines()).next("kpis"))[1]["pool_id"]


async def test_more_watchers_than_a_process_serves_are_sent_elsewhere(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "MOST_WATCHERS", 0)
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        answer = await client.get("/v1/events")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert "/v1/distribution/overview" in answer.json()["detail"]
