"""The fairness watch on a real database: alarms that tell whose fault it is, hours, settled levels."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.database import Database
from app.engine.fairness.alarm import AlarmKind
from app.engine.types import ExecutorId, PoolId
from app.services.audit.invariants import find_violations
from app.services.common.pool_lock import raise_epoch
from app.services.fairness.alerts import StandingAlarm, list_alerts
from app.services.fairness.fairness_watch import FairnessWatch
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.placement.sql import SERVING_CHANNEL, TAKE_POOL, TICK_CHANNEL
from tests.api.conftest import problem_in
from tests.builders import add_executors, add_pool, add_tasks

ONE_SKILL = {
    "conditions": [
        {
            "operator": "contains",
            "field": "executor.parameters.skills",
            "value": {"field": "task.parameters.kind"},
            "name": "skill",
        }
    ]
}


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    return await add_pool(database)


async def run(database: Database, statement: str, *values: object) -> Any:
    async with database.hot.acquire() as connection:
        return await connection.fetch(statement, *values)


async def with_skills(database: Database, pool_id: PoolId) -> None:
    async with database.hot.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO parameters (pool_id, owner, key, type) VALUES ($1, 'task', 'kind', 'string'),"
            " ($1, 'executor', 'skills', 'list')",
            pool_id,
        )
        await connection.execute(
            "INSERT INTO rule_sets (pool_id, name, version, document, state) VALUES ($1, 'skills', 1, $2, 'active')",
            pool_id,
            ONE_SKILL,
        )


async def place(database: Database, pool_id: PoolId) -> None:
    picture = PoolSnapshot(pool_id)
    while (await place_batch(database.hot, picture, limit=1000, deliver=False)).found is Found.WORK:
        pass


async def look(database: Database, now: datetime | None = None) -> None:
    await FairnessWatch(database).look(now or datetime.now(UTC))


async def alerts(database: Database, pool_id: PoolId) -> list[StandingAlarm]:
    async with database.session() as session:
        return await list_alerts(session, pool_id=pool_id)


async def give_everything_to(database: Database, who: ExecutorId) -> None:
    """As if a fault had sent all of the day's work to one person."""
    async with database.hot.acquire() as connection, connection.transaction():
        [total] = await connection.fetch(
            "SELECT sum(assigned_weight) AS w, sum(assigned_count) AS n FROM executor_days"
        )
        await connection.execute(
            "UPDATE executor_days SET assigned_count = 0, assigned_weight = 0, routed_weight = 0"
        )
        await connection.execute(
            "UPDATE executor_days SET assigned_count = $2, assigned_weight = $3, routed_weight = $3"
            " WHERE executor_id = $1",
            who,
            total["n"],
            total["w"],
        )
        await connection.execute("UPDATE pool_states SET epoch = epoch + 1")


async def test_pitfall_1_a_fair_day_raises_no_alarm_and_an_unfair_one_does(
    database: Database, pool_id: PoolId
) -> None:
    people = await add_executors(database, pool_id, 4)
    await add_tasks(database, pool_id, 100)
    await place(database, pool_id)
    await look(database)
    assert await alerts(database, pool_id) == []
    await give_everything_to(database, people[0])
    await look(database)
    raised = await alerts(database, pool_id)
    assert [(alert.kind, alert.executor_id) for alert in raised] == [
        (AlarmKind.GAP, None),
        (AlarmKind.DEVIATION, people[0]),
        *((AlarmKind.DEVIATION, person) for person in people[1:]),
    ]
    assert raised[0].value == pytest.approx(1.5)
    assert {alert.value for alert in raised[2:]} == {-1.0}


async def test_pitfall_14_half_a_team_that_starves_is_seen_and_told_from_unfairness(
    database: Database, pool_id: PoolId
) -> None:
    await with_skills(database, pool_id)
    busy = await add_executors(database, pool_id, 2, parameters={"skills": ["loans"]})
    starving = await add_executors(database, pool_id, 2, parameters={"skills": ["coins"]})
    await add_tasks(database, pool_id, 100, parameters={"kind": "loans"})
    await place(database, pool_id)
    await look(database)
    raised = await alerts(database, pool_id)
    assert {(alert.kind, alert.executor_id) for alert in raised} == {
        (AlarmKind.DEMAND, person) for person in (*busy, *starving)
    }
    assert {alert.executor_id for alert in raised if alert.value < 0} == set(starving)


async def test_an_alarm_is_told_once_and_cleared_when_it_is_over(
    settings: Settings, database: Database, pool_id: PoolId
) -> None:
    heard: list[dict[str, Any]] = []
    people = await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 100)
    await place(database, pool_id)
    await give_everything_to(database, people[0])
    listener = await asyncpg.connect(settings.dsn)
    await listener.add_listener(TICK_CHANNEL, lambda *said: heard.append(json.loads(str(said[3]))))
    await look(database)
    await look(database)
    await run(database, "UPDATE executor_days SET assigned_weight = 50, routed_weight = 50")
    await look(database)
    async with asyncio.timeout(60):
        while not heard:
            await listener.execute("SELECT 1")
    await listener.close()
    assert [said["count"] for said in heard if said["event"] == "fairness_alarm"] == [3]
    assert await alerts(database, pool_id) == []
    assert len(await run(database, "SELECT FROM fairness_alerts WHERE cleared_at IS NOT NULL")) == 3


async def test_bounds_are_the_pools_own(database: Database, pool_id: PoolId) -> None:
    people = await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 100)
    await place(database, pool_id)
    await give_everything_to(database, people[0])
    silent = {"fairness": {"gap_bound": None, "deviation_bound": None, "demand_bound": None}}
    await run(database, "UPDATE pools SET settings = $1", silent)
    await look(database)
    assert await alerts(database, pool_id) == []


async def test_a_day_with_little_work_is_not_judged(database: Database, pool_id: PoolId) -> None:
    people = await add_executors(database, pool_id, 4)
    await add_tasks(database, pool_id, 30)
    await place(database, pool_id)
    await give_everything_to(database, people[0])
    await look(database)
    assert await alerts(database, pool_id) == []


async def test_pitfall_16_broken_settings_stop_the_pool_and_say_where(
    database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 1)
    await add_tasks(database, pool_id, 1)
    for broken in ({"gap_bund": 0.1}, {"gap_bound": "much"}, {"settle_seconds": -1}, {"forecast": "on"}, []):
        await run(database, "UPDATE pools SET settings = $1", {"fairness": broken})
        with pytest.raises(ValueError, match=r"settings\.fairness"):
            await place_batch(database.hot, PoolSnapshot(pool_id), limit=10, deliver=False)
    await run(database, "UPDATE pools SET settings = '{}'")
    await place(database, pool_id)
    assert await run(database, "SELECT FROM tasks WHERE status = 'assigned'")


async def test_options_are_changed_one_by_one_and_nonsense_is_refused(
    client: httpx.AsyncClient, pool_id: PoolId
) -> None:
    path = f"/v1/pools/{pool_id}"
    assert (await client.patch(path, json={"fairness": {"gap_bound": 0.05}})).json()["fairness"][
        "gap_bound"
    ] == 0.05
    changed = (await client.patch(path, json={"fairness": {"deviation_bound": None}})).json()["fairness"]
    assert (changed["gap_bound"], changed["deviation_bound"], changed["settle_seconds"]) == (0.05, None, 60)
    for wrong in (
        {"gap_bound": 0},
        {"gap_bound": True},
        {"bound": 1},
        {"judged_from": "10"},
        {"settle_seconds": 1.5},
    ):
        answer = await client.patch(path, json={"fairness": wrong})
        assert answer.status_code == 422
        assert problem_in(answer)["errors"][0]["field"] == f"fairness.{next(iter(wrong))}"


async def test_stats_show_what_stands_in_words(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    people = await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 100)
    await place(database, pool_id)
    await give_everything_to(database, people[1])
    await look(database)
    shown = (await client.get("/v1/distribution/stats")).json()["alerts"]
    assert [(alert["kind"], alert["cause"], alert["executor_id"]) for alert in shown] == [
        ("gap", "allocation", None),
        ("deviation", "allocation", people[0]),
        ("deviation", "allocation", people[1]),
    ]
    assert shown[1]["text"]["en"].startswith("Executor 0 received 0 where 50 would be fair: 100 % less")
    assert "справедливо было бы 50" in shown[1]["text"]["ru"]


async def test_fairness_of_a_period_comes_with_its_days_and_hours(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 4)
    await add_tasks(database, pool_id, 100)
    await place(database, pool_id)
    now = datetime.now(UTC)
    await look(database, now)
    for period in ("day", "week", "month"):
        told = (await client.get("/v1/distribution/fairness", params={"period": period})).json()
        assert [(one["received"], one["fair_share"]) for one in told["executors"]] == [(25.0, 25.0)] * 4
        assert told["fairness_gap"] == pytest.approx(0, abs=1e-6)
        assert [day["received"] for day in told["days"]] == [100.0]
        assert told["hours"][-1]["received"] == 100.0
        assert [one["received"] for one in told["hours"][-1]["executors"]] == [25.0] * 4
    assert (await client.get("/v1/distribution/fairness", params={"period": "year"})).status_code == 422


async def levels(database: Database) -> dict[int, float]:
    rows = await run(
        database, "SELECT executor_id, (level_offset + window_weight)::float8 AS level FROM executor_loads"
    )
    return {row["executor_id"]: row["level"] for row in rows}


async def test_levels_are_settled_once_people_changed(database: Database, pool_id: PoolId) -> None:
    people = await add_executors(database, pool_id, 3)
    await add_tasks(database, pool_id, 100)
    await place(database, pool_id)
    await look(database)
    settled = await levels(database)
    assert sorted(settled.values()) == pytest.approx([0.0, 0.0, 1.0])
    await add_tasks(database, pool_id, 2)
    await place(database, pool_id)
    assert sorted((await levels(database)).values()) == pytest.approx([1.0, 1.0, 1.0])
    epoch = await run(database, "SELECT epoch FROM pool_states")
    await look(database, datetime.now(UTC) + timedelta(minutes=2))
    assert await run(database, "SELECT epoch FROM pool_states") == epoch, "the same people: nothing to settle"
    [more] = await add_executors(database, pool_id, 1)
    await add_tasks(database, pool_id, 4)
    await place(database, pool_id)
    await look(database, datetime.now(UTC) + timedelta(minutes=4))
    assert set(await levels(database)) == {*people, more}
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


async def test_a_little_work_each_day_reaches_everybody(database: Database, pool_id: PoolId) -> None:
    """PITFALLS 14: with a daily window the same three of ten received everything, day after day."""
    await add_executors(database, pool_id, 10)
    for _ in range(5):
        await look(database)
        await add_tasks(database, pool_id, 2)
        await place(database, pool_id)
        # The day is over: everything that was counted becomes yesterday's.
        for table, column in (("executor_days", "business_day"), ("assignments", "business_day")):
            await run(database, f"UPDATE {table} SET {column} = {column} - 1")
        await run(
            database,
            "UPDATE executor_loads SET window_start = window_start - 1, business_day = business_day - 1",
        )
        await run(database, "UPDATE class_hours SET hour = hour - interval '1 day'")
        await run(
            database,
            "UPDATE pool_states SET settled_for = 'yesterday', epoch = epoch + 1, config_epoch = epoch + 1",
        )
    rows = await run(
        database, "SELECT executor_id, sum(assigned_weight)::float8 AS w FROM executor_days GROUP BY 1"
    )
    assert {row["w"] for row in rows} == {1.0} and len(rows) == 10


async def test_round_robin_is_left_alone(database: Database, pool_id: PoolId) -> None:
    await add_executors(database, pool_id, 3)
    await run(database, "UPDATE pools SET policy = 'round_robin'")
    await add_tasks(database, pool_id, 10)
    await place(database, pool_id)
    before = await levels(database)
    await look(database)
    assert await levels(database) == before


async def test_two_watches_do_not_look_at_one_pool_at_once(database: Database, pool_id: PoolId) -> None:
    people = await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 100)
    await place(database, pool_id)
    await give_everything_to(database, people[0])
    await asyncio.gather(*(look(database) for _ in range(4)))
    assert len(await run(database, "SELECT FROM fairness_alerts")) == 3


async def test_what_one_watch_looked_at_the_others_leave_for_a_while(
    database: Database, pool_id: PoolId, settings: Settings
) -> None:
    await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 10)
    await place(database, pool_id)
    said: list[dict[str, Any]] = []
    listener = await asyncpg.connect(settings.dsn)
    await listener.add_listener(SERVING_CHANNEL, lambda *words: said.append(json.loads(str(words[3]))))
    other = FairnessWatch(database, rest_seconds=3600)
    await look(database)
    async with asyncio.timeout(60):
        while not said:
            await listener.fetchval("SELECT 1")
    await listener.close()
    [word] = said
    assert word["pool"] == pool_id
    other.heard(PoolId(word["pool"]), word["watched"])
    await run(database, "DELETE FROM fairness_hours")
    await other.look(datetime.now(UTC))
    assert await run(database, "SELECT FROM fairness_hours") == []
    await FairnessWatch(database, rest_seconds=3600).look(datetime.now(UTC))
    assert await run(database, "SELECT FROM fairness_hours") != [], "nobody had told this one"


async def test_a_watch_does_not_queue_for_a_pool_in_other_hands(database: Database, pool_id: PoolId) -> None:
    """Hung, it would be given the pool when the hung batch before it loses it, and keep it from everybody."""
    await add_executors(database, pool_id, 3)
    await add_tasks(database, pool_id, 100)
    await place(database, pool_id)
    await add_tasks(database, pool_id, 2)
    watch = FairnessWatch(database, patience_seconds=0.05)
    async with database.hot.acquire() as hung:
        holding = hung.transaction()
        await holding.start()
        await hung.fetchrow(TAKE_POOL, pool_id)
        # It hangs for as long as this takes.
        await hung.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await watch.look(datetime.now(UTC))
        assert await run(database, "SELECT FROM pg_locks WHERE NOT granted") == []
        await holding.rollback()
    taken = await place_batch(database.hot, PoolSnapshot(pool_id), limit=1, deliver=False)
    assert taken.found is Found.WORK
    before = await levels(database)
    await watch.look(datetime.now(UTC))
    assert await levels(database) != before, "what could not be settled then is settled at the next look"


async def test_what_holds_a_pool_may_rest_no_longer_than_a_batch(database: Database, pool_id: PoolId) -> None:
    resting = "SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
    async with database.session() as session:
        await raise_epoch(session, pool_id)
        allowed = await session.scalar(text(resting))
        await session.rollback()
        assert await session.scalar(text(resting)) > allowed, "only what holds a pool is bound"
    assert 0 < allowed <= Settings.model_fields["worker_transaction_seconds"].default * 1000


async def test_a_look_that_began_before_midnight_does_not_turn_the_window_back(database: Database) -> None:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 3)
    await add_tasks(database, pool_id, 9)
    await place_batch(database.hot, PoolSnapshot(pool_id), limit=20, deliver=False)
    await FairnessWatch(database).look(datetime.now(UTC) - timedelta(days=1))
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []
