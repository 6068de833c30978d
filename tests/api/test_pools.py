"""Pools: teams apart from each other, with their own way of distributing."""

import httpx
import pytest

from app.database import Database
from app.engine.types import PoolId
from app.errors import NotFound
from app.services.common.pool_options import BrokenSettings
from app.services.pools.directory import PoolDirectory
from tests.api.conftest import problem_in
from tests.builders import add_pool


async def test_new_pool_is_ready_for_work(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/pools", json={"code": "it", "name": "IT", "timezone": "Asia/Yekaterinburg"})
    assert made.status_code == 201
    pool = made.json()
    assert (pool["policy"], pool["theta"], pool["active"]) == ("fair", 0.05, True)
    person = await client.post("/v1/executors", json={"pool_id": pool["pool_id"], "name": "Anna"})
    task = await client.post("/v1/tasks", json={"pool_id": pool["pool_id"]})
    assert (person.json()["pool_id"], task.json()["pool_id"]) == (pool["pool_id"], pool["pool_id"])


async def test_listed_pools_include_the_default_one(client: httpx.AsyncClient, pool_id: PoolId) -> None:
    assert [pool["pool_id"] for pool in (await client.get("/v1/pools")).json()["items"]] == [pool_id]


async def test_code_is_unique(client: httpx.AsyncClient) -> None:
    again = await client.post("/v1/pools", json={"code": "default", "name": "Again"})
    assert again.status_code == 409
    assert problem_in(again)["code"] == "already_exists"


async def test_changed_pool_keeps_what_was_not_sent(client: httpx.AsyncClient, pool_id: PoolId) -> None:
    changed = (await client.patch(f"/v1/pools/{pool_id}", json={"policy": "round_robin"})).json()
    assert (changed["policy"], changed["code"], changed["timezone"]) == ("round_robin", "default", "UTC")


async def test_wrong_zone_policy_and_unknown_pool_are_refused(
    client: httpx.AsyncClient, pool_id: PoolId
) -> None:
    for wrong in ({"timezone": "Mars/Base"}, {"policy": "luck"}, {"theta": -1}, {"fairness_window": "year"}):
        answer = await client.patch(f"/v1/pools/{pool_id}", json=wrong)
        assert answer.status_code == 422
        assert problem_in(answer)["errors"][0]["field"] == next(iter(wrong))
    for answer in (
        await client.patch(f"/v1/pools/{pool_id}", json={"theta": True}),
        await client.post("/v1/pools", json={"code": "it", "name": "IT", "theta": True}),
    ):
        assert problem_in(answer)["errors"][0]["field"] == "theta", "true is no number"
    assert (await client.patch("/v1/pools/999999", json={"name": "x"})).status_code == 404
    assert (await client.post("/v1/tasks", json={"pool_id": 999_999})).status_code == 404


async def test_a_pool_that_another_process_made_is_found_when_it_is_first_named(database: Database) -> None:
    here = PoolDirectory(database.hot, "default")
    first = await add_pool(database)
    assert (await here.get()).id == first
    made, broken = (
        await add_pool(database, code="made"),
        await add_pool(database, code="b", timezone="Europe"),
    )
    assert (await here.get(made)).code == "made"
    with pytest.raises(BrokenSettings):
        await here.get(broken)
    with pytest.raises(NotFound):
        await here.get(PoolId(broken + 1))
