"""A person's data: handed out on request, erased on request. Decisions stay, without the person.

Erasing leaves the executor's number, so that counters, assignments, fair shares and explanations still add up, and
takes everything that says who it was. The audit log keeps that something happened, and its chain; only contents go.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import ExecutorId, PoolId
from app.errors import Conflict, NotFound
from app.models import Executor, ExecutorLoad
from app.services.audit.audit_log import note
from app.services.common.pool_lock import raise_epoch

_ABOUT = {
    "executor": "SELECT * FROM executors WHERE id = :id",
    "absences": "SELECT * FROM executor_absences WHERE executor_id = :id ORDER BY id",
    "accounts": (
        "SELECT id, username, role, pool_ids, active, created_at, last_login_at FROM users WHERE executor_id = :id"
    ),
    "assignments": (
        "SELECT id, task_id, kind, decided_at, decided_by, released_at, release_reason FROM assignments"
        " WHERE executor_id = :id ORDER BY id"
    ),
    "events": "SELECT task_id, event, at, actor, reason FROM task_events WHERE executor_id = :id ORDER BY id",
    "audit": (
        "SELECT at, actor, action, before, after FROM audit_log"
        " WHERE entity = 'executors' AND entity_id = CAST(CAST(:id AS bigint) AS text) ORDER BY id"
    ),
}

_ERASING = text("SELECT set_config('app.erasing', 'on', true)")
_ERASE = """
UPDATE executor_absences SET reason = '' WHERE executor_id = :id;
UPDATE task_events SET actor = 'erased user'
WHERE actor IN (SELECT username FROM users WHERE executor_id = :id);
UPDATE assignments SET decided_by = 'erased user'
WHERE decided_by IN (SELECT username FROM users WHERE executor_id = :id);
UPDATE move_keys SET answer = NULL WHERE CAST(answer AS jsonb) ->> 'executor_id' = CAST(CAST(:id AS bigint) AS text);
UPDATE audit_log SET before = NULL, after = NULL, salt = NULL, erased_at = now()
WHERE erased_at IS NULL AND (
    (entity = 'executors' AND entity_id = CAST(CAST(:id AS bigint) AS text))
    OR (entity = 'users' AND entity_id IN (SELECT CAST(id AS text) FROM users WHERE executor_id = :id))
    OR (entity = 'executor_absences'
        AND entity_id IN (SELECT CAST(id AS text) FROM executor_absences WHERE executor_id = :id))
);
DELETE FROM users WHERE executor_id = :id
"""


async def export_person(session: AsyncSession, *, executor_id: ExecutorId) -> dict[str, list[RowMapping]]:
    """Everything that is kept of a person, by kind. Raises NotFound."""
    found = {
        kind: list((await session.execute(text(query), {"id": executor_id})).mappings())
        for kind, query in _ABOUT.items()
    }
    if not found["executor"]:
        raise NotFound(f"There is no executor {executor_id}.", executor_id=executor_id)
    return found


async def erase_person(session: AsyncSession, *, executor_id: ExecutorId, now: datetime) -> None:
    """Take everything that says who it was; again changes nothing. Raises NotFound, Conflict where work is open."""
    pool_id = await session.scalar(select(Executor.pool_id).where(Executor.id == executor_id))
    if pool_id is None:
        raise NotFound(f"There is no executor {executor_id}.", executor_id=executor_id)
    epoch = await raise_epoch(session, PoolId(pool_id))
    executor = await session.get_one(Executor, executor_id, with_for_update=True)
    load = await session.get(ExecutorLoad, executor_id)
    if load is not None and load.open_count:
        raise Conflict(
            f"The executor has {load.open_count} open tasks: reassign or finish them first.",
            open_count=load.open_count,
        )
    await session.execute(_ERASING)  # the audit log notes that, and not what
    for name, value in _nobody(executor_id).items():
        setattr(executor, name, value)
    executor.version += 1
    executor.epoch, executor.updated_at = epoch, now
    await session.flush()
    for statement in _ERASE.split(";"):
        await session.execute(text(statement), {"id": executor_id})
    await note(session, action="erased", entity="executors", entity_id=str(executor_id), pool_id=pool_id)
    await session.commit()


def _nobody(executor_id: int) -> dict[str, Any]:
    return {
        "name": f"erased {executor_id}",
        "external_id": None,
        "parameters": {},
        "working_hours": None,
        "active": False,
        "availability": "offline",
    }
