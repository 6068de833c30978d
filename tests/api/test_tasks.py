"""Tasks: taken in once, in one piece or per item, answered when committed, listed page by page."""

import asyncio

import httpx
import pytest

from app.engine.types import PoolId
from tests.api.conftest import problem_in


async def posted(client: httpx.AsyncClient, body: object = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/tasks", json=body or {}, headers=named)


async def count(client: httpx.AsyncClient) -> int:
    return len((await client.get("/v1/tasks?limit=1000")).json()["items"])


async def test_new_task_is_accepted_with_its_id_and_place(client: httpx.AsyncClient, pool_id: PoolId) -> None:
    answer = await posted(
        client, {"external_id": "INC-1", "parameters": {"sum": 5}, "priority": 3, "weight": 2.5}
    )
    task = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/tasks/{task['task_id']}"
    assert (task["pool_id"], task["status"], task["priority"], task["weight"]) == (pool_id, "pending", 3, 2.5)
    assert (task["duplicate"], task["unknown_parameters"], task["assignment"]) == (False, ["sum"], None)
    stored = (await client.get(answer.headers["location"])).json()
    assert stored == {name: task[name] for name in stored}


async def test_the_short_way_and_the_route_answer_alike(client: httpx.AsyncClient) -> None:
    bodies = (
        b'{"external_id": "%s", "weight": 2, "deadline": "2030-01-01T09:00:00Z"}',
        b'{"external_id": "%s", "priority": 1, "priority": 2, "parameters": {"big": 9007199254740991}}',
        b'{"external_id": "%s", "priority": "1"}',
        b'{"external_id": "%s", "nobody": 1}',
        b'{"external_id": "%s", "weight": NaN}',
        b'{"external_id": "%s", "pool_id": 99999}',
        b'{"external_id": "%s", "parent_id": 99999}',
        b"[%s",
        b"null%.0s",
        b"\xff%.0s",
        b"%.0s",
    )
    for number, body in enumerate(bodies):
        answers = []
        for way, media_type in enumerate(("application/json", "application/json; charset=UTF8")):
            answer = await client.post(
                "/v1/tasks",
                content=body % f"{way}-{number}".encode(),
                headers={"Content-Type": media_type, "X-Request-ID": "same"},
            )
            differ = {"task_id", "external_id", "created_at", "updated_at"}
            told = {name: value for name, value in answer.json().items() if name not in differ}
            answers.append((answer.status_code, answer.headers["content-type"], told))
        assert answers[0] == answers[1], body


async def test_the_same_external_id_is_the_same_task(client: httpx.AsyncClient) -> None:
    first = await posted(client, {"external_id": "A", "priority": 1})
    again = await posted(client, {"external_id": "A", "priority": 9})
    assert (first.status_code, again.status_code) == (202, 200)
    assert (again.json()["duplicate"], again.json()["priority"]) == (True, 1)
    assert again.json()["task_id"] == first.json()["task_id"]
    assert await count(client) == 1


async def test_the_same_key_is_the_same_task_and_another_body_is_refused(client: httpx.AsyncClient) -> None:
    first = await posted(client, {"priority": 1}, Idempotency_Key="k-1")
    again = await posted(client, {"priority": 1}, Idempotency_Key="k-1")
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["task_id"] == first.json()["task_id"]
    other = await posted(client, {"priority": 2}, Idempotency_Key="k-1")
    assert other.status_code == 422
    assert problem_in(other)["code"] == "idempotency_key_reused"
    assert await count(client) == 1


async def test_the_same_key_sent_at_once_is_one_task(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(posted(client, {}, Idempotency_Key="k") for _ in range(30)))
    assert sorted(answer.status_code for answer in answers) == [200] * 29 + [202]
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert await count(client) == 1


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_out_of_bounds_is_refused(client: httpx.AsyncClient, key: str) -> None:
    answer = await posted(client, {}, Idempotency_Key=key)
    assert answer.status_code == 422
    assert "idempotency" in problem_in(answer)["errors"][0]["field"].lower()


async def test_waiting_answers_with_the_assignment(client: httpx.AsyncClient, working: None) -> None:
    person = (await client.post("/v1/executors", json={"name": "Anna"})).json()
    answer = await client.post("/v1/tasks?wait=30", json={"external_id": "now"})
    task = answer.json()
    assert answer.status_code == 201
    assert (task["status"], task["executor_id"]) == ("assigned", person["executor_id"])
    assert (task["assignment"]["executor_name"], task["assignment"]["kind"]) == ("Anna", "primary")
    assert task["assignment"]["decided_at"] >= task["created_at"]
    again = await client.post("/v1/tasks?wait=30", json={"external_id": "now"})
    assert (again.status_code, again.json()["assignment"]) == (200, task["assignment"])


async def test_waiting_in_vain_answers_what_is_known(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/tasks?wait=0.1", json={})
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")


async def test_a_child_of_nobody_is_refused(client: httpx.AsyncClient) -> None:
    answer = await posted(client, {"parent_id": 999_999})
    assert answer.status_code == 422
    [fault] = problem_in(answer)["errors"]
    assert (fault["field"], fault["remedy"]) == ("parent_id", "send the parent first")


async def test_whole_batch_is_taken_in_its_order(client: httpx.AsyncClient) -> None:
    batch = {"tasks": [{"external_id": f"T-{number}"} for number in range(5)]}
    answer = await client.post("/v1/tasks/batch", json=batch)
    told = answer.json()
    assert answer.status_code == 202
    assert (told["accepted"], told["duplicates"], told["refused"]) == (5, 0, 0)
    assert [item["external_id"] for item in told["items"]] == [f"T-{number}" for number in range(5)]
    assert len({item["task_id"] for item in told["items"]}) == 5


async def test_batch_sent_again_is_all_duplicates(client: httpx.AsyncClient) -> None:
    batch = {"tasks": [{"external_id": f"T-{number}"} for number in range(5)]}
    first, again = [(await client.post("/v1/tasks/batch", json=batch)).json() for _ in range(2)]
    assert (again["accepted"], again["duplicates"]) == (0, 5)
    assert [item["task_id"] for item in again["items"]] == [item["task_id"] for item in first["items"]]
    assert await count(client) == 5


async def test_the_same_external_id_twice_in_a_batch_is_one_task(client: httpx.AsyncClient) -> None:
    told = (
        await client.post("/v1/tasks/batch", json={"tasks": [{"external_id": "A"}, {"external_id": "A"}]})
    ).json()
    assert (told["accepted"], told["duplicates"]) == (1, 1)
    assert len({item["task_id"] for item in told["items"]}) == 1


MIXED = {
    "tasks": [
        {"external_id": "good"},
        {"external_id": "orphan", "parent_id": 999_999},
        {"external_id": "fine"},
    ]
}


async def test_one_wrong_task_refuses_the_whole_batch(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/tasks/batch", json=MIXED)
    assert answer.status_code == 422
    assert problem_in(answer)["errors"][0]["field"] == "tasks[1]"
    assert await count(client) == 0


async def test_partial_batch_takes_what_is_right_and_reports_the_rest(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/tasks/batch?partial=true", json=MIXED)
    told = answer.json()
    assert answer.status_code == 202
    assert (told["accepted"], told["refused"]) == (2, 1)
    assert [item["task_id"] is None for item in told["items"]] == [False, True, False]
    assert told["items"][1]["problem"]["errors"][0]["field"] == "parent_id"
    assert await count(client) == 2


async def test_values_that_the_catalogue_refuses_are_named_in_a_batch(client: httpx.AsyncClient) -> None:
    await client.post("/v1/parameters", json={"owner": "task", "key": "sum", "type": "number", "minimum": 0})
    batch = {"tasks": [{"parameters": {"sum": 1}}, {"parameters": {"sum": -1}}]}
    whole = await client.post("/v1/tasks/batch", json=batch)
    assert problem_in(whole)["errors"][0]["field"] == "tasks[1].parameters.sum"
    partial = (await client.post("/v1/tasks/batch?partial=true", json=batch)).json()
    assert (partial["accepted"], partial["refused"]) == (1, 1)


async def test_batch_beyond_the_limit_and_an_empty_one_are_refused(client: httpx.AsyncClient) -> None:
    many = await client.post("/v1/tasks/batch", json={"tasks": [{}] * 5001})
    assert (many.status_code, "5000" in problem_in(many)["detail"]) == (413, True)
    assert (await client.post("/v1/tasks/batch", json={"tasks": []})).status_code == 422
    assert await count(client) == 0


async def test_pages_hold_every_task_once_newest_first(client: httpx.AsyncClient) -> None:
    await client.post("/v1/tasks/batch", json={"tasks": [{} for _ in range(25)]})
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/tasks?limit=10{cursor}")).json()
        seen += [task["task_id"] for task in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        await posted(client)  # what comes meanwhile is newer, and on no later page
    assert len(seen) == 25
    assert seen == sorted(set(seen), reverse=True)


@pytest.mark.parametrize("cursor", ["x", "aWQ6", "aWQ6LTE", "Ym9vazox", "=" * 10])
async def test_a_cursor_that_is_none_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    answer = await client.get("/v1/tasks", params={"cursor": cursor})
    assert answer.status_code == 422
    assert problem_in(answer)["errors"][0]["field"] == "cursor"


async def test_list_is_narrowed_by_what_is_asked(client: httpx.AsyncClient) -> None:
    pool = (await client.post("/v1/pools", json={"code": "it", "name": "IT"})).json()["pool_id"]
    await posted(client, {"external_id": "here"})
    await posted(client, {"external_id": "there", "pool_id": pool})

    async def found(query: str) -> list[str]:
        return [task["external_id"] for task in (await client.get(f"/v1/tasks?{query}")).json()["items"]]

    assert await found(f"pool_id={pool}") == ["there"]
    assert await found("external_id=here") == ["here"]
    assert await found("status=assigned") == []
    assert await found("status=pending") == ["there", "here"]
    assert await found("waiting=true") == []
    assert (await client.get("/v1/tasks?status=odd")).status_code == 422


async def test_history_begins_with_the_intake_and_tells_the_assignment(
    client: httpx.AsyncClient, working: None
) -> None:
    await client.post("/v1/executors", json={"name": "Anna"})
    task = (await client.post("/v1/tasks?wait=30", json={})).json()
    history = (await client.get(f"/v1/tasks/{task['task_id']}/history")).json()["items"]
    assert [(item["from_status"], item["to_status"]) for item in history] == [
        (None, "pending"),
        ("pending", "assigned"),
    ]
    assert history[1]["executor_id"] == task["executor_id"]


@pytest.mark.parametrize("path", ["", "/history", "/explanation"])
async def test_unknown_task_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/v1/tasks/999999{path}")
    assert answer.status_code == 404
    assert "999999" in problem_in(answer)["detail"]
