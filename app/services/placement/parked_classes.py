"""Parking: under which class what waits is found again.

Tasks stay under the class of their first look however often people change meanwhile (`class_snapshots.current_id` says
what it is now), and new ones join those that wait already: so there are as many places to look at as there are kinds of
waiting work, and not one more for every change of people.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.database import HotConnection
from app.engine.placement.allocate import BatchOutcome
from app.engine.types import TaskId
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.waking import sql as statements


class Parking(NamedTuple):
    """Where the waiting tasks of a batch go, and what it found of the classes in which its tasks had waited."""

    groups: Mapping[TaskId, int]
    looked: Mapping[int, int]


async def park(
    connection: HotConnection, picture: PoolSnapshot, rows: Sequence[Any], outcome: BatchOutcome
) -> Parking:
    """Find the places; `picture.class_ids` holds every class of the outcome."""
    waited = {row["id"]: row["wait_class_id"] for row in rows if row["wait_class_id"] is not None}
    now = {each.task_id: picture.class_ids[each.class_digest] for each in outcome.waiting}
    fresh = {class_id for task_id, class_id in now.items() if task_id not in waited} - picture.groups.keys()
    looked = await _join(connection, picture, fresh) if fresh else {}
    groups = {task_id: waited.get(task_id) or picture.groups[class_id] for task_id, class_id in now.items()}
    if waited:
        now |= {each.task_id: picture.class_ids[each.class_digest] for each in outcome.decisions}
    for task_id, group in waited.items():
        if task_id in now and picture.groups.get(now[task_id]) != group:
            looked[group] = now[task_id]
            picture.groups.setdefault(now[task_id], group)
    return Parking(groups, looked)


async def _join(connection: HotConnection, picture: PoolSnapshot, fresh: set[int]) -> dict[int, int]:
    """Find who waits already in these classes; returns those in which nobody does."""
    rows = await connection.fetch(statements.GROUPS, picture.pool_id, sorted(fresh))
    known = {row["current_id"]: row["id"] for row in rows}
    own = {class_id: class_id for class_id in fresh - known.keys()}
    picture.groups.update(known | own)
    return own
