"""How a pool is right now."""

from datetime import UTC, datetime, timedelta

import httpx

from app.database import Database
from app.engine.types import PoolId
from app.services.live.overview import Overview
from tests.builders import add_executors, add_tasks

PARK = "UPDATE tasks SET wait_reason = 'no_one_eligible', waiting_since = now() - interval '20 minutes' WHERE id = $1"


async def overview_of(client: httpx.AsyncClient, **query: object) -> dict:
    answer = await client.get("/v1/distribution/overview", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_empty_pool_says_that_nobody_is_there(client: httpx.AsyncClient) -> None:
    overview = await overview_of(client, period=15)
    assert [alert["code"] for alert in overview["alerts"]] == ["no_executors"]
    assert (overview["received"], overview["assigned"], overview["latency"]) == (0, 0, None)
    assert len(overview["steps"]) == 16


async def test_work_is_counted_by_the_minute_with_its_latency(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId, working: None
) -> None:
    await add_executors(database, pool_id, 2)
    answer = await client.post("/v1/tasks?wait=30", json={})
    assert answer.status_code == 201, answer.text
    overview = await overview_of(client)
    assert (overview["received"], overview["assigned"]) == (1, 1)
    assert sum(step["received"] for step in overview["steps"]) == 1
    assert overview["latency"]["sample"] == 1
    assert overview["people"] == {"total": 2, "available": 2, "on_break": 0, "offline": 0}


async def test_what_waits_is_told_with_its_reason_and_raises_alerts(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 1, availability="break")
    [task_id] = await add_tasks(database, pool_id, 1)
    async with database.hot.acquire() as connection:
        await connection.execute(PARK, task_id)
    overview = await overview_of(client)
    assert [(each["reason"], each["count"]) for each in overview["waiting"]] == [("no_one_eligible", 1)]
    codes = {alert["code"] for alert in overview["alerts"]}
    assert codes == {"nobody_available", "no_one_eligible", "waiting_long", "no_rules"}


async def test_a_task_that_no_worker_looks_at_raises_an_alarm(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 1)
    await add_tasks(database, pool_id, 3)
    async with database.hot.acquire() as connection:
        minute = "interval '1 minute'"
        await connection.execute(
            f"UPDATE tasks SET created_at = now() - {minute}, updated_at = now() - {minute}"
        )
    overview = await overview_of(client)
    assert overview["undecided"] == 3
    assert overview["alerts"][0]["code"] == "undecided"
    assert overview["alerts"][0]["values"]["tasks"] == 3


async def test_long_periods_come_in_steps_that_fit_a_screen(client: httpx.AsyncClient) -> None:
    overview = await overview_of(client, period=1440)
    assert overview["step_minutes"] == 12
    assert len(overview["steps"]) <= 122


async def test_minutes_that_were_asked_for_are_remembered_and_those_before_fetched(
    database: Database, pool_id: PoolId
) -> None:
    now = datetime.now(UTC).replace(second=30, microsecond=0)
    await add_tasks(database, pool_id, 2)
    overview = Overview(database.hot)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE tasks SET created_at = $1", now - timedelta(minutes=40))
        _, short = await overview.look(pool_id, period=timedelta(minutes=15), now=now)
        _, long = await overview.look(pool_id, period=timedelta(minutes=60), now=now)
        await connection.execute("UPDATE tasks SET created_at = $1", now)
        later = now + timedelta(seconds=20)
        overview._pictures.clear()
        _, again = await overview.look(pool_id, period=timedelta(minutes=60), now=later)
    assert sum(minute.received for minute in short) == 0
    assert sum(minute.received for minute in long) == 2
    # What is over does not change and is not asked for again.
    assert sum(minute.received for minute in again) == 4
