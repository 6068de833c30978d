"""Rules over HTTP: checked when saved, in force when activated, one set at a time."""

import httpx
import pytest

from tests.api.conftest import problem_in

ALL = {"conditions": []}


def only(grade: int) -> dict[str, object]:
    return {"conditions": [{"operator": "eq", "field": "executor.parameters.grade", "value": grade}]}


@pytest.fixture
async def grades(client: httpx.AsyncClient) -> dict[int, int]:
    """Two people by their grade."""
    await client.post("/v1/parameters", json={"owner": "executor", "key": "grade", "type": "number"})
    people = [{"name": f"Grade {grade}", "parameters": {"grade": grade}} for grade in (1, 2)]
    ids = (await client.post("/v1/executors/batch", json={"executors": people})).json()["executor_ids"]
    return dict(zip((1, 2), ids, strict=True))


async def drafted(client: httpx.AsyncClient, rules: object, name: str = "rules") -> dict[str, object]:
    answer = await client.post("/v1/rules", json={"name": name, "rules": rules})
    assert answer.status_code == 201, answer.text
    draft: dict[str, object] = answer.json()
    return draft


async def activated(client: httpx.AsyncClient, draft: dict[str, object]) -> dict[str, object]:
    answer = await client.post(f"/v1/rules/{draft['rule_set_id']}/activate")
    assert answer.status_code == 200, answer.text
    active: dict[str, object] = answer.json()
    return active


async def test_saved_rules_are_the_next_version_and_not_in_force(client: httpx.AsyncClient) -> None:
    first, second = await drafted(client, ALL), await drafted(client, ALL)
    assert [(each["version"], each["state"]) for each in (first, second)] == [(1, "draft"), (2, "draft")]
    assert (await client.get(f"/v1/rules/{first['rule_set_id']}")).json() == first


async def test_activated_rules_decide_and_archive_those_before(
    client: httpx.AsyncClient, grades: dict[int, int], working: None
) -> None:
    first = await activated(client, await drafted(client, only(1)))
    task = (await client.post("/v1/tasks?wait=30", json={})).json()
    assert (task["executor_id"], task["assignment"]["rule_set_id"]) == (grades[1], first["rule_set_id"])
    second = await activated(client, await drafted(client, only(2)))
    task = (await client.post("/v1/tasks?wait=30", json={})).json()
    assert (task["executor_id"], task["assignment"]["rule_set_id"]) == (grades[2], second["rule_set_id"])
    states = {each["rule_set_id"]: each["state"] for each in (await client.get("/v1/rules")).json()["items"]}
    assert states == {first["rule_set_id"]: "archived", second["rule_set_id"]: "active"}


async def test_new_rules_let_waiting_work_go(
    client: httpx.AsyncClient, grades: dict[int, int], working: None
) -> None:
    await activated(client, await drafted(client, only(3)))
    waits = (await client.post("/v1/tasks?wait=30", json={"external_id": "w"})).json()
    assert (waits["status"], waits["wait_reason"]) == ("pending", "no_one_eligible")
    await activated(client, await drafted(client, only(2)))
    again = (await client.post("/v1/tasks?wait=30", json={"external_id": "w"})).json()
    assert (again["status"], again["executor_id"]) == ("assigned", grades[2])


async def test_check_saves_nothing_and_names_the_place(
    client: httpx.AsyncClient, grades: dict[int, int]
) -> None:
    right = (await client.post("/v1/rules/validate", json={"rules": only(1)})).json()
    assert (right["valid"], right["errors"]) == (True, [])
    broken = {"conditions": [{"operator": "eq", "field": "executor.parameters.grad", "value": 1}]}
    wrong = (await client.post("/v1/rules/validate", json={"rules": broken})).json()
    assert wrong["valid"] is False
    assert wrong["errors"][0]["path"] == "$.conditions[0].field"
    assert (await client.get("/v1/rules")).json()["items"] == []


async def test_broken_rules_are_not_saved(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/rules", json={"name": "x", "rules": {"conditions": [{"operator": "magic"}]}}
    )
    assert answer.status_code == 422
    assert problem_in(answer)["errors"][0]["field"].endswith("conditions[0].operator")
    assert (await client.get("/v1/rules")).json()["items"] == []


async def test_pages_hold_every_set_once(client: httpx.AsyncClient) -> None:
    made = [(await drafted(client, ALL))["rule_set_id"] for _ in range(5)]
    first = (await client.get("/v1/rules?limit=3")).json()
    rest = (await client.get(f"/v1/rules?limit=3&cursor={first['next_cursor']}")).json()
    assert [each["rule_set_id"] for each in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None


async def test_unknown_set_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/rules/999999")).status_code == 404
    assert (await client.post("/v1/rules/999999/activate")).status_code == 404
