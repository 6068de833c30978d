"""Messages to the outside: one of a task's life, as every receiver reads it."""

from typing import Any

_STATUS = {
    "assigned": "assigned",
    "start": "in_progress",
    "accept": "assigned",
    "decline": "pending",
    "expire": "pending",
    "complete": "completed",
    "reject": "rejected",
    "return": "returned",
    "cancel": "cancelled",
    "reassign": "pending",
    "moved_on": "pending",
}


def message_of(row: Any) -> dict[str, Any]:
    """A message that was taken from the outbox (`delivery_statements.CLAIM`)."""
    payload = row["payload"]
    return {
        "delivery_id": row["id"],
        "pool_id": row["pool_id"],
        "task_id": row["task_id"],
        "external_id": row["external_id"],
        "sequence": row["sequence"],
        "event": row["event"],
        "status": status_of(row["event"], payload),
        "executor_id": row["executor_id"],
        "executor_external_id": row["executor_external_id"],
        "actor": payload.get("actor", "engine"),
        "reason": payload.get("reason", ""),
        "to_pool_id": payload.get("to_pool_id"),
        "at": row["created_at"].isoformat(),
    }


def status_of(event: str, payload: dict[str, Any]) -> str:
    """The status that the task has after the event."""
    return str(payload.get("status") or _STATUS.get(event, event))
