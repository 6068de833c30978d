"""Reconciliation: what the external system shows beside what it was told last; drift is found, named and mended.

What decides is ours: load is counted from our own decisions, never from what the external system shows, which is
always late and sometimes wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.database import HotPool
from app.engine.types import TaskId
from app.integrations.ais import AisClient, whole_number
from app.services.delivery import sql as statements
from app.services.delivery.messages import status_of
from app.utils.trouble import storable

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Compared:
    """One look: tasks shown as we said, tasks shown otherwise, and the task to go on after."""

    confirmed: Sequence[TaskId]
    drifted: Sequence[TaskId]
    next_after: int


async def reconcile(pool: HotPool, client: AisClient, *, after: int, settle: float) -> Compared:
    """Compare up to 100 unconfirmed tasks and 100 confirmed ones after `after`; tell again what is shown otherwise.

    `settle` is the time in seconds that the system has to show what it was told. Raises AisDown.
    """
    async with pool.acquire() as connection:
        told = await connection.fetch(statements.TO_COMPARE, _AT_ONCE, after, settle)
    if not told:
        return Compared([], [], 0)
    shown = await client.assignments([row["task_id"] for row in told])
    differences = {row["task_id"]: difference(row, shown.get(row["task_id"])) for row in told}
    confirmed = [task_id for task_id, found in differences.items() if found == ""]
    drifted = [row for row in told if differences[row["task_id"]]]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(statements.CONFIRM, confirmed)
        mended = await connection.fetch(
            statements.DRIFT,
            [row["task_id"] for row in drifted],
            [row["id"] for row in drifted],
            [storable(differences[row["task_id"]] or "") for row in drifted],
        )
    in_turn = [row["task_id"] for row in told if row["in_turn"]]
    return Compared(
        [TaskId(task_id) for task_id in confirmed],
        [TaskId(row["task_id"]) for row in mended],
        max(in_turn, default=0),
    )


def difference(told: Any, shown: dict[str, Any] | None) -> str | None:
    """What is wrong in what is shown; empty: nothing; None: it shows something newer, which we shall see later."""
    if shown is None:
        return "drift: the external system does not show the task"
    sequence = whole_number(shown.get("sequence") or 0)
    if sequence is None:
        return f"drift: it shows message {str(shown.get('sequence'))[:100]}, which is no number"
    if sequence > told["sequence"]:
        return None
    if sequence < told["sequence"]:
        return f"drift: it shows message {shown.get('sequence')} instead of {told['sequence']}"
    if shown.get("executor_id") != told["executor_id"]:
        return f"drift: it shows executor {shown.get('executor_id')} instead of {told['executor_id']}"
    status = status_of(told["event"], told["payload"])
    if shown.get("status") != status:
        return f"drift: it shows status {shown.get('status')} instead of {status}"
    return ""
