"""A task that went on to another pool: both see it, a third does not; nobody sends work where they see nothing."""

from app.engine.types import PoolId
from app.services.tasks.pool_transfer import move_on
from tests.access.conftest import House
from tests.builders import add_executors, add_pool, add_tasks

WAITS_LONG = (
    "UPDATE tasks SET wait_reason = 'all_busy', waiting_since = now() - interval '1 hour' WHERE id = $1"
)


async def went_on(house: House) -> int:
    """A task of the first team that the second one works on."""
    [task] = await add_tasks(house.database, house.mine.pool_id, 1)
    await house.database.hot.execute(WAITS_LONG, task)
    way = {"pool_id": house.mine.pool_id, "to": house.other.pool_id}
    assert await move_on(house.database.hot, **way, step=1, minutes=30) == 1
    return task


async def lead_of(house: House, pool: PoolId) -> dict[str, str]:
    return house.token(await house.user("lead", pools=[pool]))


async def test_leads_of_both_pools_see_it_and_nobody_else(house: House) -> None:
    task = await went_on(house)
    third = await add_pool(house.database, code="third")
    for pool, code in ((house.mine.pool_id, 200), (house.other.pool_id, 200), (third, 404)):
        headers = await lead_of(house, pool)
        for path in ("", "/history"):
            answer = await house.client.get(f"/v1/tasks/{task}{path}", headers=headers)
            assert answer.status_code == code, (pool, path)
        listed = (await house.client.get("/v1/tasks", headers=headers)).json()["items"]
        assert (task in [each["task_id"] for each in listed]) is (code == 200)
    foreign = await house.client.get(
        "/v1/tasks", params={"home_pool_id": house.mine.pool_id}, headers=await lead_of(house, third)
    )
    assert foreign.status_code == 404


async def test_home_moves_it_and_only_the_other_pool_says_who_has_it(house: House) -> None:
    task = await went_on(house)
    [helper] = await add_executors(house.database, house.other.pool_id, 1)
    wish = {"executor_id": helper, "reason": "knows it"}
    home, there = await lead_of(house, house.mine.pool_id), await lead_of(house, house.other.pool_id)
    refused = await house.client.post(f"/v1/tasks/{task}/reassign", json=wish, headers=home)
    assert refused.status_code == 403 and "another pool" in refused.json()["detail"]
    taken = await house.client.post(f"/v1/tasks/{task}/reassign", json=wish, headers=there)
    assert taken.status_code == 200, taken.text
    gone = await house.client.post(f"/v1/tasks/{task}/cancel", json={"reason": "not needed"}, headers=home)
    assert gone.status_code == 200, gone.text


async def test_nobody_sends_work_to_a_pool_that_they_do_not_see(house: House) -> None:
    step = {"flow": {"escalation": [{"after_minutes": 30, "to_pool": int(house.other.pool_id)}]}}
    place = f"/v1/pools/{house.mine.pool_id}"
    mine = await lead_of(house, house.mine.pool_id)
    refused = await house.client.patch(place, json=step, headers=mine)
    assert refused.status_code == 422 and f"there is no pool {house.other.pool_id}" in refused.text
    both = house.token(await house.user("lead", pools=[house.mine.pool_id, house.other.pool_id]))
    assert (await house.client.patch(place, json=step, headers=both)).status_code == 200
    kept = await house.client.patch(place, json={"flow": {"offer_seconds": 60}}, headers=mine)
    assert kept.status_code == 200, "what others set stays settable around"
