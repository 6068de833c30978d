"""R11: many clients send the same key at once, some are cut off, and the API is killed between commit and answer.

Every fourth client sends it in a batch beside a task that must be refused (`?partial=true`).
"""

import asyncio
import contextlib
import json
import random

from app.local.embedded import free_port
from benchmarks.bare_http import BareClient, encoded
from benchmarks.chaos.stage import Play, Report, Stage
from benchmarks.chaos.zygote import Child

SHORT = {"keys": 12, "clients": 16}
FULL = {"keys": 500, "clients": 32}
DEFECT = "answer_before_commit"
_WRONG = "-wrong"
_NOBODY = 1 << 40
"""The id of no task."""


async def run(stage: Stage, *, seed: int, keys: int, clients: int) -> Report:
    """Every third key meets an API that dies after the commit; whoever got no answer asks the next one."""
    report = Report("R11", "intake once", seed, keys)
    rng = random.Random(seed)
    answers: dict[str, set[int]] = {}
    unwritten = 0
    async with stage.open() as play:
        await play.people(3)
        for number in range(keys):
            key = f"K-{seed}-{number}"
            if number % 3 == 0:
                await stage.zygote.end_all()
                port = free_port()
                api = await _api(play, port, "intake_committed=exit@2")
            given = await asyncio.gather(
                *(_client(port, key, rng.random() < 0.2, batch=one % 4 == 0) for one in range(clients))
            )
            again = await _client(port, key, False)
            if again is None:  # it died; its death may not have been noticed yet
                await api.kill()
                port = free_port()
                api = await _api(play, port, "")
                again = await _client(port, key, False)
            ids = {task_id for task_id in [*given, again] if task_id is not None}
            answers[key] = ids
            unwritten += not await _written(play, ids)
        differing = sum(len(ids) != 1 for ids in answers.values())
        wrong = await _refused_but_written(play)
        report.figures = {
            "bodies differing": differing,
            "2xx without row": unwritten,
            "refused tasks with a row": wrong,
        }
        if unwritten or differing or wrong:
            report.violations.append(
                f"{differing} bodies differ, {unwritten} answers without a row, {wrong} rows of refused tasks"
            )
        stage.start()
        return await play.reckon(report, tasks=keys)


async def _api(play: Play, port: int, failpoints: str) -> Child:
    api = play.stage.start("api", failpoints, HOST="127.0.0.1", PORT=str(port))

    async def ready() -> bool:
        async with BareClient("127.0.0.1", port) as client:
            return (await client.request("GET", "/v1/health/ready"))[0] == 200

    await play.until(ready)
    return api


async def _client(port: int, key: str, leaves: bool, *, batch: bool = False) -> int | None:
    """The id that was answered; None where there was no answer, or where the client did not wait for it."""
    task = {"external_id": key, "priority": 1}
    path, headers, body = "/v1/tasks", f"Idempotency-Key: {key}\r\n", encoded(task)
    if batch:
        orphan = {"external_id": f"{key}{_WRONG}", "parent_id": _NOBODY}
        path, headers, body = "/v1/tasks/batch?partial=true", "", encoded({"tasks": [orphan, task]})
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(30), BareClient("127.0.0.1", port) as client:
            asked = asyncio.ensure_future(client.post(path, body, headers))
            if leaves:
                await asyncio.sleep(0.001)
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
                return None
            status, answer = await asked
            if status in {200, 201, 202}:
                return _id(answer)
    return None


def _id(answer: bytes) -> int:
    said = json.loads(answer)
    return int((said["items"][1] if "items" in said else said)["task_id"])


async def _refused_but_written(play: Play) -> int:
    async with play.database.hot.acquire() as connection:
        return int(
            await connection.fetchval("SELECT count(*) FROM tasks WHERE external_id LIKE '%' || $1", _WRONG)
        )


async def _written(play: Play, ids: set[int]) -> bool:
    async with play.database.hot.acquire() as connection:
        found = await connection.fetchval(
            "SELECT count(*) FROM tasks WHERE id = ANY($1::bigint[])", list(ids)
        )
    return bool(found == len(ids) == 1)
