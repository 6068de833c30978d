"""Idempotency-Key: honoured by new tasks, batches of them and moves, refused by everything else, never ignored."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.main import create_app
from app.services.common.sent_keys import sent_key
from app.services.intake.intake import NewTask, write_tasks
from tests.api.conftest import problem_in

HONOURED = {"/v1/tasks", "/v1/tasks/batch"} | {
    f"/v1/tasks/1/{move}"
    for move in ("accept", "decline", "start", "complete", "reject", "return", "resume", "cancel", "reassign")
}
KEY = {"Idempotency-Key": "k-1"}


async def test_a_key_is_honoured_or_refused_by_every_route_that_changes_something(
    client: httpx.AsyncClient,
) -> None:
    honoured = set()
    for path, operations in create_app(Settings(_env_file=None)).openapi()["paths"].items():
        for method, operation in operations.items():
            if method == "get":
                continue
            address = re.sub(r"{\w+}", "1", path)
            named = [each["name"].lower() for each in operation.get("parameters", ())]
            if "idempotency-key" in named:
                honoured.add(address)
                continue
            answer = await client.request(method, address, headers=KEY)
            assert (answer.status_code, "Idempotency-Key" in answer.text) == (422, True), (method, path)
    assert honoured == HONOURED


async def tasks_of(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/v1/tasks")).json()["items"]
    return items


async def batch(client: httpx.AsyncClient, tasks: list[Any], partial: bool = False, key: str = "b-1") -> Any:
    return await client.post(
        "/v1/tasks/batch",
        params={"partial": partial},
        json={"tasks": tasks},
        headers={"Idempotency-Key": key},
    )


@pytest.mark.parametrize("partial", [False, True])
async def test_a_batch_that_comes_again_adds_nothing(client: httpx.AsyncClient, *, partial: bool) -> None:
    sent = [{"weight": 2}, {"external_id": "A"}, {"weight": 2}]
    first = (await batch(client, sent, partial)).json()
    again = (await batch(client, sent, partial)).json()
    ids = [item["task_id"] for item in first["items"]]
    assert [item["task_id"] for item in again["items"]] == ids and len(set(ids)) == 3
    assert (first["accepted"], again["accepted"], again["duplicates"]) == (3, 0, 3)
    assert len(await tasks_of(client)) == 3
    other = await batch(client, [*sent, {"weight": 9}], key="b-2")
    assert other.json()["accepted"] == 3, "another key, other tasks; the external id is known"


@pytest.mark.parametrize("other", [[{"weight": 3}], [{"weight": 2}, {}], []], ids=["other", "longer", "none"])
async def test_a_key_of_a_batch_with_another_body_is_refused(
    client: httpx.AsyncClient, other: list[Any]
) -> None:
    await batch(client, [{"weight": 2}])
    answer = await batch(client, other)
    assert answer.status_code == 422
    if other:
        assert problem_in(answer)["code"] == "idempotency_key_reused"
    assert len(await tasks_of(client)) == 1


async def test_batches_of_one_key_sent_at_once_are_one(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(batch(client, [{"weight": 2}, {}]) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({str([item["task_id"] for item in answer.json()["items"]]) for answer in answers}) == 1
    assert len(await tasks_of(client)) == 2


async def test_two_keys_in_one_request_are_refused(client: httpx.AsyncClient) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Content-Type", "application/json")]
    answer = await client.post("/v1/tasks", content=b"{}", headers=headers)
    assert (answer.status_code, "two keys" in problem_in(answer)["detail"]) == (422, True)


@pytest.mark.parametrize("way", ["shortcut", "route"])
async def test_the_fingerprint_is_of_what_was_sent(client: httpx.AsyncClient, way: str) -> None:
    async def post(body: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/json", **KEY}
        return await client.post(
            "/v1/tasks" + ("" if way == "shortcut" else "?wait=0"), content=body, headers=headers
        )

    first = await post(b'{"weight": 1, "parameters": {"a": "\xd0\xb9", "b": 2}}')
    again = await post(b'{"parameters":{"b":2,"a":"\\u0439"},"weight":1}')
    assert (first.status_code, again.status_code) == (202, 200), "the same values, written otherwise"
    for other in (b'{"weight": 1}', b'{"weight": 1, "parameters": {"a": "\xd0\xb9", "b": 2}, "priority": 0}'):
        assert (await post(other)).status_code == 422


def test_a_new_default_does_not_make_another_request_of_the_same_body() -> None:
    pool = PoolId(1)
    key = sent_key("k", "submit_task", {"weight": 2})
    before = NewTask(pool, weight=2, idempotency_key=key.key, sent=key.fingerprint)
    after = NewTask(pool, weight=2, priority=5, idempotency_key=key.key, sent=key.fingerprint)
    assert before.fingerprint() == after.fingerprint()


async def test_keys_of_the_release_before_are_recognised(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    await write_tasks(database.hot, [NewTask(pool_id, weight=2.0, idempotency_key="k-1")])
    assert (await client.post("/v1/tasks", json={"weight": 2}, headers=KEY)).status_code == 200
    assert (await client.post("/v1/tasks", json={"weight": 3}, headers=KEY)).status_code == 422


async def move(client: httpx.AsyncClient, task_id: int, name: str, key: str = "m-1", **body: Any) -> Any:
    return await client.post(f"/v1/tasks/{task_id}/{name}", json=body, headers={"Idempotency-Key": key})


async def taken(client: httpx.AsyncClient) -> int:
    await client.post("/v1/executors", json={"name": "Anna"})
    return int((await client.post("/v1/tasks?wait=30", json={})).json()["task_id"])


async def test_a_move_that_comes_again_is_answered_as_the_first_time(
    client: httpx.AsyncClient, working: None
) -> None:
    task_id = await taken(client)
    first = await move(client, task_id, "return", reason="a signature is missing")
    resumed = await client.post(f"/v1/tasks/{task_id}/resume?wait=30", json={})
    again = await move(client, task_id, "return", reason="a signature is missing")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json() and again.headers["etag"] == first.headers["etag"]
    now = (await client.get(f"/v1/tasks/{task_id}")).json()
    assert (now["status"], now["version"]) == ("assigned", resumed.json()["version"]), "nothing was done"
    events = (await client.get(f"/v1/tasks/{task_id}/history")).json()["items"]
    assert sum(each["event"] == "return" for each in events) == 1


async def test_a_key_of_a_move_with_another_move_is_refused(client: httpx.AsyncClient, working: None) -> None:
    task_id = await taken(client)
    await move(client, task_id, "start")
    for name, body in (("complete", {}), ("start", {"reason": "again"})):
        answer = await move(client, task_id, name, **body)
        assert (answer.status_code, problem_in(answer)["code"]) == (422, "idempotency_key_reused")
    assert (await move(client, task_id, "complete", key="m-2")).status_code == 200


async def test_moves_of_one_key_sent_at_once_are_one(client: httpx.AsyncClient, working: None) -> None:
    task_id = await taken(client)
    answers = await asyncio.gather(*(move(client, task_id, "cancel") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


async def test_a_refused_move_leaves_no_key(client: httpx.AsyncClient, working: None) -> None:
    task_id = await taken(client)
    assert (await move(client, task_id, "resume")).status_code == 409
    assert (await move(client, task_id, "start")).status_code == 200


@pytest.mark.parametrize(
    ("item", "status", "field"),
    [
        ({"weight": 0}, 422, "weight"),
        ({"weight": "2"}, 422, "weight"),
        ({"pool_id": 999_999}, 404, None),
        ({"no_such": 1}, 422, "no_such"),
        ({"parameters": {"a": {"b": 1}}}, 422, "parameters"),
        ({"deadline": "tomorrow"}, 422, "deadline"),
        ({"parent_id": 999_999}, 422, "parent_id"),
        ({"external_id": ""}, 422, "external_id"),
        ("a text", 422, "body"),
        (None, 422, "body"),
    ],
    ids=str,
)
async def test_what_one_task_has_wrong_refuses_that_task_alone(
    client: httpx.AsyncClient, item: Any, status: int, field: str | None
) -> None:
    body = {"tasks": [{"external_id": "A"}, item, {"external_id": "B"}]}
    answer = (await client.post("/v1/tasks/batch?partial=true", json=body)).json()
    assert (answer["accepted"], answer["refused"]) == (2, 1)
    problem = answer["items"][1]["problem"]
    assert problem["status"] == status
    assert field is None or problem["errors"][0]["field"] == field
    whole = await client.post("/v1/tasks/batch", json={"tasks": [{"external_id": "C"}, item]})
    assert whole.status_code in (404, 422)
    assert sorted(task["external_id"] for task in await tasks_of(client)) == ["A", "B"]
