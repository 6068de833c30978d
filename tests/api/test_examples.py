"""Every example of the OpenAPI document works: whoever copies it gets a success."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.database import Database
from app.main import create_app
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.setup.first_start import prepare
from app.services.setup.sample import add_sample
from tests.api.conftest import serving
from tests.servers import RunServers, in_own_loop

DOCUMENT = create_app(Settings(_env_file=None)).openapi()
NUMBERS = itertools.count(1)
BEFORE = {"resume": ["return"]}
"""Moves that a task must have made before another is allowed."""


NOT_SENT = ("/v1/auth/", "/v1/rules/{rule_set_id}/replay")
"""Somebody's password or token, for which no example can work; a process that outlives the server. Both have tests of
their own, in tests/access and tests/fairness."""


def bodies() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and schema of every route that takes JSON."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content and not path.startswith(NOT_SENT):
                yield method, path, content["application/json"]["schema"]


def examples_of(schema: dict[str, Any]) -> list[Any]:
    named = DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    return list(named.get("examples", schema.get("examples", ())))


@pytest.fixture(scope="module")
def sample(servers: RunServers) -> Iterator[httpx.Client]:
    """A client of a server with the sample data, all of its tasks assigned."""
    with servers.new_database() as url:
        settings = Settings(database_url=url, redis_url=servers.redis_url, wait_limit=0.1)
        in_own_loop(_fill(settings))
        with serving(settings) as address, httpx.Client(base_url=address, timeout=30) as client:
            yield client


async def _fill(settings: Settings) -> None:
    database = await Database.open(settings)
    async with database.session() as session:
        await prepare(session, settings=settings)
        await add_sample(session, pool_code=settings.default_pool)
    async with database.hot.acquire() as connection:
        pool_id = await connection.fetchval("SELECT id FROM pools")
    await place_batch(database.hot, PoolSnapshot(pool_id), limit=1000, deliver=False)
    await database.close()


class Makers:
    """Makes, over the API, something new of each kind that a path names."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def fill(self, path: str) -> str:
        """The path with ids of things made for it."""
        return re.sub(r"\{(\w+)\}", lambda found: str(getattr(self, found[1])(path)), path)

    def task_id(self, path: str) -> int:
        tasks = self._client.get("/v1/tasks?status=assigned&limit=1").json()["items"]
        task_id: int = tasks[0]["task_id"]
        for move in BEFORE.get(path.rpartition("/")[2], ()):
            self._made("POST", f"/v1/tasks/{task_id}/{move}", {"reason": "for the example"})
        return task_id

    def before(self, path: str, body: Any) -> None:
        """Make what the example's body names."""
        if path == "/v1/privacy/tasks/erase":
            task = self._made(
                "POST", "/v1/tasks", {"pool_id": body["pool_id"], "external_id": body["external_id"]}
            )
            self._made("POST", f"/v1/tasks/{task['task_id']}/cancel", {"reason": "for the example"})

    def executor_id(self, _: str) -> int:
        return int(self._made("POST", "/v1/executors", {"name": "Example"})["executor_id"])

    def pool_id(self, _: str) -> int:
        return int(self._made("POST", "/v1/pools", {"code": f"p{next(NUMBERS)}", "name": "P"})["pool_id"])

    def parameter_id(self, path: str) -> int:
        kind = {"type": "enum", "open_options": True} if path.endswith("/options") else {"type": "number"}
        body = {"owner": "task", "key": f"key{next(NUMBERS)}", **kind}
        return int(self._made("POST", "/v1/parameters", body)["parameter_id"])

    def rule_set_id(self, _: str) -> int:
        return int(self._made("POST", "/v1/rules", {"name": "x", "rules": {}})["rule_set_id"])

    def user_id(self, _: str) -> int:
        body = {"username": f"example{next(NUMBERS)}", "password": "correct horse battery"}
        return int(self._made("POST", "/v1/users", body)["user_id"])

    def _made(self, method: str, path: str, body: object) -> dict[str, Any]:
        answer = self._client.request(method, path, json=body)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made


@pytest.mark.parametrize(("method", "path", "schema"), list(bodies()))
def test_every_example_works(sample: httpx.Client, method: str, path: str, schema: dict[str, Any]) -> None:
    examples = examples_of(schema)
    assert examples, "a route that takes JSON shows an example of it"
    for example in examples:
        makers = Makers(sample)
        makers.before(path, example)
        answer = sample.request(method, makers.fill(path), json=example)
        assert answer.is_success, answer.text
