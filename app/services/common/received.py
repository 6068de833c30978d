"""What counts as received: a task, for the person who has it or completed it, and for no other.

What was taken back undone counts no more, wherever it was counted: in loads, in days, and in the class counts that fair
shares are solved from.
"""

from collections.abc import Sequence

from app.database import HotConnection
from app.engine.types import ExecutorId, PoolId, TaskId

LESS_OF_LOAD = """window_weight = load.window_weight - sum.of_window, day_count = load.day_count - sum.count_of_day,
        day_weight = load.day_weight - sum.of_day, day_routed = load.day_routed - sum.routed_of_day"""


def sums_of_loads(gone: str) -> str:
    """What the assignments of a CTE sum up to for each person, and what of it counted in the window and on the day."""
    return f"""
        SELECT executor_id, count(*) AS count, sum(weight) AS weight,
               coalesce(sum(weight) FILTER (WHERE undone AND {gone}.business_day >= own.window_start), 0) AS of_window,
               count(*) FILTER (WHERE undone AND anew AND {gone}.business_day = own.business_day) AS count_of_day,
               coalesce(sum(weight) FILTER (WHERE undone AND {gone}.business_day = own.business_day), 0) AS of_day,
               coalesce(sum(weight) FILTER (WHERE undone AND routed AND {gone}.business_day = own.business_day), 0)
                   AS routed_of_day
        FROM {gone} JOIN executor_loads own USING (executor_id)
        GROUP BY executor_id"""  # noqa: S608 - a name of ours


def less_of_days(gone: str) -> str:
    """Take the undone assignments of a CTE out of days and class counts.

    A class count loses them in the hour in which they were decided, and for those who were present then. Older
    assignments do not say who that was: the largest roster of the hour loses them.
    """
    return f"""days AS (
    UPDATE executor_days day
    SET assigned_count = day.assigned_count - sum.count,
        assigned_weight = day.assigned_weight - sum.weight,
        routed_weight = day.routed_weight - sum.routed
    FROM (
        SELECT executor_id, business_day, count(*) FILTER (WHERE anew) AS count, sum(weight) AS weight,
               coalesce(sum(weight) FILTER (WHERE routed), 0) AS routed
        FROM {gone} WHERE undone GROUP BY executor_id, business_day
    ) sum
    WHERE day.executor_id = sum.executor_id AND day.business_day = sum.business_day
), classes AS (
    UPDATE class_hours placed
    SET placed_count = greatest(placed.placed_count - sum.count, 0),
        placed_weight = greatest(placed.placed_weight - sum.weight, 0)
    FROM (
        SELECT gone.class_id, counted.roster_id, counted.hour, count(*) AS count, sum(gone.weight) AS weight
        FROM {gone} gone CROSS JOIN LATERAL (
            SELECT roster_id, hour FROM class_hours
            WHERE class_id = gone.class_id AND (gone.roster_id IS NULL OR roster_id = gone.roster_id)
              AND hour <= gone.decided_at AND hour > gone.decided_at - interval '1 hour'
            ORDER BY hour DESC, placed_weight DESC, roster_id LIMIT 1
        ) counted
        WHERE gone.undone AND gone.routed GROUP BY gone.class_id, counted.roster_id, counted.hour
    ) sum
    WHERE placed.class_id = sum.class_id AND placed.roster_id = sum.roster_id AND placed.hour = sum.hour"""  # noqa: S608


# What else was counted of these tasks ($3) counts no more: they were taken back, or another person has them. Returns
# the people who received less by that, and so may have room again; their loads are stamped with epoch $2.
TAKE_BACK = f"""
WITH released AS (
    UPDATE assignments held SET counted = false
    WHERE held.task_id = ANY($3::bigint[]) AND held.pool_id = $1 AND held.counted AND held.released_at IS NOT NULL
    RETURNING held.executor_id, held.weight, held.business_day, held.class_id, held.roster_id, held.decided_at,
              true AS undone, held.kind IN ('primary', 'reassign') AS routed, held.kind <> 'rework' AS anew
), carried AS (
    UPDATE executor_loads load SET epoch = $2, {LESS_OF_LOAD}
    FROM ({sums_of_loads("released")}) sum
    WHERE load.executor_id = sum.executor_id
), {less_of_days("released")}
)
SELECT DISTINCT executor_id FROM released ORDER BY executor_id
"""  # noqa: S608 - all parts are ours

# Work that was taken at $3 from a person ($2) who is away. It was given out while they were there, and was theirs by
# right: class counts keep it, so that what is fair for those who stay is what it was; it goes from their own share.
KEEP_SHARES = """
WITH gone AS (
    SELECT held.executor_id, held.weight, held.business_day, held.class_id, held.roster_id, held.decided_at
    FROM assignments held JOIN executors person ON person.id = held.executor_id
    WHERE held.executor_id = $2 AND held.pool_id = $1 AND held.released_at = $3 AND held.release_reason = 'reassign'
      AND held.task_id = ANY($4::bigint[]) AND held.kind IN ('primary', 'reassign')
      AND NOT (person.active AND person.availability = 'available' AND NOT EXISTS (
                   SELECT FROM executor_absences WHERE executor_id = $2 AND $3 BETWEEN starts_at AND ends_at))
), kept AS (
    UPDATE class_hours placed
    SET placed_count = placed.placed_count + sum.count, placed_weight = placed.placed_weight + sum.weight
    FROM (
        SELECT gone.class_id, counted.roster_id, counted.hour, count(*) AS count, sum(gone.weight) AS weight
        FROM gone CROSS JOIN LATERAL (
            SELECT roster_id, hour FROM class_hours
            WHERE class_id = gone.class_id AND roster_id = gone.roster_id
              AND hour <= gone.decided_at AND hour > gone.decided_at - interval '1 hour'
            ORDER BY hour DESC LIMIT 1
        ) counted
        GROUP BY gone.class_id, counted.roster_id, counted.hour
    ) sum
    WHERE placed.class_id = sum.class_id AND placed.roster_id = sum.roster_id AND placed.hour = sum.hour
)
UPDATE executor_days day SET handed_over_weight = day.handed_over_weight + sum.weight
FROM (SELECT business_day, sum(weight) AS weight FROM gone WHERE roster_id IS NOT NULL GROUP BY business_day) sum
WHERE day.executor_id = $2 AND day.business_day = sum.business_day
"""


async def take_back(
    connection: HotConnection, *, pool_id: PoolId, task_ids: Sequence[TaskId], epoch: int
) -> set[ExecutorId]:
    """Count earlier assignments of these tasks no more; returns the people who received less by that.

    Current assignments stay as they are. The caller holds the pool at `epoch`.
    """
    rows = await connection.fetch(TAKE_BACK, pool_id, epoch, task_ids)
    return {ExecutorId(row["executor_id"]) for row in rows}
