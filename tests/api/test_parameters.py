"""The catalogue over HTTP: new parameters need no code, and nothing that rules read is lost."""

import httpx
import pytest

from app.engine.types import PoolId
from tests.api.conftest import problem_in

CITY = {
    "owner": "task",
    "key": "city",
    "type": "enum",
    "label_ru": "Город",
    "label_en": "City",
    "options": [{"value": "omsk", "label_ru": "Омск", "label_en": "Omsk"}],
}


async def made(client: httpx.AsyncClient, **fields: object) -> dict[str, object]:
    answer = await client.post("/v1/parameters", json={**CITY, **fields})
    assert answer.status_code == 201, answer.text
    parameter: dict[str, object] = answer.json()
    return parameter


async def test_new_parameter_is_known_at_once(client: httpx.AsyncClient, pool_id: PoolId) -> None:
    before = await client.post("/v1/tasks", json={"parameters": {"city": "paris"}})
    assert before.json()["unknown_parameters"] == ["city"]
    parameter = await made(client)
    assert (parameter["pool_id"], parameter["label_ru"], parameter["required"]) == (pool_id, "Город", False)
    after = await client.post("/v1/tasks", json={"parameters": {"city": "paris"}})
    assert after.status_code == 422
    assert problem_in(after)["errors"][0]["field"] == "parameters.city"
    right = await client.post("/v1/tasks", json={"parameters": {"city": "omsk"}})
    assert right.json()["unknown_parameters"] == []


async def test_catalogue_is_listed_by_owner(client: httpx.AsyncClient) -> None:
    await made(client)
    await made(client, owner="executor", key="city")
    listed = (await client.get("/v1/parameters?owner=executor")).json()["items"]
    assert [(each["owner"], each["key"]) for each in listed] == [("executor", "city")]
    assert len((await client.get("/v1/parameters")).json()["items"]) == 2


async def test_key_is_unique_for_its_owner_and_pool(client: httpx.AsyncClient) -> None:
    await made(client)
    again = await client.post("/v1/parameters", json=CITY)
    assert again.status_code == 409
    assert problem_in(again)["code"] == "already_exists"
    pool = (await client.post("/v1/pools", json={"code": "it", "name": "IT"})).json()["pool_id"]
    assert (await made(client, pool_id=pool))["pool_id"] == pool


async def test_changed_option_is_taken_from_then_on(client: httpx.AsyncClient) -> None:
    parameter = await made(client)
    options = [{"value": "omsk"}, {"value": "tomsk", "label_ru": "Томск"}]
    changed = await client.patch(f"/v1/parameters/{parameter['parameter_id']}", json={"options": options})
    assert changed.status_code == 200, changed.text
    assert changed.json()["label_ru"] == "Город"
    assert (await client.post("/v1/tasks", json={"parameters": {"city": "tomsk"}})).status_code == 202


async def test_parameter_that_the_active_rules_read_stays(client: httpx.AsyncClient) -> None:
    parameter = await made(client)
    rules = {"conditions": [{"operator": "eq", "field": "task.parameters.city", "value": "omsk"}]}
    drafted = (await client.post("/v1/rules", json={"name": "local", "rules": rules})).json()
    await client.post(f"/v1/rules/{drafted['rule_set_id']}/activate")
    place = f"/v1/parameters/{parameter['parameter_id']}"
    refused = await client.delete(place)
    assert refused.status_code == 409
    assert "local" in problem_in(refused)["detail"]
    assert (await client.get(place)).status_code == 200


async def test_unused_parameter_goes(client: httpx.AsyncClient) -> None:
    place = f"/v1/parameters/{(await made(client))['parameter_id']}"
    assert (await client.delete(place)).status_code == 204
    assert (await client.get(place)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"key": "two words"}, "key"),
        ({"type": "colour"}, "type"),
        ({"owner": "team"}, "owner"),
        ({"type": "number", "options": [], "minimum": 5, "maximum": 1}, "maximum"),
        ({"type": "number", "options": [], "default": "much"}, "default"),
    ],
)
async def test_wrong_parameter_is_refused_by_field(
    client: httpx.AsyncClient, fields: dict[str, object], named: str
) -> None:
    answer = await client.post("/v1/parameters", json={**CITY, **fields})
    assert answer.status_code == 422
    assert problem_in(answer)["errors"][0]["field"] == named
    assert (await client.get("/v1/parameters")).json()["items"] == []
