"""Waking: what an event costs while much waits.

Everybody of a team of 1,000 is busy and tasks of many eligibility classes wait (13 rules). One person comes back from a
break with one free slot: how many of the waiting tasks are written at all, and how long it takes until one of them is
assigned. The same when somebody new comes, when a slot is freed by a completion, and, as the reference, when everything
that waits is looked at, which is what every such event cost before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any

from app.config import Settings
from app.database import Database
from app.engine.types import ExecutorId, PoolId, TaskId
from app.services.executors.executors import change_executor, create_executor
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.moves import Move, MoveName, move_tasks
from app.services.waking.waking import Overlooked, wake_everything
from benchmarks import scene
from benchmarks.results import Chart, Result, Series, Table
from benchmarks.system import running_servers

_PARK = """
INSERT INTO tasks (pool_id, parameters, weight)
SELECT $1, jsonb_build_object('category', 'category-' || number % 10, 'region', 'region-' || number / 10 % 8,
                              'level', number % 5, 'vip', number % 7 = 0), 1
FROM generate_series(1, $2::int) number
"""
Event = Callable[[], Awaitable[None]]


def run(*, short: bool) -> Result:
    """Park, then let events happen."""
    sizes = (1_000, 4_000) if short else (1_000, 10_000, 100_000)
    rows = asyncio.run(_measure(sizes, repeats=3 if short else 7))
    events = list(dict.fromkeys(row[1] for row in rows))
    return Result(
        name="waking",
        title="Waking what waits",
        about=__doc__ or "",
        tables=[
            Table(
                "Medians: tasks written by one event and what it made room for, milliseconds of the event's own "
                "transaction, and until the last task that it made room for was committed",
                [
                    "tasks waiting",
                    "event",
                    "classes",
                    "tasks written",
                    "assigned",
                    "event, ms",
                    "until assigned, ms",
                ],
                rows,
            )
        ],
        charts=[
            Chart(
                "Milliseconds until assigned, by tasks waiting",
                "line",
                "tasks waiting",
                "ms",
                [
                    Series(str(event), [[row[0], row[6]] for row in rows if row[1] == event])
                    for event in events
                ],
                log_x=True,
            )
        ],
        notes=[
            "Written: tasks whose row changed between the event and the end of the placement that it caused."
        ],
    )


async def _measure(sizes: tuple[int, ...], repeats: int) -> list[list[Any]]:
    rows = []
    with running_servers() as system:
        for size in sizes:
            await system.fresh()
            [pool_id] = await scene.build(system.dsn, executors=1_000, rules=13)
            database = await Database.open(Settings(database_url=system.database_url))
            try:
                rows += await _Crowd(database, PoolId(pool_id), size).measure(repeats)
            finally:
                await database.close()
    return rows


class _Crowd:
    """A busy team, and what waits for it."""

    def __init__(self, database: Database, pool_id: PoolId, size: int) -> None:
        self.database, self.hot, self.pool_id, self.size = database, database.hot, pool_id, size
        self.picture = PoolSnapshot(pool_id)
        self.back = ExecutorId(0)

    async def measure(self, repeats: int) -> list[list[Any]]:
        await self.hot.execute("UPDATE executors SET max_open = 0 WHERE pool_id = $1", self.pool_id)
        await self.hot.execute("UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1")
        await self.hot.execute(_PARK, self.pool_id, self.size)
        await self._work()
        await self.hot.execute("BEGIN; SET LOCAL ROLE NONE; ANALYZE; COMMIT")
        classes = await self.hot.fetchval("SELECT count(DISTINCT wait_class_id) FROM tasks")
        self.back = await self._somebody(availability="break")
        await self._work()
        await self._sweep()
        events: dict[str, tuple[Event, Event, int]] = {
            "somebody comes back with one slot": (self._nothing, self._comes_back, repeats),
            "a slot is freed": (self._has_one, self._is_freed, repeats),
            "somebody new comes with one slot": (self._nothing, self._is_new, repeats),
            "everything is looked at (reference)": (self._nothing, self._everything, 1),
        }
        return [[self.size, name, classes, *await self._median(*event)] for name, event in events.items()]

    async def _median(self, prepare: Event, event: Event, repeats: int) -> list[float]:
        runs = [await self._once(prepare, event) for _ in range(repeats)]
        return [median(column) for column in zip(*runs, strict=True)]

    async def _once(self, prepare: Event, event: Event) -> tuple[int, int, float, float]:
        await self._rest()
        await prepare()
        before = await self._versions()
        began = time.perf_counter()
        await event()
        told = time.perf_counter()
        assigned = await self._work()
        done = time.perf_counter()
        after = await self._versions()
        written = sum(after[task] != version for task, version in before.items())
        return written, assigned, (told - began) * 1000, (done - began) * 1000

    async def _rest(self) -> None:
        """Back to where everybody is busy; whoever came back is on a break again."""
        await self._change(self.back, availability="break", max_open=1)
        held = await self.hot.fetch(
            "SELECT id FROM tasks WHERE executor_id = $1 AND status = 'assigned'", self.back
        )
        for row in held:
            await self._complete(TaskId(row["id"]))
        await self._work()
        await self._sweep()

    async def _nothing(self) -> None:
        """No preparation."""

    async def _has_one(self) -> None:
        await self._comes_back()
        await self._work()

    async def _is_new(self) -> None:
        await self._somebody(availability="available")

    async def _comes_back(self) -> None:
        await self._change(self.back, availability="available")

    async def _is_freed(self) -> None:
        [row] = await self.hot.fetch(
            "SELECT id FROM tasks WHERE executor_id = $1 AND status = 'assigned'", self.back
        )
        await self._complete(TaskId(row["id"]))

    async def _complete(self, task: TaskId) -> None:
        move = Move(task, MoveName.COMPLETE, "benchmark")
        await move_tasks(self.hot, pool_id=self.pool_id, moves=[move], deliver=False)

    async def _everything(self) -> None:
        async with self.database.session() as session:
            await wake_everything(session, pool_id=self.pool_id)
            await session.commit()

    async def _somebody(self, **fields: Any) -> ExecutorId:
        parameters = {"skills": scene.CATEGORIES, "regions": scene.REGIONS, "grade": scene.LEVELS}
        values = {
            "name": "Anna", "external_id": None, "active": True, "working_hours": None, "daily_limit": None,
            "max_open": 1, "qualification": 1, "parameters": parameters,
        } | fields  # fmt: skip
        async with self.database.session() as session:
            view = await create_executor(session, pool_id=self.pool_id, values=values, now=datetime.now(UTC))
        return ExecutorId(view.executor.id)

    async def _change(self, who: ExecutorId, **changes: Any) -> None:
        async with self.database.session() as session:
            await change_executor(session, executor_id=who, changes=changes, now=datetime.now(UTC))

    async def _work(self) -> int:
        """Place what is awake; returns how many tasks were assigned."""
        assigned = 0
        while True:
            batch = await place_batch(self.hot, self.picture, limit=1000, deliver=False)
            if batch.found is not Found.WORK:
                return assigned
            assigned += len(batch.decisions)

    async def _sweep(self) -> None:
        """What the sweep does in the seconds between two events: nothing of it is measured."""
        overlooked = Overlooked()
        await overlooked.wake(self.hot)
        await self._work()

    async def _versions(self) -> dict[int, int]:
        rows = await self.hot.fetch("SELECT id, xmin::text::bigint AS xmin FROM tasks")
        return {row["id"]: row["xmin"] for row in rows}
