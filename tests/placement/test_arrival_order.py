"""Order of arrival: the database's time of intake decides who is first, whichever connection took a task in.

Each connection numbers from a block of 1,000 ids of its own, so the ids say nothing about time between connections.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
from hypothesis import given, strategies as st

from app.database import Database
from app.engine.placement.allocate import in_order
from app.engine.types import PoolId, Task, TaskId
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.replays.history import read_history
from app.services.tasks.moves import MoveName
from tests.api.conftest import client, pool_id
from tests.builders import add_executors, add_pool
from tests.lifecycle.team import Team

__all__ = ["client", "pool_id"]

TAKE_IN = "INSERT INTO tasks (pool_id, deadline, priority) VALUES ($1, $2, $3) RETURNING id"


async def take_in(
    database: Database,
    pool_id: PoolId,
    turns: str,
    *,
    deadline: datetime | None = None,
    priority: int = 0,
) -> list[int]:
    """Tasks as connections take them in, one after another; `turns` names the connection of each ("aba")."""
    async with database.hot.acquire() as a, database.hot.acquire() as b:
        by_name = {"a": a, "b": b}
        return [await by_name[name].fetchval(TAKE_IN, pool_id, deadline, priority) for name in turns]


async def placed_in_turn(database: Database, pool_id: PoolId, limit: int) -> list[int]:
    """Place everything, `limit` tasks at a time; returns the tasks in the order of their decisions."""
    picture, order = PoolSnapshot(pool_id), list[int]()
    while True:
        batch = await place_batch(database.hot, picture, limit=limit, deliver=False)
        if batch.found is not Found.WORK:
            return order
        order += [decision.task_id for decision in batch.decisions]


async def test_who_came_first_is_placed_first(database: Database) -> None:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 1)
    for limit in (1, 100):
        came = await take_in(database, pool_id, "abab")
        assert came != sorted(came), "the two connections number from blocks of their own"
        assert await placed_in_turn(database, pool_id, limit) == came


async def test_arrival_decides_only_between_equal_priorities_and_deadlines(database: Database) -> None:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 1)
    soon = datetime.now(UTC) + timedelta(hours=1)
    plain = await take_in(database, pool_id, "aba")
    due = await take_in(database, pool_id, "bab", deadline=soon)
    urgent = await take_in(database, pool_id, "aba", priority=5)
    assert await placed_in_turn(database, pool_id, 1) == urgent + due + plain


async def test_what_waits_is_woken_in_the_order_in_which_it_came(database: Database) -> None:
    team = await Team.make(database)
    anna = await team.person(["a"], 10, max_open=0)
    first, second, third = await take_in(database, team.pool_id, "aba")
    await database.hot.execute("""UPDATE tasks SET parameters = '{"skill": "a", "sum": 1}'""")
    await team.work()
    await team.change(anna, max_open=1)
    await team.work()
    for task in (first, second, third):
        assert await team.of(anna) == {task}
        await team.move(task, MoveName.COMPLETE)
        await team.work()


async def test_lists_are_newest_first_page_by_page(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    came = await take_in(database, pool_id, "abaab")
    other = await add_pool(database, code="other")
    came += await take_in(database, other, "ba")
    came += await take_in(database, pool_id, "a")
    for query in ({}, {"pool_id": pool_id}, {"status": "pending"}):
        expected = [task for task in reversed(came) if not ("pool_id" in query and task in came[5:7])]
        found, cursor = list[int](), None
        while True:
            params = {**query, "limit": 2} | ({"cursor": cursor} if cursor else {})
            answer = await client.get("/v1/tasks", params=params)
            assert answer.status_code == 200, answer.text
            found += [item["task_id"] for item in answer.json()["items"]]
            if (cursor := answer.json()["next_cursor"]) is None:
                break
        assert found == expected, query


async def test_failed_deliveries_are_listed_newest_first(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    send = """
    INSERT INTO outbox (pool_id, task_id, sequence, destination, event, payload, dead_at)
    VALUES ($1, $2, 1, 'ais', 'assigned', '{}', now()) RETURNING id
    """
    [task] = await take_in(database, pool_id, "a")
    async with database.hot.acquire() as a, database.hot.acquire() as b:
        sent = [await each.fetchval(send, pool_id, task + at) for at, each in enumerate((a, b, a))]
    first = (await client.get("/v1/deliveries", params={"state": "dead", "limit": 2})).json()
    cursor = first["next_cursor"]
    rest = (await client.get("/v1/deliveries", params={"state": "dead", "limit": 2, "cursor": cursor})).json()
    assert [item["delivery_id"] for item in first["items"] + rest["items"]] == sent[::-1]


async def test_a_replay_sees_tasks_in_the_order_in_which_they_came(database: Database) -> None:
    pool_id = await add_pool(database)
    came = await take_in(database, pool_id, "abab")
    await database.hot.execute("UPDATE tasks SET weight = CASE id WHEN $1 THEN 2 ELSE 1 END", came[2])
    now = datetime.now(UTC)
    async with database.hot.acquire() as connection:
        history = await read_history(
            connection,
            pool_id=pool_id,
            since=now - timedelta(hours=1),
            until=now + timedelta(hours=1),
            zone=PoolSnapshot(pool_id).zone,
            window="day",
        )
    assert [arrival.task.weight for arrival in history.stream.arrivals] == [1, 1, 2, 1]


async def test_no_task_overtakes_an_older_one_while_a_team_is_busy(database: Database) -> None:
    """Eight connections take in 400 tasks while a worker places a few at a time: the scenario of 516 in 3,000."""
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 5)

    async def send(connection_number: int) -> None:
        async with database.hot.acquire() as connection:
            for _ in range(50):
                await connection.execute(TAKE_IN, pool_id, None, connection_number % 2)

    await asyncio.gather(*(send(number) for number in range(8)))
    order = await placed_in_turn(database, pool_id, 7)
    rows = await database.hot.fetch("SELECT id, priority, created_at FROM tasks")
    known = {row["id"]: (-row["priority"], row["created_at"], row["id"]) for row in rows}
    assert all(known[before] < known[after] for before, after in pairwise(order))
    assert len(order) == 400


INSTANTS = st.integers(0, 86_400).map(
    lambda second: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
)
TASKS = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 2), st.none() | INSTANTS, st.sampled_from([1, 2, 3])),
    unique_by=lambda each: each[0],
)


@given(TASKS)
def test_a_batch_is_ordered_by_priority_deadline_arrival_and_id(
    made: list[tuple[int, int, datetime | None, int]],
) -> None:
    came = datetime(2026, 1, 1, tzinfo=UTC)
    tasks = [
        Task(TaskId(id_), priority=priority, deadline=deadline, created_at=came + timedelta(seconds=second))
        for id_, priority, deadline, second in made
    ]
    never = datetime.max.replace(tzinfo=UTC)
    expected = sorted(
        tasks, key=lambda task: (-task.priority, task.deadline or never, task.created_at, task.id)
    )
    assert in_order(tasks) == expected
