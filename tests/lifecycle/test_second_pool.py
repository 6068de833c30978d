"""The second pool: what waits too long at home goes on to another team, and is lost nowhere on the way."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.database import Database
from app.engine.types import PoolId, TaskId
from app.services.audit.invariants import find_violations
from app.services.intake.intake import NewTask, write_tasks
from app.services.replays.history import read_history
from app.services.tasks.housekeeping import keep_flowing
from app.services.tasks.moves import Lifecycle, Move, MoveName
from app.services.tasks.pool_transfer import move_on
from app.services.tasks.sql import RAISE_EPOCH
from tests.api.conftest import problem_in
from tests.builders import add_executors, add_pool, add_tasks
from tests.lifecycle.conftest import Story, until
from tests.lifecycle.test_flow import flow, make_old

WAITS_LONG = """
UPDATE tasks SET wait_reason = 'all_busy', waiting_since = now() - interval '1 hour'
WHERE pool_id = $1 AND status = 'pending'
"""


async def second_pool(story: Story, **executor: Any) -> tuple[int, int]:
    """Another pool with one person in it."""
    made = await story.client.post("/v1/pools", json={"code": "second", "name": "Second", "timezone": "UTC"})
    assert made.status_code == 201, made.text
    pool_id = made.json()["pool_id"]
    return pool_id, await story.executor(pool_id=pool_id, **executor)


async def opened(story: Story, to: int, **more: Any) -> None:
    step = {"after_minutes": 30, "to_pool": to, **more}
    answer = await flow(story, escalation=[step])
    assert answer.status_code == 200, answer.text


async def kpi(story: Story, pool_id: int) -> dict[str, Any]:
    [day] = (await story.client.get("/v1/kpi", params={"pool_id": pool_id, "by": "day"})).json()["days"]
    return dict(day)


async def test_what_waits_too_long_goes_on_to_the_second_pool_and_says_so(story: Story) -> None:
    await story.executor(max_open=0)
    second, helper = await second_pool(story)
    task = await story.task(external_id="A-1")
    assert task["wait_reason"] == "all_busy"
    await opened(story, second)
    assert (await story.get(task))["pool_id"] == story.pool_id, "not yet"
    await make_old(story.database, "tasks", "waiting_since")
    moved = await story.becomes(task, "assigned")
    assert (moved["pool_id"], moved["home_pool_id"], moved["executor_id"]) == (second, story.pool_id, helper)
    assert (moved["version"], moved["escalation"], moved["task_id"]) == (3, 0, task["task_id"])
    events = [(step["event"], step["actor"], step["reason"]) for step in await story.history(task)]
    reason = "waited 30 min in default (all_busy: eligible 1, absent 0, at_limit 0, busy 1): from default to second"
    assert events == [
        ("created", "api", ""),
        ("moved_on", "clock", reason),
        ("assigned", "engine", "primary"),
    ]
    explained = (await story.client.get(f"/v1/tasks/{task['task_id']}/explanation")).json()
    assert (explained["executor_id"], explained["eligible"]) == (helper, 1)
    assert await story.carries(helper) == (1, 1.0)
    home, there = await kpi(story, story.pool_id), await kpi(story, second)
    assert [home[name] for name in ("received", "assigned", "moved_out", "moved_in")] == [1, 0, 1, 0]
    assert [there[name] for name in ("received", "assigned", "moved_out", "moved_in")] == [0, 1, 0, 1]
    assert there["latency_p50"] < 60, "its hour at home is not the second pool's latency"
    await story.sound()


async def test_a_task_that_moved_is_still_found_by_the_key_and_external_id_of_its_home(story: Story) -> None:
    await story.executor(max_open=0)
    second, _ = await second_pool(story)
    first = await story.client.post(
        "/v1/tasks", json={"external_id": "A-1"}, headers={"Idempotency-Key": "k"}
    )
    task = first.json()
    await opened(story, second)
    await make_old(story.database, "tasks", "created_at")
    await story.database.hot.execute("UPDATE tasks SET waiting_since = now() - interval '1 hour'")
    await story.becomes(task, "assigned")
    for headers in ({}, {"Idempotency-Key": "k"}, {"Idempotency-Key": "another"}):
        again = await story.client.post("/v1/tasks", json={"external_id": "A-1"}, headers=headers)
        assert (again.status_code, again.json()["duplicate"]) == (200, True), again.text
        assert again.json()["task_id"] == task["task_id"]
    own = await story.client.post("/v1/tasks", json={"external_id": "A-1", "pool_id": second})
    assert own.status_code == 202
    assert own.json()["task_id"] != task["task_id"], "the second pool has its own A-1"
    found = await story.client.get("/v1/tasks", params={"pool_id": story.pool_id, "external_id": "A-1"})
    assert [each["task_id"] for each in found.json()["items"]] == [task["task_id"]]
    away = await story.client.get("/v1/tasks", params={"home_pool_id": story.pool_id})
    assert [each["task_id"] for each in away.json()["items"]] == [task["task_id"]]
    child = await story.client.post("/v1/tasks", json={"parent_id": task["task_id"]})
    assert child.status_code == 202, "a child is handed in where its parent was"
    await story.sound()


async def test_the_steps_of_the_second_pool_count_from_there_and_lead_on(story: Story) -> None:
    await story.executor(max_open=0)
    second, _ = await second_pool(story, max_open=0)
    made = await story.client.post("/v1/pools", json={"code": "third", "name": "Third", "timezone": "UTC"})
    third = made.json()["pool_id"]
    helper = await story.executor(pool_id=third)
    await opened(story, second)
    onward = {"flow": {"escalation": [{"after_minutes": 5, "to_pool": third}]}}
    assert (await story.client.patch(f"/v1/pools/{second}", json=onward)).status_code == 200
    task = await story.task()
    await make_old(story.database, "tasks", "waiting_since")

    async def waits_there() -> dict[str, Any] | None:
        found = await story.get(task)
        return found if found["pool_id"] == second and found["wait_reason"] else None

    assert (await until(waits_there))["home_pool_id"] == story.pool_id
    await make_old(story.database, "tasks", "waiting_since")
    moved = await story.becomes(task, "assigned")
    assert (moved["pool_id"], moved["home_pool_id"], moved["executor_id"]) == (third, story.pool_id, helper)
    assert [step["event"] for step in await story.history(task)] == [
        "created",
        "moved_on",
        "moved_on",
        "assigned",
    ]
    await story.sound()


async def test_a_pool_that_refuses_its_parameters_does_not_get_it_and_history_says_why(story: Story) -> None:
    await story.executor(max_open=0)
    second, helper = await second_pool(story)
    sums = {"owner": "task", "key": "sum", "type": "number", "pool_id": second}
    level = {"owner": "task", "key": "level", "type": "number", "default": 7, "pool_id": second}
    for parameter in (sums, level):
        assert (await story.client.post("/v1/parameters", json=parameter)).status_code == 201
    odd = await story.task(parameters={"sum": "a lot"})
    good = await story.task(parameters={"sum": 5})
    await opened(story, second)
    await make_old(story.database, "tasks", "waiting_since")
    moved = await story.becomes(good, "assigned")
    assert (moved["executor_id"], moved["parameters"]) == (helper, {"sum": 5, "level": 7})
    [step] = [step for step in await story.history(odd) if step["event"] == "escalate"]
    assert "not opened to second: parameters.sum: 'a lot' is not a number" in step["reason"]
    assert (await story.get(odd))["pool_id"] == story.pool_id
    await story.sound()


async def test_pools_that_make_no_sense_as_a_second_one_are_refused(story: Story) -> None:
    second, _ = await second_pool(story)
    made = await story.client.post("/v1/pools", json={"code": "third", "name": "Third"})
    third = made.json()["pool_id"]
    await opened(story, second)
    assert (await flow(story, escalation=[{"after_minutes": 5, "to_pool": story.pool_id}])).status_code == 422
    unknown = await flow(story, escalation=[{"after_minutes": 5, "to_pool": 999_999}])
    assert "there is no pool 999999" in str(problem_in(unknown))
    for steps, said in (
        ([{"after_minutes": 5}], "either conditions to relax or the pool"),
        ([{"after_minutes": 5, "to_pool": third, "relax": ["x"]}], "either conditions to relax or the pool"),
        (
            [{"after_minutes": 5, "to_pool": third}, {"after_minutes": 9, "to_pool": second}],
            "is the last one",
        ),
    ):
        refused = await flow(story, escalation=steps)
        assert refused.status_code == 422 and said in str(problem_in(refused)), refused.text
    for pool, to, allowed in ((second, third, True), (third, story.pool_id, False)):
        step = {"flow": {"escalation": [{"after_minutes": 5, "to_pool": to}]}}
        answer = await story.client.patch(f"/v1/pools/{pool}", json=step)
        assert (answer.status_code == 200) is allowed, answer.text
    assert f"in a circle: {third} -> {story.pool_id} -> {second} -> {third}" in str(problem_in(answer))


async def test_both_pools_webhooks_hear_of_it_in_order(story: Story) -> None:
    await story.executor(max_open=0)
    second, _ = await second_pool(story)
    for pool in (story.pool_id, second):
        hook = {"pool_id": pool, "url": f"https://example.org/{pool}"}
        assert (await story.client.post("/v1/webhooks", json=hook)).status_code == 201
    task = await story.task()
    await opened(story, second)
    await make_old(story.database, "tasks", "waiting_since")
    moved = await story.becomes(task, "assigned")
    await story.done(moved, "complete")
    rows = await story.database.hot.fetch(
        "SELECT pool_id, sequence, event FROM outbox WHERE task_id = $1 AND destination LIKE 'webhook:%'"
        " ORDER BY pool_id, sequence",
        task["task_id"],
    )
    assert [tuple(row) for row in rows] == [
        (pool, *step)
        for pool in sorted((story.pool_id, second))
        for step in ((2, "moved_on"), (3, "assigned"), (4, "complete"))
    ]
    await story.sound()


@pytest.fixture
async def three(database: Database) -> list[PoolId]:
    """Three pools whose people can take nothing."""
    pools = [await add_pool(database, code=code) for code in ("a", "b", "c")]
    for pool in pools:
        await add_executors(database, pool, 2, max_open=0)
    return pools


async def waiting_long(database: Database, pool: PoolId, count: int) -> list[TaskId]:
    tasks = await add_tasks(database, pool, count)
    await database.hot.execute(WAITS_LONG, pool)
    return tasks


async def test_moves_between_pools_in_both_directions_and_moves_of_tasks_never_block_each_other(
    database: Database, three: list[PoolId]
) -> None:
    """Locks are taken in the order of pool ids: 60 crossing rounds, no deadlock, nothing lost."""
    tasks = [task for pool in three for task in await waiting_long(database, pool, 30)]

    async def cross(source: PoolId, to: PoolId) -> int:
        done = 0
        for _ in range(10):
            done += await move_on(database.hot, pool_id=source, to=to, step=1, minutes=30)
            async with database.hot.acquire() as connection, connection.transaction():
                await connection.execute(RAISE_EPOCH, to)
                await connection.execute(WAITS_LONG, to)
        return done

    ways = [(a, b) for a in three for b in three if a != b]
    moved = await asyncio.gather(*(cross(*way) for way in ways))
    assert sum(moved) > 0
    rows = await database.hot.fetch("SELECT id, pool_id, home_pool_id, version FROM tasks ORDER BY id")
    assert [row["id"] for row in rows] == sorted(tasks)
    home = dict(zip(sorted(tasks), [each for each in three for _ in range(30)], strict=True))
    for row in rows:
        at_home = row["pool_id"] == home[row["id"]]
        assert row["home_pool_id"] == (None if at_home else home[row["id"]])
    counted = await database.hot.fetch("SELECT sum(moved_in) AS i, sum(moved_out) AS o FROM kpi_hours")
    assert {*counted[0].values()} == {sum(moved)}
    assert sum(row["version"] - 1 for row in rows) == sum(moved)


async def test_a_move_of_a_task_follows_it_into_the_pool_to_which_it_went(
    database: Database, settings: Any, three: list[PoolId], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = three
    [task] = await waiting_long(database, first, 1)
    lifecycle = Lifecycle(database.hot, _Silent(), deliver=False)
    ask, asked = lifecycle._pools_of, 0

    async def and_then_it_goes(task_ids: Any) -> Any:
        nonlocal asked
        asked += 1
        found = await ask(task_ids)
        if asked == 1:
            assert await move_on(database.hot, pool_id=first, to=second, step=1, minutes=30) == 1
        return found

    monkeypatch.setattr(lifecycle, "_pools_of", and_then_it_goes)
    lifecycle.start()
    moved = await lifecycle.move(Move(task, MoveName.CANCEL, "tester"))
    await lifecycle.stop()
    assert (moved.version, asked) == (3, 2)
    row = await database.hot.fetchrow("SELECT status, pool_id FROM tasks WHERE id = $1", task)
    assert row is not None and (row["status"], row["pool_id"]) == ("cancelled", second)


class _Silent:
    def ring(self, pool_id: PoolId) -> None:
        """Nobody listens."""


async def test_replays_of_both_pools_know_when_a_task_was_theirs(
    database: Database, three: list[PoolId]
) -> None:
    first, second, _ = three
    await waiting_long(database, first, 1)
    await database.hot.execute("UPDATE tasks SET created_at = now() - interval '2 hours'")
    await move_on(database.hot, pool_id=first, to=second, step=1, minutes=30)
    now = datetime.now(UTC)

    async def arrivals(pool: PoolId, since: datetime) -> list[float]:
        async with database.hot.acquire() as connection:
            found = await read_history(
                connection, pool_id=pool, since=since, until=now, zone=ZoneInfo("UTC"), window="day"
            )
        return [arrival.at for arrival in found.stream.arrivals]

    day = now - timedelta(days=1)
    [at_home], [there] = await arrivals(first, day), await arrivals(second, day)
    assert there - at_home > 3600
    assert await arrivals(second, now - timedelta(minutes=30)) == [there]


async def test_a_closed_second_pool_gets_nothing_until_it_opens(
    database: Database, three: list[PoolId]
) -> None:
    first, second, _ = three
    await waiting_long(database, first, 1)
    options = {"flow": {"escalation": [{"after_minutes": 30, "to_pool": second}]}}
    await database.hot.execute("UPDATE pools SET settings = $2 WHERE id = $1", first, options)
    await database.hot.execute("UPDATE pools SET active = false WHERE id = $1", second)
    await keep_flowing(database.hot, deliver=False)
    assert await database.hot.fetchval("SELECT pool_id FROM tasks") == first
    await database.hot.execute("UPDATE pools SET active = true WHERE id = $1", second)
    await keep_flowing(database.hot, deliver=False)
    assert await database.hot.fetchval("SELECT pool_id FROM tasks") == second


async def test_intake_finds_the_first_result_while_tasks_are_on_the_move(
    database: Database, three: list[PoolId]
) -> None:
    """Invariant 1: the same 40 external ids, sent again and again while their tasks go from pool to pool."""
    first, second, _ = three
    wanted = [NewTask(first, external_id=f"T-{number}") for number in range(40)]
    known = [receipt.task_id for receipt in await write_tasks(database.hot, wanted)]  # type: ignore[union-attr]
    await waiting_long(database, first, 0)

    async def send_again() -> None:
        for _ in range(10):
            again = await write_tasks(database.hot, wanted)
            assert [receipt.task_id for receipt in again] == known  # type: ignore[union-attr]

    going = move_on(database.hot, pool_id=first, to=second, step=1, minutes=30)
    moved, *_ = await asyncio.gather(going, send_again(), send_again())
    assert moved == 40
    await send_again()
    async with database.hot.acquire() as connection:
        assert [each.check.name for each in await find_violations(connection)] == []
