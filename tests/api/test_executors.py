"""Executors: added one by one or many at once, changed without losing what others changed, let go but not forgotten."""

import httpx
import pytest

from app.engine.types import PoolId
from tests.api.conftest import problem_in


async def added(client: httpx.AsyncClient, **fields: object) -> dict[str, object]:
    answer = await client.post("/v1/executors", json={"name": "Anna", **fields})
    assert answer.status_code == 201, answer.text
    person: dict[str, object] = answer.json()
    return person


async def test_new_person_is_here_and_carries_nothing(client: httpx.AsyncClient, pool_id: PoolId) -> None:
    person = await added(
        client, external_id="E-1", daily_limit=40, qualification=1.5, parameters={"grade": 3}
    )
    assert (person["pool_id"], person["active"], person["availability"]) == (pool_id, True, "available")
    assert (person["daily_limit"], person["max_open"], person["qualification"]) == (40, None, 1.5)
    assert (person["open_count"], person["assigned_today"]) == (0, 0)
    stored = (await client.get(f"/v1/executors/{person['executor_id']}")).json()
    assert stored["parameters"] == {"grade": 3}


async def test_what_a_person_carries_is_counted(client: httpx.AsyncClient, working: None) -> None:
    person = await added(client)
    task = (await client.post("/v1/tasks?wait=30", json={"weight": 2})).json()
    now = (await client.get(f"/v1/executors/{person['executor_id']}")).json()
    assert (now["open_count"], now["open_weight"], now["assigned_today"]) == (1, 2, 2)
    theirs = (await client.get(f"/v1/executors/{person['executor_id']}/tasks")).json()["items"]
    assert [each["task_id"] for each in theirs] == [task["task_id"]]


async def test_external_id_is_unique_in_its_pool_alone(client: httpx.AsyncClient) -> None:
    await added(client, external_id="E-1")
    again = await client.post("/v1/executors", json={"name": "Boris", "external_id": "E-1"})
    assert again.status_code == 409
    assert problem_in(again)["errors"][0]["field"] == "external_id"
    pool = (await client.post("/v1/pools", json={"code": "it", "name": "IT"})).json()["pool_id"]
    assert (await added(client, external_id="E-1", pool_id=pool))["pool_id"] == pool


async def test_many_are_added_and_known_ones_changed(client: httpx.AsyncClient) -> None:
    first = await added(client, external_id="E-1")
    batch = {
        "executors": [{"name": "Anna K.", "external_id": "E-1"}, {"name": "Boris", "external_id": "E-2"}]
    }
    ids = (await client.post("/v1/executors/batch", json=batch)).json()["executor_ids"]
    assert ids[0] == first["executor_id"]
    listed = (await client.get("/v1/executors")).json()["items"]
    assert [(each["executor_id"], each["name"]) for each in listed] == [
        (ids[0], "Anna K."),
        (ids[1], "Boris"),
    ]


FULL = {
    "external_id": "E-1",
    "availability": "break",
    "working_hours": {"days": {"mon": [["09:00", "18:00"]]}},
    "daily_limit": 7,
    "max_open": 3,
    "qualification": 2.5,
    "parameters": {"grade": 3, "city": "Omsk"},
}


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        ({}, {}),
        ({"daily_limit": None}, {"daily_limit": None}),
        ({"max_open": 5, "working_hours": None}, {"max_open": 5, "working_hours": None}),
        ({"availability": "available"}, {"availability": "available"}),
        ({"active": True}, {"active": True}),
        ({"parameters": {}}, {}),
        ({"parameters": {"city": None, "shift": 2}}, {"parameters": {"grade": 3, "shift": 2}}),
    ],
    ids=str,
)
async def test_a_batch_changes_what_it_says_of_a_known_person_and_nothing_else(
    client: httpx.AsyncClient, sent: dict[str, object], changed: dict[str, object]
) -> None:
    person = await added(client, **FULL)
    place = f"/v1/executors/{person['executor_id']}"
    assert (await client.delete(place)).status_code == 204
    before = (await client.get(place)).json()
    answer = await client.post(
        "/v1/executors/batch", json={"executors": [{"external_id": "E-1", "name": "Anna", **sent}]}
    )
    assert (answer.status_code, before["active"]) == (200, False)
    after = (await client.get(place)).json()
    moving = {"version": after["version"], "updated_at": after["updated_at"]}
    assert after == {**before, **changed, **moving}


async def test_the_same_person_twice_in_a_batch_is_one_and_can_work(
    client: httpx.AsyncClient, working: None
) -> None:
    twice = {"executors": [{"name": "A", "external_id": "E"}, {"name": "B", "external_id": "E"}]}
    ids = (await client.post("/v1/executors/batch", json=twice)).json()["executor_ids"]
    assert len(set(ids)) == 1
    task = (await client.post("/v1/tasks?wait=30", json={})).json()
    assert task["executor_id"] == ids[0]


async def test_one_wrong_person_refuses_the_whole_batch(client: httpx.AsyncClient) -> None:
    await client.post("/v1/parameters", json={"owner": "executor", "key": "grade", "type": "number"})
    batch = {"executors": [{"name": "Anna"}, {"name": "Boris", "parameters": {"grade": "high"}}]}
    answer = await client.post("/v1/executors/batch", json=batch)
    assert answer.status_code == 422
    assert problem_in(answer)["errors"][0]["field"] == "executors[1].parameters.grade"
    assert (await client.get("/v1/executors")).json()["items"] == []


async def test_change_keeps_what_was_not_sent_and_null_removes(client: httpx.AsyncClient) -> None:
    person = await added(client, daily_limit=5, parameters={"grade": 3, "city": "Omsk"})
    place = f"/v1/executors/{person['executor_id']}"
    changed = (
        await client.patch(
            place, json={"availability": "break", "daily_limit": None, "parameters": {"city": None}}
        )
    ).json()
    assert (changed["availability"], changed["daily_limit"], changed["name"]) == ("break", None, "Anna")
    assert changed["parameters"] == {"grade": 3}


async def test_replacement_says_everything_anew(client: httpx.AsyncClient) -> None:
    person = await added(client, daily_limit=5, parameters={"grade": 3})
    replaced = (await client.put(f"/v1/executors/{person['executor_id']}", json={"name": "Boris"})).json()
    assert (replaced["name"], replaced["daily_limit"], replaced["parameters"]) == ("Boris", None, {})


async def test_change_of_an_old_version_is_refused(client: httpx.AsyncClient) -> None:
    person = await added(client)
    place = f"/v1/executors/{person['executor_id']}"
    version = (await client.get(place)).headers["etag"]
    first = await client.patch(place, json={"daily_limit": 1}, headers={"If-Match": version})
    late = await client.patch(place, json={"daily_limit": 2}, headers={"If-Match": version})
    assert (first.status_code, late.status_code) == (200, 412)
    assert problem_in(late)["code"] == "stale_version"
    assert (await client.get(place)).json()["daily_limit"] == 1


async def test_who_was_let_go_receives_nothing_and_is_remembered(
    client: httpx.AsyncClient, working: None
) -> None:
    gone, stays = await added(client), await added(client, name="Boris")
    assert (await client.delete(f"/v1/executors/{gone['executor_id']}")).status_code == 204
    tasks = [(await client.post("/v1/tasks?wait=30", json={})).json() for _ in range(3)]
    assert {task["executor_id"] for task in tasks} == {stays["executor_id"]}
    assert (await client.get(f"/v1/executors/{gone['executor_id']}")).json()["active"] is False
    active = (await client.get("/v1/executors?active=true")).json()["items"]
    assert [each["executor_id"] for each in active] == [stays["executor_id"]]


async def test_pages_hold_everybody_once(client: httpx.AsyncClient) -> None:
    people = [{"name": f"P-{number}"} for number in range(7)]
    await client.post("/v1/executors/batch", json={"executors": people})
    names: list[str] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/executors?limit=3{cursor}")).json()
        names += [each["name"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert names == [person["name"] for person in people]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name"),
        ({"qualification": 0}, "qualification"),
        ({"daily_limit": -1}, "daily_limit"),
        ({"max_open": 1.5}, "max_open"),
        ({"availability": "asleep"}, "availability"),
        ({"working_hours": {"days": {"mon": [["9", "18"]]}}}, "working_hours"),
        ({"working_hours": {"days": {"someday": []}}}, "working_hours"),
        ({"nickname": "x"}, "nickname"),
    ],
)
async def test_wrong_value_is_named(client: httpx.AsyncClient, fields: dict[str, object], named: str) -> None:
    answer = await client.post("/v1/executors", json={"name": "Anna", **fields})
    assert answer.status_code == 422
    assert problem_in(answer)["errors"][0]["field"].startswith(named)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_unknown_person_is_not_found(client: httpx.AsyncClient, method: str) -> None:
    body = {"name": "Anna"} if method in {"PUT", "PATCH"} else None
    answer = await client.request(method, "/v1/executors/999999", json=body)
    assert answer.status_code == 404
    assert problem_in(answer)["executor_id"] == 999_999
