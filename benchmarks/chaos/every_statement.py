"""R16: the database fails at any one statement of any route: the backend is ended, the answer lost, an error raised.

Every route of the OpenAPI document is asked with its own example, first whole, then once for each statement and blow.
Right is the answer as ever, or 503 with Retry-After; never 500, never half of what the route writes, and never a
failure of the next request.
"""

import itertools
import random
import re
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.config import Settings
from app.database import HotPool
from app.main import create_app
from app.services.audit.invariants import find_violations
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.setup.first_start import prepare
from app.services.setup.sample import add_sample
from benchmarks.chaos.breaker import BLOWS, Breaker
from benchmarks.chaos.load import start_api
from benchmarks.chaos.stage import Play, Report, Stage

SHORT = {"cases": 24}
FULL = {"cases": 0}
"""All of them."""
DEFECT = "unsorted_errors"
ENDLESS = {"/v1/events"}
"""What goes on for as long as its client listens."""
NOT_ASKED = {"/v1/auth/provider/begin", "/v1/auth/provider/token"}
"""They ask a sign-in provider, which is not here."""
MOVES_BEFORE = {"resume": ("return",)}
UNIQUE = {"external_id", "code", "username", "key"}
WRITTEN = """
SELECT (SELECT count(*) FROM tasks) AS tasks, (SELECT count(*) FROM task_events) AS task_events,
       (SELECT count(*) FROM assignments) AS assignments, (SELECT count(*) FROM outbox) AS outbox,
       (SELECT count(*) FROM executors) AS executors, (SELECT count(*) FROM executor_loads) AS executor_loads,
       (SELECT count(*) FROM executor_absences) AS executor_absences, (SELECT count(*) FROM pools) AS pools,
       (SELECT count(*) FROM pool_states) AS pool_states, (SELECT count(*) FROM parameters) AS parameters,
       (SELECT count(*) FROM rule_sets) AS rule_sets, (SELECT count(*) FROM users) AS users,
       (SELECT count(*) FROM api_keys) AS api_keys, (SELECT count(*) FROM webhooks) AS webhooks,
       (SELECT count(*) FROM idempotency_keys) AS idempotency_keys, (SELECT count(*) FROM audit_log) AS audit_log,
       (SELECT coalesce(sum(version), 0) FROM tasks)::bigint AS task_versions,
       (SELECT coalesce(sum(version), 0) FROM executors)::bigint AS executor_versions
"""
_FILLED = 1_000
_BROKEN_OFF = 299
"""A stream whose head was sent can say nothing more; its client sees that it has no end."""


@dataclass(frozen=True, slots=True)
class Route:
    """What is asked of a route: its own example."""

    method: str
    path: str
    body: Any = None
    query: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The route as reports name it."""
        return f"{self.method} {self.path}"


def routes() -> list[Route]:
    """Every route that JSON or nothing is sent to, with its first example."""
    document = create_app(Settings(_env_file=None)).openapi()
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if path in ENDLESS | NOT_ASKED or (content and "application/json" not in content):
                continue
            schema = content.get("application/json", {}).get("schema", {})
            named = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
            examples = named.get("examples") or schema.get("examples") or [None]
            found.append(Route(method.upper(), path, examples[0] if content else None, _query(operation)))
    return found


def _query(operation: dict[str, Any]) -> dict[str, Any]:
    required = [
        each for each in operation.get("parameters", ()) if each["in"] == "query" and each.get("required")
    ]
    return {each["name"]: _value(each) for each in required}


def _value(parameter: dict[str, Any]) -> Any:
    examples = parameter.get("examples") or parameter["schema"].get("examples") or [1]
    return next(iter(examples.values()))["value"] if isinstance(examples, dict) else examples[0]


async def run(stage: Stage, *, seed: int, cases: int) -> Report:
    """Strike `cases` statements chosen by the seed, or every one of every route (0)."""
    report = Report("R16", "any statement of any route fails", seed, 0)
    async with AsyncExitStack() as stack:
        play = await stack.enter_async_context(stage.open())
        pool_id = await _fill(play)
        parts = urlsplit(stage.settings().dsn)
        breaker = await stack.enter_async_context(
            Breaker(str(parts.hostname), int(parts.port or 0), stage.settings().dsn)
        )
        url = stage.database_url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{breaker.port}")
        _, port = await start_api(play, DATABASE_URL=url, REDIS_URL="", AUTH_REQUIRED="false")
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        )
        strikes = _Strikes(client, breaker, play.database.hot, pool_id, random.Random(seed), report)
        await strikes.all(cases)
        async with play.database.hot.acquire() as connection:
            report.violations += [
                f"{finding.check.name} broken {finding.count} times: {finding.examples[0]}"
                for finding in await find_violations(connection)
                if finding.check.name not in {"nobody_waits_unseen", "nobody_waits_in_vain"}  # no worker runs
            ]
    report.figures = dict(sorted(strikes.answers.items())) | {"routes": strikes.routes}
    return report


async def _fill(play: Play) -> int:
    """The sample's pool, with tasks in people's hands."""
    async with play.database.session() as session:
        await prepare(session, settings=play.stage.settings())
        await add_sample(session, pool_code=play.stage.settings().default_pool)
    async with play.database.hot.acquire() as connection:
        pool_id: int = await connection.fetchval("SELECT min(id) FROM pools")
        await connection.execute("UPDATE executors SET max_open = NULL, daily_limit = NULL")
        await connection.execute(
            "INSERT INTO tasks (pool_id, parameters) SELECT $1, parameters FROM tasks, generate_series(1, $2)"
            " LIMIT $2",
            pool_id,
            _FILLED,
        )
    await place_batch(play.database.hot, PoolSnapshot(pool_id), limit=2 * _FILLED, deliver=False)
    return pool_id


class _Strikes:
    """Asks routes, breaks statements of theirs, and judges the answers."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        breaker: Breaker,
        hot: HotPool,
        pool_id: int,
        rng: random.Random,
        report: Report,
    ) -> None:
        self._client = client
        self._breaker = breaker
        self._hot = hot
        self._pool_id = pool_id
        self._rng = rng
        self._report = report
        self._numbers = itertools.count(1)
        self.answers: Counter[str] = Counter()
        self.routes = 0

    async def all(self, cases: int) -> None:
        """All routes in an order of chance, until so many statements were struck."""
        known = routes()
        self._rng.shuffle(known)
        share = -(-cases // len(known))
        for route in known:
            if cases and self._report.n >= cases:
                return
            self.routes += 1
            await self._route(route, share if cases else 0)

    async def _route(self, route: Route, most: int) -> None:
        await self._request(route, *await self._filled(route))  # what is read once and kept is read now
        path, body = await self._filled(route)
        before = await self._written()
        self._breaker.watch()
        whole = await self._request(route, path, body)
        statements, written = self._breaker.seen, _difference(before, await self._written())
        if whole.status_code >= 500 or whole.status_code == _BROKEN_OFF:
            self._blame(route, "unbroken", whole, "fails by itself")
            return
        blows = list(itertools.product(range(1, statements + 1), BLOWS))
        for number, blow in self._rng.sample(blows, min(most, len(blows))) if most else blows:
            await self._strike(route, number, blow, written)

    async def _strike(self, route: Route, number: int, blow: str, written: dict[str, int]) -> None:
        path, body = await self._filled(route)
        before = await self._written()
        self._breaker.arm(number, blow)
        answer = await self._request(route, path, body)
        struck, named = self._breaker.struck, f"statement {number}, {blow}"
        self._breaker.watch()
        if not struck:
            return
        self._report.n += 1
        self.answers[f"{answer.status_code}"] += 1
        change = _difference(before, await self._written())
        if answer.status_code >= 500 and (answer.status_code != 503 or "retry-after" not in answer.headers):
            self._blame(route, named, answer, "no 503 with Retry-After")
        elif change and change != written:
            self._blame(route, named, answer, f"half done: {change} instead of {written}")
        elif answer.is_success and answer.status_code != _BROKEN_OFF and change != written:
            self._blame(
                route, named, answer, f"success without what it writes: {change} instead of {written}"
            )
        again = await self._request(route, path, body)
        if again.status_code >= 500:
            self._blame(route, named, again, "the next request fails")

    def _blame(self, route: Route, named: str, answer: httpx.Response, why: str) -> None:
        self._report.violations.append(
            f"{route.name}, {named}: {why}: {answer.status_code} {answer.text[:160]}"
        )

    async def _written(self) -> dict[str, int]:
        return dict(await self._hot.fetchrow(WRITTEN))  # type: ignore[arg-type]

    async def _request(self, route: Route, path: str, body: Any) -> httpx.Response:
        """The answer; a stream that breaks off after its head has been sent counts by its head."""
        async with self._client.stream(route.method, path, json=body, params=route.query) as answer:
            try:
                await answer.aread()
            except httpx.RemoteProtocolError:
                return httpx.Response(_BROKEN_OFF, headers=answer.headers, text="the stream broke off")
        return answer

    async def _filled(self, route: Route) -> tuple[str, Any]:
        """The path with ids of things made for it, and the example with names that nothing has yet."""
        path = route.path
        for name in re.findall(r"{(\w+)}", route.path):
            path = path.replace(f"{{{name}}}", str(await self._made(name, route.path)), 1)
        return path, self._renamed(route.body)

    def _renamed(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._fresh(key, each) for key, each in value.items()}
        return [self._renamed(each) for each in value] if isinstance(value, list) else value

    def _fresh(self, key: str, value: Any) -> Any:
        if key in UNIQUE and isinstance(value, str):
            return f"{value[:40].lower()}{next(self._numbers)}"
        return self._renamed(value)

    async def _made(self, name: str, path: str) -> int:
        number = next(self._numbers)
        if name == "task_id":
            return await self._task(path)
        if name == "pool_id":
            return self._pool_id
        kind = {"type": "enum", "open_options": True} if path.endswith("/options") else {"type": "number"}
        made: dict[str, tuple[str, Any]] = {
            "executor_id": ("/v1/executors", {"name": "R16"}),
            "parameter_id": ("/v1/parameters", {"owner": "task", "key": f"r16_{number}", **kind}),
            "rule_set_id": ("/v1/rules", {"name": "R16", "rules": {}}),
            "user_id": ("/v1/users", {"username": f"r16 {number}", "password": "correct horse battery"}),
            "api_key_id": ("/v1/api-keys", {"name": "R16", "scopes": ["tasks.read"]}),
            "webhook_id": (f"/v1/pools/{self._pool_id}/webhooks", {"url": "https://example.org/r16"}),
        }
        if name not in made:
            return 1
        answer = await self._client.post(made[name][0], json=made[name][1])
        return int(answer.json().get(name, 1)) if answer.is_success else 1

    async def _task(self, path: str) -> int:
        """A task that somebody has in hand, and that was asked for by no other case."""
        task_id = await self._hot.fetchval(
            "UPDATE tasks SET external_id = $1 WHERE id ="
            " (SELECT min(id) FROM tasks WHERE status = 'assigned' AND coalesce(external_id, '') NOT LIKE 'R16-%')"
            " RETURNING id",
            f"R16-{next(self._numbers)}",
        )
        if task_id is None:
            return 1
        for move in MOVES_BEFORE.get(path.rpartition("/")[2], ()):
            await self._client.post(f"/v1/tasks/{task_id}/{move}", json={"reason": "for R16"})
        return int(task_id)


def _difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - count for name, count in before.items() if after[name] != count}
