"""Who works in a pool and how they stand is known to its own people; an executor knows of themselves."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from app.doorbell.doorbell import open_doorbell
from app.services.tasks.pool_transfer import move_on
from app.worker import Worker
from tests.access.conftest import House
from tests.api.conftest import client_of
from tests.builders import add_executors
from tests.lifecycle.conftest import until

COLLEAGUE = "Zenobia Colleague"
HELPER = "Hildegard Helper"
NAME_IT = "UPDATE executors SET name = $1, qualification = 1.75 WHERE id = $2"
WAITS_LONG = """
UPDATE tasks SET wait_reason = 'all_busy', waiting_since = now() - interval '1 hour' WHERE id = $1
"""


@pytest.fixture
async def working(house: House) -> AsyncIterator[None]:
    """A worker beside the API of the house."""
    doorbell = open_doorbell(house.settings.redis_url)
    worker = Worker(house.settings, house.database, doorbell)
    task = asyncio.create_task(worker.run())
    yield
    worker.stop()
    await task
    await doorbell.close()


async def assigned(house: House, pool_id: int, headers: dict[str, str]) -> int:
    """A new task that somebody of the pool has."""
    answer = await house.client.post("/v1/tasks?wait=30", json={"pool_id": pool_id}, headers=headers)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["task_id"])


async def test_an_executor_is_told_counts_and_reasons_and_no_colleague(house: House, working: None) -> None:
    [colleague] = await add_executors(house.database, house.mine.pool_id, 1)
    await house.database.hot.execute(NAME_IT, COLLEAGUE, colleague)
    admin = await house.as_role("admin")
    own, asked = house.mine.ids["executor_id"], 0
    executor = await house.as_role("executor")
    for _ in range(4):
        task = await assigned(house, house.mine.pool_id, admin)
        whole = (await house.client.get(f"/v1/tasks/{task}/explanation", headers=admin)).json()
        assert COLLEAGUE in str(whole) and "1.75" in str(whole), "a lead is told everything"
        if whole["executor_id"] != own:
            continue
        asked += 1
        answer = await house.client.get(f"/v1/tasks/{task}/explanation?executor_id={own}", headers=executor)
        told = answer.json()
        assert (told["executor_id"], told["chosen"], told["runners_up"]) == (own, None, [])
        assert (told["eligible"], told["why_not"]["because"]) == (2, "chosen")
        for hidden in (COLLEAGUE, "1.75", "level", "qualification", "уровень", str(colleague)):
            assert hidden not in answer.text, hidden
        other = await house.client.get(
            f"/v1/tasks/{task}/explanation?executor_id={colleague}", headers=executor
        )
        assert other.status_code == 404
    assert asked


async def test_an_executor_asks_why_not_them_and_hears_no_levels(house: House, working: None) -> None:
    """A task that was a colleague's before is theirs now: what is told of the first decision names nobody."""
    [colleague] = await add_executors(house.database, house.mine.pool_id, 1)
    await house.database.hot.execute(NAME_IT, COLLEAGUE, colleague)
    admin, own = await house.as_role("admin"), house.mine.ids["executor_id"]
    task = await assigned(house, house.mine.pool_id, admin)
    await house.database.hot.execute(
        "UPDATE assignments SET executor_id = $1 WHERE task_id = $2", colleague, task
    )
    await house.database.hot.execute("UPDATE tasks SET executor_id = $1 WHERE id = $2", own, task)
    executor = await house.as_role("executor")
    for path in ("", "/history", "/explanation", f"/explanation?executor_id={own}"):
        answer = await house.client.get(f"/v1/tasks/{task}{path}", headers=executor)
        assert answer.status_code == 200, answer.text
        for hidden in (COLLEAGUE, f'"executor_id":{colleague}', "1.75", "level", "уровень"):
            assert hidden not in answer.text, (path, hidden)


async def test_home_sees_nothing_of_the_roster_of_the_pool_a_task_went_on_to(
    house: House, working: None
) -> None:
    mine, other = house.mine.pool_id, house.other.pool_id
    helper = house.other.ids["executor_id"]
    await house.database.hot.execute(NAME_IT, HELPER, helper)
    admin = await house.as_role("admin")
    await house.database.hot.execute("UPDATE executors SET availability = 'offline' WHERE pool_id = $1", mine)
    made = await house.client.post("/v1/tasks", json={"pool_id": mine, "external_id": "A-1"}, headers=admin)
    task = made.json()["task_id"]
    await house.database.hot.execute(WAITS_LONG, task)
    assert await move_on(house.database.hot, pool_id=mine, to=other, step=1, minutes=30) == 1

    async def has_it() -> bool:
        return (await house.client.get(f"/v1/tasks/{task}", headers=admin)).json()["executor_id"] == helper

    await until(has_it)
    user = house.token(await house.user("executor", pools=[other], executor_id=helper))
    started = await house.client.post(
        f"/v1/tasks/{task}/start", json={"reason": f"by {HELPER}"}, headers=user
    )
    assert started.status_code == 200, started.text
    actor = "executor "  # how this user is named
    home, there = [house.token(await house.user("lead", pools=[pool])) for pool in (mine, other)]
    seen_there = await house.client.get(f"/v1/tasks/{task}", headers=there)
    assert HELPER in seen_there.text and seen_there.json()["executor_id"] == helper
    explained = await house.client.get(f"/v1/tasks/{task}/explanation", headers=home)
    assert explained.status_code == 403 and "another pool" in explained.json()["detail"]
    asked: list[tuple[str, str, object]] = [
        ("GET", f"/v1/tasks/{task}", None),
        ("GET", f"/v1/tasks/{task}/history", None),
        ("GET", f"/v1/tasks?home_pool_id={mine}", None),
        ("GET", "/v1/tasks", None),
        ("GET", f"/v1/deliveries?task_id={task}", None),
        ("POST", "/v1/tasks?wait=1", {"pool_id": int(mine), "external_id": "A-1"}),
        ("PATCH", f"/v1/tasks/{task}", {"priority": 3}),
        ("POST", f"/v1/tasks/{task}/complete", {}),
        ("GET", f"/v1/tasks/{task}", None),
        ("GET", f"/v1/tasks/{task}/history", None),
    ]
    for method, path, body in asked:
        answer = await house.client.request(method, path, json=body, headers=home)
        assert answer.status_code == 200, (path, answer.text)
        for hidden in (HELPER, f'"executor_id":{helper}', "1.75", f'"actor":"{actor}'):
            assert hidden not in answer.text, (method, path, hidden, answer.text)
    for path in (f"/v1/tasks?executor_id={helper}", f"/v1/executors/{helper}"):
        assert (await house.client.get(path, headers=home)).status_code == 404


async def test_metrics_of_all_pools_need_the_right_to_all_pools(house: House) -> None:
    some = [int(house.mine.pool_id)]
    scrape = await house.api_key(["metrics.read"], None)
    narrow = await house.api_key(["metrics.read"], some)
    told: dict[str, httpx.Response] = {
        name: await house.client.get("/metrics", headers=headers)
        for name, headers in {
            "viewer": house.token(await house.user("viewer", pools=some)),
            "lead": house.token(await house.user("lead", pools=some)),
            "nobody": house.token(await house.user("viewer", pools=[])),
            "narrow key": narrow,
            "everywhere": house.token(await house.user("viewer", pools=None)),
            "scrape key": scrape,
        }.items()
    }
    statuses = {name: answer.status_code for name, answer in told.items()}
    refused = dict.fromkeys(("viewer", "lead", "nobody", "narrow key"), 403)
    assert statuses == {**refused, "everywhere": 200, "scrape key": 200}
    assert "METRICS_TOKEN" in told["viewer"].json()["detail"]


async def test_the_scrape_token_opens_metrics_and_nothing_else(house: House) -> None:
    token = "a token for prometheus, long enough"
    settings = house.settings.model_copy(update={"metrics_token": SecretStr(token)})
    async with client_of(settings) as client:
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/metrics", headers=headers)).status_code == 200
        for path in ("/v1/pools", "/v1/tasks", "/v1/events", "/v1/auth/me"):
            assert (await client.get(path, headers=headers)).status_code == 403, path
