"""Plays a scenario over HTTP: makes its pool, sends its tasks, waits until each is placed or known to wait.

Nothing is lost or doubled: tasks carry external ids, and a request that got no answer, 429 or 503 is sent again.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from app.demo.scenario import Scenario

_TRIES = 20
_BATCHES_AT_ONCE = 4
_SINGLES_AT_ONCE = 32
_LOOK_SECONDS = 0.3
_LOOK_SHARE = (
    4  # a look solves the fair shares: pause this many times as long as it took, for it costs what it watches
)
_PATIENCE_SECONDS = 60.0


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class SendingPace:
    """How tasks are sent: in batches of `batch` (1: single requests), at most `rate` a second (None: as fast as it goes)."""

    batch: int = 500
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    sent: int
    assigned: int
    waiting: int
    total: int


@dataclass(frozen=True, slots=True)
class PlayedScenario:
    """Result of a scenario: figures of the pool, and for each task the seconds from commit to decision.

    `paced`: the tasks came at a rate, not all at once. `seconds` go from the first commit to the last decision.
    """

    scenario: Scenario
    paced: bool
    pool_id: int
    seconds: float
    stats: dict[str, Any]
    fairness: dict[str, Any]
    latencies: Sequence[float]
    waiting: dict[str, int]
    example: dict[str, Any] | None


class Player:
    """Speaks with one API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def play(
        self, scenario: Scenario, pace: SendingPace, report: Callable[[Progress], None]
    ) -> PlayedScenario:
        """Play a scenario to its end. Raises DemoError."""
        pool_id = await self._prepare(scenario)
        sent = _Counter()
        sending = asyncio.create_task(self._send_all(pool_id, scenario, pace, sent))
        try:
            tasks = await self._watch(pool_id, len(scenario.tasks), sent, sending, report)
        finally:
            sending.cancel()
        return await self._collect(scenario, pace, pool_id, tasks)

    async def _prepare(self, scenario: Scenario) -> int:
        pool = await self._ask("POST", "/v1/pools", {"code": scenario.code, "name": scenario.name})
        if not pool:  # it was made, and the answer did not come through
            pools = (await self._ask("GET", "/v1/pools"))["items"]
            pool = next(each for each in pools if each["code"] == scenario.code)
        pool_id = int(pool["pool_id"])
        for parameter in scenario.parameters:
            await self._ask("POST", "/v1/parameters", {"pool_id": pool_id, **parameter})
        await self._ask("POST", "/v1/executors/batch", {"pool_id": pool_id, "executors": scenario.executors})
        rules = {"pool_id": pool_id, "name": "demo", "rules": scenario.rules}
        made = await self._ask("POST", "/v1/rules", rules)
        await self._ask("POST", f"/v1/rules/{made['rule_set_id']}/activate")
        return pool_id

    async def _send_all(self, pool_id: int, scenario: Scenario, pace: SendingPace, sent: "_Counter") -> None:
        size = max(1, pace.batch)
        parcels = [scenario.tasks[start : start + size] for start in range(0, len(scenario.tasks), size)]
        gate = asyncio.Semaphore(_SINGLES_AT_ONCE if size == 1 else _BATCHES_AT_ONCE)
        started = time.perf_counter()

        async def send(number: int, parcel: Sequence[dict[str, Any]]) -> None:
            async with gate:
                if pace.rate:
                    await asyncio.sleep(started + number * size / pace.rate - time.perf_counter())
                await self._send(pool_id, parcel)
                sent.count += len(parcel)

        try:
            async with asyncio.TaskGroup() as group:
                for number, parcel in enumerate(parcels):
                    group.create_task(send(number, parcel))
        except ExceptionGroup as errors:  # several parcels may have met the same trouble; one line tells it
            raise errors.exceptions[0] from errors

    async def _send(self, pool_id: int, parcel: Sequence[dict[str, Any]]) -> None:
        if len(parcel) == 1:
            await self._ask("POST", "/v1/tasks", {"pool_id": pool_id, **parcel[0]})
        else:
            await self._ask("POST", "/v1/tasks/batch", {"pool_id": pool_id, "tasks": parcel})

    async def _watch(
        self,
        pool_id: int,
        total: int,
        sent: "_Counter",
        sending: asyncio.Task[None],
        report: Callable[[Progress], None],
    ) -> list[dict[str, Any]]:
        """Every task, once each is placed or known to wait."""
        moved, last = time.perf_counter(), Progress(-1, 0, 0, 0)
        while True:
            all_sent = sending.done()
            pool = await self._ask("GET", f"/v1/distribution/overview?pool_id={pool_id}")
            waiting = sum(reason["count"] for reason in pool["waiting"])
            now = Progress(sent.count, max(0, sent.count - pool["undecided"] - waiting), waiting, total)
            report(now)
            if all_sent:
                sending.result()
                # The look may be a second old and shared with others: the tasks themselves have the last word.
                if pool["undecided"] == 0 and all(map(_is_decided, tasks := await self._all_tasks(pool_id))):
                    report(_counted(tasks))
                    return tasks
            # A slow sender pauses for longer than a connection is kept open.
            if now != last or not all_sent:
                moved, last = time.perf_counter(), now
            if time.perf_counter() - moved > _PATIENCE_SECONDS:
                raise DemoError(
                    "nothing moves any more: is a worker running? Start one with: python app/worker.py"
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _collect(
        self, scenario: Scenario, pace: SendingPace, pool_id: int, tasks: Sequence[dict[str, Any]]
    ) -> PlayedScenario:
        waiting: dict[str, int] = {}
        for task in tasks:
            if task["assignment"] is None:
                reason = task["wait_reason"] or task["status"]
                waiting[reason] = waiting.get(reason, 0) + 1
        placed = [task for task in tasks if task["assignment"]]
        return PlayedScenario(
            scenario=scenario,
            paced=pace.rate is not None,
            pool_id=pool_id,
            seconds=_span(placed),
            stats=await self._ask("GET", f"/v1/distribution/stats?pool_id={pool_id}"),
            fairness=await self._ask("GET", f"/v1/distribution/fairness?pool_id={pool_id}"),
            latencies=sorted(
                _seconds(task["created_at"], task["assignment"]["decided_at"]) for task in placed
            ),
            waiting=waiting,
            example=await self._explanation(placed),
        )

    async def _all_tasks(self, pool_id: int) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self._ask("GET", f"/v1/tasks?pool_id={pool_id}&limit=1000{cursor}")
            tasks += page["items"]
            if page["next_cursor"] is None:
                return tasks
            cursor = f"&cursor={page['next_cursor']}"

    async def _explanation(self, placed: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        if not placed:
            return None
        middle = placed[len(placed) // 2]
        return await self._ask("GET", f"/v1/tasks/{middle['task_id']}/explanation")

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer; empty where a request that was repeated finds that its first try had made what it asks for."""
        unanswered = False
        for attempt in range(_TRIES):
            try:
                answer = await self._client.request(method, path, json=body)
            except httpx.ConnectError as error:
                raise DemoError(
                    f"nobody answers at {self._client.base_url}: start the system with `make run`, or name it with --url"
                ) from error
            except httpx.TransportError:
                unanswered = True
                await asyncio.sleep(
                    0.1 * 2 ** min(attempt, 5)
                )  # no answer: the same external ids make it safe
                continue
            if answer.status_code in (429, 503):  # a 503 does not tell whether it was written
                unanswered = unanswered or answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
                await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
                continue
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                raise DemoError(
                    f"{self._client.base_url} asks who you are: give an admin's token or API key with --token, or run python init_db.py here, which makes one"
                )
            if unanswered and _code(answer) == "already_exists":
                return {}
            if answer.is_error:
                raise DemoError(f"{method} {path}: {answer.status_code} {_detail(answer)}")
            result: dict[str, Any] = answer.json()
            return result
        raise DemoError(f"{method} {path}: no answer after {_TRIES} tries")


@dataclass(slots=True)
class _Counter:
    count: int = 0


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def _code(answer: httpx.Response) -> str | None:
    """The code of a refusal; None for any other answer."""
    try:
        return str(answer.json()["code"]) if answer.is_error else None
    except (ValueError, KeyError, TypeError):
        return None


def _is_decided(task: dict[str, Any]) -> bool:
    return bool(task["assignment"] or task["wait_reason"] or task["status"] != "pending")


def _counted(tasks: Sequence[dict[str, Any]]) -> Progress:
    placed = sum(task["assignment"] is not None for task in tasks)
    return Progress(len(tasks), placed, len(tasks) - placed, len(tasks))


def _span(placed: Sequence[dict[str, Any]]) -> float:
    if not placed:
        return 0.0
    first = min(task["created_at"] for task in placed)
    return _seconds(first, max(task["assignment"]["decided_at"] for task in placed))


def _seconds(start: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
