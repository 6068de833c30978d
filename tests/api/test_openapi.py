"""The OpenAPI document: complete, and no input makes the server fail or answer otherwise."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings as bounds
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from app.config import Settings
from app.database import Database
from app.main import create_app
from app.services.setup.first_start import prepare
from app.services.setup.sample import add_sample
from tests.api.conftest import serving
from tests.conftest import Figure
from tests.servers import RunServers, in_own_loop

load_all_checks()
# Right in form is not right in meaning: rules, cursors and catalogues refuse what a schema cannot describe.
NOT_ASKED = CHECKS.get_by_names(["positive_data_acceptance"])

DOCUMENT = create_app(Settings(_env_file=None)).openapi()
ROUTES = [
    (path, method, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
"""Generated requests of each kind for each route; `make fuzz` sends more."""
# Answers 200 with the faults of a document, that is its purpose: held to all but the refusal.
TELLS_FAULTS = {"/v1/rules/validate"}
FAULTS_TOLD = [*NOT_ASKED, *CHECKS.get_by_names(["negative_data_rejection"])]
# Tells by 503 that no worker decides, as none does here: the answer is held to its description like any other.
TELLS_BY_503 = {"/v1/health/ready"}
UNREADY_TOLD = [*NOT_ASKED, *CHECKS.get_by_names(["not_a_server_error"])]
# Streams are never answered whole: tests/api/test_events.py and test_task_stream.py read them.
ENDLESS = {"/v1/events", "/v1/tasks/stream"}
WITH_INPUT = [
    (path, method)
    for path, method, operation in ROUTES
    if operation.keys() & {"parameters", "requestBody"} and path not in ENDLESS
]


@contextmanager
def serving_sample(servers: RunServers) -> Iterator[str]:
    """A real server with the sample data."""
    with servers.new_database() as url:
        settings = Settings(database_url=url, redis_url=servers.redis_url, wait_limit=0.1)
        in_own_loop(_fill(settings))
        with serving(settings) as address:
            yield address


async def _fill(settings: Settings) -> None:
    database = await Database.open(settings)
    async with database.session() as session:
        await prepare(session, settings=settings)
        await add_sample(session, pool_code=settings.default_pool)
    await database.close()


@pytest.fixture(scope="module")
def description(servers: RunServers) -> Iterator[Any]:
    """What one server says of itself; it takes all inputs, as in life."""
    with serving_sample(servers) as address:
        schema = schemathesis.openapi.from_dict(_without_bounds_of_nested_lists(DOCUMENT))
        schema.config.update(base_url=address)
        yield schema


def _without_bounds_of_nested_lists(document: dict[str, Any]) -> dict[str, Any]:
    """A list that is too long is made whole by the generator: of groups of rules in each other a million million.

    It took all memory of a machine. tests/rules and tests/fuzz send documents that are too large.
    """
    copied = json.loads(json.dumps(document))
    for name, component in copied["components"]["schemas"].items():
        if name.startswith("Rule"):
            for inside in component.get("properties", {}).values():
                inside.pop("maxItems", None)
    return copied


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), [route[:2] for route in ROUTES if route[0] not in ENDLESS])
def test_right_input_is_answered_as_described(
    description: Any, path: str, method: str, figure: Figure
) -> None:
    left_out = UNREADY_TOLD if path in TELLS_BY_503 else NOT_ASKED
    answer_as_described(description[path][method.upper()], GenerationMode.POSITIVE, figure, left_out)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), WITH_INPUT)
def test_wrong_input_is_refused_as_described(
    description: Any, path: str, method: str, figure: Figure
) -> None:
    left_out = FAULTS_TOLD if path in TELLS_FAULTS else NOT_ASKED
    answer_as_described(description[path][method.upper()], GenerationMode.NEGATIVE, figure, left_out)


def answer_as_described(
    operation: Any, mode: GenerationMode, figure: Figure, left_out: list[Any] = NOT_ASKED
) -> None:
    asked = 0

    @given(operation.as_strategy(generation_mode=mode))
    @bounds(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(case: schemathesis.Case) -> None:
        nonlocal asked
        asked += 1
        case.call_and_validate(timeout=60, excluded_checks=left_out)

    check()
    figure("generated requests answered as described, without a server error", asked)


@pytest.mark.parametrize(("path", "method", "operation"), ROUTES)
def test_every_operation_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["description"]
    assert operation["tags"]
    if "{" in path:
        assert "404" in operation["responses"]
    for status, response in operation["responses"].items():
        if status >= "400":
            assert list(response["content"]) == ["application/problem+json"]
