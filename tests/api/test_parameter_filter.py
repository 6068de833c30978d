"""Lists by values of parameters: typed by the catalogue, combined, and nothing but values reaches the database."""

import json
from typing import Any

import httpx
import pytest

from app.engine.types import PoolId
from tests.api.conftest import problem_in

PARAMETERS: list[dict[str, Any]] = [
    {"owner": "task", "key": "region", "type": "enum", "options": [{"value": "north"}, {"value": "south"}]},
    {"owner": "task", "key": "level", "type": "number"},
    {"owner": "task", "key": "vip", "type": "boolean"},
    {"owner": "task", "key": "topic", "type": "string"},
    {"owner": "task", "key": "tags", "type": "list"},
    {"owner": "executor", "key": "skills", "type": "list"},
]
TASKS: dict[str, dict[str, Any]] = {
    "a": {"region": "north", "level": 1, "vip": True, "topic": "Printer 100%", "tags": ["x", "y"]},
    "b": {"region": "south", "level": 10, "vip": False, "topic": "printer", "tags": ["y"]},
    "c": {"region": "north", "level": 2.5, "topic": "Сеть"},
}


@pytest.fixture
async def filled(client: httpx.AsyncClient, pool_id: PoolId) -> httpx.AsyncClient:
    for parameter in PARAMETERS:
        assert (await client.post("/v1/parameters", json=parameter)).status_code == 201
    tasks = [{"external_id": name, "parameters": values} for name, values in TASKS.items()]
    assert (await client.post("/v1/tasks/batch", json={"tasks": tasks})).status_code == 202
    return client


async def found(client: httpx.AsyncClient, wanted: Any) -> str:
    answer = await client.get("/v1/tasks", params={"parameters": json.dumps(wanted)})
    assert answer.status_code == 200, answer.text
    return "".join(sorted(each["external_id"] for each in answer.json()["items"]))


async def test_tasks_are_found_by_values_of_every_type(filled: httpx.AsyncClient) -> None:
    for wanted, names in (
        ({}, "abc"),
        ({"region": "north"}, "ac"),
        ({"region": ["north", "south"]}, "abc"),
        ({"region": {"ne": "north"}}, "b"),
        ({"level": 10}, "b"),
        ({"level": {"gte": 2, "lt": 10}}, "c"),  # as numbers: as texts 10 would come before 2
        ({"vip": True}, "a"),
        ({"vip": {"is_null": True}}, "c"),
        ({"tags": "y"}, "ab"),
        ({"tags": ["x", "z"]}, "a"),
        ({"topic": {"contains": "PRINTER"}}, "ab"),
        ({"topic": {"contains": "%"}}, "a"),  # a percent sign is one
        ({"topic": {"contains": "сеть"}}, "c"),
        ({"region": "north", "level": {"gt": 1}}, "c"),
    ):
        assert await found(filled, wanted) == names, wanted


async def test_a_filter_goes_on_over_pages_and_with_other_filters(filled: httpx.AsyncClient) -> None:
    wanted = {"parameters": '{"region": "north"}', "limit": 1, "status": "pending"}
    first = (await filled.get("/v1/tasks", params=wanted)).json()
    second = (await filled.get("/v1/tasks", params=wanted | {"cursor": first["next_cursor"]})).json()
    assert [page["items"][0]["external_id"] for page in (first, second)] == ["c", "a"]
    assert second["next_cursor"] is None


async def test_people_are_found_by_their_values(filled: httpx.AsyncClient) -> None:
    for name, skills in (("Anna", ["sql"]), ("Boris", ["net", "sql"]), ("Vera", [])):
        await filled.post("/v1/executors", json={"name": name, "parameters": {"skills": skills}})
    answer = await filled.get("/v1/executors", params={"parameters": '{"skills": ["net"]}'})
    assert [each["name"] for each in answer.json()["items"]] == ["Boris"]


@pytest.mark.parametrize(
    "wanted",
    [
        "no json", "[]", '{"unknown": 1}', '{"region": "west"}', '{"level": "10"}', '{"level": NaN}',
        '{"level": 1e999}', '{"level": {"like": 1}}', '{"vip": {"gt": true}}', '{"level": {"gt": true}}',
        '{"region": null}', '{"region": []}', '{"topic": {"contains": "\\u0000"}}', '{"topic": "\\ud800"}',
        '{"region": {"in": "north"}}',
    ],
)  # fmt: skip
async def test_what_the_catalogue_does_not_know_is_refused_with_its_place(
    filled: httpx.AsyncClient, wanted: str
) -> None:
    problem = problem_in(await filled.get("/v1/tasks", params={"parameters": wanted}))
    assert problem["status"] == 422
    assert problem["errors"][0]["field"].startswith("parameters")


@pytest.mark.parametrize(
    "text", ["' OR '1'='1", '"; DROP TABLE tasks; --', "\\' || '", "{}'::jsonb --", "%' --"]
)
async def test_values_are_never_part_of_a_statement(filled: httpx.AsyncClient, text: str) -> None:
    assert await found(filled, {"topic": text}) == ""
    assert await found(filled, {"topic": {"contains": text}}) == ""
    assert await found(filled, {"tags": text}) == ""
    refused = await filled.get("/v1/tasks", params={"parameters": json.dumps({text: "x"})})
    assert problem_in(refused)["status"] == 422
    assert await found(filled, {}) == "abc"
