"""Texts have one form from the border on: "й" of two characters is "й" of one, and a name can be seen."""

import json

import httpx
import pytest

from app.utils.normal_form import nfc_of, visible
from tests.api.conftest import problem_in

TWO, ONE = "и\u0306", "й"


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("plain", [True, False], ids=["shortcut", "route"])
async def test_a_district_in_two_forms_is_one(
    client: httpx.AsyncClient, *, escaped: bool, plain: bool
) -> None:
    body = {"external_id": f"за{TWO}м", "parameters": {f"ра{TWO}он": f"Бутырски{TWO}", "list": [TWO]}}
    answer = await client.post(
        "/v1/tasks" + ("" if plain else "?wait=0"),
        content=json.dumps(body, ensure_ascii=escaped),
        headers={"Content-Type": "application/json"},
    )
    task = answer.json()
    assert (answer.status_code, task["external_id"]) == (202, f"за{ONE}м")
    assert task["parameters"] == {f"ра{ONE}он": f"Бутырски{ONE}", "list": [ONE]}
    again = await client.post("/v1/tasks", json={"external_id": f"за{ONE}м"})
    assert (again.status_code, again.json()["task_id"]) == (200, task["task_id"])
    for form in (TWO, ONE):
        found = (await client.get("/v1/tasks", params={"external_id": f"за{form}м"})).json()["items"]
        assert [each["task_id"] for each in found] == [task["task_id"]]


async def test_options_rules_and_values_meet_in_one_form(client: httpx.AsyncClient) -> None:
    parameter = {"owner": "task", "key": "district", "type": "enum", "options": [{"value": f"Бутырски{TWO}"}]}
    assert (await client.post("/v1/parameters", json=parameter)).status_code == 201
    sent = {"parameters": {"district": f"Бутырски{ONE}"}}
    task = await client.post("/v1/tasks", json=sent)
    assert (task.status_code, task.json()["unknown_parameters"]) == (202, [])
    asked = {"parameters": json.dumps({"district": f"Бутырски{TWO}"})}
    assert len((await client.get("/v1/tasks", params=asked)).json()["items"]) == 1
    rules = {
        "conditions": [{"operator": "eq", "field": "task.parameters.district", "value": f"Бутырски{TWO}"}]
    }
    saved = await client.post("/v1/rules", json={"name": f"Ра{TWO}оны", "rules": rules})
    assert saved.status_code == 201, saved.text
    assert TWO not in saved.text and saved.json()["name"] == f"Ра{ONE}оны"


async def test_people_in_two_forms_are_one_from_every_side(client: httpx.AsyncClient) -> None:
    people = {"executors": [{"name": f"Серге{form}", "external_id": f"E-{form}"} for form in (TWO, ONE)]}
    ids = (await client.post("/v1/executors/batch", json=people)).json()["executor_ids"]
    table = f"external_id;name;daily_limit\nE-{TWO};Серге{TWO};5\n".encode()
    done = (await client.post("/v1/executors/import", files={"file": ("a.csv", table)})).json()
    assert (len(set(ids)), done["added"], done["changed"]) == (1, 0, 1)


async def test_keys_that_differ_in_their_form_alone_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/tasks", json={"parameters": {TWO: 1, ONE: 2}})
    assert (answer.status_code, "composed" in problem_in(answer)["detail"]) == (422, True)


async def test_a_doubled_key_of_a_filter_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/tasks", params={"parameters": '{"a": 1, "a": 2}'})
    assert (answer.status_code, "twice" in problem_in(answer)["detail"]) == (422, True)


async def test_a_password_is_taken_as_it_was_sent(client: httpx.AsyncClient) -> None:
    user = {"username": "anna", "password": f"a password nobody has {TWO}", "role": "viewer"}
    assert (await client.post("/v1/users", json=user)).status_code == 201
    right = await client.post("/v1/auth/token", json={"username": "anna", "password": user["password"]})
    other = {"username": "anna", "password": user["password"].replace(TWO, ONE)}
    assert (right.status_code, (await client.post("/v1/auth/token", json=other)).status_code) == (200, 401)


INVISIBLE = [
    " ", "\t\n", "\u00a0", "\u200b", "\u2060\ufeff", "\u3164", "\u2800", "\u00ad", "\u034f", "\u0301", "\u200d",
    "Анна\u200b", "An\u00adna", "\u202eАнна", "Анна\ufeff", "E\u20601",
]  # fmt: skip


@pytest.mark.parametrize("name", INVISIBLE, ids=ascii)
async def test_a_name_that_cannot_be_seen_is_refused(client: httpx.AsyncClient, name: str) -> None:
    for field, body in (("name", {"name": name}), ("external_id", {"name": "Анна", "external_id": name})):
        answer = await client.post("/v1/executors", json=body)
        assert (answer.status_code, problem_in(answer)["errors"][0]["field"]) == (422, field)
    assert (await client.post("/v1/tasks", json={"external_id": name})).status_code == 422


@pytest.mark.parametrize("name", ["Anna", "Ŋ-1", "李", "नेहा", "می\u200cخواهم", "🙂", "№ 5", "e\u0301", "—"])
def test_names_of_all_scripts_are_names(name: str) -> None:
    assert visible(name)


def test_values_that_are_no_text_stay_as_they_are() -> None:
    value = {"a": [1, 2.5, None, True, {"b": []}]}
    assert nfc_of(value) == value
