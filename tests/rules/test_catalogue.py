"""The catalogue: what fits a parameter, what a parameter may be, and what a change of one would break."""

from typing import Any

import httpx
import pytest

from app.database import Database
from app.engine.types import PoolId
from app.rule_engine import Catalogue, Parameter, ParameterType
from tests.api.conftest import problem_in
from tests.builders import add_tasks
from tests.rules.test_over_http import SKILL, a_catalogue, a_draft, act

NUMBER, ENUM, LIST = ParameterType.NUMBER, ParameterType.ENUM, ParameterType.LIST


@pytest.mark.parametrize(
    ("parameter", "right", "wrong"),
    [
        (
            Parameter("task", "x", NUMBER, minimum=1, maximum=2.5),
            [1, 2.5, 1.1],
            ["1", True, 0.9, 2.6, float("nan")],
        ),
        (Parameter("task", "x", ParameterType.STRING), ["", "1"], [1, True, ["a"]]),
        (Parameter("task", "x", ParameterType.BOOLEAN), [True, False], [1, 0, "true"]),
        (
            Parameter("task", "x", ParameterType.DATETIME),
            ["2026-01-01T00:00:00Z", "2026-01-01T00:00+03:00"],
            ["2026-01-01", "2026-01-01T00:00:00", 1, "x"],
        ),
        (Parameter("task", "x", ENUM, options=("a", 1)), ["a", 1, 1.0], ["b", True, "1", ["a"]]),
        (Parameter("task", "x", ENUM, options=("a",), open_options=True), ["a", "b"], [1, True, ["a"]]),
        (Parameter("task", "x", ENUM), ["a", 1, True], [["a"], float("inf")]),
        (Parameter("task", "x", LIST, options=("a", "b")), [[], ["a", "b"]], ["a", ["c"], [None], [["a"]]]),
        (Parameter("task", "x", LIST), [["a", 1, True]], [[None], [{}], [float("nan")], [10**400]]),
    ],
    ids=lambda value: value.type.value if isinstance(value, Parameter) else "",
)
def test_value_fits_or_is_refused_with_a_remedy(
    parameter: Parameter, right: list[Any], wrong: list[Any]
) -> None:
    catalogue = Catalogue([parameter])
    for value in right:
        assert catalogue.check_values("task", {"x": value}).errors == []
    for value in wrong:
        [error] = catalogue.check_values("task", {"x": value}).errors
        assert error.field == "x" and error.reason and error.remedy


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "string", "options": [{"value": "a"}]}, "options"),
        ({"type": "enum", "options": [{"value": "a"}, {"value": "a"}]}, "options[1].value"),
        ({"type": "string", "minimum": 1}, "minimum"),
        ({"type": "number", "minimum": 2, "maximum": 1}, "maximum"),
        ({"type": "number", "maximum": 1, "default": 2}, "default"),
        ({"type": "enum", "options": [{"value": "a"}], "default": "b"}, "default"),
    ],
)
async def test_parameter_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await client.post("/v1/parameters", json={"owner": "task", "key": "x", **body})
    assert answer.status_code == 422
    assert problem_in(answer)["errors"][0]["field"] == field


async def test_change_that_would_break_rules_or_values_is_refused_with_the_list(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
) -> None:
    ids = await a_catalogue(client)
    person = (await client.post("/v1/executors", json={"name": "A", "parameters": {"grade": 4}})).json()
    [task] = await add_tasks(database, pool_id, 1, parameters={"category": "network"})
    wants = {"operator": "eq", "field": "task.parameters.category", "value": "access"}
    await act(client, await a_draft(client, {"operator": "or", "conditions": [SKILL, wants]}), "activate")

    async def breaks(key: str, **change: Any) -> list[tuple[str, int]]:
        answer = await client.patch(f"/v1/parameters/{ids[key]}", json=change)
        assert answer.status_code == 409, answer.text
        return [(each["what"], each["id"]) for each in problem_in(answer)["breaks"]]

    assert await breaks("grade", maximum=3) == [("executor", person["executor_id"])]
    assert await breaks("skills", required=True) == [("executor", person["executor_id"])]
    left = [{"value": "access"}, {"value": "software"}]
    assert await breaks("category", options=left) == [("task", task)]
    [(what, _)] = await breaks("category", options=[{"value": "network"}])
    assert what == "rule set"
    kept = (await client.get(f"/v1/parameters/{ids['category']}")).json()
    assert [each["value"] for each in kept["options"]] == ["network", "access", "software"]
    assert (await client.patch(f"/v1/parameters/{ids['grade']}", json={"maximum": 4})).status_code == 200


async def test_option_is_added_on_the_fly_and_labelled_later(client: httpx.AsyncClient) -> None:
    ids = await a_catalogue(client)
    path = f"/v1/parameters/{ids['category']}/options"
    assert (await client.post(path, json={"value": "phone"})).status_code == 200
    labelled = (await client.post(path, json={"value": "phone", "label_ru": "Телефония"})).json()["options"]
    assert [each["value"] for each in labelled] == ["network", "access", "software", "phone"]
    assert labelled[-1]["label_ru"] == "Телефония"
    assert (await client.post("/v1/tasks", json={"parameters": {"category": "phone"}})).status_code == 202
    wrong = await client.post(f"/v1/parameters/{ids['note']}/options", json={"value": "x"})
    assert problem_in(wrong)["errors"][0]["field"] == "options"
