"""The reserve of a live pool: drawn from what came today, told with every decision, and gone when it is old."""

import httpx

from app.database import Database
from app.engine.fairness.forecast import Outlook
from app.engine.types import ExecutorId, PoolId, TaskId
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from tests.builders import add_executors, add_tasks
from tests.fairness.test_fairness_watch import run

KEPT_BACK = "going by the mix of today so far"


async def came(database: Database, picture: PoolSnapshot, count: int, kind: str) -> list[TaskId]:
    """Work comes in, and is decided at once."""
    ids = await add_tasks(database, picture.pool_id, count, parameters={"kind": kind})
    assert (await place_batch(database.hot, picture, limit=1000, deliver=False)).found is Found.WORK
    return ids


async def a_special_day(database: Database, pool_id: PoolId) -> tuple[PoolSnapshot, list[ExecutorId]]:
    """Two who can do everything, two who can do what is common only; the most that came is special."""
    able = await add_executors(database, pool_id, 2, parameters={"skills": ["common", "special"]})
    await add_executors(database, pool_id, 2, parameters={"skills": ["common"]})
    picture = PoolSnapshot(pool_id)
    await came(database, picture, 60, "special")
    await came(database, picture, 40, "common")
    return picture, able


def outlook_of(picture: PoolSnapshot) -> Outlook | None:
    assert picture.state is not None
    return picture.state.outlook


async def test_it_comes_to_be_and_explanations_and_previews_tell_of_it(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    picture, able = await a_special_day(database, pool_id)
    assert outlook_of(picture) is None, "batches of a peak go without"
    [task_id] = await came(database, picture, 1, "common")
    assert outlook_of(picture) is not None
    asked = {"executor_id": able[0]}
    told = (await client.get(f"/v1/tasks/{task_id}/explanation", params=asked)).json()
    assert KEPT_BACK in told["text"]["en"] and "судя по тому, какие заявки приходят" in told["text"]["ru"]
    assert told["chosen"]["held"] == 0 and told["chosen"]["target"] is None
    assert told["executor_id"] not in able
    assert "held back by" in told["why_not"]["text"]["en"]
    body = {"pool_id": pool_id, "parameters": {"kind": "common"}}
    preview = (await client.post("/v1/tasks/preview", params=asked, json=body)).json()
    assert KEPT_BACK in preview["text"]["en"] and "held back by" in preview["why_not"]["text"]["en"]


async def test_a_peak_outlives_it_and_is_placed_without(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    picture, _ = await a_special_day(database, pool_id)
    await came(database, picture, 1, "common")
    tasks = await came(database, picture, 40, "common")
    assert outlook_of(picture) is None
    told = (await client.get(f"/v1/tasks/{tasks[-1]}/explanation")).json()
    assert KEPT_BACK not in told["text"]["en"]
    body = {"pool_id": pool_id, "parameters": {"kind": "common"}}
    preview = (await client.post("/v1/tasks/preview", json=body)).json()
    assert KEPT_BACK not in preview["text"]["en"], "the last decisions were made without"


async def test_another_worker_draws_from_the_same_day(database: Database, pool_id: PoolId) -> None:
    first, _ = await a_special_day(database, pool_id)
    other = PoolSnapshot(pool_id)
    await came(database, other, 1, "common")
    one = outlook_of(other)
    await came(database, first, 1, "common")
    again = outlook_of(first)
    assert one is not None and again is not None
    assert one.people.keys() == again.people.keys()


async def test_after_somebody_went_it_is_of_those_who_are_there(database: Database, pool_id: PoolId) -> None:
    picture, able = await a_special_day(database, pool_id)
    await came(database, picture, 1, "common")
    await run(database, "UPDATE pool_states SET epoch = epoch + 1")
    await run(
        database,
        "UPDATE executors SET active = false, epoch = (SELECT max(epoch) FROM pool_states) WHERE id = $1",
        able[0],
    )
    await came(database, picture, 1, "common")
    outlook = outlook_of(picture)
    assert outlook is None or able[0] not in outlook.people


async def test_work_of_yesterday_tells_nothing(database: Database, pool_id: PoolId) -> None:
    await a_special_day(database, pool_id)
    await run(database, "UPDATE class_hours SET hour = hour - interval '1 day'")
    picture = PoolSnapshot(pool_id)
    await came(database, picture, 1, "common")
    assert outlook_of(picture) is None


async def test_other_policies_and_a_forecast_take_its_place(database: Database, pool_id: PoolId) -> None:
    await a_special_day(database, pool_id)
    for change in ("policy = 'round_robin'", 'settings = \'{"fairness": {"forecast": true}}\''):
        await run(database, f"UPDATE pools SET {change} WHERE id = $1", pool_id)
        picture = PoolSnapshot(pool_id)
        await came(database, picture, 1, "common")
        assert outlook_of(picture) is None
