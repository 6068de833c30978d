"""The SQL of a task's life after its assignment; locks in the one order: pool, executors by id, tasks by id.

Every statement but the first runs under the pool's lock, so nothing that it reads can change meanwhile.
"""

from app.services.common.received import LESS_OF_LOAD, less_of_days, sums_of_loads
from app.utils.named_sql import Statement

# Where these tasks are; locks nothing.
POOLS_OF_TASKS = "SELECT id, pool_id FROM tasks WHERE id = ANY($1::bigint[])"

# Takes the pool until the transaction ends, waiting for whoever has it, and raises its epoch: workers that decided on
# an older picture change nothing. `now` is the database's clock, as for decisions.
RAISE_EPOCH = """
UPDATE pool_states SET epoch = epoch + 1 WHERE pool_id = $1 RETURNING epoch, clock_timestamp() AS now
"""

# What a move depends on.
TASKS_TO_MOVE = """
SELECT id, status, version, executor_id, route FROM tasks WHERE id = ANY($1::bigint[]) AND pool_id = $2
"""

# Who completed these tasks.
COMPLETED_BY = """
SELECT DISTINCT ON (task_id) task_id, actor FROM task_events
WHERE task_id = ANY($1::bigint[]) AND event = 'complete' ORDER BY task_id, at DESC
"""

# Those of these people who work in the pool.
ACTIVE_PEOPLE = "SELECT id FROM executors WHERE id = ANY($1::bigint[]) AND pool_id = $2 AND active"

OFFER_AGAIN_MINUTES = 15
"""For so long a task is not offered again to whoever declined it, where the pool says nothing else."""

# Moves many tasks: assignments released (and no longer counted where the work was taken back undone), loads, days and
# class counts set right, tasks, history, outbox.
# `bars`: whoever had it does not get it again for a while (`tasks.barred_until`). An offer that was declined or
# ran out has waited since it was first made: it keeps its time and its steps.
MOVE_TASKS = Statement(f"""
WITH moved AS MATERIALIZED (
    SELECT * FROM unnest(:task_ids::bigint[], :events::text[], :from_statuses::text[], :to_statuses::text[],
                         :executor_ids::bigint[], :routes::text[], :releases::bool[], :undone::bool[],
                         :actors::text[], :reasons::text[], :had::bigint[], :bars::bool[])
         AS given(task_id, event, from_status, to_status, executor_id, route, releases, undone, actor, reason, had,
                  bars)
), released AS (
    UPDATE assignments held
    SET released_at = :now, release_reason = moved.event, counted = NOT moved.undone
    FROM moved
    WHERE held.task_id = moved.task_id AND held.released_at IS NULL AND moved.releases
    RETURNING held.id, held.task_id, held.executor_id, held.weight, held.business_day, held.class_id, held.roster_id,
              held.decided_at, moved.undone,
              CASE WHEN held.accepted_at IS NULL THEN held.decided_at END AS offered_at,
              held.kind IN ('primary', 'reassign') AS routed, held.kind <> 'rework' AS anew
), accepted AS (
    UPDATE assignments held SET accepted_at = coalesce(held.accepted_at, :now)
    FROM moved
    WHERE held.task_id = moved.task_id AND held.released_at IS NULL AND moved.event IN ('accept', 'start')
), carried AS (
    UPDATE executor_loads load
    SET epoch = :epoch, open_count = load.open_count - sum.count, open_weight = load.open_weight - sum.weight,
        last_ended = (extract(epoch FROM :now::timestamptz) * 1000000)::bigint,
        {LESS_OF_LOAD}
    FROM ({sums_of_loads("released")}) sum
    WHERE load.executor_id = sum.executor_id
), {less_of_days("released")}
), changed AS (
    UPDATE tasks task
    SET status = moved.to_status, version = version + 1, route = moved.route, executor_id = moved.executor_id,
        wait_reason = NULL, wake_at = NULL, wait_class_id = NULL, wait_explanation = NULL,
        waiting_since = CASE WHEN offered_at IS NOT NULL THEN least(task.waiting_since, offered_at) END,
        escalation = CASE WHEN offered_at IS NOT NULL THEN task.escalation ELSE 0 END,
        barred_executor_id = CASE WHEN bars THEN moved.had ELSE task.barred_executor_id END,
        barred_until = CASE WHEN bars THEN :now + pause.length ELSE task.barred_until END,
        escalate_at = NULL, updated_at = :now, attempts = 0
    FROM (
        SELECT make_interval(
            secs => 60 * coalesce((settings -> 'flow' ->> 'offer_again_minutes')::float8, {OFFER_AGAIN_MINUTES})
        ) AS length
        FROM pools WHERE id = :pool_id
    ) pause, moved LEFT JOIN LATERAL (
        SELECT offered_at FROM released
        WHERE released.task_id = moved.task_id AND moved.event IN ('decline', 'expire')
    ) lapsed ON true
    WHERE task.id = moved.task_id
    RETURNING task.id, task.version, task.home_pool_id
), told AS (
    INSERT INTO task_events (task_id, pool_id, event, from_status, to_status, executor_id, actor, reason, at)
    SELECT task_id, :pool_id, event, from_status, to_status, had, actor, reason, :now FROM moved ORDER BY task_id
), receiver AS MATERIALIZED (
    SELECT :pool_id::bigint AS pool_id, 'ais' AS destination WHERE :deliver::bool
    UNION ALL
    SELECT pool_id, 'webhook:' || id FROM webhooks
    WHERE active AND (pool_id = :pool_id OR pool_id IN (SELECT home_pool_id FROM changed))
), sent AS (
    INSERT INTO outbox (pool_id, task_id, sequence, destination, event, payload)
    SELECT receiver.pool_id, changed.id, changed.version, receiver.destination, moved.event,
           jsonb_build_object('assignment_id', released.id, 'status', moved.to_status, 'executor_id', moved.had,
                              'actor', moved.actor, 'reason', moved.reason)
    FROM changed JOIN moved ON moved.task_id = changed.id LEFT JOIN released ON released.task_id = changed.id
    JOIN receiver ON receiver.pool_id IN (:pool_id, changed.home_pool_id)
)
SELECT id, version, pg_notify(:channel, :tick) FROM changed
""")  # noqa: S608 - the number is ours

# Open work of a pool with the people who have it. `passed`: they passed the rules when they got it; asked only of what
# was given by name, which need not. Reads ix_tasks_open_of_executor.
OPEN_WORK = """
SELECT task.id, task.external_id, task.status, task.parameters, task.weight::float8 AS weight, task.priority,
       task.deadline, task.created_at, task.escalation, person.id AS executor_id, person.name AS executor_name,
       person.external_id AS executor_external_id, person.parameters AS executor_parameters, person.active,
       person.qualification::float8 AS qualification, person.daily_limit::float8 AS daily_limit, person.max_open,
       CASE WHEN held.kind = 'manual'
            THEN coalesce((SELECT ids_have(content -> 'eligible', person.id) FROM class_snapshots
                           WHERE id = held.class_id), false)
            ELSE true END AS passed
FROM executors person
JOIN tasks task ON task.executor_id = person.id AND task.status IN ('assigned', 'in_progress')
JOIN assignments held ON held.task_id = task.id AND held.released_at IS NULL
WHERE person.pool_id = $1
ORDER BY task.id LIMIT $2
"""

POOL_OF_EXECUTOR = "SELECT pool_id FROM executors WHERE id = $1"

# What somebody has in hand; reads ix_tasks_open_of_executor.
OPEN_TASKS_OF = """
SELECT id FROM tasks WHERE executor_id = $1 AND status IN ('assigned', 'in_progress') ORDER BY id
"""

# The same as tasks to be placed anew, away from them.
OPEN_TASKS_TO_PLAN = """
SELECT id, external_id, parameters, weight::float8 AS weight, priority, deadline, created_at,
       NULL::bigint AS parent_id,
       executor_id AS previous_executor, 'reassign' AS route, NULL::bigint AS parent_executor, escalation,
       ARRAY[executor_id] AS barred
FROM tasks WHERE executor_id = $1 AND status IN ('assigned', 'in_progress') ORDER BY id
"""

# Nothing is left to be taken from them: neither for the absences that have begun nor for another reason.
HANDED_OVER = """
WITH absences AS (
    UPDATE executor_absences SET handled_at = clock_timestamp()
    WHERE executor_id = $1 AND handled_at IS NULL AND open_tasks = 'reassign'
      AND starts_at + make_interval(mins => reassign_after_minutes) <= clock_timestamp()
)
UPDATE executors SET reassign_open_at = NULL WHERE id = $1 AND reassign_open_at IS NOT NULL
"""

# With $3 only if they are still inactive by then: whoever comes back before keeps the work.
RELIEVE_LATER = """
UPDATE executors SET reassign_open_at = $2, reassign_if_inactive = $3 WHERE id = $1 RETURNING id
"""

# Whether somebody takes work now, their hours aside.
IS_HERE = """
SELECT active AND availability = 'available' AND NOT EXISTS (
    SELECT FROM executor_absences WHERE executor_id = $1 AND clock_timestamp() BETWEEN starts_at AND ends_at
) FROM executors WHERE id = $1
"""

# Whose open tasks are to be taken by now.
DUE_TO_HAND_OVER = """
SELECT person.pool_id, absence.executor_id, coalesce(nullif(absence.reason, ''), 'absent') AS reason
FROM executor_absences absence JOIN executors person ON person.id = absence.executor_id
WHERE absence.handled_at IS NULL AND absence.open_tasks = 'reassign' AND absence.ends_at > clock_timestamp()
  AND absence.starts_at + make_interval(mins => absence.reassign_after_minutes) <= clock_timestamp()
UNION
SELECT pool_id, id, 'left' FROM executors
WHERE reassign_open_at <= clock_timestamp() AND NOT (reassign_if_inactive AND active)
ORDER BY pool_id, executor_id
"""

# Whether this is so still: asked under the pool's lock, since people come back.
STILL_DUE = f"SELECT true FROM ({DUE_TO_HAND_OVER}) due WHERE executor_id = $1 LIMIT 1"  # noqa: S608 - ours

# Offers that somebody declined or let pass, into their day.
COUNT_DECLINES = """
INSERT INTO executor_days AS day (executor_id, business_day, pool_id, declined_count)
SELECT declined.executor_id, pool_day(pool.timezone, pool.kept_day, pool.kept_day_ends, $2), $1, declined.count
FROM unnest($3::bigint[], $4::int[]) AS declined(executor_id, count) JOIN pools pool ON pool.id = $1
ORDER BY declined.executor_id
ON CONFLICT (executor_id, business_day) DO UPDATE SET declined_count = day.declined_count + excluded.declined_count
"""

# Offers of a pool that were not answered in time; reads ix_tasks_open_of_executor, so the open tasks alone.
UNANSWERED = """
SELECT task.id FROM executors person
JOIN tasks task ON task.executor_id = person.id AND task.status = 'assigned'
JOIN assignments offer ON offer.task_id = task.id AND offer.released_at IS NULL
WHERE person.pool_id = $1 AND offer.accepted_at IS NULL
  AND offer.decided_at < clock_timestamp() - make_interval(secs => $2::float8)
ORDER BY offer.decided_at, task.id LIMIT 500
"""

# Pools with offers or escalation.
POOLS_THAT_FLOW = (
    "SELECT id AS pool_id, settings FROM pools WHERE active AND settings -> 'flow' IS NOT NULL ORDER BY id"
)

# What has waited long enough for step $2 and is not there yet.
DUE_TO_ESCALATE = """
SELECT id FROM tasks
WHERE pool_id = $1 AND status = 'pending' AND wait_reason NOT IN ('set_aside', 'paused') AND escalation < $2
  AND (escalate_at IS NULL OR escalate_at <= clock_timestamp())
  AND waiting_since <= clock_timestamp() - make_interval(secs => $3::float8)
ORDER BY waiting_since, id LIMIT 500
"""

# Takes tasks to a step, has them looked at again and says so in their history; again only what still waits so long ($6,
# in seconds): it may have been placed and come back since it was found.
ESCALATE = """
WITH raised AS (
    UPDATE tasks
    SET escalation = $3, wait_reason = NULL, wake_at = NULL, wait_class_id = NULL, wait_explanation = NULL,
        updated_at = $4
    WHERE id = ANY($2::bigint[]) AND pool_id = $1 AND status = 'pending' AND escalation < $3
      AND waiting_since <= $4::timestamptz - make_interval(secs => $6::float8)
    RETURNING id, executor_id
)
INSERT INTO task_events (task_id, pool_id, event, from_status, to_status, executor_id, actor, reason, at)
SELECT id, $1, 'escalate', 'pending', 'pending', executor_id, 'clock', $5, $4 FROM raised ORDER BY id
"""

# Parks tasks whose next step is another pool until the sweep has moved them; they are looked at again in any case.
AWAIT_MOVE = """
UPDATE tasks
SET wait_reason = 'offered_again_later', wake_at = $4::timestamptz + interval '1 minute', wait_class_id = NULL,
    wait_explanation = NULL, updated_at = $4
WHERE id = ANY($2::bigint[]) AND pool_id = $1 AND status = 'pending' AND escalation < $3
  AND waiting_since <= $4::timestamptz - make_interval(secs => $5::float8)
"""

SETTINGS = "SELECT settings FROM pools WHERE id = $1"

NOW = "SELECT clock_timestamp()"

# The pool where something waits and the one it may go to: what they are called, and whether the second one works.
POOLS_OF_A_MOVE = "SELECT id, code, active FROM pools WHERE id = ANY($1::bigint[])"

# What has waited long enough for step $2, with why; asked under the locks of both pools.
TO_MOVE_ON = """
SELECT id, parameters, wait_reason, wait_explanation FROM tasks
WHERE pool_id = $1 AND status = 'pending' AND wait_reason NOT IN ('set_aside', 'paused') AND escalation < $2
  AND (escalate_at IS NULL OR escalate_at <= clock_timestamp())
  AND waiting_since <= clock_timestamp() - make_interval(secs => $3::float8)
ORDER BY priority DESC, deadline ASC NULLS LAST, created_at, id LIMIT 500
"""

# Takes tasks to another pool; receivers of both hear of it. There they are new: nobody had them, its own steps count
# from now. Home is where they were handed in; back there they are at home again.
MOVE_ON = Statement("""
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(:task_ids::bigint[], :parameters::jsonb[], :reasons::text[])
         AS given(task_id, parameters, reason)
), moved AS (
    UPDATE tasks task
    SET pool_id = :target, home_pool_id = nullif(coalesce(task.home_pool_id, task.pool_id), :target), moved_at = :now,
        parameters = given.parameters, version = version + 1, escalation = 0, escalate_at = NULL, route = NULL,
        executor_id = NULL, barred_executor_id = NULL, barred_until = NULL,
        attempts = 0, wait_reason = NULL, wake_at = NULL, wait_class_id = NULL, wait_explanation = NULL,
        waiting_since = NULL, updated_at = :now
    FROM given WHERE task.id = given.task_id AND task.pool_id = :source
    RETURNING task.id, task.version, task.home_pool_id, given.reason
), told AS (
    INSERT INTO task_events (task_id, pool_id, event, from_status, to_status, actor, reason, at)
    SELECT id, :source, 'moved_on', 'pending', 'pending', 'clock', reason, :now FROM moved ORDER BY id
), receiver AS MATERIALIZED (
    SELECT :target::bigint AS pool_id, 'ais' AS destination WHERE :deliver::bool
    UNION ALL
    SELECT pool_id, 'webhook:' || id FROM webhooks
    WHERE active AND (pool_id IN (:source, :target) OR pool_id IN (SELECT home_pool_id FROM moved))
), sent AS (
    INSERT INTO outbox (pool_id, task_id, sequence, destination, event, payload)
    SELECT receiver.pool_id, moved.id, moved.version, receiver.destination, 'moved_on',
           jsonb_build_object('status', 'pending', 'actor', 'clock', 'reason', moved.reason, 'to_pool_id', :target)
    FROM moved JOIN receiver ON receiver.pool_id IN (:source, :target, moved.home_pool_id)
)
SELECT count(*) AS count, pg_notify(:channel, :source_tick), pg_notify(:channel, :target_tick) FROM moved
""")

# What is due for step $2 stays, because the other pool takes nothing now; said once in the history, with no lock.
STAY_CLOSED = """
INSERT INTO task_events (task_id, pool_id, event, from_status, to_status, actor, reason, at)
SELECT due.id, $1, 'escalate', 'pending', 'pending', 'clock', $4, clock_timestamp()
FROM tasks due
WHERE pool_id = $1 AND status = 'pending' AND wait_reason NOT IN ('set_aside', 'paused') AND escalation < $2
  AND waiting_since <= clock_timestamp() - make_interval(secs => $3::float8)
  AND NOT EXISTS (SELECT FROM task_events said WHERE said.task_id = due.id AND said.event = 'escalate'
                  AND said.reason = $4)
ORDER BY due.id LIMIT 500
"""

# Tasks that were to go on and stay: tried again in a minute. Their history says why, once for each fault ($4).
STAY = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[]) AS given(task_id, reason, fault)
), stayed AS (
    UPDATE tasks task
    SET escalate_at = $5::timestamptz + interval '1 minute',
        wake_at = CASE WHEN wait_explanation IS NULL THEN $5 ELSE wake_at END
    FROM given WHERE task.id = given.task_id AND task.pool_id = $1
    RETURNING task.id, given.reason, given.fault
)
INSERT INTO task_events (task_id, pool_id, event, from_status, to_status, actor, reason, at)
SELECT id, $1, 'escalate', 'pending', 'pending', 'clock', reason, $5 FROM stayed
WHERE NOT EXISTS (SELECT FROM task_events said WHERE said.task_id = stayed.id AND said.event = 'escalate'
                  AND position(stayed.fault IN said.reason) > 0)
ORDER BY id
"""

# Ends sessions that have been within a statement and waiting for their process for so long: it stopped between
# preparing the statement and executing it. To the server they are active, so no timeout of PostgreSQL 15 and 16 ends
# them (idle ones it ends itself, and a statement's timeout is not looked at while its next message is waited for).
END_HUNG = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE state = 'active' AND wait_event = 'ClientRead' AND state_change < clock_timestamp() - make_interval(secs => $1)
  AND datname = current_database() AND usename = session_user AND application_name LIKE 'executor-balancer%'
"""
