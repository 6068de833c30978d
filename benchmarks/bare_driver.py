"""The reference of the end-to-end benchmark: the rows that a run left, written again by the bare driver in bulk."""

import time
from typing import Any

import asyncpg

BATCH = 1000

_ROWS = """
SELECT task.pool_id, task.external_id, task.parameters::text, task.weight::float8, task.priority, task.executor_id,
       decided.kind, decided.rule_set_id, decided.class_id, decided.score, decided.explanation::text,
       decided.business_day, decided.decided_at
FROM tasks task JOIN assignments decided ON decided.task_id = task.id
WHERE task.status = 'assigned' ORDER BY task.id
"""

# One statement a batch, each row once and in its final state; counters once a batch, in order of executors.
_WRITE = """
WITH given AS MATERIALIZED (
    SELECT nextval('tasks_id_seq') AS id, given.*
    FROM unnest($1::bigint[], $2::text[], $3::jsonb[], $4::float8[], $5::int[], $6::bigint[], $7::text[], $8::bigint[],
                $9::bigint[], $10::float8[], $11::jsonb[], $12::date[], $13::timestamptz[])
         AS given(pool_id, external_id, parameters, weight, priority, executor_id, kind, rule_set_id, class_id,
                  score, explanation, business_day, decided_at)
), tasks_written AS (
    INSERT INTO tasks (id, pool_id, external_id, parameters, weight, priority, status, version, executor_id)
    SELECT id, pool_id, external_id, parameters, weight::numeric(14, 3), priority, 'assigned', 2, executor_id FROM given
), assignments_written AS (
    INSERT INTO assignments (task_id, pool_id, executor_id, kind, rule_set_id, class_id, weight, score, explanation,
                             business_day, decided_at)
    SELECT id, pool_id, executor_id, kind, rule_set_id, class_id, weight::numeric(14, 3), score, explanation,
           business_day, decided_at FROM given
), sums AS (
    SELECT pool_id, executor_id, business_day, count(*)::int AS count, sum(weight)::numeric(14, 3) AS weight
    FROM given GROUP BY pool_id, executor_id, business_day
), loads AS (
    UPDATE executor_loads load
    SET open_count = open_count + sums.count, open_weight = open_weight + sums.weight,
        window_weight = window_weight + sums.weight, day_count = day_count + sums.count,
        day_weight = day_weight + sums.weight, day_routed = day_routed + sums.weight
    FROM sums WHERE sums.executor_id = load.executor_id
)
INSERT INTO executor_days AS day
       (executor_id, business_day, pool_id, assigned_count, assigned_weight, routed_weight)
SELECT executor_id, business_day, pool_id, count, weight, weight FROM sums ORDER BY executor_id
ON CONFLICT (executor_id, business_day) DO UPDATE
SET assigned_count = day.assigned_count + excluded.assigned_count,
    assigned_weight = day.assigned_weight + excluded.assigned_weight,
    routed_weight = day.routed_weight + excluded.routed_weight
"""


async def rewrite(source: str, target: str) -> float:
    """Write what `source` holds into the empty database `target`; tasks a second, reading and people aside."""
    reader, writer = await asyncpg.connect(source), await asyncpg.connect(target)
    try:
        await _copy_people(reader, writer)
        rows = await reader.fetch(_ROWS)
        started = time.perf_counter()
        for at in range(0, len(rows), BATCH):
            columns: list[Any] = list(zip(*rows[at : at + BATCH], strict=True))
            await writer.execute(_WRITE, *columns)
        return len(rows) / (time.perf_counter() - started)
    finally:
        await reader.close()
        await writer.close()


async def _copy_people(reader: Any, writer: Any) -> None:
    """Executors and their loads with the same ids; the target's own default pool has the same id too."""
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
