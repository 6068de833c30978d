"""The forecast of a live pool: off until it was measured, it holds people back for what is to come, and says so."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx

from app.database import Database
from app.engine.fairness.forecast import Forecast, Present, outlook_of
from app.engine.types import ExecutorId, PoolId
from app.models import Replay
from app.services.placement.assignment import Found, place_batch
from app.services.placement.forecast_outlook import Foresight
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.replays.forecast_trial import start_trial
from app.services.replays.replays import ReplayJob
from tests.api.conftest import problem_in
from tests.builders import add_executors, add_tasks
from tests.fairness.test_fairness_watch import place, run


async def a_team(database: Database, pool_id: PoolId) -> tuple[list[ExecutorId], list[ExecutorId]]:
    """Two who can do everything, two who can do what is common only."""
    able = await add_executors(database, pool_id, 2, parameters={"skills": ["common", "special"]})
    return able, await add_executors(database, pool_id, 2, parameters={"skills": ["common"]})


async def a_week_ago_much_special_work_came_in_the_afternoon(database: Database, pool_id: PoolId) -> None:
    await add_tasks(database, pool_id, 40, parameters={"kind": "special"})
    await place(database, pool_id)
    await run(database, "UPDATE class_hours SET hour = hour - interval '7 days' + interval '3 hours'")
    await run(
        database,
        "UPDATE executor_loads SET window_weight = 0, level_offset = 0, day_routed = 0, open_count = 0",
    )


async def switch_on(database: Database, pool_id: PoolId) -> None:
    await run(
        database, 'UPDATE pools SET settings = \'{"fairness": {"forecast": true}}\' WHERE id = $1', pool_id
    )
    await run(database, "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1")


async def who_got(database: Database, kind: str) -> list[int]:
    rows = await run(
        database,
        "SELECT DISTINCT executor_id AS who FROM tasks WHERE parameters ->> 'kind' = $1 ORDER BY executor_id",
        kind,
    )
    return [row["who"] for row in rows]


async def test_a_forecast_holds_back_whom_the_afternoon_needs(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    able, common_only = await a_team(database, pool_id)
    await a_week_ago_much_special_work_came_in_the_afternoon(database, pool_id)
    await switch_on(database, pool_id)
    tasks = await add_tasks(database, pool_id, 16, parameters={"kind": "common"})
    await place(database, pool_id)
    assert await who_got(database, "common") == common_only
    asked = {"executor_id": able[0]}
    told = (await client.get(f"/v1/tasks/{tasks[-1]}/explanation", params=asked)).json()
    assert "A forecast of the rest of the day" in told["text"]["en"]
    assert "Учтён прогноз остатка дня" in told["text"]["ru"]
    assert told["why_not"]["because"] == "score" and "held back by" in told["why_not"]["text"]["en"]
    assert told["chosen"]["held"] == 0
    assert told["chosen"]["target"] == 0, "no common work came on that day"
    body = {"pool_id": pool_id, "parameters": {"kind": "common"}}
    preview = (await client.post("/v1/tasks/preview", params=asked, json=body)).json()
    assert preview["executor_id"] in common_only and preview["why_not"]["because"] == "score"
    assert "A forecast of the rest of the day" in preview["text"]["en"]


async def test_without_a_forecast_the_level_alone_decides(database: Database, pool_id: PoolId) -> None:
    able, common_only = await a_team(database, pool_id)
    await a_week_ago_much_special_work_came_in_the_afternoon(database, pool_id)
    await run(database, "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1")
    await add_tasks(database, pool_id, 16, parameters={"kind": "common"})
    await place(database, pool_id)
    assert await who_got(database, "common") == [*able, *common_only]


async def test_of_the_present_hour_counts_what_the_pools_clock_calls_so(
    database: Database, pool_id: PoolId
) -> None:
    """In Kathmandu hours begin at :15; all of this hour's work has come, so nothing is left to foresee."""
    await a_team(database, pool_id)
    await add_tasks(database, pool_id, 40, parameters={"kind": "special"})
    picture = PoolSnapshot(pool_id)
    assert (await place_batch(database.hot, picture, limit=1000, deliver=False)).found is Found.WORK
    assert picture.state is not None
    now = datetime(2026, 11, 24, 6, 10, tzinfo=UTC)
    hour = datetime(2026, 11, 24, 5, 15, tzinfo=UTC)
    await run(database, "UPDATE class_hours SET hour = $1", hour)
    of_it = "class_id, roster_id, pool_id, placed_count, placed_weight"
    week_ago = f"SELECT hour - interval '7 days', {of_it} FROM class_hours"
    await run(database, f"INSERT INTO class_hours (hour, {of_it}) {week_ago}")
    for today, foreseen in ((True, False), (False, True)):
        if not today:
            await run(database, "DELETE FROM class_hours WHERE hour = $1", hour)
        foresight = Foresight(pool_id, ZoneInfo("Asia/Kathmandu"), picture.rule_set_id)
        async with database.hot.acquire() as connection:
            await foresight.look_ahead(connection, picture.state, now=now, until=None)
        assert (picture.state.outlook is not None) is foreseen


async def three_weeks(database: Database, pool_id: PoolId) -> None:
    """The same weekday in three weeks: common work in the morning, special work in the afternoon."""
    noon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for week in (3, 2, 1):
        for hours, kind in ((-1, "common"), (4, "special")):
            at = noon - timedelta(weeks=week) + timedelta(hours=hours)
            ids = await add_tasks(database, pool_id, 60, parameters={"kind": kind})
            await place(database, pool_id)
            for table, column in (("tasks", "created_at"), ("assignments", "decided_at")):
                key = "id" if table == "tasks" else "task_id"
                await run(
                    database,
                    f"UPDATE {table} SET {column} = $2::timestamptz + ({key} % 100) * interval '10 seconds'"
                    f" WHERE {key} = ANY($1::bigint[])",
                    ids,
                    at,
                )


async def test_a_forecast_is_measured_on_past_days_before_it_is_switched_on(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    path = f"/v1/pools/{pool_id}"
    refused = await client.patch(path, json={"fairness": {"forecast": True}})
    assert refused.status_code == 422
    assert problem_in(refused)["errors"][0]["field"] == "fairness.forecast"
    assert (await client.get(f"{path}/forecast")).json()["effect"] is None
    await a_team(database, pool_id)
    await three_weeks(database, pool_id)
    async with database.session() as session:
        asked = await start_trial(session, pool_id=pool_id, caller="a test", now=datetime.now(UTC))
    await ReplayJob(database, asked.id).run()
    verdict = (await client.get(f"{path}/forecast")).json()
    assert (verdict["on"], verdict["effect"], verdict["days"]) == (False, "helps", 2)
    assert verdict["gap_with"] < 0.1
    assert verdict["gap_without"] > 0.2
    assert verdict["text"]["en"].startswith("A forecast would have helped: mean gap of a day ")
    assert (await client.patch(path, json={"fairness": {"forecast": True}})).status_code == 200
    assert (await client.get(f"{path}/forecast")).json()["on"]
    kept = (await client.get(f"/v1/replays/{verdict['replay_id']}")).json()["result"]
    assert [run["name"] for run in kept["runs"]] == ["actual", "fair", "fair_forecast"]


async def test_a_forecast_that_would_have_hurt_is_not_switched_on(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    verdict = {"effect": "hurts", "days": 9, "gap_without": 0.01, "gap_with": 0.2}
    async with database.session() as session:
        session.add(
            Replay(
                pool_id=pool_id,
                request={},
                state="done",
                result={"forecast": verdict},
                finished_at=datetime.now(UTC),
            )
        )
        await session.commit()
    refused = await client.patch(f"/v1/pools/{pool_id}", json={"fairness": {"forecast": True}})
    assert refused.status_code == 422
    assert "would have hurt: mean gap of a day 1.00 % → 20.00 % (9 days)" in problem_in(refused)["detail"]
    assert (
        await client.patch(f"/v1/pools/{pool_id}", json={"fairness": {"forecast": False}})
    ).status_code == 200


async def test_measuring_starts_a_replay_that_can_be_watched(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    started = await client.post(f"/v1/pools/{pool_id}/forecast")
    assert started.status_code == 202
    assert started.headers["Location"] == f"/v1/replays/{started.json()['replay_id']}"
    await client.post(f"{started.headers['Location']}/cancel")
    await run(database, "UPDATE rule_sets SET state = 'archived'")
    assert (await client.post(f"/v1/pools/{pool_id}/forecast")).status_code == 422


def present(count: int) -> list[Present]:
    return [Present(ExecutorId(i + 1), 1.0, 0.0, 0.0, None) for i in range(count)]


def test_nobody_is_held_back_where_everybody_would_end_alike() -> None:
    outlook = outlook_of([{"a": 40.0}], {"a": frozenset({1, 2, 3, 4})}, present(4))
    assert outlook is not None
    assert [outlook.held_of(i) for i in (1, 2, 3, 4)] == [0] * 4
    assert {one.target for one in outlook.people.values()} == {10.0}


def test_who_is_to_end_higher_is_held_back_and_the_daily_limit_binds_it() -> None:
    may = {"a": frozenset({1, 2, 3, 4}), "b": frozenset({1})}
    people = present(4)
    free = outlook_of([{"a": 30.0, "b": 40.0}], may, people)
    assert free is not None and free.people[1].target == 40 and free.people[2].target == 10
    assert free.held_of(1) > 0 == free.held_of(2) == free.held_of(9)
    bound = outlook_of([{"a": 30.0, "b": 40.0}], may, [people[0]._replace(room=12.0), *people[1:]])
    assert bound is not None and bound.people[1].target == 12
    low = outlook_of([{"a": 40.0}], may, [people[0]._replace(room=4.0), *people[1:]])
    assert low is not None and low.people[1].target == 4
    assert {low.held_of(i) for i in may["a"]} == {0}, "who ends low by a limit is no bargain"
    assert outlook_of([{}], may, people) is None
    assert outlook_of([], may, people) is None


def test_of_the_hour_that_has_begun_counts_what_is_left_of_it() -> None:
    forecast, monday = Forecast(), datetime(2026, 3, 9, tzinfo=UTC)
    for hour, weight in ((9, 10.0), (10, 20.0), (15, 30.0)):
        forecast.note(monday - timedelta(weeks=1) + timedelta(hours=hour), "a", weight)
    half_past_ten = monday + timedelta(hours=10, minutes=30)
    assert forecast.rests(half_past_ten) == [{"a": 40.0}]
    assert forecast.rests(half_past_ten, monday + timedelta(hours=15, minutes=30)) == [{"a": 25.0}]
    forecast.note(half_past_ten, "a", 15.0)
    assert forecast.rests(half_past_ten) == [{"a": 35.0}], "most of it has come already"
    assert forecast.rests(monday + timedelta(days=1, hours=10)) == [], "no Tuesday is known"
