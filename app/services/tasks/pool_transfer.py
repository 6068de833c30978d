"""Moving on: what has waited too long in its pool goes to another one, to be placed by its rules and people.

A task keeps its id, its history, the order of its messages, and its home: the pool where it was handed in, where its
external id stays unique and whose people go on seeing it. Both pools are taken, the smaller id first, so that no worker
of either decides meanwhile and no two moves wait for each other.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from app.database import HotConnection, HotPool
from app.engine.types import PoolId, TaskId
from app.messages.message import say
from app.rule_engine import Catalogue
from app.services.common.counters import Happened, count_events
from app.services.common.received import take_back
from app.services.common.rows import catalogue_of
from app.services.placement.sql import PARAMETERS, TICK_CHANNEL
from app.services.tasks import sql as statements
from app.services.waking.waking import wake_for

_DETAILS = ("eligible", "absent", "at_limit", "busy")


async def move_on(
    pool: HotPool, *, pool_id: PoolId, to: PoolId, step: int, minutes: float, deliver: bool = False
) -> int:
    """Take what has waited so long to the other pool; returns how many tasks went.

    Webhooks are told, with `deliver` the external system too.

    A task stays where the other pool's catalogue refuses its parameters (tried again every minute), or while that pool
    is paused; its history says so.
    """
    async with pool.acquire() as connection, connection.transaction():
        if not await connection.fetch(statements.DUE_TO_ESCALATE, pool_id, step, minutes * 60):
            return 0
        names = {row["id"]: row for row in await connection.fetch(statements.POOLS_OF_A_MOVE, [pool_id, to])}
        closed = _closed(names.get(to))
        if closed is not None:
            await connection.execute(statements.STAY_CLOSED, pool_id, step, minutes * 60, closed)
            return 0
        taken: dict[PoolId, Any] = {}
        for each in sorted((pool_id, to)):
            taken[each] = await connection.fetchrow(statements.RAISE_EPOCH, each)
        now = await connection.fetchval(statements.NOW)
        rows = await connection.fetch(statements.TO_MOVE_ON, pool_id, step, minutes * 60)
        catalogue = catalogue_of(await connection.fetch(PARAMETERS, to))
        way = _Way(pool_id, to, names[pool_id]["code"], names[to]["code"], minutes)
        judged = [_judge(row, catalogue, way) for row in rows]
        await _stay(connection, way, [each for each in judged if each.parameters is None], now)
        going = [each for each in judged if each.parameters is not None]
        ids = [TaskId(each.task_id) for each in going]
        freed = await take_back(connection, pool_id=pool_id, task_ids=ids, epoch=taken[pool_id]["epoch"])
        await wake_for(connection, pool_id=pool_id, executor_ids=sorted(freed))
        return await _go(connection, way, going, now, deliver)


class _Way(NamedTuple):
    """From where to where, how the two are called, and after how many minutes."""

    source: PoolId
    to: PoolId
    from_code: str
    to_code: str
    minutes: float


class _Judged(NamedTuple):
    """A task that is due: the parameters it goes on with (None: it stays), and why."""

    task_id: int
    parameters: Mapping[str, Any] | None
    reason: str
    fault: str = ""


def _closed(target: Any) -> str | None:
    """Why nothing may go to this pool now; None where it may."""
    if target is None:
        return "stays: the pool that it was to go to is not there"
    return None if target["active"] else f"stays: {target['code']} is paused"


def _judge(row: Any, catalogue: Catalogue, way: _Way) -> _Judged:
    facts = row["wait_explanation"] or {}
    counts = ", ".join(f"{name} {facts[name]}" for name in _DETAILS if name in facts)
    why = say(
        "waited {minutes:g} min in {from_code} ({wait_reason}{counts}{counts_2})",
        minutes=way.minutes,
        from_code=way.from_code,
        wait_reason=row["wait_reason"],
        counts=counts and ": ",
        counts_2=counts,
    )
    checked = catalogue.check_values("task", row["parameters"])
    if checked.errors:
        fault = (
            f"not opened to {way.to_code}: parameters.{checked.errors[0].field}: {checked.errors[0].reason}"
        )
        return _Judged(row["id"], None, f"{why}; {fault}", fault)
    return _Judged(row["id"], checked.values, f"{why}: from {way.from_code} to {way.to_code}")


async def _stay(connection: HotConnection, way: _Way, tasks: Sequence[_Judged], now: datetime) -> None:
    if tasks:
        ids, reasons, faults = zip(*((each.task_id, each.reason, each.fault) for each in tasks), strict=True)
        await connection.execute(statements.STAY, way.source, ids, reasons, faults, now)


async def _go(
    connection: HotConnection, way: _Way, tasks: Sequence[_Judged], now: datetime, deliver: bool
) -> int:
    if not tasks:
        return 0
    ticks = [
        json.dumps({"pool": each, "event": "moved_on", "count": len(tasks)}) for each in (way.source, way.to)
    ]
    moved = await connection.fetch(
        *statements.MOVE_ON(
            source=way.source,
            target=way.to,
            task_ids=[each.task_id for each in tasks],
            parameters=[json.dumps(each.parameters, ensure_ascii=False) for each in tasks],
            reasons=[each.reason for each in tasks],
            now=now,
            channel=TICK_CHANNEL,
            source_tick=ticks[0],
            target_tick=ticks[1],
            deliver=deliver,
        ),
    )
    count = int(moved[0]["count"])
    happened = {way.source: Happened(moved_out=count), way.to: Happened(moved_in=count)}
    for each in sorted(happened):  # the hours of both, in the order of the pools
        await count_events(connection, happened[each], pool_id=each, at=now)
    return count
