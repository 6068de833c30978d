"""Planted defects: each undoes one guard of the product, in this process, and must turn its fault test red.

Each fails loudly where the line that it changes is no longer there.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from app.utils.named_sql import Statement

DEFECTS: dict[str, Callable[[], None]] = {}
IN_DATABASE = {"no_unique_index": "DROP INDEX uq_tasks_home_external_id"}
"""Defects that are made in the database before the fault."""


POISON = "poison"
"""The parameter of a task that ends whoever decides it, in a poisoned world."""


def plant(names: str) -> None:
    """Change the product in this process; several names are parted by commas."""
    for name in names.split(","):
        if name not in IN_DATABASE:
            DEFECTS[name]()


async def plant_in_database(name: str, dsn: str) -> None:
    """Change the database, where the defect is one of it."""
    if statement := IN_DATABASE.get(name):
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _defect(function: Callable[[], None]) -> Callable[[], None]:
    DEFECTS[function.__name__.removeprefix("_")] = function
    return function


def _replace(statement: str, *changes: tuple[str, str]) -> None:
    from app.services.placement import sql as statements

    text = getattr(statements, statement)
    for old, new in changes:
        if old not in (text.source if isinstance(text, Statement) else text):
            raise RuntimeError(f"planted defect: {statement} no longer holds {old!r}")
        text = text.replace(old, new)
    setattr(statements, statement, text)


async def _idle(_self: Any) -> None:
    await asyncio.Event().wait()


@_defect
def _no_sweep() -> None:
    """Work is found by rings alone."""
    from app.worker import Worker

    Worker._look_everywhere = Worker._claim = _idle  # type: ignore[method-assign]


@_defect
def _ack_before_commit() -> None:
    """Rings are acknowledged before their work is committed, and nothing else finds it."""
    from app.worker import Worker

    drain = Worker._drain

    async def acknowledge_first(self: Any, served: Any, rings: Any) -> None:
        await self._doorbell.acknowledge(rings)
        rings.clear()
        await drain(self, served, rings)

    Worker._drain = acknowledge_first  # type: ignore[method-assign]
    _no_sweep()


@_defect
def _no_epoch() -> None:
    """A decision is written whatever happened to the pool meanwhile."""
    _replace("COMMIT_BATCH", ("AND epoch = :epoch RETURNING", "AND :epoch::bigint > 0 RETURNING"))


@_defect
def _no_state_check() -> None:
    """Tasks are taken whatever state they are in."""
    _replace("NEXT_TASKS", ("task.status = 'pending' AND task.wait_reason IS NULL", "true"))
    _replace(
        "COMMIT_BATCH", ("task.id = decided.task_id AND task.status = 'pending'", "task.id = decided.task_id")
    )


@_defect
def _read_then_write() -> None:
    """The pool is read without being taken, and the write does not ask whether it changed."""
    _replace("TAKE_POOL", ("FOR NO KEY UPDATE OF state SKIP LOCKED", ""))
    _no_epoch()


@_defect
def _answer_before_commit() -> None:
    """Intake answers first and writes a moment later."""
    from app.services.intake import intake
    from app.services.intake.intake import NewTask, Receipt, TaskId

    write = intake.write_tasks

    async def answer_first(pool: Any, tasks: Sequence[NewTask], *, whole: bool = False) -> list[Any]:
        from datetime import UTC, datetime

        async def later() -> None:
            await asyncio.sleep(0.2)
            await write(pool, tasks, whole=whole)

        asyncio.ensure_future(later()).add_done_callback(lambda done: done.exception())
        return [Receipt(TaskId(1), duplicate=False, created_at=datetime.now(UTC)) for _ in tasks]

    intake.write_tasks = answer_first  # type: ignore[assignment]


@_defect
def _no_timeouts() -> None:
    """Nothing gives up on a database that hangs."""
    from app.config import Settings
    from app.database import Database

    open_ = Database.open.__func__  # type: ignore[attr-defined]

    async def patiently(cls: type[Database], settings: Settings) -> Database:
        database: Database = await open_(cls, settings.model_copy(update={"database_timeout": 3600.0}))
        return database

    Database.open = classmethod(patiently)  # type: ignore[assignment,method-assign]


@_defect
def _server_date() -> None:
    """Days turn over where the server is, not where the pool is."""
    from app.services.placement import pool_snapshot

    days_of = pool_snapshot.days_of
    pool_snapshot.days_of = lambda row: days_of({**dict(row), "timezone": "UTC"})


@_defect
def _leaked_connections() -> None:
    """Every sweep of a worker opens a connection and forgets it."""
    from app.worker import Worker

    look, kept = Worker._look_everywhere, []

    async def leak(self: Any) -> None:
        kept.append(await asyncpg.connect(self._settings.dsn))
        await look(self)

    Worker._look_everywhere = leak  # type: ignore[method-assign]


def _skew(days: int) -> None:
    """No defect but a world: the process's own clock is wrong."""
    from datetime import datetime, timedelta

    import app.api.deps
    import app.services.delivery.delivery
    import app.worker

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=days)

    for module in (app.worker, app.services.delivery.delivery, app.api.deps):
        module.datetime = Skewed  # type: ignore[attr-defined]


@_defect
def _a_day_ahead() -> None:
    _skew(1)


@_defect
def _a_day_behind() -> None:
    _skew(-1)


@_defect
def _unsorted_errors() -> None:
    """No failure of the database is known as one."""
    from app.api import problems

    problems.trouble_of = lambda _error: None


@_defect
def _no_drain() -> None:
    """Whoever is told to stop drops what is at hand."""
    import uvicorn

    from app.worker import Worker

    Worker.stop = lambda _self: os._exit(0)  # type: ignore[method-assign]
    uvicorn.Server.handle_exit = lambda _self, _number, _frame: os._exit(0)  # type: ignore[method-assign]


@_defect
def _no_deadline() -> None:
    """Nobody gives up: neither the API on a request nor its client on the database."""
    from app.api.edge import middleware
    from app.api.edge.deadline import Deadline

    class Endless(Deadline):
        def __init__(self, app: Any, seconds: float, wait_limit: float) -> None:
            super().__init__(app, 3600.0, wait_limit)

    middleware.Deadline = Endless  # type: ignore[misc]
    _no_timeouts()


@_defect
def _poisoned() -> None:
    """No defect but a world: deciding a poisonous task ends the process."""
    from app.services.placement import assignment

    decide = assignment._decide

    def die(state: Any, rows: Sequence[Any]) -> Any:
        if any(POISON in row["parameters"] for row in rows):
            os._exit(139)
        return decide(state, rows)

    assignment._decide = die


@_defect
def _no_attempt_counter() -> None:
    """Nobody remembers that a batch ended its worker."""
    _replace("BEGIN_ATTEMPT", ("VALUES ($1, $2, $3)", "VALUES ($1, $2 * 0, $3 * 0)"))


@_defect
def _no_sequence_check() -> None:
    """A later message of a task does not wait for the earlier one."""
    from app.services.delivery import sql as delivery_statements

    check = delivery_statements.CLAIM
    start, end = check.index("      AND NOT EXISTS"), check.index("    ORDER BY next_attempt_at")
    delivery_statements.CLAIM = check[:start] + check[end:]
