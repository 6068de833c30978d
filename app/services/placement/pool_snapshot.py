"""A worker's picture of one pool: what the engine decides on, kept current by one number, the epoch.

Between two batches only rows stamped with a later epoch are read. The whole picture is read anew when the pool's
configuration changed, when the clock passed `valid_until` (a shift edge, midnight), or after a failed batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from app.database import HotConnection
from app.engine.calendar import next_of, window_start
from app.engine.placement.allocate import BatchOutcome
from app.engine.placement.eligibility import MAX_CLASSES
from app.engine.placement.state import PoolState
from app.engine.types import Executor, ExecutorId, Load, PoolId, RuleSetId
from app.errors import DomainError
from app.services.common.pool_options import fairness_options, flow_options, pool_zone
from app.services.common.rows import (
    availability_of,
    catalogue_of,
    days_of,
    executor_of,
    load_of,
    rules_of,
    settings_of,
    starts_at,
)
from app.services.placement import sql as statements
from app.services.placement.forecast_outlook import Foresight, outlook_lasts
from app.services.placement.read_ahead import Ahead
from app.services.placement.reserve_outlook import PoolReserve, last_outlook

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Presence:
    """An executor who came (their level raised by `lift`, to that of the others) or went; written with the batch."""

    executor_id: ExecutorId
    present: bool
    lift: float


def _takes(person: Executor) -> bool:
    """Whether a person who is here takes routed work at all. A limit of 0 is an absence: nothing is owed for it."""
    return person.max_open != 0 and person.daily_limit != 0


@dataclass(slots=True)
class PoolSnapshot:
    """What is known of a pool at `epoch`; `state` is the engine's.

    `groups` gives for each class of the present people the one under which its waiting tasks are found.
    """

    pool_id: PoolId
    epoch: int = 0
    code: str = ""
    zone: ZoneInfo = ZoneInfo("UTC")
    window: str = "day"
    day: date = date.min
    window_start: date = date.min
    valid_until: datetime | None = None
    paused_until: datetime | None = None
    rule_set_id: RuleSetId | None = None
    state: PoolState | None = None
    class_ids: dict[str, int] = field(default_factory=dict)
    groups: dict[int, int] = field(default_factory=dict)
    roster_id: int | None = None
    presence: list[Presence] = field(default_factory=list)
    foresight: Foresight | None = None
    reserve: PoolReserve | None = None
    ahead: Ahead = field(default_factory=Ahead)
    _executors: dict[ExecutorId, Executor] = field(default_factory=dict)
    _present: set[ExecutorId] = field(default_factory=set)
    _hold_back: timedelta | None = None
    _starts: dict[ExecutorId, datetime] = field(default_factory=dict)
    _held: dict[int, float] = field(default_factory=dict)

    def coming(self, now: datetime) -> dict[ExecutorId, datetime]:
        """Executors for whom the pool holds work back, and when they come; none where it does not."""
        if self._hold_back is None:
            return {}
        return {who: at for who, at in self._starts.items() if now < at <= now + self._hold_back}

    def members(self) -> list[tuple[int, float, float | None]]:
        """Who is present, by id: `(executor id, qualification, daily limit)`."""
        present = sorted(self._present)
        people = [self._executors[executor_id] for executor_id in present]
        return [(person.id, person.qualification, person.daily_limit) for person in people]

    def forget(self) -> None:
        """Trust nothing: the next refresh reads everything."""
        self.state = None
        self.ahead.drop()

    async def refresh(
        self, connection: HotConnection, *, epoch: int, config_epoch: int, now: datetime, tasks: int = 0
    ) -> PoolState:
        """Bring the picture to `epoch` as of `now`, to decide so many tasks; the caller holds the pool.

        To decide none is to ask what would be decided: by the outlook of the last decision.
        """
        outdated = self.valid_until is not None and now >= self.valid_until
        if self.state is None or config_epoch > self.epoch or outdated:
            state = await self._read_all(connection, now)
        else:
            state = self.state
            if epoch != self.epoch:
                await self._read_changes(connection, state, now)
        self.epoch = epoch
        self._forget_old_classes(state)
        if self.foresight is not None:
            await self.foresight.look_ahead(connection, state, now=now, until=self.valid_until)
        elif tasks and self.reserve is not None:
            await self.reserve.look_ahead(connection, state, tasks)
        else:
            state.outlook = await last_outlook(connection, self.pool_id, state)
        return state

    def _forget_old_classes(self, state: PoolState) -> None:
        """Bound what is remembered of classes; stored ids that are forgotten are found again by their digest."""
        if state.forget_old_classes() or len(self.class_ids) > MAX_CLASSES:
            self.class_ids.clear()
        if len(self.groups) > MAX_CLASSES:
            self.groups.clear()

    def note(self, outcome: BatchOutcome) -> None:
        """Count along what was decided on this picture."""
        if self.reserve is not None and self.state is not None:
            self.reserve.note(self.state, outcome.decisions)

    async def warm(self, connection: HotConnection, *, epoch: int, now: datetime) -> None:
        """Read everything before the first task comes; the caller holds the pool.

        Where somebody came or went that is for a batch to write: it reads everything itself.
        """
        if self.state is not None:
            return
        try:
            await self._read_all(connection, now)
        except (ValueError, DomainError):  # settings or rules that make no sense stop work, and there is none
            self.forget()
            return
        self.epoch = epoch
        if self.presence:
            self.forget()

    def most(self, limit: int) -> int:
        """How many tasks to decide at once, at most `limit`: with a forecast no more than an outlook is good for."""
        if self.foresight is None or self.state is None:
            return limit
        return min(limit, outlook_lasts(self.state))

    async def _read_all(self, connection: HotConnection, now: datetime) -> PoolState:
        [pool] = await connection.fetch(statements.POOL, self.pool_id)
        self.code, self.zone, self.window = pool["code"], pool_zone(pool["timezone"]), pool["fairness_window"]
        days = days_of(pool)
        self.day = days.day_of(now)
        self.window_start = window_start(self.day, self.window)
        self.rule_set_id = pool["rule_set_id"]
        catalogue = catalogue_of(await connection.fetch(statements.PARAMETERS, self.pool_id))
        day_weight = await connection.fetchval(statements.RECENT_DAY_WEIGHT, self.pool_id, self.day)
        state = PoolState(
            rules_of(pool["document"], catalogue, flow_options(pool["settings"]).escalation),
            settings_of(pool, day_weight),
            version=str(self.rule_set_id),
        )
        options = fairness_options(pool["settings"])
        self.foresight = Foresight(self.pool_id, self.zone, self.rule_set_id) if options.forecast else None
        self.reserve = (
            None if self.foresight else PoolReserve(self.pool_id, days.span(self.day)[0], self.rule_set_id)
        )
        self.class_ids.clear()
        self.groups.clear()
        self.roster_id = None
        self.presence.clear()
        self._executors.clear()
        self._present.clear()
        self.paused_until = pool["paused_until"]
        minutes = flow_options(pool["settings"]).hold_back_minutes
        self._hold_back = None if minutes is None else timedelta(minutes=minutes)
        self._starts.clear()
        self.valid_until = days.ends(now)
        rows = await connection.fetch(statements.EXECUTORS, self.pool_id, 0, now)
        await self._read_held(connection)
        self._take(state, rows, now)
        self.state = state
        return state

    async def _read_changes(self, connection: HotConnection, state: PoolState, now: datetime) -> None:
        loads = await connection.fetch(statements.LOADS, self.pool_id, self.epoch)
        known = {row["id"]: self._load(row) for row in loads if row["id"] in self._executors}
        state.update_loads(known)
        people = await connection.fetch(statements.EXECUTORS, self.pool_id, self.epoch, now)
        if people:
            await self._read_held(connection)
        self._take(state, people, now)  # last: whoever is new joins in level, which no row says yet

    async def _read_held(self, connection: HotConnection) -> None:
        """Read what was held back for whom: whoever comes joins in level less that, or would share it with others."""
        self._held.clear()
        if self._hold_back is not None:
            rows = await connection.fetch(statements.HELD_FOR, self.pool_id, [])
            self._held.update((row["executor_id"], row["weight"]) for row in rows)

    def _take(self, state: PoolState, rows: Sequence[Any], now: datetime) -> None:
        """Put executors into the engine; whoever is here and was not joins in level, after all the others are in."""
        seen = [availability_of(row, self.zone, now) for row in rows]
        executors = [executor_of(row, availability) for row, availability in zip(rows, seen, strict=True)]
        loads = {ExecutorId(row["id"]): self._load(row) for row in rows}
        self.valid_until = next_of([self.valid_until, *(availability.next_change for availability in seen)])
        for executor, availability in zip(executors, seen, strict=True):
            if availability.fault:
                log.error(
                    "executor.unreadable", pool=self.pool_id, executor=executor.id, fault=availability.fault
                )
        for executor, row in zip(executors, rows, strict=True):
            self._executors[executor.id] = executor
            (self._present.add if row["present"] else self._present.discard)(executor.id)
            self._starts.pop(executor.id, None)
            starts = (
                starts_at(row, self.zone, now) if self._hold_back is not None and _takes(executor) else None
            )
            if starts is not None:
                self._starts[executor.id] = starts
        state.upsert(executors, loads)
        if executors:
            self.roster_id = None
            self.groups.clear()
        self._note_presence(state, executors)

    def _note_presence(self, state: PoolState, executors: Sequence[Executor]) -> None:
        here = {person.id for person in executors if person.available and person.active and _takes(person)}
        came = [person.id for person in executors if person.id in here and person.id not in self._present]
        went = [person.id for person in executors if person.id not in here and person.id in self._present]
        for executor_id, joined in state.join_levels(came).items():
            load = state.load_of(executor_id)
            level = max(load.level, joined - self._held.get(executor_id, 0.0))
            self.presence.append(Presence(executor_id, True, round(level - load.level, 3)))
            state.update_loads({executor_id: replace(load, level=level)})
        self.presence += [Presence(executor_id, False, 0.0) for executor_id in went]
        self._present.update(came)
        self._present.difference_update(went)

    def _load(self, row: Any) -> Load:
        return load_of(row, day=self.day, window_start=self.window_start)
