"""What people complain about in other routers, and what must hold of rules here: named by the row of the list."""

import httpx
import prometheus_client
import pytest

from app.database import Database
from app.engine.types import PoolId
from app.rule_engine import RuleSetInvalid
from app.services.placement.assignment import Found, place_batch
from app.services.placement.poison import NoPicture
from app.services.placement.pool_snapshot import PoolSnapshot
from tests.api.conftest import problem_in
from tests.builders import add_tasks
from tests.placement.test_worker import until
from tests.rules.test_over_http import GRADE, SKILL, a_catalogue, a_draft, a_team, act


async def place(database: Database, picture: PoolSnapshot) -> None:
    while (await place_batch(database.hot, picture, limit=100, deliver=False)).found is Found.WORK:
        pass


async def fates(client: httpx.AsyncClient) -> list[tuple[str, str | None]]:
    """Status and reason of waiting of every task, oldest first."""
    items = (await client.get("/v1/tasks")).json()["items"]
    return [(each["status"], each["wait_reason"]) for each in reversed(items)]


WAITS, ASSIGNED = ("pending", "no_one_eligible"), ("assigned", None)


async def test_pitfall_15_changed_person_and_changed_rules_are_looked_at_again_by_what_waits(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    await a_team(client)
    await act(client, await a_draft(client, SKILL, {**GRADE, "value": 5}), "activate")
    picture = PoolSnapshot(pool_id)  # one worker, so that what it remembers is mended and not read anew
    for category in ("network", "access", "software"):
        await add_tasks(database, pool_id, 1, parameters={"category": category})
    await place(database, picture)
    assert await fates(client) == [WAITS, ASSIGNED, WAITS]
    people = (await client.get("/v1/executors")).json()["items"]
    change = {"parameters": {"skills": ["software"], "grade": 5}}
    assert (await client.patch(f"/v1/executors/{people[0]['executor_id']}", json=change)).status_code == 200
    await place(database, picture)
    assert await fates(client) == [WAITS, ASSIGNED, ASSIGNED]
    await act(client, await a_draft(client, SKILL), "activate")
    await place(database, picture)
    assert await fates(client) == [ASSIGNED, ASSIGNED, ASSIGNED]


async def test_pitfall_16_broken_rules_stop_the_pool_loudly_and_never_let_everybody_in(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    ids = await a_catalogue(client)
    await client.post("/v1/executors", json={"name": "A", "parameters": {"skills": ["access"]}})
    await act(client, await a_draft(client, SKILL), "activate")
    refused = await client.delete(f"/v1/parameters/{ids['skills']}")
    assert refused.status_code == 409
    assert problem_in(refused)["breaks"][0]["path"] == "$.conditions[0].field"
    async with database.hot.acquire() as connection:  # what no service does
        await connection.execute("DELETE FROM parameters WHERE id = $1", ids["skills"])
    await add_tasks(database, pool_id, 1, parameters={"category": "network"})
    with pytest.raises(NoPicture, match=r"conditions\[0\].field: unknown field") as stopped:
        await place(database, PoolSnapshot(pool_id))
    assert isinstance(stopped.value.__cause__, RuleSetInvalid), "the rules are to blame, and no task"
    assert await fates(client) == [("pending", None)]


async def test_pitfall_17_rules_that_match_nobody_are_told_before_and_while_they_are_in_force(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId, working: None
) -> None:
    await a_team(client)
    impossible = {"name": "nobody", "operator": "in", "field": "executor.parameters.grade", "value": [1]}
    verdict = (await client.post("/v1/rules/validate", json={"rules": {"conditions": [impossible]}})).json()
    assert ("excludes_everyone", "$.conditions[0]") in [
        (each["code"], each["path"]) for each in verdict["warnings"]
    ]
    await act(client, await a_draft(client, SKILL, impossible), "activate")
    before = counted(pool_id)
    await client.post("/v1/tasks", json={"parameters": {"category": "network"}})

    async def told() -> bool:
        return counted(pool_id) > before

    await until(told)
    lint = (await client.get("/v1/rules/lint")).json()
    assert {"excludes_everyone", "nobody_eligible"} <= {each["code"] for each in lint["warnings"]}


def counted(pool_id: PoolId) -> float:
    labels = {"pool": str(pool_id)}
    return prometheus_client.REGISTRY.get_sample_value("tasks_without_anyone_total", labels) or 0.0
