"""The SQL of a task's life after its assignment; locks in the one order: pool, executors by id, tasks by id.

Every statement but the first runs under the pool's lock, so nothing that it reads can change meanwhile.
"""

# Where these tasks are; locks nothing.
POOLS_OF_TASKS = "SELECT id, pool_id FROM tasks WHERE id = ANY($1::bigint[])"

# Takes the pool until the transaction ends, waiting for whoever has it, and raises its epoch: workers that decided on
# an older picture change nothing. `now` is the database's clock, as for decisions.
TAKE_POOL = """
UPDATE pool_states SET epoch = epoch + 1 WHERE pool_id = $1 RETURNING epoch, clock_timestamp() AS now
"""

# What a move depends on.
TASKS_TO_MOVE = """
SELECT id, status, version, executor_id, route FROM tasks WHERE id = ANY($1::bigint[]) AND pool_id = $2
"""

# Those of these people who work in the pool.
ACTIVE_PEOPLE = "SELECT id FROM executors WHERE id = ANY($1::bigint[]) AND pool_id = $2 AND active"

# Moves many tasks: assignments released (and no longer counted where the work was taken back undone), loads, days and
# class counts set right, tasks, history, outbox. A class count loses what was undone in the hour in which it was
# decided; which of that hour's rosters it was is not kept, so the largest gives it.
MOVE_TASKS = """
WITH moved AS MATERIALIZED (
    SELECT * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bool[],
                         $10::bool[], $11::text[], $12::text[], $13::bigint[])
         AS given(task_id, event, from_status, to_status, executor_id, route, releases, undone, actor, reason, had)
), released AS (
    UPDATE assignments held
    SET released_at = $14, release_reason = moved.event, counted = NOT moved.undone
    FROM moved WHERE held.task_id = moved.task_id AND held.released_at IS NULL AND moved.releases
    RETURNING held.id, held.task_id, held.executor_id, held.weight, held.business_day, held.class_id,
              date_trunc('hour', held.decided_at) AS hour, held.kind IN ('primary', 'reassign') AS routed, moved.undone
), carried AS (
    UPDATE executor_loads load
    SET epoch = $2,
        open_count = load.open_count - sum.count,
        open_weight = load.open_weight - sum.weight,
        window_weight = load.window_weight - sum.of_window,
        day_count = load.day_count - sum.count_of_day,
        day_weight = load.day_weight - sum.of_day,
        day_routed = load.day_routed - sum.routed_of_day
    FROM (
        SELECT executor_id, count(*) AS count, sum(weight) AS weight,
               coalesce(sum(weight) FILTER (WHERE undone AND released.business_day >= own.window_start), 0)
                   AS of_window,
               count(*) FILTER (WHERE undone AND released.business_day = own.business_day) AS count_of_day,
               coalesce(sum(weight) FILTER (WHERE undone AND released.business_day = own.business_day), 0) AS of_day,
               coalesce(sum(weight) FILTER (WHERE undone AND routed AND released.business_day = own.business_day), 0)
                   AS routed_of_day
        FROM released JOIN executor_loads own USING (executor_id)
        GROUP BY executor_id
    ) sum
    WHERE load.executor_id = sum.executor_id
), days AS (
    UPDATE executor_days day
    SET assigned_count = day.assigned_count - sum.count,
        assigned_weight = day.assigned_weight - sum.weight,
        routed_weight = day.routed_weight - sum.routed
    FROM (
        SELECT executor_id, business_day, count(*) AS count, sum(weight) AS weight,
               coalesce(sum(weight) FILTER (WHERE routed), 0) AS routed
        FROM released WHERE undone GROUP BY executor_id, business_day
    ) sum
    WHERE day.executor_id = sum.executor_id AND day.business_day = sum.business_day
), classes AS (
    UPDATE class_hours placed
    SET placed_count = greatest(placed.placed_count - sum.count, 0),
        placed_weight = greatest(placed.placed_weight - sum.weight, 0)
    FROM (
        SELECT class_id, hour, count(*) AS count, sum(weight) AS weight
        FROM released WHERE undone AND routed AND class_id IS NOT NULL GROUP BY class_id, hour
    ) sum
    WHERE placed.class_id = sum.class_id AND placed.hour = sum.hour
      AND placed.roster_id = (SELECT roster_id FROM class_hours
                              WHERE class_id = sum.class_id AND hour = sum.hour
                              ORDER BY placed_weight DESC, roster_id LIMIT 1)
), changed AS (
    UPDATE tasks task
    SET status = moved.to_status, version = version + 1, route = moved.route, executor_id = moved.executor_id,
        wait_reason = NULL, wake_at = NULL, wait_class_id = NULL, wait_explanation = NULL,
        waiting_since = NULL, updated_at = $14
    FROM moved WHERE task.id = moved.task_id
    RETURNING task.id, task.version
), told AS (
    INSERT INTO task_events (task_id, pool_id, event, from_status, to_status, executor_id, actor, reason, at)
    SELECT task_id, $1, event, from_status, to_status, had, actor, reason, $14 FROM moved ORDER BY task_id
), sent AS (
    INSERT INTO outbox (pool_id, task_id, sequence, event, payload)
    SELECT $1, changed.id, changed.version, moved.event,
           jsonb_build_object('assignment_id', released.id, 'status', moved.to_status, 'executor_id', moved.had,
                              'actor', moved.actor, 'reason', moved.reason)
    FROM changed JOIN moved ON moved.task_id = changed.id LEFT JOIN released ON released.task_id = changed.id
    WHERE $15::bool
)
SELECT id, version, pg_notify($16, $17) FROM changed
"""

# Wakes what these people may now have room for, and not more: of the parked tasks of classes in which they are eligible
# that fit into what is left of their day, the first ones in order, as many as they have free slots (100 where open work
# has no limit). Classes are found by leaping along ix_tasks_parked_of_class, whatever the number of tasks.
WAKE_FOR = """
WITH RECURSIVE class(id) AS (
    (SELECT wait_class_id FROM tasks
     WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL AND wait_class_id IS NOT NULL
     ORDER BY wait_class_id LIMIT 1)
    UNION ALL
    SELECT (SELECT wait_class_id FROM tasks
            WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL AND wait_class_id > class.id
            ORDER BY wait_class_id LIMIT 1)
    FROM class WHERE class.id IS NOT NULL
), freed AS MATERIALIZED (
    SELECT person.id,
           least(100, coalesce(person.max_open - load.open_count, 100)) AS slots,
           person.daily_limit
               - CASE WHEN load.business_day = $3::date THEN load.day_routed ELSE 0 END AS room
    FROM executors person JOIN executor_loads load ON load.executor_id = person.id
    WHERE person.pool_id = $1 AND person.active AND person.availability = 'available'
      AND (person.id = ANY($2::bigint[]) OR ($2 IS NULL AND load.present))
), able AS (
    SELECT freed.*, class.id AS class_id
    FROM freed JOIN class ON class.id IS NOT NULL
    JOIN class_snapshots seen ON seen.id = class.id
    WHERE freed.slots > 0 AND coalesce(freed.room, 1) > 0 AND seen.content -> 'eligible' @> to_jsonb(freed.id)
), candidate AS (
    SELECT able.id AS executor_id, able.slots, first.*
    FROM able CROSS JOIN LATERAL (
        SELECT task.id AS task_id, task.priority, task.deadline
        FROM tasks task
        WHERE task.pool_id = $1 AND task.status = 'pending' AND task.wait_reason IS NOT NULL
          AND task.wait_class_id = able.class_id
          AND (able.room IS NULL OR coalesce((task.wait_explanation ->> 'weight')::numeric, task.weight) <= able.room)
          AND NOT (task.route IS NOT DISTINCT FROM 'reassign' AND task.executor_id IS NOT DISTINCT FROM able.id)
        ORDER BY task.priority DESC, task.deadline ASC NULLS LAST, task.id
        LIMIT able.slots
    ) first
), ranked AS (
    SELECT task_id, slots,
           row_number() OVER (PARTITION BY executor_id
                              ORDER BY priority DESC, deadline ASC NULLS LAST, task_id) AS place
    FROM candidate
)
UPDATE tasks SET wait_reason = NULL, wake_at = NULL, updated_at = clock_timestamp()
WHERE id IN (SELECT task_id FROM ranked WHERE place <= slots) AND status = 'pending'
RETURNING id
"""

# The pool's business day.
TODAY = "SELECT (clock_timestamp() AT TIME ZONE timezone)::date FROM pools WHERE id = $1"
