"""Rule sets over HTTP: versions, tests that must pass, files, and what they would do with real people and work."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from app.database import Database
from app.engine.types import PoolId
from app.services.rules.rule_templates import RUSSIAN, TEMPLATES
from tests.api.conftest import problem_in
from tests.builders import add_tasks

SKILL = {
    "name": "skill",
    "operator": "contains",
    "field": "executor.parameters.skills",
    "value": {"field": "task.parameters.category"},
}
GRADE = {"name": "grade", "operator": "gte", "field": "executor.parameters.grade", "value": 3}


async def a_catalogue(client: httpx.AsyncClient) -> dict[str, int]:
    """Skills, grades and categories; ids by key."""
    ids = {}
    options = [{"value": value} for value in ("network", "access", "software")]
    for owner, key, kind, more in (
        ("executor", "skills", "list", {"options": options}),
        ("executor", "grade", "number", {"minimum": 1, "maximum": 5}),
        ("task", "category", "enum", {"options": options}),
        ("task", "note", "string", {}),
    ):
        body = {"owner": owner, "key": key, "type": kind, **more}
        ids[key] = (await client.post("/v1/parameters", json=body)).json()["parameter_id"]
    return ids


async def a_draft(client: httpx.AsyncClient, *conditions: Any, **more: Any) -> int:
    body = {"name": "main", "rules": {"conditions": list(conditions), **more}}
    answer = await client.post("/v1/rules", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["rule_set_id"])


async def act(client: httpx.AsyncClient, rule_set_id: int, move: str) -> httpx.Response:
    return await client.post(f"/v1/rules/{rule_set_id}/{move}")


async def states(client: httpx.AsyncClient) -> list[tuple[int, str]]:
    return [(each["version"], each["state"]) for each in (await client.get("/v1/rules")).json()["items"]]


async def test_versions_come_into_force_and_go_and_come_back_as_new_ones(client: httpx.AsyncClient) -> None:
    await a_catalogue(client)
    first, second = await a_draft(client, SKILL), await a_draft(client, SKILL, GRADE)
    assert (await act(client, first, "activate")).json()["state"] == "active"
    assert (await act(client, second, "activate")).json()["state"] == "active"
    assert await states(client) == [(2, "active"), (1, "archived")]
    refused = await act(client, first, "activate")
    assert refused.status_code == 409 and "roll back" in problem_in(refused)["detail"]
    again = (await act(client, first, "rollback")).json()
    assert (again["version"], again["state"], again["rules"]["conditions"]) == (3, "active", [SKILL])
    assert await states(client) == [(3, "active"), (2, "archived"), (1, "archived")]
    assert (await act(client, again["rule_set_id"], "rollback")).status_code == 409


async def test_active_rules_cannot_be_put_away_but_a_draft_can(client: httpx.AsyncClient) -> None:
    await a_catalogue(client)
    active, draft = await a_draft(client, SKILL), await a_draft(client)
    await act(client, active, "activate")
    assert (await act(client, active, "archive")).status_code == 409
    assert (await act(client, draft, "archive")).json()["state"] == "archived"
    assert (await client.get(f"/v1/rules/{active}")).json()["state"] == "active"


async def test_difference_names_what_was_added_changed_and_removed(client: httpx.AsyncClient) -> None:
    await a_catalogue(client)
    first = await a_draft(client, SKILL, {**GRADE, "value": 2})
    await act(client, first, "activate")
    second = await a_draft(client, GRADE, SKILL, {"operator": "is_null", "field": "task.parameters.note"})
    diff = (await client.get(f"/v1/rules/{second}/diff")).json()
    assert (diff["before"], diff["after"]) == (first, second)
    assert [(each["change"], each["path"]) for each in diff["differences"]] == [
        ("changed", "$.conditions[0]"),
        ("added", "$.conditions[2]"),
    ]
    back = (await client.get(f"/v1/rules/{first}/diff", params={"against": second})).json()["differences"]
    assert ("removed", "$.conditions[2]") in [(each["change"], each["path"]) for each in back]


async def test_tests_of_a_rule_set_must_pass_before_it_is_activated(client: httpx.AsyncClient) -> None:
    await a_catalogue(client)
    wrong = {
        "name": "network",
        "task": {"parameters": {"category": "network"}},
        "executor": {"parameters": {"skills": ["access"]}},
        "expected": True,
    }
    draft = await a_draft(client, SKILL, tests=[wrong])
    refused = await act(client, draft, "activate")
    assert refused.status_code == 422
    assert problem_in(refused)["errors"][0]["field"] == "rules.tests[0].expected"
    assert await states(client) == [(1, "draft")]
    rules = {"conditions": [SKILL], "tests": [{**wrong, "expected": False}]}
    verdict = (await client.post("/v1/rules/validate", json={"rules": rules})).json()
    assert (verdict["valid"], verdict["failed_tests"]) == (True, [])
    good = await a_draft(client, SKILL, tests=rules["tests"])
    assert (await act(client, good, "activate")).status_code == 200


async def test_file_carries_rules_to_another_pool_with_what_they_read(
    client: httpx.AsyncClient,
) -> None:
    await a_catalogue(client)
    draft = await a_draft(client, SKILL)
    file = (await client.get(f"/v1/rules/{draft}/export")).json()
    assert {each["key"] for each in file["parameters"]} == {"skills", "category"}
    other = (await client.post("/v1/pools", json={"code": "other", "name": "Other"})).json()["pool_id"]
    refused = await client.post("/v1/rules/import", json={"pool_id": other, "file": file})
    assert refused.status_code == 422 and "add_parameters" in problem_in(refused)["errors"][0]["remedy"]
    assert (await client.get("/v1/parameters", params={"pool_id": other})).json()["items"] == []
    body = {"pool_id": other, "add_parameters": True, "file": file}
    imported = await client.post("/v1/rules/import", json=body)
    assert imported.status_code == 201, imported.text
    assert imported.json()["rules"] == file["rules"]
    again = (await client.get(f"/v1/rules/{imported.json()['rule_set_id']}/export")).json()
    assert again == file


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["code"])
async def test_template_can_be_imported_and_its_tests_pass(
    client: httpx.AsyncClient, template: dict[str, Any]
) -> None:
    imported = await client.post("/v1/rules/import", json={"add_parameters": True, "file": template["file"]})
    assert imported.status_code == 201, imported.text
    assert (await act(client, imported.json()["rule_set_id"], "activate")).status_code == 200
    listed = (await client.get("/v1/rules/templates")).json()["items"]
    assert template["code"] in {each["code"] for each in listed}


def _named(value: Any) -> set[str]:
    """Every name that stands in a file, but those of values."""
    if isinstance(value, list):
        return {name for each in value for name in _named(each)}
    if not isinstance(value, dict):
        return set()
    own = {value[key] for key in ("name", "description") if key in value}
    return own | {name for each in value.values() for name in _named(each)}


async def test_templates_name_their_conditions_in_the_language_asked_for(client: httpx.AsyncClient) -> None:
    english = (await client.get("/v1/rules/templates")).json()["items"]
    russian = (await client.get("/v1/rules/templates", params={"lang": "ru"})).json()["items"]
    assert _named(english) == set(RUSSIAN) and _named(russian) == set(RUSSIAN.values())
    files = [template["file"] for template in russian]
    for file in files:
        body = {"add_parameters": True, "file": file}
        assert (await client.post("/v1/rules/import", json=body)).status_code == 201


async def test_schema_describes_what_is_accepted(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/v1/rules/schema")).json()
    jsonschema.Draft202012Validator.check_schema(schema)
    for template in TEMPLATES:
        jsonschema.validate(template["file"]["rules"], schema)
    components = (await client.get("/openapi.json")).json()["components"]["schemas"]
    body = components["RulesIn"]["properties"]["rules"]
    assert "RuleDocument" in json.dumps(body) and "RuleComparison" in components


async def a_team(client: httpx.AsyncClient) -> None:
    await a_catalogue(client)
    for number, (skills, grade) in enumerate([(["network"], 2), (["network", "access"], 4), (["access"], 5)]):
        body = {"name": f"P{number}", "parameters": {"skills": skills, "grade": grade}}
        assert (await client.post("/v1/executors", json=body)).status_code == 201


async def test_unsaved_rules_say_who_could_take_a_task_and_why_not(client: httpx.AsyncClient) -> None:
    await a_team(client)
    rules = {
        "conditions": [SKILL, GRADE],
        "weights": [{"condition": {**GRADE, "name": "expert", "value": 4}, "weight": 2}],
    }
    body = {"rules": rules, "task": {"parameters": {"category": "network"}}}
    answer = (await client.post("/v1/rules/preview", json=body)).json()
    told = [(each["name"], each["eligible"], each["excluded_by"]) for each in answer["candidates"]]
    assert told == [("P1", True, None), ("P2", False, "skill"), ("P0", False, "grade")]
    assert answer["candidates"][0]["preferences"] == [["expert", 2.0]]
    steps = [(step["label"], step["excludes"], step["left"]) for step in answer["funnel"]["steps"]]
    assert steps == [("skill", 1, 2), ("grade", 1, 1)]
    funnel = (await client.post("/v1/rules/funnel", json=body)).json()
    assert funnel["task"] == answer["funnel"]


async def test_recent_tasks_that_nobody_could_take_are_counted(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    await a_team(client)
    await add_tasks(database, pool_id, 6, parameters={"category": "network"})
    await add_tasks(database, pool_id, 2, parameters={"category": "software"})
    rules = {"conditions": [SKILL, GRADE]}
    verdict = (await client.post("/v1/rules/validate", json={"rules": rules})).json()
    assert (verdict["executors"], verdict["tasks"], verdict["tasks_without_anyone"]) == (3, 8, 2)
    [found] = [each for each in verdict["warnings"] if each["code"] == "nobody_eligible"]
    assert found["message"] == "25% of the recent tasks (2 of 8) would have had no one"
    recent = (await client.post("/v1/rules/funnel", json={"rules": rules})).json()["recent"]
    assert (recent["tasks_without_anyone"], recent["steps"][0]["ends"]) == (2, 2)
    [worst] = [each for each in recent["classes"] if each["eligible"] == 0]
    assert (worst["values"], worst["tasks"]) == ({"task.parameters.category": "(any other)"}, 2)
    draft = await a_draft(client, SKILL, GRADE)
    assert (await client.get("/v1/rules/lint")).json()["warnings"][0]["code"] == "no_rules"
    await act(client, draft, "activate")
    lint = (await client.get("/v1/rules/lint")).json()
    assert (lint["rule_set_id"], lint["tasks_without_anyone"]) == (draft, 2)


def nested(depth: int) -> Any:
    condition: Any = {"operator": "is_null", "field": "task.deadline"}
    for _ in range(depth):
        condition = {"operator": "not", "condition": condition}
    return condition


def body_of(condition: str) -> bytes:
    return b'{"rules": {"conditions": [' + condition.encode() + b"]}}"


PRIORITY = '{"operator": "eq", "field": "task.priority", "value": %s}'
NAME = '{"operator": "%s", "field": "task.external_id", "value": %s}'
TWICE = '{"operator": "eq", "operator": "ne", "field": "task.priority", "value": 1}'
HOSTILE = {
    "nested 25 deep": (body_of(json.dumps(nested(25))), 422, "nested more than 20 deep"),
    "nested without a bottom": (body_of('{"operator": "not", "condition": ' * 10_000), 422, ""),
    "brackets without a bottom": (b'{"rules": ' + b"[" * 200_000, 422, ""),
    "NaN": (body_of(PRIORITY % "NaN"), 422, "NaN is no number"),
    "infinity": (body_of(PRIORITY % "1e999"), 422, "has numbers"),
    "beyond what is exact": (body_of(PRIORITY % (2**53 + 1)), 422, "no number is exact"),
    "a number of 5,000 digits": (body_of(PRIORITY % ("9" * 5000)), 422, "5000 digits"),
    "a key twice": (body_of(TWICE), 422, "twice"),
    "an operator in other letters": (body_of(NAME % ("\u0435q", 1)), 422, "only look like Latin"),
    "NUL": (body_of(PRIORITY % '"\\u0000"'), 422, "NUL"),
    "half a character": (body_of(PRIORITY % '"\\ud800"'), 422, "surrogate"),
    "10 MB": (body_of(PRIORITY % json.dumps("x" * 10_000_000)), 413, "1048576"),
    "a long string": (body_of(NAME % ("eq", json.dumps("x" * 1001))), 422, "longer"),
    "a long list": (body_of(NAME % ("in", json.dumps(["x"] * 1001))), 422, "not 1 to 1000 values"),
    "many conditions": (body_of(",".join([PRIORITY % 1] * 1001)), 422, "more than 1000 conditions"),
    "no object": (b'{"rules": []}', 422, "dictionary"),
    "no text": (b"\xff\xfe", 422, "valid JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_document_is_refused_clearly(client: httpx.AsyncClient, name: str) -> None:
    body, status, said = HOSTILE[name]
    answer = await client.post(
        "/v1/rules/validate", content=body, headers={"content-type": "application/json"}
    )
    text = answer.text if answer.status_code != 200 else json.dumps(answer.json()["errors"])
    if answer.status_code == 200:
        assert not answer.json()["valid"]
        named = b'{"name": "x", ' + body[1:]
        saved = await client.post("/v1/rules", content=named, headers={"content-type": "application/json"})
        assert saved.status_code == status
        assert said in saved.text
        assert (await client.get("/v1/rules")).json()["items"] == []
    else:
        assert answer.status_code == status
        problem_in(answer)
    assert said in text
    assert len(text) < 100_000
