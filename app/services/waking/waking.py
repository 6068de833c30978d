"""Waking: of all that waits, exactly what an event may have made room for is looked at again.

However much waits, an event touches as many tasks as there is room for, and one of each class (its scout) where it may
have changed who is eligible. All tasks of a class get the same answer, so what a worker finds about the scout is
written down for the class, and the next event finds the others by it. Only where tasks that were alike may no longer be
so (a value that no rule and nobody had before) all are looked at.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import HotConnection, HotPool
from app.engine.calendar import next_of
from app.engine.types import ExecutorId, PoolId
from app.models import ExecutorRow, RuleSetRow
from app.rule_engine import Catalogue, RuleSetInvalid, parse_rule_set
from app.services.common.loops import Parts
from app.services.common.rows import availability_of, days_of
from app.services.waking import sql as statements

_LOOKED_AT_AGAIN = 100
"""Tasks whose reasons are made true again at once, where nothing else would look at them."""
_MOST_VALUES = 200
"""New values of people that are compared with those of the others; more of them count as new."""
_ALL_OF_THEM = 2**62


async def wake_for(
    connection: HotConnection, *, pool_id: PoolId, executor_ids: Sequence[ExecutorId] | None
) -> int:
    """Wake what these people (None: all who are here) have room for; returns how many tasks."""
    today = await connection.fetchval(statements.TODAY, pool_id)
    return len(await connection.fetch(statements.WAKE_FOR, pool_id, executor_ids, today))


async def keep_current(
    connection: HotConnection, *, pool_id: PoolId, looked: Mapping[int, int], epoch: int
) -> int:
    """Write down what the classes of looked-at tasks are now; returns how many more tasks have room by that."""
    if not looked:
        return 0
    rows = await connection.fetch(statements.KEEP_CURRENT, list(looked), list(looked.values()), epoch)
    if not any(row["moved"] for row in rows):
        return 0
    return await wake_for(connection, pool_id=pool_id, executor_ids=None)


class Reach(Enum):
    """How far a change of people reaches."""

    ROOM = "room"  # who is here, and how much they may take
    CLASSES = "classes"  # who is eligible; tasks that were alike still are
    EVERYTHING = "everything"  # rules may tell tasks apart that were alike


@dataclass(frozen=True, slots=True)
class PersonChange:
    """What rules may read of somebody, before (None: they were not there) and now, by path."""

    executor_id: ExecutorId
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]

    def differing(self) -> dict[str, Any]:
        """What is there now and was not."""
        before = self.before or {}
        return {
            path: self.after.get(path)
            for path in self.after.keys() | before.keys()
            if self.before is None or self.after.get(path) != before.get(path)
        }


def facts_of(executor: ExecutorRow) -> dict[str, Any] | None:
    """What rules may read of somebody, by path; None for whoever is not active."""
    if not executor.active:
        return None
    own = {f"executor.{name}": getattr(executor, name) for name in _OWN}
    return own | {f"executor.parameters.{key}": value for key, value in executor.parameters.items()}


_OWN = ("name", "external_id", "daily_limit", "max_open", "qualification")


async def wake_for_people(
    session: AsyncSession, *, pool_id: PoolId, changes: Sequence[PersonChange], catalogue: Catalogue
) -> None:
    """People came or changed: wake what that may have made room for. The caller holds the pool and commits."""
    await session.flush()
    reach = await _reach(session, pool_id, changes, catalogue)
    if reach is Reach.EVERYTHING:
        await wake_everything(session, pool_id=pool_id)
    await wake_for_present(session, pool_id=pool_id, executor_ids=[each.executor_id for each in changes])
    if reach is Reach.CLASSES:
        await wake_scouts(session, pool_id=pool_id)


async def wake_for_present(
    session: AsyncSession, *, pool_id: PoolId, executor_ids: Sequence[ExecutorId]
) -> None:
    """People may be here who were not, or have more room: wake what they can take, and ask the clock anew."""
    await session.flush()
    await _run(session, statements.PEOPLE_CHANGED, pool_id, False)
    [[today]] = await _run(session, statements.TODAY, pool_id)
    await _run(session, statements.WAKE_FOR, pool_id, list(executor_ids), today)


async def wake_scouts(session: AsyncSession, *, pool_id: PoolId) -> None:
    """Somebody else may be eligible: wake one task of each class. The caller holds the pool."""
    await session.flush()
    await _run(session, statements.PEOPLE_CHANGED, pool_id, True)
    await _run(session, statements.WAKE_SCOUTS, pool_id)


async def wake_everything(session: AsyncSession, *, pool_id: PoolId, escalated_only: bool = False) -> None:
    """Tasks that were alike need not be so any longer: look at all of them. The caller holds the pool."""
    await session.flush()
    await _run(session, statements.WAKE_ALL, pool_id, int(escalated_only))


async def pause_or_go_on(session: AsyncSession, *, pool_id: PoolId, active: bool) -> None:
    """A pool stops giving out work, or goes on: make the reasons of what waits true. The caller holds the pool."""
    await session.flush()
    await _run(session, statements.GO_ON if active else statements.PAUSE, pool_id)


async def end_pauses(pool: HotPool, *, parts: Parts | None = None) -> None:
    """Let pools go on whose pause was to end by now, pool by pool. Takes each of them."""
    async with pool.acquire() as connection:
        over = [PoolId(row["id"]) for row in await connection.fetch(statements.PAUSES_OVER)]

    async def end(pool_id: PoolId) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(statements.TAKE_CONFIGURED, pool_id)
            if await connection.fetchval(statements.END_PAUSE, pool_id) is not None:
                await connection.execute(statements.GO_ON, pool_id)

    await (parts or Parts("pauses")).each(over, end)


async def wake_for_rules(
    session: AsyncSession, *, pool_id: PoolId, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Other rules are in force: wake what they may let through that the ones before did not."""
    await _run(session, statements.WAKE_ASIDE, pool_id)
    same_weights = before.get("task_weights", []) == after.get("task_weights", [])
    had, has = before.get("conditions", []), after.get("conditions", [])
    if same_weights and had == has:  # preferences say who is better, not who may
        return
    if same_weights and all(condition in had for condition in has):  # what was alike still is
        await wake_everything(session, pool_id=pool_id, escalated_only=True)
        await wake_scouts(session, pool_id=pool_id)
    else:
        await wake_everything(session, pool_id=pool_id)


async def _reach(
    session: AsyncSession, pool_id: PoolId, changes: Sequence[PersonChange], catalogue: Catalogue
) -> Reach:
    document = await session.scalar(
        select(RuleSetRow.document).where(RuleSetRow.pool_id == pool_id, RuleSetRow.state == "active")
    )
    try:
        comparisons = list(parse_rule_set(document or {}, catalogue).comparisons())
    except RuleSetInvalid:  # workers stop at it, loudly
        return Reach.EVERYTHING
    read = {field.path for each in comparisons for field in each.fields if field.owner == "executor"}
    crossed = {
        field.path
        for each in comparisons
        if len({field.owner for field in each.fields}) > 1
        for field in each.fields
        if field.owner == "executor"
    }
    differing = [(change, change.differing()) for change in changes]
    told_apart = {
        (path, json.dumps(value))
        for _, values in differing
        for path in values.keys() & crossed
        for value in _members(values[path])
    }
    if not await _all_known(session, pool_id, told_apart, [change.executor_id for change in changes]):
        return Reach.EVERYTHING
    moved = any(change.before is None or values.keys() & read for change, values in differing)
    return Reach.CLASSES if moved else Reach.ROOM


def _members(value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    return [str(each) if hasattr(each, "as_tuple") else each for each in values if each is not None]


_KNOWN = """
SELECT coalesce(bool_and(EXISTS (
    SELECT FROM executors other
    WHERE other.pool_id = $1 AND other.id <> ALL($4::bigint[]) AND other.parameters -> asked.key @> asked.value::jsonb
)), true)
FROM unnest($2::text[], $3::text[]) AS asked(key, value)
"""


async def _all_known(
    session: AsyncSession, pool_id: PoolId, told_apart: set[tuple[str, str]], changed: Sequence[ExecutorId]
) -> bool:
    """Whether others of the pool have each of these values: tasks are told apart by them already."""
    prefix = "executor.parameters."
    if len(told_apart) > _MOST_VALUES or any(not path.startswith(prefix) for path, _ in told_apart):
        return False
    keys = [path.removeprefix(prefix) for path, _ in told_apart]
    values = [value for _, value in told_apart]
    [[known]] = await _run(session, _KNOWN, pool_id, keys, values, list(changed))
    return bool(known)


async def _run(session: AsyncSession, statement: str, *arguments: Any) -> Sequence[Any]:
    result = await (await session.connection()).exec_driver_sql(statement, arguments)
    return result.all() if result.returns_rows else ()


async def wake_by_clock(pool: HotPool, *, parts: Parts | None = None) -> None:
    """Wake what a shift that began, an absence that ended or a limit that turned over made room for; pool by pool."""
    async with pool.acquire() as connection:
        await connection.execute(statements.WAKE_DUE)
        due = await connection.fetch(statements.CLOCK_DUE)

    async def ask(pool_id: PoolId) -> None:
        async with pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(statements.TAKE_DUE, pool_id)
            if row is not None:
                await _ask_clock(connection, row)

    await (parts or Parts("clock")).each([PoolId(row["pool_id"]) for row in due], ask)


async def _ask_clock(connection: HotConnection, due: Any) -> None:
    pool_id, now = PoolId(due["pool_id"]), due["now"]
    if not due["parked"]:
        await connection.execute(statements.SET_CLOCK, pool_id, None)
        return
    days = days_of(due)
    zone = days.zone
    people = [
        (row, availability_of(row, zone, now))
        for row in await connection.fetch(statements.CALENDARS, pool_id, now)
    ]
    here = [row["id"] for row, seen in people if seen.available]
    await wake_for(connection, pool_id=pool_id, executor_ids=here)
    if any(row["present"] and not seen.available for row, seen in people):  # a shift ended
        await connection.execute(statements.LOOK_AGAIN, pool_id, _ALL_OF_THEM, _LOOKED_AT_AGAIN)
    edges = [seen.next_change for _, seen in people]
    await connection.execute(statements.SET_CLOCK, pool_id, next_of([days.ends(now), *edges]))


class Overlooked:
    """Finds what waits although somebody has room for it, and what shows a reason that is no longer true.

    Events wake exactly what they freed. Where two of them meet, a task may be given to the one and the other is left
    with room that nobody was woken for. Reasons are those of the last look; a few at a time are looked at again after
    people changed.
    """

    def __init__(self) -> None:
        self._true_since: dict[PoolId, int] = {}
        self._pools = Parts("overlooked")

    async def wake(self, pool: HotPool) -> int:
        """One look at all pools; returns how many tasks were woken because somebody has room."""
        woken = 0
        async with pool.acquire() as connection:
            rows = await connection.fetch(statements.POOLS_WITH_PARKED)
        changed = {PoolId(row["pool_id"]): row["changed"] or 0 for row in rows}

        async def wake(pool_id: PoolId) -> None:
            nonlocal woken
            async with pool.acquire() as connection:
                woken += await self._look(connection, pool_id, changed[pool_id])

        await self._pools.each(changed, wake)
        return woken

    async def _look(self, connection: HotConnection, pool_id: PoolId, changed: int) -> int:
        woken = await wake_for(connection, pool_id=pool_id, executor_ids=None)
        woken += len(await connection.fetch(statements.WAKE_SCOUTS, pool_id))
        if self._true_since.get(pool_id, 0) < changed and not await connection.fetch(
            statements.LOOK_AGAIN, pool_id, changed, _LOOKED_AT_AGAIN
        ):
            self._true_since[pool_id] = changed
        return woken
