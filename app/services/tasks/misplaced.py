"""Work that is with an executor who may not have it any more: found, and moved on request.

Rules are asked when work is given. A skill that is lost, a category that is changed or a person who is deactivated
afterwards leaves open work where the rules would not put it now. It is not taken away by itself: somebody may be in the
middle of it. It is listed with the reason, counted for the alarm, and moved by one call.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import structlog

from app.database import HotConnection, HotPool
from app.engine.types import ClassKey, Executor, ExecutorId, IntArray, PoolId, Rules, Task, TaskId
from app.rule_engine import RuleSetInvalid
from app.services.common.pool_options import BrokenSettings, flow_options
from app.services.common.rows import catalogue_of, rules_of
from app.services.placement.sql import PARAMETERS, POOL
from app.services.tasks import sql as statements
from app.services.tasks.moves import Move, Moved, MoveName, move_tasks
from app.utils.remembered import Remembered
from app.utils.trouble import says, trouble_of

log = structlog.get_logger()

MOST = 20_000
"""Open tasks of a pool that are looked at, the oldest first."""
_AT_ONCE = 500
_FRESH_SECONDS = 5.0
_RESTS = 20
_ROUND_SECONDS = 0.25
_POOLS = "SELECT id FROM pools ORDER BY id DESC"


@dataclass(frozen=True, slots=True)
class Misplaced:
    """An open task and why its executor may not have it; `rule` names the first condition that fails."""

    task_id: TaskId
    external_id: str | None
    status: str
    executor_id: ExecutorId
    executor_name: str
    because: Literal["left", "rule"]
    rule: str | None = None


async def find_misplaced(pool: HotPool, *, pool_id: PoolId) -> list[Misplaced]:
    """Open tasks of a pool whose executor is inactive or no longer passes its rules, by id; locks nothing.

    A task that a person gave by name is listed for a rule only if its executor passed the rules then.
    """
    async with pool.acquire() as connection:
        work = await connection.fetch(statements.OPEN_WORK, pool_id, MOST)
        if not work:
            return []
        rules = await _rules(connection, pool_id)
    return await asyncio.to_thread(_judge, work, rules)


async def _rules(connection: HotConnection, pool_id: PoolId) -> Rules | None:
    """The active rules, compiled; None where the pool has none, or settings that make no sense."""
    [pool] = await connection.fetch(POOL, pool_id)
    if pool["document"] is None:
        return None
    catalogue = catalogue_of(await connection.fetch(PARAMETERS, pool_id))
    try:
        return rules_of(pool["document"], catalogue, flow_options(pool["settings"]).escalation)
    except (BrokenSettings, RuleSetInvalid):  # nothing is decided until it is mended; doctor and log say so
        return None


def _judge(work: Sequence[Any], rules: Rules | None) -> list[Misplaced]:
    holders = list({row["executor_id"]: row for row in work}.values())
    place = {row["executor_id"]: number for number, row in enumerate(holders)}
    if rules is not None:
        rules.update(range(len(holders)), [_executor(row) for row in holders])
    failing: dict[ClassKey, IntArray] = {}
    found = []
    for row in work:
        if not row["active"]:
            found.append(_misplaced(row, "left"))
        elif rules is not None and row["passed"]:
            key = rules.task_key(_task(row))
            if key not in failing:
                failing[key] = rules.excluded_by(key)
            failed = failing[key][place[row["executor_id"]]]
            if failed >= 0:
                found.append(_misplaced(row, "rule", rules.condition_labels[int(failed)]))
    return found


def _misplaced(row: Any, because: Literal["left", "rule"], rule: str | None = None) -> Misplaced:
    return Misplaced(
        TaskId(row["id"]),
        row["external_id"],
        row["status"],
        ExecutorId(row["executor_id"]),
        row["executor_name"],
        because,
        rule,
    )


def _executor(row: Any) -> Executor:
    return Executor(
        ExecutorId(row["executor_id"]),
        row["executor_parameters"] if isinstance(row["executor_parameters"], dict) else {},
        row["executor_external_id"] or "",
        row["executor_name"],
        row["qualification"],
        row["daily_limit"],
        row["max_open"],
    )


def _task(row: Any) -> Task:
    return Task(
        TaskId(row["id"]),
        row["parameters"],
        row["external_id"] or "",
        row["weight"],
        row["priority"],
        row["deadline"],
        row["created_at"],
        escalation=row["escalation"],
    )


async def move_misplaced(
    pool: HotPool,
    *,
    pool_id: PoolId,
    only: Collection[TaskId] | None,
    actor: str,
    reason: str,
    deliver: bool,
) -> list[TaskId]:
    """Take misplaced tasks (`only` these, or all) to whom the engine chooses; returns those that were moved.

    What is misplaced is asked again here, so that a task whose executor may have it again stays. Takes the pool for
    each 500 tasks.
    """
    found = [each.task_id for each in await find_misplaced(pool, pool_id=pool_id)]
    due = [task_id for task_id in found if only is None or task_id in only]
    moved: list[TaskId] = []
    for start in range(0, len(due), _AT_ONCE):
        moves = [Move(task_id, MoveName.REASSIGN, actor, reason) for task_id in due[start : start + _AT_ONCE]]
        outcomes = await move_tasks(pool, pool_id=pool_id, moves=moves, deliver=deliver)
        moved += [outcome.task_id for outcome in outcomes if isinstance(outcome, Moved)]
    return moved


class MisplacedCounts:
    """Counts for the alarm, shared for a while: at most a twentieth of a process's time goes into looking."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._known: Remembered[PoolId, int] = Remembered(_FRESH_SECONDS, rests=_RESTS)

    async def count(self, pool_id: PoolId) -> int:
        """How many tasks of a pool are misplaced."""
        return await self._known.get(pool_id, partial(self._count, pool_id))

    async def _count(self, pool_id: PoolId) -> int:
        return len(await find_misplaced(self._pool, pool_id=pool_id))

    def forget(self, pool_id: PoolId) -> None:
        """Look again at the next question."""
        self._known.forget(lambda known: known == pool_id)


class MisplacedRound:
    """Counts of all pools, some at each look: a look takes a bounded time and goes on where the last one ended."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._counts = MisplacedCounts(pool)
        self._known: dict[PoolId, int] = {}
        self._due: list[PoolId] = []

    async def look(self) -> Mapping[PoolId, int]:
        """What is known of each pool; one that cannot be looked at is left out, and logged.

        Raises what the database raises.
        """
        began = time.monotonic()
        if not self._due:
            self._due = [PoolId(row["id"]) for row in await self._pool.fetch(_POOLS)]
            self._known = {pool_id: self._known[pool_id] for pool_id in self._due if pool_id in self._known}
        while self._due and time.monotonic() - began < _ROUND_SECONDS:
            pool_id = self._due.pop()
            try:
                self._known[pool_id] = await self._counts.count(pool_id)
            except Exception as error:
                if trouble_of(error) is not None:
                    raise
                self._known.pop(pool_id, None)
                log.warning("misplaced.not_counted", pool=pool_id, error=says(error), exc_info=error)
        return self._known
