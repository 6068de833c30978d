"""Nothing that a client sends is ignored: query parameters, keys of JSON, bodies, the header Idempotency-Key."""

import re
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from app.api.strict import StrictRoute, read_document, read_json
from app.config import Settings
from app.errors import Invalid
from app.main import ROUTERS, create_app
from tests.api.conftest import problem_in

DOCUMENT = create_app(Settings(_env_file=None)).openapi()
OPERATIONS = [
    (method.upper(), re.sub(r"{\w+}", "1", path), operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
NO_BODY_OF_JSON = {"/v1/tasks/stream", "/v1/executors/import"}
RAW = {"stream_tasks"}
"""Routes that read their body piece by piece; they read each line strictly."""


def fields_of(response: httpx.Response) -> list[str]:
    return [error["field"] for error in problem_in(response)["errors"]]


async def test_an_unknown_query_parameter_is_refused_by_every_route(client: httpx.AsyncClient) -> None:
    for method, path, _ in OPERATIONS:
        response = await client.request(method, path, params={"no_such": "1"})
        assert (response.status_code, "no_such" in response.text) == (422, True), (method, path)
    assert len(OPERATIONS) > 90


@pytest.mark.parametrize(
    ("method", "address", "field"),
    [
        ("POST", "/v1/executors/import?dryrun=true", "dryrun"),
        ("DELETE", "/v1/executors/1?open_task=reassign", "open_task"),
        ("GET", "/v1/tasks?Status=pending", "Status"),
        ("GET", "/v1/tasks?executor=1", "executor"),
        ("POST", "/v1/tasks/batch?partial=true&partial=false", "partial"),
        ("GET", "/v1/tasks?pool_id=1&pool_id=2", "pool_id"),
        ("GET", "/v1/tasks?%20limit=5", " limit"),
        ("GET", "/v1/executors?=5", ""),
    ],
)
async def test_misspelt_and_doubled_parameters_are_named(
    client: httpx.AsyncClient, method: str, address: str, field: str
) -> None:
    response = await client.request(method, address)
    assert (response.status_code, fields_of(response)) == (422, [field])


async def test_a_doubled_key_is_refused_by_every_route_that_takes_json(client: httpx.AsyncClient) -> None:
    for method, path, operation in OPERATIONS:
        if "application/json" not in operation.get("requestBody", {}).get("content", {}):
            continue
        response = await client.request(
            method, path, content=b'{"a": {"b": 1, "b": 1}}', headers={"Content-Type": "application/json"}
        )
        assert (response.status_code, "twice" in response.text) == (422, True), (method, path)


async def test_every_body_of_json_is_read_strictly() -> None:
    lax = [
        route.name
        for module in ROUTERS
        for route in module.router.routes
        if isinstance(route, APIRoute) and not isinstance(route, StrictRoute) and route.methods != {"GET"}
    ]
    assert set(lax) == RAW


@pytest.mark.parametrize("plain", [True, False], ids=["shortcut", "route"])
async def test_a_task_with_a_doubled_key_is_not_taken_in(client: httpx.AsyncClient, *, plain: bool) -> None:
    response = await client.post(
        "/v1/tasks",
        content=b'{"weight": 1, "weight": 5}',
        headers={"Content-Type": "application/json"},
        params={} if plain else {"wait": 0},
    )
    assert (response.status_code, fields_of(response)) == (422, ["body"])
    assert (await client.get("/v1/tasks")).json()["items"] == []


async def test_a_line_of_the_stream_with_a_doubled_key_is_told(client: httpx.AsyncClient) -> None:
    lines = b'{"weight": 1, "weight": 5}\n{"weight": 2}\n'
    answer = (await client.post("/v1/tasks/stream", content=lines)).json()
    assert [number is None for number in answer["task_ids"]] == [True, False]
    assert "twice" in answer["problems"][0]["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/admin/reset-daily-counts"),
        ("POST", "/v1/executors/cache-sync"),
        ("DELETE", "/v1/executors/1"),
    ],
)
async def test_a_body_that_the_route_would_not_read_is_refused(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, path, json={"pool_id": 7})
    assert (response.status_code, fields_of(response)) == (422, ["body"])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"a": 1, "\\u0061": 2}', "twice"),
        (b'{"a": [{"b": {"c": 1, "c": 1}}]}', "twice"),
        (b'{"a": NaN}', "no number"),
        (b'{"a": -Infinity}', "no number"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"a\\u0000": 1}', "NUL"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'{"a": "\\uDFFF"}', "half a character"),
        (b'{"a": "\xed\xa0\x80"}', "cannot be read"),
        (b'{"a": "\xff"}', "cannot be read"),
        (b"[" * 100_000, "nested"),
        (b'{"a": ' + b"9" * 500 + b"}", "500 digits"),
    ],
)
def test_json_in_which_something_would_be_lost_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        read_document(body)
    if told in {
        "twice",
        "cannot be read",
        "nested",
        "500 digits",
    }:  # the others are refused by the fields' checks
        with pytest.raises(Invalid, match=told):
            read_json(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": "\\\\u0000"}', {"a": "\\u0000"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": {"a": 1}, "b": {"a": 1}}', {"a": {"a": 1}, "b": {"a": 1}}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "й"}'.encode("utf-16"), {"a": "й"}),
    ],
)
def test_json_that_only_looks_strange_is_read(body: bytes, value: Any) -> None:
    assert read_json(body) == read_document(body) == value
