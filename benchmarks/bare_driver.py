"""The reference of the end-to-end benchmark: the rows that a run left, written again by the bare driver in bulk.

All that a run leaves is written: tasks in their final state, assignments, loads, days, class counts, the hour's
figures, the trail, classes and rosters. Left out is what only several writers need: no pool is locked, no attempt is
noted.
"""

import time
from collections.abc import Sequence
from typing import Any

import asyncpg

BATCH = 1000

_ROWS = """
SELECT task.pool_id, task.external_id, task.parameters::text, task.weight::float8, task.priority, task.executor_id,
       decided.kind, decided.rule_set_id, decided.class_id, decided.score, decided.explanation::text,
       decided.business_day, decided.decided_at, task.origin
FROM tasks task JOIN assignments decided ON decided.task_id = task.id
WHERE task.status = 'assigned' ORDER BY task.id
"""

# One statement a batch, each row once and in its final state; counters once a batch, in order of executors.
_WRITE = """
WITH given AS MATERIALIZED (
    SELECT nextval('tasks_id_seq') AS id, given.*
    FROM unnest($1::bigint[], $2::text[], $3::jsonb[], $4::float8[], $5::int[], $6::bigint[], $7::text[], $8::bigint[],
                $9::bigint[], $10::float8[], $11::jsonb[], $12::date[], $13::timestamptz[], $14::text[])
         AS given(pool_id, external_id, parameters, weight, priority, executor_id, kind, rule_set_id, class_id,
                  score, explanation, business_day, decided_at, origin)
), tasks_written AS (
    INSERT INTO tasks (id, pool_id, external_id, parameters, weight, priority, status, version, executor_id, origin)
    SELECT id, pool_id, external_id, parameters, weight::numeric(14, 3), priority, 'assigned', 2, executor_id, origin
    FROM given
), assignments_written AS (
    INSERT INTO assignments (task_id, pool_id, executor_id, kind, rule_set_id, class_id, weight, score, explanation,
                             business_day, decided_at)
    SELECT id, pool_id, executor_id, kind, rule_set_id, class_id, weight::numeric(14, 3), score, explanation,
           business_day, decided_at FROM given
), sums AS (
    SELECT pool_id, executor_id, business_day, count(*)::int AS count, sum(weight)::numeric(14, 3) AS weight,
           max(id) AS last
    FROM given GROUP BY pool_id, executor_id, business_day
), loads AS (
    UPDATE executor_loads load
    SET epoch = epoch + 1, open_count = open_count + sums.count, open_weight = open_weight + sums.weight,
        window_weight = window_weight + sums.weight, day_count = day_count + sums.count,
        day_weight = day_weight + sums.weight, day_routed = day_routed + sums.weight,
        window_start = sums.business_day, business_day = sums.business_day, last_assigned = sums.last
    FROM sums WHERE sums.executor_id = load.executor_id
), days AS (
    INSERT INTO executor_days AS day
           (executor_id, business_day, pool_id, assigned_count, assigned_weight, routed_weight)
    SELECT executor_id, business_day, pool_id, count, weight, weight FROM sums ORDER BY executor_id
    ON CONFLICT (executor_id, business_day) DO UPDATE
    SET assigned_count = day.assigned_count + excluded.assigned_count,
        assigned_weight = day.assigned_weight + excluded.assigned_weight,
        routed_weight = day.routed_weight + excluded.routed_weight
), classes AS (
    INSERT INTO class_hours AS hour (class_id, roster_id, hour, pool_id, placed_count, placed_weight)
    SELECT class_id, (SELECT max(id) FROM rosters), date_trunc('hour', decided_at), pool_id, count(*),
           sum(weight)::numeric(14, 3)
    FROM given GROUP BY pool_id, class_id, date_trunc('hour', decided_at) ORDER BY class_id
    ON CONFLICT (class_id, roster_id, hour) DO UPDATE
    SET placed_count = hour.placed_count + excluded.placed_count,
        placed_weight = hour.placed_weight + excluded.placed_weight
), counted AS (
    INSERT INTO kpi_hours AS hour (pool_id, hour, stripe, received, assigned, latency_buckets)
    SELECT pool_id, date_trunc('hour', decided_at), 0, count(*), count(*), $15::bigint[]
    FROM given GROUP BY pool_id, date_trunc('hour', decided_at)
    ON CONFLICT (pool_id, hour, stripe) DO UPDATE
    SET received = hour.received + excluded.received, assigned = hour.assigned + excluded.assigned
)
INSERT INTO trail_frames (pool_id, number, start, content)
SELECT * FROM unnest($16::bigint[], $17::bigint[], $18::bigint[], $19::jsonb[])
"""

# What decisions refer to, written once: how it is read, and written.
_EVIDENCE = [
    (
        "SELECT id, pool_id, digest, rule_set_id, content::text FROM class_snapshots ORDER BY id",
        """
        INSERT INTO class_snapshots (id, pool_id, digest, rule_set_id, content) OVERRIDING SYSTEM VALUE
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::jsonb[])
        """,
    ),
    (
        "SELECT id, pool_id, digest, members::text FROM rosters ORDER BY id",
        """
        INSERT INTO rosters (id, pool_id, digest, members) OVERRIDING SYSTEM VALUE
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::jsonb[])
        """,
    ),
]
_FRAMES = "SELECT pool_id, number, start, content::text FROM trail_frames ORDER BY pool_id, number"
_LATENCIES = "SELECT latency_buckets FROM kpi_hours ORDER BY assigned DESC LIMIT 1"


async def rewrite(source: str, target: str) -> float:
    """Write what `source` holds into the empty database `target`; tasks a second, reading and people aside."""
    reader, writer = await asyncpg.connect(source), await asyncpg.connect(target)
    try:
        await _copy_people(reader, writer)
        rows, frames = await reader.fetch(_ROWS), await reader.fetch(_FRAMES)
        latencies = await reader.fetchval(_LATENCIES)
        evidence = [(write, await reader.fetch(read)) for read, write in _EVIDENCE]
        batches = -(-len(rows) // BATCH)
        started = time.perf_counter()
        for write, found in evidence:
            await writer.execute(write, *_columns(found))
        for number in range(batches):
            some = rows[number * BATCH : (number + 1) * BATCH]
            their = frames[number * len(frames) // batches : (number + 1) * len(frames) // batches]
            await writer.execute(_WRITE, *_columns(some), latencies, *(_columns(their) or [()] * 4))
        return len(rows) / (time.perf_counter() - started)
    finally:
        await reader.close()
        await writer.close()


def _columns(rows: Sequence[Any]) -> list[Any]:
    return list(zip(*rows, strict=True))


async def _copy_people(reader: Any, writer: Any) -> None:
    """Executors, their loads and rules with the same ids; the target's own default pool has the same id too."""
    await writer.executemany(
        """
        INSERT INTO rule_sets (id, pool_id, name, version, document, state) OVERRIDING SYSTEM VALUE
        VALUES ($1, $2, $3, $4, $5::jsonb, $6)
        """,
        await reader.fetch("SELECT id, pool_id, name, version, document::text, state FROM rule_sets"),
    )
    people = await reader.fetch("SELECT id, pool_id, name, parameters::text FROM executors ORDER BY id")
    await writer.executemany(
        "INSERT INTO executors (id, pool_id, name, parameters) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4::jsonb)",
        people,
    )
    await writer.execute("""
        INSERT INTO executor_loads (executor_id, pool_id, window_start, business_day)
        SELECT id, pool_id, DATE '2000-01-01', DATE '2000-01-01' FROM executors
        """)
    await writer.execute("ANALYZE")
