"""One stored value that cannot be read sets its own person or pool aside, loudly; everything else goes on."""

from typing import Any

import pytest

from app.services.audit.doctor import State, examine
from app.services.common.unreadable import find_unreadable
from tests.api.conftest import problem_in
from tests.builders import add_executors, add_pool, add_tasks
from tests.lifecycle.conftest import Story, until

TOO_MANY = {"days": {"mon": [["09:00", "18:00"]] * 1000}}


@pytest.mark.parametrize(
    "hours",
    [
        {"days": {"mon": [["09:00+03:00", "18:00"]]}},
        {"days": None},
        {"days": {"mon": 5}},
        {"days": {}, "timezone": "Europe"},
        {"days": {}, "timezone": {"a": 1}},
        [1],
        '"always"',
        TOO_MANY,
    ],
)
async def test_hours_that_cannot_be_read_set_one_person_aside(story: Story, hours: Any) -> None:
    anna, boris = await story.executor(), await story.executor()
    async with story.database.hot.acquire() as connection:
        await connection.execute(
            "UPDATE executors SET working_hours = $2::jsonb, epoch = 1000000 WHERE id = $1", boris, hours
        )
    tasks = [await story.task() for _ in range(4)]
    assert {task["executor_id"] for task in tasks} == {anna}
    assert {task["status"] for task in tasks} == {"assigned"}
    async with story.database.hot.acquire() as connection:
        [found] = await find_unreadable(connection)
    assert found.stops and f"executor {boris}" in found.where
    away = await story.client.patch(f"/v1/executors/{boris}", json={"availability": "break"})
    assert away.status_code == 200, away.text
    mended = await story.client.patch(
        f"/v1/executors/{boris}", json={"availability": "available", "working_hours": None}
    )
    assert mended.status_code == 200
    assert {(await story.task())["executor_id"] for _ in range(4)} >= {boris}


async def test_a_pool_that_cannot_be_read_stops_alone_and_blames_no_task(story: Story) -> None:
    await story.executor()
    other = await add_pool(story.database, code="other")
    await add_executors(story.database, other, 1)
    async with story.database.hot.acquire() as connection:
        await connection.execute(
            "UPDATE pools SET timezone = 'Europe', settings = '{\"fairness\": 5}' WHERE id = $1", other
        )
        await connection.execute("UPDATE pool_states SET config_epoch = epoch + 1 WHERE pool_id = $1", other)
    waiting = await add_tasks(story.database, other, 3)
    for _ in range(3):
        assert (await story.task())["status"] == "assigned"
    refused = await story.client.post("/v1/tasks", json={"pool_id": other})
    assert refused.status_code == 409, refused.text
    assert "PATCH /v1/pools" in problem_in(refused)["detail"]
    async with story.database.hot.acquire() as connection:
        rows = await connection.fetch(
            "SELECT attempts, wait_reason FROM tasks WHERE id = ANY($1::bigint[])", waiting
        )
        assert {(row["attempts"], row["wait_reason"]) for row in rows} == {(0, None)}
    symptoms = await examine(story.database.hot, None, schema="", repair=False)
    await mend(story, other)
    await until(lambda: _placed(story, other))
    del symptoms


async def mend(story: Story, pool_id: int) -> None:
    defaults = {"gap_bound": 0.1}
    async with story.database.hot.acquire() as connection:
        found = {str(each) for each in await find_unreadable(connection)}
    assert len(found) == 2 and all(f"pool {pool_id}" in each for each in found)
    answer = await story.client.patch(
        f"/v1/pools/{pool_id}", json={"timezone": "Europe/Moscow", "fairness": defaults}
    )
    assert answer.status_code == 200, answer.text


async def _placed(story: Story, pool_id: int) -> bool:
    async with story.database.hot.acquire() as connection:
        return not await connection.fetchval(
            "SELECT count(*) FROM tasks WHERE pool_id = $1 AND status <> 'assigned'", pool_id
        )


@pytest.mark.parametrize("zone", ["Europe", "localtime", "Nowhere/Land"])
async def test_a_pool_takes_no_name_that_is_no_zone(story: Story, zone: str) -> None:
    made = await story.client.post("/v1/pools", json={"code": "z", "name": "Z", "timezone": zone})
    changed = await story.client.patch(f"/v1/pools/{story.pool_id}", json={"timezone": zone})
    for answer in (made, changed):
        assert answer.status_code == 422
        assert problem_in(answer)["errors"][0]["field"] == "timezone"


@pytest.mark.parametrize("hours", [{"days": None}, {}, {"days": {}, "day_off": []}, TOO_MANY])
async def test_hours_are_refused_wherever_a_person_is_written(story: Story, hours: Any) -> None:
    anna = await story.executor(external_id="A")
    body = {"name": "Anna", "working_hours": hours}
    answers = [
        await story.client.post("/v1/executors", json=body),
        await story.client.put(f"/v1/executors/{anna}", json=body),
        await story.client.patch(f"/v1/executors/{anna}", json=body),
        await story.client.post("/v1/executors/batch", json={"executors": [{**body, "external_id": "A"}]}),
    ]
    for answer in answers:
        assert answer.status_code == 422, answer.text
        assert "working_hours" in problem_in(answer)["errors"][0]["field"]


async def test_doctor_names_what_is_stored_and_has_no_effect(story: Story) -> None:
    anna = await story.executor()
    async with story.database.hot.acquire() as connection:
        schema = await connection.fetchval("SELECT version_num FROM alembic_version")
        await connection.execute(
            "UPDATE executors SET working_hours = $2::jsonb WHERE id = $1", anna, {"days": {}, "day_off": []}
        )
    symptoms = await examine(story.database.hot, None, schema=schema, repair=False)
    [stored] = [each for each in symptoms if each.name == "Stored values"]
    assert stored.state is State.WORTH_KNOWING and "day_off" in stored.found
