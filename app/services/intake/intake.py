"""Intake: tasks are committed before the client gets its answer, each once, however often it is sent.

Concurrent single tasks share one statement: while one is being committed, the next ones gather. A caller is answered
only after the commit that contains its own task.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

import structlog

from app.database import HotConnection, HotPool
from app.doorbell.doorbell import Doorbell
from app.engine.types import ParameterValue, PoolId, TaskId
from app.errors import DomainError, FieldError, Invalid, KeyReused, Overloaded, Unavailable
from app.messages.message import say
from app.services.common.loops import Loops
from app.services.common.sent_keys import PREFIX
from app.services.placement import sql as statements
from app.telemetry.metrics import pool_label, tasks_accepted_total
from app.telemetry.tracing import ORIGIN
from app.utils import fast_json
from app.utils.failpoints import failpoint
from app.utils.trouble import Trouble, says, trouble_of

log = structlog.get_logger()

_DEADLOCK_TRIES = 5
_BATCHES_PER_QUEUE = 4
"""Tasks that may wait in batches for each single one that may: they cost less each."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A validated task that is not written yet."""

    pool_id: PoolId
    parameters: dict[str, ParameterValue] = field(default_factory=dict)
    external_id: str | None = None
    weight: float = 1.0
    priority: int = 0
    deadline: datetime | None = None
    parent_id: TaskId | None = None
    idempotency_key: str | None = None
    sent: str | None = None
    """The fingerprint of what was sent with the key."""
    origin: str | None = field(default_factory=ORIGIN.get)

    def fingerprint(self) -> str:
        """Tells whether an Idempotency-Key came again with the same body."""
        return self.sent or self.understood()

    def understood(self) -> str:
        """The fingerprint of keys that were written before what was sent was kept: of what it was understood as."""
        body = [self.external_id, self.parameters, self.weight, self.priority, self.parent_id]
        deadline = self.deadline.isoformat() if self.deadline else None
        return sha256(json.dumps([*body, deadline], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a new task: its id, and whether it had been here before."""

    task_id: TaskId
    duplicate: bool
    created_at: datetime | None = None
    """When it was written; None for a duplicate: read it, it may have moved on."""


Outcome = Receipt | DomainError


async def write_tasks(pool: HotPool, tasks: Sequence[NewTask], *, whole: bool = False) -> list[Outcome]:
    """Commit new tasks and say what became of each, in order.

    With `whole`, nothing is written if one of them is refused: the others then carry no outcome worth keeping.
    Raises Unavailable where the database does not answer.
    """
    for attempt in range(_DEADLOCK_TRIES):
        try:
            async with pool.acquire() as connection:
                return await _write_once(connection, tasks, whole)
        except Exception as error:
            trouble = trouble_of(error)
            if trouble is Trouble.REFUSED:
                if len(tasks) == 1 or whole:
                    raise Invalid(
                        say(
                            "The database refuses this task: {error}. Correct it and send it again.",
                            error=error,
                        )
                    ) from error
                return [outcome for task in tasks for outcome in await _write_alone(pool, task)]
            if trouble in (Trouble.GONE, Trouble.FULL):
                raise Unavailable(
                    say("The database does not answer ({error}). Send it again.", error=type(error).__name__)
                ) from error
            if trouble is not Trouble.CONFLICT:
                raise
            log.info("intake.conflict", attempt=attempt, error=says(error))
    raise Unavailable(say("The same tasks are being written by several requests at once. Repeat."))


async def _write_alone(pool: HotPool, task: NewTask) -> list[Outcome]:
    """One refused row must not refuse its neighbours."""
    try:
        return await write_tasks(pool, [task])
    except Invalid as error:
        return [error]


class _RefusedBatch(Exception):
    def __init__(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes


async def _write_once(connection: HotConnection, tasks: Sequence[NewTask], whole: bool) -> list[Outcome]:
    one_statement = not whole and not any(task.idempotency_key and task.external_id for task in tasks)
    if one_statement:
        return await _write(connection, tasks)
    try:
        async with connection.transaction():
            outcomes = await _write(connection, tasks)
            if whole and any(isinstance(outcome, DomainError) for outcome in outcomes):
                raise _RefusedBatch(outcomes)
            return outcomes
    except _RefusedBatch as refused:
        return refused.outcomes


async def _write(connection: HotConnection, tasks: Sequence[NewTask]) -> list[Outcome]:
    row = await connection.fetchrow(
        *statements.INSERT_TASKS(
            pool_ids=[task.pool_id for task in tasks],
            external_ids=[task.external_id for task in tasks],
            parameters=[fast_json.encode_given(task.parameters) for task in tasks],
            weights=[task.weight for task in tasks],
            priorities=[task.priority for task in tasks],
            deadlines=[task.deadline for task in tasks],
            parent_ids=[task.parent_id for task in tasks],
            keys=[task.idempotency_key for task in tasks],
            fingerprints=[task.fingerprint() if task.idempotency_key else None for task in tasks],
            origins=[task.origin for task in tasks],
        ),
    )
    assert row is not None  # noqa: S101 - it selects from nothing: always one row
    ids, created_at, created = row["ids"] or (), row["created_at"], set(row["created"] or ())
    outcomes: list[Outcome | None] = [
        Receipt(TaskId(id_), duplicate=False, created_at=created_at) if id_ in created else None
        for id_ in ids
    ]
    if len(created) < len(tasks):
        allowed, keyed = set(row["allowed"] or ()), set(row["keyed"] or ())
        for index, id_ in enumerate(ids):
            if id_ not in allowed:
                outcomes[index] = _unknown_parent(tasks[index])
        seen = [index for index, outcome in enumerate(outcomes) if outcome is None]
        await _recognise(connection, tasks, {index for index in seen if ids[index] in keyed}, seen, outcomes)
    return [outcome for outcome in outcomes if outcome is not None]


async def _recognise(
    connection: HotConnection,
    tasks: Sequence[NewTask],
    key_is_new: set[int],
    seen: Sequence[int],
    outcomes: list[Outcome | None],
) -> None:
    """Answer those that were here before with what is there: first by key, then by external id."""
    keyed = [index for index in seen if tasks[index].idempotency_key and index not in key_is_new]
    named = [index for index in seen if index not in set(keyed)]
    by_key = await _by_key(connection, [tasks[index] for index in keyed])
    for index in keyed:
        outcomes[index] = by_key[(tasks[index].pool_id, str(tasks[index].idempotency_key))](tasks[index])
    known = await _by_external_id(connection, [tasks[index] for index in named])
    for index in named:
        task_id = known[(tasks[index].pool_id, str(tasks[index].external_id))]
        outcomes[index] = Receipt(task_id, duplicate=True)
    await _point_keys(connection, tasks, named, outcomes)


class _FirstUse:
    def __init__(self, fingerprint: str, task_id: TaskId) -> None:
        self.fingerprint, self.task_id = fingerprint, task_id

    def __call__(self, task: NewTask) -> Outcome:
        known = task.fingerprint() if self.fingerprint.startswith(PREFIX) else task.understood()
        if known == self.fingerprint:
            return Receipt(self.task_id, duplicate=True)
        return KeyReused(
            say("Idempotency-Key: this key was used with another body; use a new key for a new task."),
            task_id=self.task_id,
        )


async def _by_key(connection: HotConnection, tasks: Sequence[NewTask]) -> dict[tuple[int, str], _FirstUse]:
    if not tasks:
        return {}
    rows = await connection.fetch(
        statements.FIND_BY_KEY, [task.pool_id for task in tasks], [task.idempotency_key for task in tasks]
    )
    return {
        (row["pool_id"], row["key"]): _FirstUse(row["fingerprint"], TaskId(row["task_id"])) for row in rows
    }


async def _by_external_id(
    connection: HotConnection, tasks: Sequence[NewTask]
) -> dict[tuple[int, str], TaskId]:
    if not tasks:
        return {}
    rows = await connection.fetch(
        statements.FIND_BY_EXTERNAL_ID, [task.pool_id for task in tasks], [task.external_id for task in tasks]
    )
    return {(row["pool_id"], row["external_id"]): TaskId(row["id"]) for row in rows}


async def _point_keys(
    connection: HotConnection,
    tasks: Sequence[NewTask],
    named: Sequence[int],
    outcomes: Sequence[Outcome | None],
) -> None:
    pointed = [
        (tasks[index].pool_id, tasks[index].idempotency_key, outcome.task_id)
        for index in named
        if tasks[index].idempotency_key and isinstance(outcome := outcomes[index], Receipt)
    ]
    if pointed:
        pools, keys, ids = zip(*pointed, strict=True)
        await connection.execute(statements.POINT_KEYS, pools, keys, ids)


def _unknown_parent(task: NewTask) -> Invalid:
    return Invalid(
        say("parent_id: there is no task {parent_id} in this pool.", parent_id=task.parent_id),
        [
            FieldError(
                "parent_id",
                say("no task {parent_id} in pool {pool_id}", parent_id=task.parent_id, pool_id=task.pool_id),
                say("send the parent first"),
            )
        ],
    )


class Intake:
    """Gathers concurrent single tasks into one statement; one per API process."""

    def __init__(self, pool: HotPool, doorbell: Doorbell, *, batch: int, queue: int) -> None:
        self._pool = pool
        self._doorbell = doorbell
        self._batch = batch
        self._queue: asyncio.Queue[tuple[NewTask, asyncio.Future[Outcome]]] = asyncio.Queue(queue)
        self._loops = Loops()
        self._in_batches, self._most_in_batches = 0, _BATCHES_PER_QUEUE * queue

    def start(self, writers: int = 2) -> None:
        """Begin to write: two writers, so that one gathers and encodes while the other commits."""
        for number in range(writers):
            self._loops.start(
                "intake", self._write_next, part=f"writer {number + 1}", late_after=float("inf")
            )

    async def stop(self) -> None:
        """Write what was taken, then end."""
        await self._queue.join()
        await self._loops.stop()

    async def submit(self, task: NewTask) -> Receipt:
        """Commit one task. Raises Overloaded where too many wait, and what `write_tasks` refuses."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((task, future))
        except asyncio.QueueFull:
            raise Overloaded(
                say("Too many tasks wait to be written; come back in a second."), retry_after=1
            ) from None
        outcome = await future
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    async def submit_batch(self, tasks: Sequence[NewTask], *, whole: bool) -> list[Outcome]:
        """Commit many tasks in one transaction; see `write_tasks`. Raises Overloaded where too many wait."""
        if self._in_batches and self._in_batches + len(tasks) > self._most_in_batches:
            raise Overloaded(
                say("Too many batches wait to be written; come back in a second."), retry_after=1
            )
        self._in_batches += len(tasks)
        try:
            outcomes = await write_tasks(self._pool, tasks, whole=whole)
        finally:
            self._in_batches -= len(tasks)
        refused = any(isinstance(outcome, DomainError) for outcome in outcomes)
        if not (whole and refused):
            self._announce(tasks, outcomes)
        return outcomes

    async def _write_next(self) -> None:
        gathered = [await self._queue.get()]
        while len(gathered) < self._batch and not self._queue.empty():
            gathered.append(self._queue.get_nowait())
        try:
            await self._write_gathered(gathered)
        finally:
            for _, future in gathered:
                if not future.done():
                    future.set_result(Unavailable(say("The task could not be written. Repeat.")))
                self._queue.task_done()

    async def _write_gathered(self, gathered: Sequence[tuple[NewTask, asyncio.Future[Outcome]]]) -> None:
        gathered = [each for each in gathered if not each[1].done()]  # the others were told to come again
        tasks = [task for task, _ in gathered]
        if not tasks:
            return
        try:
            outcomes = await write_tasks(self._pool, tasks)
            failpoint("intake_committed")
        except DomainError as error:
            outcomes = [error] * len(tasks)
        except Exception as error:
            log.exception("intake.failed", tasks=len(tasks))
            outcomes = [
                Unavailable(
                    say("The task could not be written ({error}). Repeat.", error=type(error).__name__)
                )
            ] * len(tasks)
        self._announce(tasks, outcomes)
        for (_, future), outcome in zip(gathered, outcomes, strict=True):
            if not future.done():  # the client may have gone
                future.set_result(outcome)

    def _announce(self, tasks: Sequence[NewTask], outcomes: Sequence[Outcome]) -> None:
        accepted: dict[PoolId, int] = {}
        for task, outcome in zip(tasks, outcomes, strict=True):
            if isinstance(outcome, Receipt) and not outcome.duplicate:
                accepted[task.pool_id] = accepted.get(task.pool_id, 0) + 1
        for pool_id, count in accepted.items():
            tasks_accepted_total.labels(pool_label(pool_id)).inc(count)
            self._doorbell.ring(pool_id)
