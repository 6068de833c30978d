"""A task's life after its assignment: one table of moves, applied by the hundred or one by one.

Concurrent moves share a transaction per pool: while one is being committed, the next ones gather, so that moves never
queue up for the pool's lock and its workers find it free. A caller is answered after the commit that contains its move.
What comes back to be placed again (resume, reassign) is placed by a worker, like everything else: with a trail, an
explanation and the policy of the pool.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from app.database import HotConnection, HotPool
from app.doorbell.doorbell import Doorbell
from app.engine.types import ExecutorId, PoolId, TaskId
from app.errors import (
    DomainError,
    ForbiddenMove,
    Invalid,
    KeyReused,
    NotFound,
    StaleVersion,
    Unavailable,
)
from app.messages.message import Message, say
from app.services.common.counters import Happened, count_by_executor
from app.services.common.loops import Loops
from app.services.common.received import take_back
from app.services.common.sent_keys import SentKey
from app.services.placement.sql import TICK_CHANNEL
from app.services.tasks import sql as statements
from app.services.tasks.move_keys import first_uses, remember
from app.services.tasks.waiting_steps import escalate_lapsed
from app.services.waking.waking import wake_for
from app.utils.failpoints import failpoint
from app.utils.trouble import Trouble, trouble_of

_TRIES = 5
_MOST_AT_ONCE = 500


class MoveName(StrEnum):
    """What can be done with a task."""

    ACCEPT = "accept"  # the executor takes an offer
    DECLINE = "decline"  # and does not: it goes on to the next
    START = "start"  # the executor begins
    COMPLETE = "complete"  # done
    REJECT = "reject"  # refused for good, undone
    RETURN = "return"  # waits for the client; the executor's slot is free meanwhile
    RESUME = "resume"  # the client answered: back to the same executor
    CANCEL = "cancel"  # nobody needs it any more
    EXPIRE = "expire"  # an offer that nobody answered in time: it goes on to the next; made by the clock
    REASSIGN = "reassign"  # taken back undone: to a named executor, or to whom the engine chooses


class MoveEffect(NamedTuple):
    """What a move does: the status it leads to, how the task is placed again, what becomes of its assignment."""

    to: str
    route: str | None = None
    releases: bool = False
    undone: bool = False


_OPEN = ("assigned", "in_progress")
_LAPSES = (MoveName.DECLINE, MoveName.EXPIRE)
_GOES_ON = MoveEffect("pending", route="reassign", releases=True, undone=True)

MOVES: dict[MoveName, tuple[tuple[str, ...], MoveEffect]] = {
    MoveName.ACCEPT: (("assigned",), MoveEffect("assigned")),
    MoveName.DECLINE: (("assigned",), _GOES_ON),
    MoveName.EXPIRE: (("assigned",), _GOES_ON),
    MoveName.START: (("assigned",), MoveEffect("in_progress")),
    MoveName.COMPLETE: (_OPEN, MoveEffect("completed", releases=True)),
    MoveName.REJECT: (_OPEN, MoveEffect("rejected", releases=True, undone=True)),
    MoveName.RETURN: (_OPEN, MoveEffect("returned", releases=True)),
    MoveName.RESUME: (("returned",), MoveEffect("pending", route="rework")),
    MoveName.CANCEL: (("pending", *_OPEN, "returned"), MoveEffect("cancelled", releases=True, undone=True)),
    MoveName.REASSIGN: (
        ("pending", *_OPEN, "returned"),
        _GOES_ON,
    ),
}
"""From which statuses each move is allowed, and its effect."""


def allowed_moves(status: str) -> list[str]:
    """The moves that a task of this status can make."""
    by_people = (name for name in MoveName if name is not MoveName.EXPIRE)
    return [name.value for name in by_people if status in MOVES[name][0]]


@dataclass(frozen=True, slots=True)
class Move:
    """A wish to move a task; `version` says which state of it was seen, `to` names an executor (reassign only)."""

    task_id: TaskId
    name: MoveName
    actor: str
    reason: str = ""
    version: int | None = None
    to: ExecutorId | None = None
    key: SentKey | None = None
    bars: bool = True
    """Whether the executor that it is taken from does not get it again for a while."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A move that is committed."""

    task_id: TaskId
    version: int


Outcome = Moved | DomainError


async def move_tasks(
    pool: HotPool, *, pool_id: PoolId, moves: Sequence[Move], deliver: bool
) -> list[Outcome]:
    """Apply moves of different tasks of one pool in one transaction; each is done or refused on its own.

    Where all are refused nothing is written, the pool's epoch included.
    """
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            taken = await connection.fetchrow(statements.RAISE_EPOCH, pool_id)
            applied: list[Outcome] = [_no_task(move) for move in moves]
            if taken is not None:
                applied = await apply_moves(
                    connection,
                    pool_id=pool_id,
                    moves=moves,
                    epoch=taken["epoch"],
                    now=taken["now"],
                    deliver=deliver,
                )
            failpoint("moves_before_commit")
        except BaseException:
            await transaction.rollback()
            raise
        if all(isinstance(outcome, DomainError) for outcome in applied):
            await transaction.rollback()
        else:
            await transaction.commit()
        return applied


async def apply_moves(
    connection: HotConnection,
    *,
    pool_id: PoolId,
    moves: Sequence[Move],
    epoch: int,
    now: datetime,
    deliver: bool,
) -> list[Outcome]:
    """The same inside the caller's transaction, which holds the pool at `epoch`."""
    ids = [move.task_id for move in moves]
    tasks = {row["id"]: row for row in await connection.fetch(statements.TASKS_TO_MOVE, ids, pool_id)}
    named = {move.to for move in moves if move.to is not None}
    people = {row["id"] for row in await connection.fetch(statements.ACTIVE_PEOPLE, list(named), pool_id)}
    used: dict[TaskId, int | KeyReused] = {
        **await _completed_before(connection, moves, tasks),
        **await first_uses(connection, moves),
    }
    judged = [_judge(move, tasks.get(move.task_id), people, used.get(move.task_id)) for move in moves]
    steps = [step for step in judged if isinstance(step, _Step)]
    versions = await _write(connection, pool_id, steps, epoch, now, deliver) if steps else {}
    await remember(connection, [step.move for step in steps], versions)
    return [
        Moved(step.move.task_id, versions[step.move.task_id]) if isinstance(step, _Step) else step
        for step in judged
    ]


class _Step(NamedTuple):
    """An allowed move with all that is written of it."""

    move: Move
    status: str
    had: ExecutorId | None
    effect: MoveEffect
    executor_id: ExecutorId | None
    route: str | None


def _no_task(move: Move) -> NotFound:
    return NotFound(say("There is no task {task_id}.", task_id=move.task_id), task_id=move.task_id)


async def _completed_before(
    connection: HotConnection, moves: Sequence[Move], tasks: Mapping[int, Any]
) -> dict[TaskId, int]:
    """Versions of tasks that are to be completed and were, by the same actor: the answer to it may have been lost."""
    again = {
        move.task_id: move
        for move in moves
        if move.name is MoveName.COMPLETE
        and move.task_id in tasks
        and tasks[move.task_id]["status"] == "completed"
    }
    if not again:
        return {}
    found = {}
    for row in await connection.fetch(statements.COMPLETED_BY, list(again)):
        move, version = again[row["task_id"]], tasks[row["task_id"]]["version"]
        if row["actor"] == move.actor and move.version in (None, version, version - 1):
            found[move.task_id] = version
    return found


def _judge(
    move: Move, task: Any, people: set[int], used: int | KeyReused | None
) -> _Step | Moved | DomainError:
    if task is None:
        return _no_task(move)
    if used is not None:  # its Idempotency-Key came before, or it is completed again
        return used if isinstance(used, KeyReused) else Moved(move.task_id, used)
    statuses, effect = MOVES[move.name]
    status, had = task["status"], task["executor_id"]
    if move.version is not None and move.version != task["version"]:
        return StaleVersion(
            say("If-Match: the task is at version {version} now; read it again.", version=task["version"])
        )
    if status not in statuses:
        return ForbiddenMove(status, move.name.value, allowed_moves(status))
    if move.to is None:
        return _unnamed(move, task, effect)
    if move.to not in people:
        return _wrong_executor(
            say("nobody active with id {to} in this pool", to=move.to), say("choose one of GET /v1/executors")
        )
    if move.to == had and status in _OPEN:
        return _wrong_executor(
            say("they have the task already"), say("choose somebody else, or leave it out")
        )
    return _Step(move, status, had, effect, move.to, "manual")


def _unnamed(move: Move, task: Any, effect: MoveEffect) -> _Step | DomainError:
    """A move that names nobody: the executor stays written, but for a task that may go to anybody."""
    status, had, route = task["status"], task["executor_id"], effect.route
    if move.name is MoveName.REASSIGN and status == "pending":
        return _wrong_executor(
            say("the task waits: there is nobody to take it from"), say("name an executor")
        )
    return _Step(move, status, had, effect, None if route == "reassign" else had, route)


def _wrong_executor(reason: Message, remedy: Message) -> Invalid:
    return Invalid.at("executor_id", reason, remedy)


async def _write(
    connection: HotConnection,
    pool_id: PoolId,
    steps: Sequence[_Step],
    epoch: int,
    now: datetime,
    deliver: bool,
) -> dict[int, int]:
    events = {step.move.name.value for step in steps}
    tick = {"pool": pool_id, "event": events.pop() if len(events) == 1 else "moved", "count": len(steps)}
    rows = await connection.fetch(
        *statements.MOVE_TASKS(
            pool_id=pool_id,
            epoch=epoch,
            task_ids=[step.move.task_id for step in steps],
            events=[step.move.name.value for step in steps],
            from_statuses=[step.status for step in steps],
            to_statuses=[step.effect.to for step in steps],
            executor_ids=[step.executor_id for step in steps],
            routes=[step.route for step in steps],
            releases=[step.effect.releases for step in steps],
            undone=[step.effect.undone for step in steps],
            actors=[step.move.actor for step in steps],
            reasons=[step.move.reason for step in steps],
            had=[step.had for step in steps],
            now=now,
            deliver=deliver,
            channel=TICK_CHANNEL,
            tick=json.dumps(tick),
            bars=[
                step.move.bars and step.effect.route == "reassign" and step.had is not None for step in steps
            ],
        ),
    )
    freed = {step.had for step in steps if step.effect.releases and step.status in _OPEN and step.had}
    if undone := [step.move.task_id for step in steps if step.effect.undone]:
        freed |= await take_back(connection, pool_id=pool_id, task_ids=undone, epoch=epoch)
    if freed:
        await wake_for(connection, pool_id=pool_id, executor_ids=sorted(freed))
    lapsed = [step.move.task_id for step in steps if step.move.name in _LAPSES]
    if lapsed:
        await escalate_lapsed(connection, pool_id=pool_id, task_ids=lapsed, now=now)
    await _count(connection, pool_id, steps, now)
    return {row["id"]: row["version"] for row in rows}


async def _count(connection: HotConnection, pool_id: PoolId, steps: Sequence[_Step], now: datetime) -> None:
    """Into the pool's figures, and into those of each who had the work in hand."""
    by_executor: dict[ExecutorId | None, Counter[MoveName]] = defaultdict(Counter)
    for step in steps:
        by_executor[step.had if step.status in _OPEN else None][step.move.name] += 1
    happened = {
        executor_id: Happened(
            completed=count[MoveName.COMPLETE],
            rejected=count[MoveName.REJECT],
            returned=count[MoveName.RETURN],
            cancelled=count[MoveName.CANCEL],
            reassigned=count[MoveName.REASSIGN],
        )
        for executor_id, count in by_executor.items()
    }
    await count_by_executor(connection, happened, pool_id=pool_id, at=now)
    declines = Counter(step.had for step in steps if step.move.name in _LAPSES)
    if declines:
        await connection.execute(
            statements.COUNT_DECLINES, pool_id, now, list(declines.keys()), list(declines.values())
        )


@dataclass(slots=True)
class _Asked:
    """A move that a request waits for, and the pool where it was tried last."""

    move: Move
    future: asyncio.Future[Outcome]
    tried_in: PoolId | None = None

    def answer(self, outcome: Outcome) -> None:
        """Answer the request, which may have gone."""
        if not self.future.done():
            self.future.set_result(outcome)


class Lifecycle:
    """Gathers concurrent moves, one transaction for each pool; one per API process.

    Each pool has a queue of its own: one that is held, or fails, delays and refuses no other pool's moves.
    """

    def __init__(self, pool: HotPool, doorbell: Doorbell, *, deliver: bool) -> None:
        self._pool = pool
        self._doorbell = doorbell
        self._deliver = deliver
        self._queue: asyncio.Queue[_Asked] = asyncio.Queue()
        self._of_pool: dict[PoolId, asyncio.Queue[_Asked]] = {}
        self._open: set[asyncio.Future[Outcome]] = set()
        self._loops = Loops()

    def start(self) -> None:
        """Begin to move."""
        self._loops.start("moves", self._find_next, late_after=float("inf"))

    async def stop(self) -> None:
        """Move what was asked for, then end."""
        while self._open:
            await asyncio.wait(self._open)
        await self._loops.stop()

    async def move(self, move: Move) -> Moved:
        """Commit one move. Raises NotFound, StaleVersion, ForbiddenMove, Invalid, Unavailable."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        self._queue.put_nowait(_Asked(move, future))
        outcome = await future
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    async def _find_next(self) -> None:
        """Find the pools where the next tasks are; what went on from where it was tried is followed there."""
        gathered = await _gather(self._queue)
        try:
            pools = await self._pools_of([asked.move.task_id for asked in gathered])
        except Exception as error:
            _refuse(gathered, error)
            raise
        for asked in gathered:
            pool_id = pools.get(asked.move.task_id)
            if pool_id is None or pool_id == asked.tried_in:
                asked.answer(_no_task(asked.move))
                continue
            asked.tried_in = pool_id
            self._queue_of(pool_id).put_nowait(asked)

    def _queue_of(self, pool_id: PoolId) -> asyncio.Queue[_Asked]:
        queue = self._of_pool.get(pool_id)
        if queue is None:
            queue = self._of_pool[pool_id] = asyncio.Queue()
            move_next = partial(self._move_next, pool_id, queue)
            self._loops.start("moves", move_next, part=f"pool {pool_id}", late_after=float("inf"))
        return queue

    async def _move_next(self, pool_id: PoolId, queue: asyncio.Queue[_Asked]) -> None:
        """Apply what was gathered for a pool, the first move of each task before the second of any."""
        gathered = await _gather(queue)
        try:
            while gathered:
                first: dict[TaskId, _Asked] = {}
                later = [each for each in gathered if first.setdefault(each.move.task_id, each) is not each]
                await self._apply(pool_id, list(first.values()))
                gathered = later
        except Exception as error:
            _refuse(gathered, error)
            raise

    async def _apply(self, pool_id: PoolId, asked: Sequence[_Asked]) -> None:
        outcomes = await self._apply_in_pool(pool_id, [each.move for each in asked])
        for each, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, NotFound):  # it may have gone on to another pool meanwhile
                self._queue.put_nowait(each)
            else:
                each.answer(outcome)

    async def _pools_of(self, task_ids: Sequence[TaskId]) -> dict[TaskId, PoolId]:
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(statements.POOLS_OF_TASKS, task_ids)
        return {row["id"]: PoolId(row["pool_id"]) for row in rows}

    async def _apply_in_pool(self, pool_id: PoolId, moves: Sequence[Move]) -> list[Outcome]:
        for _ in range(_TRIES):
            try:
                outcomes = await move_tasks(self._pool, pool_id=pool_id, moves=moves, deliver=self._deliver)
            except Exception as error:
                if trouble_of(error) is not Trouble.CONFLICT:
                    raise
                continue
            if any(isinstance(outcome, Moved) for outcome in outcomes):
                self._doorbell.ring(pool_id)
            return outcomes
        raise Unavailable(say("The same tasks are being moved by several requests at once. Repeat."))


async def _gather(queue: asyncio.Queue[_Asked]) -> list[_Asked]:
    """The next moves of a queue: one, and what came with it."""
    gathered = [await queue.get()]
    while len(gathered) < _MOST_AT_ONCE and not queue.empty():
        gathered.append(queue.get_nowait())
    return gathered


def _refuse(asked: Sequence[_Asked], error: Exception) -> None:
    """Answer what failed together. Where the connection broke it is not known whether the commit was reached."""
    if trouble_of(error) in (Trouble.GONE, None):
        reason = say(
            "It is not known whether the move was written ({error}). Read the task, then repeat.",
            error=type(error).__name__,
        )
    else:
        reason = say("The move could not be written ({error}). Repeat.", error=type(error).__name__)
    for each in asked:
        each.answer(error if isinstance(error, DomainError) else Unavailable(reason))
