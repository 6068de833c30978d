"""Distribution over HTTP: the user's figures, and what would have been fair beside them."""

import httpx
import pytest

from app.engine.types import PoolId
from tests.api.conftest import problem_in


async def test_idle_pool_has_nothing_to_compare(client: httpx.AsyncClient, pool_id: PoolId) -> None:
    stats = (await client.get("/v1/distribution/stats")).json()
    assert stats["pool_id"] == pool_id
    assert (stats["total_tasks"], stats["total_executors"], stats["assignments"]) == (0, 0, [])
    assert (stats["mae"], stats["fairness_gap"], stats["avg_latency"]) == (0, None, None)


async def test_figures_of_a_day_are_those_of_its_assignments(
    client: httpx.AsyncClient, working: None
) -> None:
    people = [{"name": "Anna", "daily_limit": 10}, {"name": "Boris", "daily_limit": 10}]
    await client.post("/v1/executors/batch", json={"executors": people})
    for _ in range(4):
        assert (await client.post("/v1/tasks?wait=30", json={})).status_code == 201
    stats = (await client.get("/v1/distribution/stats")).json()
    assert (stats["total_tasks"], stats["assigned_tasks"], stats["waiting_tasks"]) == (4, 4, 0)
    assert [(each["name"], each["assigned_today"], each["daily_limit"]) for each in stats["assignments"]] == [
        ("Anna", 2, 10),
        ("Boris", 2, 10),
    ]
    assert [each["utilization"] for each in stats["assignments"]] == [pytest.approx(0.2)] * 2
    assert (stats["mae"], stats["mae_optimum"], stats["fairness_gap"]) == (
        pytest.approx(0),
        pytest.approx(0),
        pytest.approx(0, abs=1e-5),
    )
    assert stats["avg_latency"] >= 0


async def test_specialists_have_a_deviation_that_the_optimum_has_too(
    client: httpx.AsyncClient, working: None
) -> None:
    """Row 1 of the pitfalls: an uneven load that the rules force is told from one that they do not."""
    await client.post("/v1/parameters", json={"owner": "executor", "key": "skill", "type": "string"})
    await client.post("/v1/parameters", json={"owner": "task", "key": "skill", "type": "string"})
    match = {
        "operator": "eq",
        "field": "executor.parameters.skill",
        "value": {"field": "task.parameters.skill"},
    }
    draft = (await client.post("/v1/rules", json={"name": "skills", "rules": {"conditions": [match]}})).json()
    await client.post(f"/v1/rules/{draft['rule_set_id']}/activate")
    people = [{"name": skill, "parameters": {"skill": skill}} for skill in ("rare", "common")]
    await client.post("/v1/executors/batch", json={"executors": people})
    for skill in ("common", "common", "common", "rare"):
        answer = await client.post("/v1/tasks?wait=30", json={"parameters": {"skill": skill}})
        assert answer.status_code == 201
    fairness = (await client.get("/v1/distribution/fairness")).json()
    assert fairness["mae"] > 0.4
    assert fairness["mae"] == pytest.approx(fairness["mae_optimum"])
    assert fairness["fairness_gap"] == pytest.approx(0, abs=1e-5)
    assert {each["name"]: each["fair_share"] for each in fairness["executors"]} == {"rare": 1, "common": 3}


async def test_pools_are_counted_apart(client: httpx.AsyncClient, working: None) -> None:
    other = (await client.post("/v1/pools", json={"code": "it", "name": "IT"})).json()["pool_id"]
    await client.post("/v1/executors", json={"name": "Anna"})
    await client.post("/v1/executors", json={"name": "Boris", "pool_id": other})
    await client.post("/v1/tasks?wait=30", json={"pool_id": other})
    here = (await client.get("/v1/distribution/stats")).json()
    there = (await client.get(f"/v1/distribution/stats?pool_id={other}")).json()
    assert (here["total_tasks"], there["total_tasks"]) == (0, 1)
    assert [each["name"] for each in there["assignments"]] == ["Boris"]


@pytest.mark.parametrize("path", ["stats", "fairness"])
async def test_unknown_pool_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/v1/distribution/{path}?pool_id=999999")
    assert answer.status_code == 404
    assert "999999" in problem_in(answer)["detail"]


async def test_alarms_are_told_alone_and_are_those_of_the_day(
    client: httpx.AsyncClient, working: None
) -> None:
    assert (await client.get("/v1/distribution/alerts")).json() == {"alerts": []}
    stats = (await client.get("/v1/distribution/stats")).json()
    assert stats["alerts"] == []
    missing = await client.get("/v1/distribution/alerts", params={"pool_id": 999})
    assert problem_in(missing)["status"] == 404
