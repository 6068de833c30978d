"""A person's data: handed out on request, erased on request. Decisions stay, without the person.

Functions of the database erase (alembic/versions/0019_erasing.sql): the application's role cannot change an entry of
the audit log. Erasing leaves the executor's number, so that counters, assignments, fair shares and explanations still
add up, and takes everything that says who it was. The audit log keeps that something happened, and its chain.
"""

from datetime import datetime
from hashlib import sha256

from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import ExecutorId, PoolId
from app.errors import Conflict, NotFound
from app.messages.message import say, say_count
from app.models import ErasedPerson, ExecutorLoad, ExecutorRow
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
        "SELECT at, actor, action, entity, entity_id, before, after FROM audit_log"
        " WHERE (entity = 'executors' AND entity_id = CAST(CAST(:id AS bigint) AS text))"
        " OR (entity = 'executor_absences' AND entity_id = ANY(absences_of_executor(:id)))"
        " OR (entity = 'users' AND entity_id = ANY(CAST(accounts_of_executor(:id) AS text[]))) ORDER BY id"
    ),
    "deeds": (
        "SELECT at, action, entity, entity_id, address FROM audit_log"
        " WHERE actor = ANY(names_of_accounts(accounts_of_executor(:id))) ORDER BY id"
    ),
    "messages": (
        "SELECT id, task_id, event, created_at, delivered_at, payload FROM outbox"
        " WHERE payload ->> 'actor' = ANY(names_of_accounts(accounts_of_executor(:id))) ORDER BY id"
    ),
    "replays": (
        "SELECT id, pool_id, state, created_at FROM replays WHERE jsonb_path_exists("
        "result, '$.**.executor_id ? (@ == $id)', jsonb_build_object('id', CAST(:id AS bigint))) ORDER BY id"
    ),
}

_ERASE_EXECUTOR = text("SELECT erase_executor(:id, :epoch, :now)")
_ERASE_TASK = text("SELECT erase_task(:id)")
_BY_EXTERNAL_ID = text("""
SELECT id, status FROM tasks
WHERE coalesce(home_pool_id, pool_id) = :pool_id AND external_id = :external_id
""")
_STATUS = text("SELECT status FROM tasks WHERE id = :id")
_WORKED_ON = text(
    "SELECT count(DISTINCT task_id) FROM (SELECT task_id FROM assignments WHERE executor_id = :id"
    " UNION ALL SELECT task_id FROM task_events WHERE executor_id = :id) every"
)
_ENDED = ("completed", "rejected", "cancelled")


async def export_person(session: AsyncSession, *, executor_id: ExecutorId) -> dict[str, list[RowMapping]]:
    """Everything that is kept of a person, by kind. Raises NotFound."""
    found = {
        kind: list((await session.execute(text(query), {"id": executor_id})).mappings())
        for kind, query in _ABOUT.items()
    }
    if not found["executor"]:
        raise NotFound(
            say("There is no executor {executor_id}.", executor_id=executor_id), executor_id=executor_id
        )
    return found


async def erase_person(session: AsyncSession, *, executor_id: ExecutorId, now: datetime) -> int:
    """Erase who an executor was; again changes nothing. Returns the number of tasks they had, whose texts stay.

    The database's function `erase_executor` does it and notes it. Raises NotFound, Conflict where work is open.
    Locks the pool, then the executor.
    """
    pool_id = await session.scalar(select(ExecutorRow.pool_id).where(ExecutorRow.id == executor_id))
    if pool_id is None:
        raise NotFound(
            say("There is no executor {executor_id}.", executor_id=executor_id), executor_id=executor_id
        )
    epoch = await raise_epoch(session, PoolId(pool_id))
    await session.get_one(ExecutorRow, executor_id, with_for_update=True)
    load = await session.get(ExecutorLoad, executor_id)
    if load is not None and load.open_count:
        raise Conflict(
            say_count(
                "The executor has {count} open task: reassign or finish it first.",
                "The executor has {count} open tasks: reassign or finish them first.",
                load.open_count,
            ),
            open_count=load.open_count,
        )
    external_id = await session.scalar(select(ExecutorRow.external_id).where(ExecutorRow.id == executor_id))
    if external_id is not None:
        await session.merge(ErasedPerson(pool_id=pool_id, digest=digest_of(pool_id, external_id)))
        await session.flush()
    await session.execute(_ERASE_EXECUTOR, {"id": executor_id, "epoch": epoch, "now": now})
    tasks = await session.scalar(_WORKED_ON, {"id": executor_id})
    await session.commit()
    return int(tasks or 0)


async def erase_task(session: AsyncSession, *, task_id: int) -> None:
    """Erase what a client's system and people said in a task that ended; again changes nothing.

    Raises NotFound, Conflict where the task has not ended: its parameters still decide who gets it.
    """
    status = await session.scalar(_STATUS, {"id": task_id})
    if status is None:
        raise NotFound(say("There is no task {task_id}.", task_id=task_id), task_id=task_id)
    if status not in _ENDED:
        raise Conflict(
            say(
                "Task {task_id} is {status}: complete, reject or cancel it first.",
                task_id=task_id,
                status=status,
            ),
            task_status=status,
        )
    await session.execute(_ERASE_TASK, {"id": task_id})
    await session.commit()


async def task_of_external_id(session: AsyncSession, *, pool_id: int, external_id: str) -> int:
    """Id of the task that a pool took in under this external id. Raises NotFound."""
    row = (await session.execute(_BY_EXTERNAL_ID, {"pool_id": pool_id, "external_id": external_id})).first()
    if row is None:
        raise NotFound(
            say("external_id: the pool has no task '{external_id}'.", external_id=external_id),
            external_id=external_id,
        )
    return int(row.id)


def digest_of(pool_id: int, external_id: str) -> str:
    """What is kept of an erased person's external id: enough to know it when the external system sends it again."""
    return sha256(f"{pool_id}:{external_id}".encode()).hexdigest()
