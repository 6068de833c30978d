"""Replays of the system's own history: what happened is found again, and what would have happened is told."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.config import Settings, get_settings
from app.database import Database
from app.engine.ledger import StreamFigures
from app.engine.matrix import MatrixRules
from app.engine.placement.state import PoolState
from app.engine.replay import recount, replay
from app.engine.types import ExecutorId, PoolId
from app.services.replays.history import History, Limits, read_history
from app.services.replays.replays import ReplayJob
from tests.builders import add_executors, add_pool, add_tasks
from tests.fairness.test_fairness_watch import place, run


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    return await add_pool(database)


async def history_of(database: Database, pool_id: PoolId) -> History:
    now = datetime.now(UTC)
    async with database.hot.acquire() as connection:
        return await read_history(
            connection,
            pool_id=pool_id,
            since=now - timedelta(days=1),
            until=now + timedelta(hours=1),
            zone=ZoneInfo("UTC"),
            window="day",
        )


def a_state(history: History) -> PoolState:
    state = PoolState(MatrixRules({}, open_by_default=True))
    state.upsert(history.people)
    return state


def received(figures: StreamFigures) -> dict[int, float]:
    return {one.executor_id: one.received for one in figures.people}


async def test_what_really_happened_is_found_again(database: Database, pool_id: PoolId) -> None:
    people = await add_executors(database, pool_id, 3, daily_limit=5)
    await add_tasks(database, pool_id, 17)
    await place(database, pool_id)
    history = await history_of(database, pool_id)
    actual = recount(a_state(history), history.stream).figures()
    assert received(actual) == dict.fromkeys(people, 5.0)
    assert actual.unplaced == {"never_assigned": 2} and actual.broken == {}
    assert actual.waits is not None and actual.waits.longest < 600
    again = replay(a_state(history), history.stream).figures()
    assert received(again) == dict.fromkeys(people, 5.0)
    assert again.unplaced == {"all_at_limit": 2}


async def test_other_limits_are_tried_on(database: Database, pool_id: PoolId) -> None:
    await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 10)
    await place(database, pool_id)
    history = (await history_of(database, pool_id)).under(Limits(daily_limit=3))
    figures = replay(a_state(history), history.stream).figures()
    assert (figures.placed, figures.unplaced) == (6, {"all_at_limit": 4})


async def test_who_was_there_is_read_from_the_trail(database: Database, pool_id: PoolId) -> None:
    first, second = await add_executors(database, pool_id, 2)
    await run(database, "UPDATE executors SET availability = 'break' WHERE id = $1", second)
    await add_tasks(database, pool_id, 4)
    await place(database, pool_id)
    await run(database, "UPDATE executors SET availability = 'available'")
    await run(database, "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1")
    await add_tasks(database, pool_id, 4)
    await place(database, pool_id)
    history = await history_of(database, pool_id)
    figures = replay(a_state(history), history.stream).figures()
    assert received(figures) == {first: 6.0, second: 2.0}


async def test_children_and_work_by_hand_go_where_they_must(database: Database, pool_id: PoolId) -> None:
    people = await add_executors(database, pool_id, 3)
    [parent] = await add_tasks(database, pool_id, 1)
    await run(
        database,
        "INSERT INTO tasks (pool_id, parent_id) SELECT $1, $2 FROM generate_series(1, 4)",
        pool_id,
        parent,
    )
    await place(database, pool_id)
    await run(
        database,
        "UPDATE assignments SET kind = 'manual' WHERE id = (SELECT max(id) FROM assignments)",
    )
    history = await history_of(database, pool_id)
    played = replay(a_state(history), history.stream)
    assert received(played.figures())[people[0]] == 5.0
    assert {played.holders[number] for number in played.holders} == {ExecutorId(people[0])}


async def wait_for(client: httpx.AsyncClient, path: str) -> Any:
    async with asyncio.timeout(60):
        told = (await client.get(path)).json()
        while told["state"] in ("queued", "running"):
            await asyncio.sleep(0.1)
            told = (await client.get(path)).json()
    return told


async def test_a_rule_set_is_tried_on_the_past_before_it_is_activated(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    await run(
        database,
        "INSERT INTO parameters (pool_id, owner, key, type) VALUES ($1, 'executor', 'grade', 'string')",
        pool_id,
    )
    seniors = await add_executors(database, pool_id, 1, parameters={"grade": "senior"})
    await add_executors(database, pool_id, 3, parameters={"grade": "junior"})
    await add_tasks(database, pool_id, 40)
    await place(database, pool_id)
    only = {"operator": "eq", "field": "executor.parameters.grade", "value": "senior", "name": "seniors"}
    draft = (await client.post("/v1/rules", json={"name": "Seniors", "rules": {"conditions": [only]}})).json()
    asked = await client.post(f"/v1/rules/{draft['rule_set_id']}/replay", json={"compare": ["round_robin"]})
    assert asked.status_code == 202
    told = await wait_for(client, asked.headers["location"])
    assert (told["state"], told["progress"], told["error"]) == ("done", 1.0, None)
    actual, proposed, other = told["result"]["runs"]
    assert [actual["name"], proposed["name"], other["name"]] == ["actual", "fair", "round_robin"]
    assert actual["placed"] == proposed["placed"] == 40
    assert actual["broken"] == {"ineligible": 30}
    assert {one["executor_id"]: one["received"] for one in proposed["executors"] if one["received"]} == {
        seniors[0]: 40.0
    }
    page = await client.get(f"{asked.headers['location']}/report", params={"lang": "en"})
    assert page.headers["content-type"].startswith("text/html") and "Seniors v1" in page.text


async def test_a_replay_that_makes_no_sense_is_refused(client: httpx.AsyncClient) -> None:
    draft = (await client.post("/v1/rules", json={"name": "All", "rules": {}})).json()
    path = f"/v1/rules/{draft['rule_set_id']}/replay"
    for wrong in (
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"since": "2025-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"policy": "luck"},
        {"since": "2026-01-02"},
        {"theta": -1},
    ):
        assert (await client.post(path, json=wrong)).status_code == 422
    assert (await client.post("/v1/rules/999999/replay", json={})).status_code == 404
    assert (await client.get("/v1/replays/999999")).status_code == 404


async def test_a_replay_that_is_cancelled_stays_so_and_a_dead_one_has_failed(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    draft = (await client.post("/v1/rules", json={"name": "All", "rules": {}})).json()
    request = {
        "since": "2026-01-01T00:00:00+00:00",
        "until": "2026-01-02T00:00:00+00:00",
        "policies": ["fair"],
    }
    request |= {"theta": None, "daily_limit": None, "max_open": None}
    insert = (
        "INSERT INTO replays (pool_id, rule_set_id, request, seen_at)"
        " VALUES ($1, $2, $3, clock_timestamp() - $4::interval) RETURNING id"
    )
    [one], [two] = [
        await run(database, insert, pool_id, draft["rule_set_id"], request, ago)
        for ago in (timedelta(0), timedelta(minutes=5))
    ]
    cancelled = await client.post(f"/v1/replays/{one['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    await ReplayJob(database, one["id"]).run()
    assert (await client.get(f"/v1/replays/{one['id']}")).json()["state"] == "cancelled"
    assert (await client.post(f"/v1/replays/{one['id']}/cancel")).status_code == 409
    assert (await client.get(f"/v1/replays/{one['id']}/report")).status_code == 409
    assert (await client.get(f"/v1/replays/{two['id']}")).json()["state"] == "failed"


async def test_history_is_played_from_the_command_line_too(
    settings: Settings, database: Database, pool_id: PoolId, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 10)
    await place(database, pool_id)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    get_settings.cache_clear()
    ran = await asyncio.to_thread(CliRunner().invoke, app, ["replay", "history", "--limit", "3", "--json"])
    nobody = await asyncio.to_thread(CliRunner().invoke, app, ["replay", "history", "--pool", "nobodys"])
    get_settings.cache_clear()
    assert ran.exit_code == 0, ran.output
    actual, proposed = json.loads(ran.stdout)["runs"]
    assert (actual["placed"], proposed["placed"], proposed["unplaced"]) == (10, 6, {"all_at_limit": 4})
    assert nobody.exit_code == 1 and "nobodys" in nobody.stderr
