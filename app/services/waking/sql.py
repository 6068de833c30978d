"""The SQL of waking what waits. Events run it under the pool's lock, so nothing that it reads can change meanwhile.

The sweep for what was overlooked runs without: it holds nobody up, and what it misses it finds the next time.
Parked tasks are found by class. The class of a task's last look stays with it; what that class is since people changed
stands in `class_snapshots.current_id`, so that a change of people rewrites classes and not the tasks in them.
"""

# Parked classes of a pool, found by leaping along ix_tasks_parked_in_order, whatever the number of tasks.
_PARKED_CLASSES = """
class(id) AS (
    (SELECT wait_class_id FROM tasks
     WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL AND wait_class_id IS NOT NULL
     ORDER BY wait_class_id LIMIT 1)
    UNION ALL
    SELECT (SELECT wait_class_id FROM tasks
            WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL AND wait_class_id > class.id
            ORDER BY wait_class_id LIMIT 1)
    FROM class WHERE class.id IS NOT NULL
)"""

_FEW = 64
_AT_ONCE = 1000

# Wakes what these people may now have room for, and not more: of the parked tasks of classes in which they are eligible
# that fit into what is left of their day, the first ones in order, as many as they have free slots (100 where open work
# has no limit); and what is bound to one of them, which needs no room. Few people are looked at each alone. But who
# comes together would all mean the same first task, so they are counted together as well: of each class no more than
# those eligible have slots for, of all of them no more than all have slots; of a crowd only so. What that leaves out
# because people do several classes, the next look finds. Few people are looked for in each class, of many the classes
# are unfolded. An array of ids, since of a set the planner may expect so many that it reads all tasks.
WAKE_FOR = f"""
WITH RECURSIVE {_PARKED_CLASSES}, freed AS MATERIALIZED (
    SELECT person.id,
           least(100, coalesce(person.max_open - load.open_count, 100)) AS slots,
           person.daily_limit
               - CASE WHEN load.business_day = $3::date THEN load.day_routed ELSE 0 END AS room
    FROM executors person JOIN executor_loads load ON load.executor_id = person.id
    WHERE person.pool_id = $1 AND person.active AND person.availability = 'available'
      AND (person.id = ANY($2::bigint[]) OR ($2 IS NULL AND load.present))
), free AS MATERIALIZED (
    SELECT * FROM freed WHERE slots > 0 AND coalesce(room, 1) > 0
), current AS (
    SELECT class.id AS class_id, coalesce(looked.current_id, looked.id) AS now_id
    FROM class JOIN class_snapshots looked ON looked.id = class.id
    WHERE EXISTS (SELECT FROM free)
), able AS (
    SELECT free.*, current.class_id
    FROM current JOIN class_snapshots seen ON seen.id = current.now_id
    JOIN free ON ids_have(seen.content -> 'eligible', free.id)
    WHERE cardinality($2) <= 4
    UNION ALL
    SELECT free.*, current.class_id
    FROM current JOIN class_snapshots seen ON seen.id = current.now_id
    CROSS JOIN LATERAL ids_of(seen.content -> 'eligible') person(id)
    JOIN free ON free.id = person.id
    WHERE (cardinality($2) <= 4) IS NOT TRUE
), alone AS (
    SELECT task_id
    FROM (
        SELECT able.slots, first.task_id, row_number() OVER (
                   PARTITION BY able.id
                   ORDER BY first.priority DESC, first.deadline ASC NULLS LAST, first.created_at, first.task_id
               ) AS place
        FROM able CROSS JOIN LATERAL (
            SELECT task.id AS task_id, task.priority, task.deadline, task.created_at
            FROM tasks task
            WHERE task.pool_id = $1 AND task.status = 'pending' AND task.wait_reason IS NOT NULL
              AND task.wait_class_id = able.class_id
              AND (able.room IS NULL
                   OR coalesce((task.wait_explanation ->> 'weight')::numeric, task.weight) <= able.room)
              AND NOT coalesce(task.wait_explanation -> 'barred' @> to_jsonb(able.id), false)
              AND (task.wait_reason <> 'held_back' OR $2 IS NOT NULL)
            ORDER BY task.priority DESC, task.deadline ASC NULLS LAST, task.created_at, task.id
            LIMIT able.slots
        ) first
        WHERE (SELECT count(*) FROM free) <= {_FEW}
    ) one
    WHERE place <= slots
), several AS (
    SELECT class_id, least(sum(slots), {_AT_ONCE}) AS slots,
           CASE WHEN count(room) = count(*) THEN max(room) END AS room,
           CASE WHEN count(*) <= {_FEW} THEN jsonb_agg(id) END AS ids
    FROM able GROUP BY class_id HAVING count(*) > 1 OR (SELECT count(*) FROM free) > {_FEW}
), waiting AS MATERIALIZED (
    SELECT several.class_id, first.* FROM several CROSS JOIN LATERAL (
        SELECT task.id AS task_id, task.priority, task.deadline, task.created_at,
               coalesce((task.wait_explanation ->> 'weight')::numeric, task.weight) AS weight
        FROM tasks task
        WHERE task.pool_id = $1 AND task.status = 'pending' AND task.wait_reason IS NOT NULL
          AND task.wait_class_id = several.class_id
          AND (several.room IS NULL
               OR coalesce((task.wait_explanation ->> 'weight')::numeric, task.weight) <= several.room)
          AND NOT coalesce(task.wait_explanation -> 'barred' @> several.ids, false)
          AND (task.wait_reason <> 'held_back' OR $2 IS NOT NULL)
        ORDER BY task.priority DESC, task.deadline ASC NULLS LAST, task.created_at, task.id
        LIMIT several.slots
    ) first
), lightest AS (
    SELECT class_id, greatest(min(weight), 0.001) AS weight FROM waiting GROUP BY class_id
), together AS (
    SELECT class_id, sum(least(slots, floor(coalesce(room / lightest.weight, slots)))) AS slots
    FROM able JOIN lightest USING (class_id) GROUP BY class_id
), candidate AS (
    SELECT waiting.*, together.slots, row_number() OVER (
               PARTITION BY class_id ORDER BY priority DESC, deadline ASC NULLS LAST, created_at, task_id
           ) AS number
    FROM waiting JOIN together USING (class_id)
), shared AS (
    SELECT task_id FROM candidate WHERE number <= slots
    ORDER BY priority DESC, deadline ASC NULLS LAST, created_at, task_id
    LIMIT (SELECT least(sum(slots), {_AT_ONCE}) FROM free)
), bound AS (
    SELECT task.id
    FROM tasks task LEFT JOIN tasks parent ON parent.id = task.parent_id AND parent.pool_id = task.pool_id
    JOIN freed ON freed.id = CASE WHEN task.route IN ('rework', 'manual') THEN task.executor_id
                                  WHEN task.route IS NULL THEN parent.executor_id END
    WHERE task.pool_id = $1 AND task.status = 'pending' AND task.wait_reason IS NOT NULL
      AND task.wait_reason NOT IN ('set_aside', 'paused')
      AND (task.parent_id IS NOT NULL OR task.route IN ('rework', 'manual')) AND $2 IS NOT NULL
)
UPDATE tasks SET wait_reason = NULL, wake_at = NULL, updated_at = clock_timestamp()
WHERE id = ANY(ARRAY(SELECT task_id FROM alone UNION SELECT task_id FROM shared UNION SELECT id FROM bound))
  AND status = 'pending'
RETURNING id
"""  # noqa: S608 - both parts are ours

# The pool's business day.
TODAY = "SELECT pool_day(timezone, kept_day, kept_day_ends, clock_timestamp()) FROM pools WHERE id = $1"

# Wakes the first task of each parked class that was not looked at since somebody changed in a way that rules may read.
# What a worker finds about it holds for its whole class: see `app.services.waking.waking.keep_current`.
WAKE_SCOUTS = f"""
WITH RECURSIVE {_PARKED_CLASSES}
UPDATE tasks SET wait_reason = NULL, wake_at = NULL, updated_at = clock_timestamp()
WHERE id IN (
    SELECT first.id
    FROM class
    JOIN class_snapshots looked ON looked.id = class.id
    JOIN pool_states state ON state.pool_id = $1
    CROSS JOIN LATERAL (
        SELECT task.id FROM tasks task
        WHERE task.pool_id = $1 AND task.status = 'pending' AND task.wait_reason IS NOT NULL
          AND task.wait_class_id = class.id
        ORDER BY task.priority DESC, task.deadline ASC NULLS LAST, task.created_at, task.id LIMIT 1
    ) first
    WHERE looked.checked_epoch < state.people_epoch
) AND status = 'pending'
RETURNING id
"""  # noqa: S608 - both parts are ours

# Wakes everything of a pool (or, with $2, what has escalated): tasks that were alike need not be so any longer, so
# their classes are forgotten.
WAKE_ALL = """
UPDATE tasks
SET wait_reason = NULL, wake_at = NULL, wait_class_id = NULL, wait_explanation = NULL, updated_at = clock_timestamp()
WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL AND wait_reason NOT IN ('set_aside', 'paused')
  AND escalation >= $2
RETURNING id
"""

# Takes up again what workers died of: what it needed may have been mended.
WAKE_ASIDE = """
UPDATE tasks SET wait_reason = NULL, wake_at = NULL, attempts = 0, updated_at = clock_timestamp()
WHERE pool_id = $1 AND status = 'pending' AND wait_reason = 'set_aside'
"""

# Stops a pool: what waits for another reason waits for this one now, found under no class, so that no event wakes it.
# What no worker has looked at is parked by the next look.
PAUSE = """
UPDATE tasks
SET wait_reason = 'paused', wait_class_id = NULL, updated_at = clock_timestamp(),
    wake_at = (SELECT paused_until FROM pools WHERE id = $1)
WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL AND wait_reason <> 'set_aside'
"""

# Lets a pool go on: all that it held back is looked at again.
GO_ON = """
UPDATE tasks SET wait_reason = NULL, wake_at = NULL, wait_explanation = NULL, updated_at = clock_timestamp()
WHERE pool_id = $1 AND status = 'pending' AND wait_reason = 'paused'
"""

PAUSES_OVER = "SELECT id FROM pools WHERE NOT active AND paused_until <= clock_timestamp() ORDER BY id"

# The pool is told to go on, under its lock and with a new configuration; again only if its pause is over still.
TAKE_CONFIGURED = "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1 WHERE pool_id = $1"
END_PAUSE = """
UPDATE pools SET active = true, paused_until = NULL, updated_at = clock_timestamp()
WHERE id = $1 AND NOT active AND paused_until <= clock_timestamp() RETURNING id
"""

# What the classes of looked-at tasks ($1) are now ($2, often themselves), as seen at epoch $3. Says of each whether
# that is news.
KEEP_CURRENT = """
UPDATE class_snapshots class SET current_id = nullif(seen.now_id, class.id), checked_epoch = $3
FROM unnest($1::bigint[], $2::bigint[]) AS seen(looked_id, now_id)
JOIN class_snapshots before ON before.id = seen.looked_id
WHERE class.id = seen.looked_id
RETURNING before.current_id IS DISTINCT FROM class.current_id AS moved
"""

# Under which classes tasks wait that are these classes now.
GROUPS = """
SELECT current_id, min(id) AS id FROM class_snapshots
WHERE pool_id = $1 AND current_id = ANY($2::bigint[])
  AND checked_epoch >= (SELECT people_epoch FROM pool_states WHERE pool_id = $1)
GROUP BY current_id
"""

# Somebody changed: the clock is asked again at the next sweep, and with $2 classes are looked at anew.
PEOPLE_CHANGED = """
UPDATE pool_states
SET wake_at = clock_timestamp(), people_epoch = CASE WHEN $2::bool THEN epoch ELSE people_epoch END
WHERE pool_id = $1
"""

# Pools whose clock is due.
CLOCK_DUE = "SELECT pool_id FROM pool_states WHERE wake_at <= now() ORDER BY pool_id"

# Takes such a pool; no row where somebody else has it or was first. It waits for nobody: the next sweep comes.
TAKE_DUE = """
SELECT state.pool_id, clock_timestamp() AS now,
       pool.timezone, pool.timezone_before, pool.kept_day, pool.kept_day_begins, pool.kept_day_ends,
       EXISTS (SELECT FROM tasks WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL) AS parked
FROM pool_states state JOIN pools pool ON pool.id = state.pool_id
WHERE state.pool_id = $1 AND state.wake_at <= now() FOR NO KEY UPDATE OF state SKIP LOCKED
"""

# When people work, and when that may change.
CALENDARS = """
SELECT person.id, person.active, person.availability, person.working_hours, absence.away, absence.edge, load.present
FROM executors person JOIN executor_loads load ON load.executor_id = person.id
LEFT JOIN LATERAL (
    SELECT bool_or(starts_at <= $2) AS away, min(CASE WHEN starts_at > $2 THEN starts_at ELSE ends_at END) AS edge
    FROM executor_absences WHERE executor_id = person.id AND ends_at > $2
) absence ON true
WHERE person.pool_id = $1 AND person.active AND person.availability = 'available'
"""

SET_CLOCK = "UPDATE pool_states SET wake_at = $2 WHERE pool_id = $1"

# What waits until an instant of its own (it was set aside, or its people are barred for a while) is looked at then;
# found by ix_tasks_parked.
WAKE_DUE = """
UPDATE tasks task SET wait_reason = NULL, wake_at = NULL, attempts = 0, updated_at = clock_timestamp()
FROM pools pool
WHERE task.pool_id = pool.id AND task.wake_at <= now() AND task.status = 'pending' AND task.wait_reason IS NOT NULL
"""

# Pools in which something waits; reads ix_tasks_parked_in_order. `changed` is when people last changed in any way.
POOLS_WITH_PARKED = """
SELECT id AS pool_id, (SELECT max(epoch) FROM executors WHERE pool_id = pools.id) AS changed FROM pools
WHERE EXISTS (SELECT FROM tasks WHERE pool_id = pools.id AND status = 'pending' AND wait_reason IS NOT NULL)
ORDER BY id
"""

# Wakes some of what was last looked at before epoch $2, so that the reasons that it shows become true again.
LOOK_AGAIN = """
UPDATE tasks SET wait_reason = NULL, wake_at = NULL, updated_at = clock_timestamp()
WHERE id IN (
    SELECT id FROM tasks
    WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL AND wait_reason NOT IN ('set_aside', 'paused')
      AND (wait_explanation ->> 'frame')::bigint < $2
    LIMIT $3
) AND status = 'pending'
RETURNING id
"""
