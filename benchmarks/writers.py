"""A decided batch, and how the bare driver writes it: see `benchmarks.writes`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import asyncpg

from app.database import prepare_connection
from app.services.placement import sql as statements
from app.utils import fast_json

_BEGAN = datetime(2026, 3, 2, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sum:
    """What somebody, or a class, receives in a batch."""

    of: int
    count: int
    weight: Decimal
    last: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Decisions as columns; `epoch` is what they were decided on."""

    pool_id: int
    epoch: int
    roster_id: int
    tasks: Sequence[int]
    people: Sequence[int]
    classes: Sequence[int]
    weights: Sequence[Decimal]
    scores: Sequence[float]
    now: datetime

    @classmethod
    def of(
        cls,
        pool_id: int,
        epoch: int,
        roster_id: int,
        tasks: Sequence[int],
        *,
        first: int,
        people: Sequence[int],
        classes: Sequence[int],
    ) -> "Batch":
        """Decisions that go round: each task to the next executor and the next class."""
        numbers = range(first, first + len(tasks))
        return cls(
            pool_id,
            epoch,
            roster_id,
            tasks,
            [people[number * 7 % len(people)] for number in numbers],
            [classes[number % len(classes)] for number in numbers],
            [Decimal(1 + number % 3) for number in numbers],
            [number / 1000 for number in numbers],
            _BEGAN + timedelta(milliseconds=first),
        )

    @property
    def day(self) -> date:
        """The business day; the pool of the benchmark is in UTC here."""
        return self.now.date()

    @property
    def hour(self) -> datetime:
        """The hour in which all is counted."""
        return self.now.replace(minute=0, second=0, microsecond=0)

    def explanations(self) -> list[dict[str, Any]]:
        """What is stored with each assignment."""
        return [{"level": 0.0, "frame": self.epoch + 1, "step": step} for step in range(len(self.tasks))]

    def frame(self) -> dict[str, Any]:
        """The batch in the trail."""
        return {
            "start": 1,
            "changed": [],
            "sequence": 0,
            "to": list(self.people),
            "weight": [1000],
            "fixed": [],
        }

    def sums(self, of: Sequence[int]) -> list[Sum]:
        """Sums by these ids, one for each task."""
        found: dict[int, tuple[int, Decimal, int]] = {}
        for key, weight, task in zip(of, self.weights, self.tasks, strict=True):
            count, total, _ = found.get(key, (0, Decimal(0), 0))
            found[key] = (count + 1, total + weight, task)
        return [Sum(key, *found[key]) for key in sorted(found)]


class Writer(Protocol):
    """A way to write a batch: all of it or nothing, and nothing where the pool's epoch has moved."""

    async def open(self, dsn: str) -> None:
        """Connect."""

    async def write(self, batch: Batch) -> None:
        """Write a batch in a transaction of its own."""

    async def close(self) -> None:
        """Disconnect."""


class _Driver:
    """One connection of the bare driver."""

    connection: Any

    async def open(self, dsn: str) -> None:
        """Connect as the worker does."""
        self.connection = await asyncpg.connect(dsn)
        await prepare_connection(self.connection)

    async def close(self) -> None:
        """Disconnect."""
        await self.connection.close()


class OneStatement(_Driver):
    """The worker's: everything in one statement."""

    async def write(self, batch: Batch) -> None:
        """One round trip between BEGIN and COMMIT."""
        sums = batch.sums(batch.people)
        async with self.connection.transaction():
            row = await self.connection.fetchrow(
                *statements.COMMIT_BATCH(
                    pool_id=batch.pool_id,
                    epoch=batch.epoch,
                    task_ids=batch.tasks,
                    executor_ids=batch.people,
                    kinds=["primary"] * len(batch.tasks),
                    weights=[float(weight) for weight in batch.weights],
                    scores=batch.scores,
                    explanations=[fast_json.encode(one) for one in batch.explanations()],
                    class_ids=batch.classes,
                    now=batch.now,
                    rule_set_id=None,
                    day=batch.day,
                    deliver=False,
                    window_start=batch.day,
                    loaded_ids=[sum_.of for sum_ in sums],
                    open_counts=[sum_.count for sum_ in sums],
                    load_weights=[float(sum_.weight) for sum_ in sums],
                    routed_weights=[float(sum_.weight) for sum_ in sums],
                    last_assigned=[sum_.last for sum_ in sums],
                    new_counts=[sum_.count for sum_ in sums],
                    waiting_ids=[],
                    waiting_reasons=[],
                    waiting_class_ids=[],
                    waiting_explanations=[],
                    waiting_until=[],
                    valid_until=None,
                    tick_channel=statements.TICK_CHANNEL,
                    tick="{}",
                    frame_start=1,
                    frame=fast_json.encode(batch.frame()),
                    roster_id=batch.roster_id,
                    zone="UTC",
                    parked=0,
                    waited=0,
                    waited_seconds=0.0,
                    latency_sum=0.0,
                    latency_buckets=[],
                    seen_decided=[],
                    seen_waiting=[],
                    serving_channel=statements.SERVING_CHANNEL,
                    report=None,
                ),
            )
            assert row["placed"] == len(batch.tasks)


# Each step reads `given` (one row a decision), `sums` (one an executor) and `one` (what is the same for all).
_BY_ARRAYS = """
WITH one AS (
    SELECT $7::bigint AS pool_id, $8::bigint AS epoch, $9::timestamptz AS now, $10::date AS day,
           $11::timestamptz AS hour, $12::bigint AS roster_id
), given AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::numeric[], $5::float8[], $6::jsonb[])
         AS given(task_id, executor_id, class_id, weight, score, explanation)
), sums AS (
    SELECT executor_id, count(*)::int AS count, sum(weight) AS weight, max(task_id) AS last
    FROM given GROUP BY executor_id
)
"""
_BY_TABLE = """
WITH one AS (
    SELECT $1::bigint AS pool_id, $2::bigint AS epoch, $3::timestamptz AS now, $4::date AS day,
           $5::timestamptz AS hour, $6::bigint AS roster_id
), sums AS (
    SELECT executor_id, count(*)::int AS count, sum(weight) AS weight, max(task_id) AS last
    FROM given GROUP BY executor_id
)
"""
_GIVEN = """
CREATE TEMPORARY TABLE given (
    task_id bigint, executor_id bigint, class_id bigint, weight numeric, score float8, explanation jsonb
) ON COMMIT DELETE ROWS
"""
_FENCE = "UPDATE pool_states SET epoch = epoch + 1 WHERE pool_id = $1 AND epoch = $2 RETURNING epoch"
_STEPS = [
    """
    UPDATE tasks task
    SET status = 'assigned', executor_id = given.executor_id, version = version + 1, wait_reason = NULL,
        wake_at = NULL, wait_class_id = NULL, wait_explanation = NULL, attempts = 0, updated_at = one.now
    FROM given, one WHERE task.id = given.task_id AND task.status = 'pending'
    """,
    """
    INSERT INTO assignments (task_id, pool_id, executor_id, kind, class_id, weight, score, explanation, business_day,
                             decided_at)
    SELECT task_id, pool_id, executor_id, 'primary', class_id, weight, score, explanation, day, now FROM given, one
    """,
    """
    UPDATE executor_loads load
    SET epoch = one.epoch + 1, open_count = open_count + sums.count, open_weight = open_weight + sums.weight,
        window_weight = CASE WHEN window_start = one.day THEN window_weight ELSE 0 END + sums.weight,
        window_start = one.day,
        day_count = CASE WHEN business_day = one.day THEN day_count ELSE 0 END + sums.count,
        day_weight = CASE WHEN business_day = one.day THEN day_weight ELSE 0 END + sums.weight,
        day_routed = CASE WHEN business_day = one.day THEN day_routed ELSE 0 END + sums.weight,
        business_day = one.day, last_assigned = sums.last
    FROM sums, one WHERE load.executor_id = sums.executor_id
    """,
    """
    INSERT INTO executor_days AS day
           (executor_id, business_day, pool_id, assigned_count, assigned_weight, routed_weight)
    SELECT executor_id, one.day, pool_id, count, weight, weight FROM sums, one ORDER BY executor_id
    ON CONFLICT (executor_id, business_day) DO UPDATE
    SET assigned_count = day.assigned_count + excluded.assigned_count,
        assigned_weight = day.assigned_weight + excluded.assigned_weight,
        routed_weight = day.routed_weight + excluded.routed_weight
    """,
    """
    INSERT INTO class_hours AS hour (class_id, roster_id, hour, pool_id, placed_count, placed_weight)
    SELECT class_id, roster_id, one.hour, pool_id, count(*), sum(weight) FROM given, one
    GROUP BY class_id, roster_id, one.hour, pool_id ORDER BY class_id
    ON CONFLICT (class_id, roster_id, hour) DO UPDATE
    SET placed_count = hour.placed_count + excluded.placed_count,
        placed_weight = hour.placed_weight + excluded.placed_weight
    """,
    """
    INSERT INTO kpi_hours AS hour (pool_id, hour, stripe, assigned)
    SELECT pool_id, one.hour, 0, (SELECT count(*) FROM given) FROM one
    ON CONFLICT (pool_id, hour, stripe) DO UPDATE SET assigned = hour.assigned + excluded.assigned
    """,
]
_FRAME = "INSERT INTO trail_frames (pool_id, number, start, content) VALUES ($1, $2, 1, $3)"
_TELL = "SELECT pg_notify($1, '{}')"


class SeparateStatements(_Driver):
    """The same arrays, once for each table."""

    head = _BY_ARRAYS

    async def write(self, batch: Batch) -> None:
        """Ten round trips."""
        async with self.connection.transaction():
            assert await self.connection.fetchval(_FENCE, batch.pool_id, batch.epoch)
            arguments = [
                *await self.give(batch),
                batch.pool_id,
                batch.epoch,
                batch.now,
                batch.day,
                batch.hour,
            ]
            for step in _STEPS:
                await self.connection.execute(self.head + step, *arguments, batch.roster_id)
            await self.connection.execute(
                _FRAME, batch.pool_id, batch.epoch + 1, fast_json.encode(batch.frame())
            )
            await self.connection.execute(_TELL, statements.TICK_CHANNEL)

    async def give(self, batch: Batch) -> list[Any]:
        """The decisions, as arguments of each step."""
        explanations = [fast_json.encode(one) for one in batch.explanations()]
        return [batch.tasks, batch.people, batch.classes, batch.weights, batch.scores, explanations]


class CopiedRows(SeparateStatements):
    """The decisions once, by COPY into a temporary table."""

    head = _BY_TABLE

    async def open(self, dsn: str) -> None:
        """Connect, and make the table."""
        self.connection = await asyncpg.connect(dsn)
        await self.connection.set_type_codec(
            "jsonb",
            encoder=lambda text: b"\x01" + text.encode(),
            decoder=lambda text: text[1:].decode(),
            schema="pg_catalog",
            format="binary",
        )
        await self.connection.execute(_GIVEN)

    async def give(self, batch: Batch) -> list[Any]:
        """The decisions, into the table."""
        columns = await super().give(batch)
        await self.connection.copy_records_to_table("given", records=zip(*columns, strict=True))
        return []
