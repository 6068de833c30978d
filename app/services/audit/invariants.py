"""The invariants that must hold in any database of ours, each as a query that finds what breaks it.

DESIGN numbers: 1 nothing lost, 2 one current assignment, 3 limits and eligibility, 4 counters equal assignments,
5 outbox in order, 7 nobody waits unseen or in vain. `repair_counters` sets the counters to what the assignments say,
under each pool's lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.database import HotConnection, HotPool

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: its name, what it promises, and the query whose rows break it."""

    name: str
    promise: str
    query: str


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant with how many rows break it and the first of them."""

    check: Check
    count: int
    examples: Sequence[str]


_SUMS = """
SELECT executor_id, business_day, sum(count) AS count, sum(weight) AS weight, sum(routed) AS routed
FROM (
    SELECT executor_id, business_day, CASE WHEN kind = 'rework' THEN 0 ELSE 1 END AS count, weight,
           CASE WHEN kind IN ('primary', 'reassign') THEN weight ELSE 0 END AS routed
    FROM assignments WHERE counted
    UNION ALL
    SELECT executor_id, business_day, count, weight, routed FROM archived_days
) every
GROUP BY executor_id, business_day
"""

# An executor whom the clock does not bind and who has room for a task of this weight.
_WITH_ROOM = """
person.active AND person.availability = 'available' AND person.working_hours IS NULL
AND NOT EXISTS (SELECT FROM executor_absences absence
                WHERE absence.executor_id = person.id AND now() BETWEEN absence.starts_at AND absence.ends_at)
AND (person.daily_limit IS NULL
     OR CASE WHEN load.business_day = pool_day(pool.timezone, pool.kept_day, pool.kept_day_ends, now())
             THEN load.day_routed ELSE 0 END
        + waiting.weight <= person.daily_limit)
AND (person.max_open IS NULL OR load.open_count < person.max_open)
"""

CHECKS = (
    Check(
        "nothing_lost",
        "every key that a client was answered for has its task",
        """
        SELECT used.pool_id, used.key, used.task_id FROM idempotency_keys used
        LEFT JOIN tasks task ON task.id = used.task_id WHERE task.id IS NULL
        """,
    ),
    Check(
        "one_current_assignment",
        "an assigned task has exactly one current assignment, and it names the task's executor",
        """
        SELECT task.id AS task_id, task.status, task.executor_id, current.executor_id AS assigned_to
        FROM tasks task
        LEFT JOIN assignments current ON current.task_id = task.id AND current.released_at IS NULL
        WHERE (task.status IN ('assigned', 'in_progress')) <> (current.id IS NOT NULL)
           OR (current.id IS NOT NULL AND current.executor_id IS DISTINCT FROM task.executor_id)
        """,
    ),
    Check(
        "no_strays",
        "every assignment names a task and an executor of its own pool (a past one: of the pool where the task was)",
        """
        SELECT current.id AS assignment_id, current.task_id, current.executor_id
        FROM assignments current
        LEFT JOIN tasks task ON task.id = current.task_id
                            AND (task.pool_id = current.pool_id OR current.released_at IS NOT NULL)
        LEFT JOIN executors person ON person.id = current.executor_id AND person.pool_id = current.pool_id
        WHERE task.id IS NULL OR person.id IS NULL
        """,
    ),
    Check(
        "home_kept",
        "a task that went on has a home that exists and is another pool, and says since when",
        """
        SELECT task.id AS task_id, task.pool_id, task.home_pool_id, task.moved_at
        FROM tasks task LEFT JOIN pools home ON home.id = task.home_pool_id
        WHERE task.home_pool_id IS NOT NULL
          AND (home.id IS NULL OR task.home_pool_id = task.pool_id OR task.moved_at IS NULL)
        """,
    ),
    Check(
        "eligible",
        "routed work of the last day went to people whom the rules of its class allow",
        """
        SELECT routed.class_id, routed.executor_id
        FROM (SELECT DISTINCT class_id, executor_id FROM assignments
              WHERE decided_at > now() - interval '1 day' AND class_id IS NOT NULL
                AND kind IN ('primary', 'reassign')) routed
        JOIN class_snapshots class ON class.id = routed.class_id
        WHERE NOT ids_have(class.content -> 'eligible', routed.executor_id)
        """,
    ),
    Check(
        "day_counters",
        "what executor_days say is what the counted assignments sum up to",
        f"""
        SELECT coalesce(day.executor_id, sums.executor_id) AS executor_id,
               coalesce(day.business_day, sums.business_day) AS business_day,
               day.assigned_count, sums.count, day.assigned_weight, sums.weight, day.routed_weight, sums.routed
        FROM executor_days day
        FULL JOIN ({_SUMS}) sums USING (executor_id, business_day)
        WHERE coalesce(day.assigned_count, 0) <> coalesce(sums.count, 0)
           OR coalesce(day.assigned_weight, 0) <> coalesce(sums.weight, 0)
           OR coalesce(day.routed_weight, 0) <> coalesce(sums.routed, 0)
        """,
    ),
    Check(
        "received_by_one",
        "a task counts as received by the person who has it or completed it, and by no other",
        """
        SELECT held.task_id, held.executor_id, task.status, task.executor_id AS has_it
        FROM assignments held JOIN tasks task ON task.id = held.task_id
        WHERE held.counted AND held.roster_id IS NOT NULL
          AND (task.status IN ('rejected', 'cancelled') OR task.executor_id IS DISTINCT FROM held.executor_id)
        """,
    ),
    Check(
        "load_counters",
        "what executor_loads say of the current day and of open work is what the assignments say",
        f"""
        SELECT load.executor_id, load.open_count, open.count AS open, load.day_count, sums.count, load.day_routed,
               sums.routed
        FROM executor_loads load
        LEFT JOIN ({_SUMS}) sums USING (executor_id, business_day)
        LEFT JOIN (
            SELECT executor_id, count(*) AS count, sum(weight) AS weight FROM assignments
            WHERE released_at IS NULL GROUP BY executor_id
        ) open USING (executor_id)
        WHERE load.open_count <> coalesce(open.count, 0)
           OR load.open_weight <> coalesce(open.weight, 0)
           OR load.day_count <> coalesce(sums.count, 0)
           OR load.day_weight <> coalesce(sums.weight, 0)
           OR load.day_routed <> coalesce(sums.routed, 0)
        """,
    ),
    Check(
        "window_counters",
        "what executor_loads say of the fairness window is the sum of its days",
        """
        SELECT load.executor_id, load.window_start, load.window_weight, sum(day.assigned_weight) AS days
        FROM executor_loads load
        LEFT JOIN executor_days day ON day.executor_id = load.executor_id AND day.business_day >= load.window_start
        GROUP BY load.executor_id, load.window_start, load.window_weight
        HAVING load.window_weight <> coalesce(sum(day.assigned_weight), 0)
        """,
    ),
    Check(
        "daily_limit",
        "routed work of the current day does not exceed the limit that was in force while it was assigned",
        """
        SELECT person.id AS executor_id, load.day_routed, person.daily_limit
        FROM executors person JOIN executor_loads load ON load.executor_id = person.id
        WHERE load.day_routed > person.daily_limit
          AND person.updated_at < (SELECT max(decided_at) FROM assignments
                                   WHERE executor_id = person.id AND kind IN ('primary', 'reassign'))
        """,
    ),
    Check(
        "max_open",
        "nobody has more open tasks than allowed, forced work aside",
        """
        SELECT person.id AS executor_id, count(*) AS open, person.max_open
        FROM executors person
        JOIN assignments current ON current.executor_id = person.id AND current.released_at IS NULL
                                AND current.kind IN ('primary', 'reassign')
        GROUP BY person.id
        HAVING count(*) > person.max_open AND person.updated_at < max(current.decided_at)
        """,
    ),
    Check(
        "outbox_order",
        "no message of a task was delivered while an earlier one was not",
        """
        SELECT late.task_id, late.sequence AS waiting, done.sequence AS delivered
        FROM outbox late JOIN outbox done
          ON done.task_id = late.task_id AND done.destination = late.destination AND done.sequence > late.sequence
        WHERE late.delivered_at IS NULL AND late.dead_at IS NULL AND done.delivered_at IS NOT NULL
        """,
    ),
    Check(
        "nobody_waits_unseen",
        "no task has waited for a worker's look for more than 30 seconds",
        """
        SELECT id AS task_id, pool_id, updated_at FROM tasks
        WHERE status = 'pending' AND wait_reason IS NULL AND updated_at < now() - interval '30 seconds'
        """,
    ),
    Check(
        "nobody_waits_in_vain",
        "no task has waited for more than 30 seconds while somebody eligible has room",
        f"""
        SELECT DISTINCT ON (waiting.class_id, waiting.weight)
               waiting.task_id, waiting.pool_id, person.id AS executor_id, waiting.reason
        FROM (SELECT DISTINCT ON (wait_class_id, coalesce((wait_explanation ->> 'weight')::numeric, weight))
                     id AS task_id, pool_id, wait_class_id AS class_id, wait_reason AS reason,
                     coalesce((wait_explanation ->> 'weight')::numeric, weight) AS weight
              FROM tasks
              WHERE status = 'pending' AND wait_reason NOT IN ('set_aside', 'paused', 'held_back')
                AND route IS NULL AND updated_at < now() - interval '30 seconds') waiting
        JOIN pools pool ON pool.id = waiting.pool_id
        JOIN class_snapshots looked ON looked.id = waiting.class_id
        JOIN class_snapshots class ON class.id = coalesce(looked.current_id, looked.id)
        CROSS JOIN LATERAL ids_of(class.content -> 'eligible') able(id)
        JOIN executors person ON person.id = able.id AND person.pool_id = waiting.pool_id
        JOIN executor_loads load ON load.executor_id = person.id
        WHERE {_WITH_ROOM}
        """,
    ),
)

REPAIR = f"""
UPDATE executor_loads load
SET epoch = $2,
    open_count = coalesce(open.count, 0),
    open_weight = coalesce(open.weight, 0),
    day_count = coalesce(sums.count, 0),
    day_weight = coalesce(sums.weight, 0),
    day_routed = coalesce(sums.routed, 0),
    window_weight = coalesce(span.weight, 0)
FROM executor_loads self
LEFT JOIN ({_SUMS}) sums USING (executor_id, business_day)
LEFT JOIN (
    SELECT executor_id, count(*) AS count, sum(weight) AS weight FROM assignments
    WHERE released_at IS NULL GROUP BY executor_id
) open USING (executor_id)
LEFT JOIN LATERAL (
    SELECT sum(weight) AS weight FROM assignments
    WHERE counted AND executor_id = self.executor_id AND business_day >= self.window_start
) span ON true
WHERE self.executor_id = load.executor_id AND load.pool_id = $1
"""

# What else is counted by day (completed, declined) is not the assignments' to say: it stays.
CLEAR_DAYS = (
    "UPDATE executor_days SET assigned_count = 0, assigned_weight = 0, routed_weight = 0 WHERE pool_id = $1"
)

REPAIR_DAYS = f"""
INSERT INTO executor_days (executor_id, business_day, pool_id, assigned_count, assigned_weight, routed_weight)
SELECT sums.executor_id, sums.business_day, $1, sums.count, sums.weight, sums.routed
FROM ({_SUMS}) sums JOIN executors person ON person.id = sums.executor_id AND person.pool_id = $1
ON CONFLICT (executor_id, business_day) DO UPDATE
SET assigned_count = excluded.assigned_count, assigned_weight = excluded.assigned_weight,
    routed_weight = excluded.routed_weight
"""


async def find_violations(connection: HotConnection) -> list[Violation]:
    """All invariants that do not hold, in one consistent view of the database. Empty: all is well."""
    findings = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for check in CHECKS:
            rows = await connection.fetch(check.query)
            if rows:
                findings.append(Violation(check, len(rows), [_shown(dict(row)) for row in rows[:_SHOWN]]))
    return findings


def _shown(row: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())


async def repair_counters(pool: HotPool) -> int:
    """Set all counters to what the assignments say, pool by pool under its lock; returns how many pools."""
    async with pool.acquire() as connection:
        pools = [
            row["pool_id"]
            for row in await connection.fetch("SELECT pool_id FROM pool_states ORDER BY pool_id")
        ]
        for pool_id in pools:
            async with connection.transaction():
                epoch = await connection.fetchval(
                    "UPDATE pool_states SET epoch = epoch + 1 WHERE pool_id = $1 RETURNING epoch", pool_id
                )
                await connection.execute(CLEAR_DAYS, pool_id)
                await connection.execute(REPAIR_DAYS, pool_id)
                await connection.execute(REPAIR, pool_id, epoch)
        return len(pools)
