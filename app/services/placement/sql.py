"""The SQL of the hot paths, each statement named: what it does, what it locks, in what order.

Locks are taken in one order everywhere: pool (`pool_states`), executors by id, tasks by id.

PostgreSQL plans each statement once for any arrays (a generic plan, from the sixth time on), and takes every array and
every CTE for about ten rows. So none is joined with another: that would be a nested loop over all pairs, which cost
half of a batch's time before. Tables are joined by their primary keys, and what a step returns is all that the next
one needs. tests/schema/test_hot_plans.py holds this.
"""

from app.utils.named_sql import Statement

TICK_CHANNEL = "executor_balancer"
"""NOTIFY channel: one JSON object for each commit that moved tasks, `{"pool": 1, "event": "assigned", "count": 5}`."""

SERVING_CHANNEL = "executor_balancer_serving"
"""What workers tell each other (and whoever rings at them) of a pool: a few words a second, however much is decided.
`{"pool": 1, "by": "host-42", "share": 0.3, "late": false}` says who serves it (`WorkerReport` of
`app.doorbell.pool_owners`), and `{"pool": 1, "watched": 0.04}` that its fairness was measured, in so many seconds."""

# Writes new tasks in the order given. The id is drawn first, so that each input row finds its own answer even where
# external ids are absent: `ids` are in the order given, the other arrays say which of them were written. Waits only for
# a concurrent insert of the same external id or key; rows are inserted in the order of these, so that two batches with
# the same ids cannot wait for each other in a circle.
INSERT_TASKS = Statement("""
WITH input AS MATERIALIZED (
    SELECT nextval('tasks_id_seq') AS id, given.*
    FROM unnest(:pool_ids::bigint[], :external_ids::text[], :parameters::jsonb[], :weights::float8[],
                :priorities::int[], :deadlines::timestamptz[], :parent_ids::bigint[],
                :keys::text[], :fingerprints::text[], :origins::text[])
         WITH ORDINALITY AS given(pool_id, external_id, parameters, weight, priority, deadline, parent_id,
                                  key, fingerprint, origin, ord)
), allowed AS MATERIALIZED (
    SELECT input.* FROM input
    WHERE parent_id IS NULL
       OR (SELECT input.pool_id IN (parent.pool_id, parent.home_pool_id)
           FROM tasks parent WHERE parent.id = input.parent_id)
), keyed AS (
    INSERT INTO idempotency_keys (pool_id, key, fingerprint, task_id)
    SELECT pool_id, key, fingerprint, id FROM allowed WHERE key IS NOT NULL ORDER BY pool_id, key
    ON CONFLICT DO NOTHING
    RETURNING task_id
), created AS (
    INSERT INTO tasks (id, pool_id, external_id, parameters, weight, priority, deadline, parent_id, origin)
    SELECT id, pool_id, external_id, parameters, weight::numeric(14, 3), priority, deadline, parent_id, origin
    FROM allowed WHERE key IS NULL OR id IN (SELECT task_id FROM keyed)
    ORDER BY pool_id, external_id, id
    ON CONFLICT DO NOTHING
    RETURNING id, pool_id
), counted AS (
    INSERT INTO kpi_hours AS hour (pool_id, hour, stripe, received)
    SELECT pool_id, date_trunc('hour', now(), pool.timezone), pg_backend_pid() % 16, created.count
    FROM (SELECT pool_id, count(*) FROM created GROUP BY pool_id) created JOIN pools pool ON pool.id = pool_id
    ORDER BY pool_id
    ON CONFLICT (pool_id, hour, stripe) DO UPDATE SET received = hour.received + excluded.received
)
SELECT now() AS created_at,
       (SELECT array_agg(id ORDER BY ord) FROM input) AS ids,
       (SELECT array_agg(id) FROM allowed) AS allowed,
       (SELECT array_agg(task_id) FROM keyed) AS keyed,
       (SELECT array_agg(id) FROM created) AS created
""")

# The tasks that already carry these external ids, each unique in the pool where it was handed in.
FIND_BY_EXTERNAL_ID = """
SELECT wanted.pool_id, task.external_id, task.id
FROM unnest($1::bigint[], $2::text[]) AS wanted(pool_id, external_id)
JOIN tasks task ON coalesce(task.home_pool_id, task.pool_id) = wanted.pool_id
               AND task.external_id = wanted.external_id
"""

# The first use of these keys.
FIND_BY_KEY = """
SELECT used.pool_id, used.key, used.fingerprint, used.task_id
FROM unnest($1::bigint[], $2::text[]) AS wanted(pool_id, key)
JOIN idempotency_keys used USING (pool_id, key)
"""

# A key that came with a known external id points at the task that is there.
POINT_KEYS = """
UPDATE idempotency_keys used SET task_id = meant.task_id
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS meant(pool_id, key, task_id)
WHERE used.pool_id = meant.pool_id AND used.key = meant.key
"""

# Takes the pool until the transaction ends, or returns no row where somebody else has it. `now` is the database's
# clock, the one clock that all workers share.
TAKE_POOL = """
SELECT state.epoch, state.config_epoch, clock_timestamp() AS now,
       coalesce(tried.deciding, 0) AS deciding, coalesce(tried.careful, 0) AS careful
FROM pool_states state LEFT JOIN pool_attempts tried USING (pool_id)
WHERE state.pool_id = $1 FOR NO KEY UPDATE OF state SKIP LOCKED
"""

# The next tasks to look at, by priority, deadline and arrival; reads ix_tasks_to_place_in_order and locks nothing:
# the pool is ours. A row that nobody touched since it was written (every change moves updated_at) was made durable by
# its xmin: `committed_at` is that commit's time. A row that was touched, or a server that keeps no commit times, has
# its statement's beginning instead; one that went on to this pool, when it came. A task follows its parent where both
# are worked on in the same pool. `barred`: the executor who declined it last, or had it taken away, for a while.
NEXT_TASKS = """
SELECT task.id, task.external_id, task.parameters, task.weight::float8 AS weight, task.priority, task.deadline,
       task.created_at, coalesce(CASE
           WHEN task.updated_at = task.created_at AND (SELECT current_setting('track_commit_timestamp')::bool)
           THEN pg_xact_commit_timestamp(task.xmin) END, task.moved_at, task.created_at) AS committed_at,
       task.waiting_since, task.origin, task.parent_id, task.executor_id AS previous_executor,
       task.route, parent.executor_id AS parent_executor, task.attempts, task.escalation, task.wait_class_id,
       CASE WHEN task.barred_until > clock_timestamp() THEN ARRAY[task.barred_executor_id] END AS barred,
       CASE WHEN task.barred_until > clock_timestamp() THEN task.barred_until END AS barred_until
FROM tasks task
LEFT JOIN tasks parent ON parent.id = task.parent_id AND parent.pool_id = task.pool_id
WHERE task.pool_id = $1 AND task.status = 'pending' AND task.wait_reason IS NULL
ORDER BY task.priority DESC, task.deadline ASC NULLS LAST, task.created_at, task.id
LIMIT $2
"""

# The same beside a batch that is being written: without its tasks ($3), and each row with the transaction that wrote it
# (`seen`), by which the write knows it again. The subquery is hashed; an array would be searched from its beginning.
READ_AHEAD = NEXT_TASKS.replace("SELECT task.id", "SELECT task.xmin AS seen, task.id").replace(
    "ORDER BY", "AND task.id NOT IN (SELECT unnest($3::bigint[]))\nORDER BY"
)

POOL = """
SELECT pool.code, pool.active, pool.paused_until, pool.timezone, pool.timezone_before, pool.kept_day,
       pool.kept_day_begins, pool.kept_day_ends, pool.policy, pool.fairness_window, pool.theta, pool.settings,
       rules.id AS rule_set_id, rules.document
FROM pools pool
LEFT JOIN rule_sets rules ON rules.pool_id = pool.id AND rules.state = 'active'
WHERE pool.id = $1
"""

PARAMETERS = """
SELECT owner, key, type, label_ru, label_en, options, required, "default", minimum, maximum, open_options, deprecated
FROM parameters WHERE pool_id = $1 ORDER BY owner, position, id
"""

# Executors with their loads: all of a pool ($2 = 0), or those whose person changed after epoch $2.
EXECUTORS = """
SELECT person.id, person.external_id, person.name, person.parameters, person.active, person.availability,
       person.working_hours, person.daily_limit::float8 AS daily_limit, person.max_open,
       person.qualification::float8 AS qualification,
       load.open_count, load.window_start, load.window_weight::float8 AS window_weight,
       load.level_offset::float8 AS level_offset, load.present, load.business_day,
       load.day_routed::float8 AS day_routed, load.last_assigned, load.last_ended,
       absence.away, absence.edge
FROM executors person
JOIN executor_loads load ON load.executor_id = person.id
LEFT JOIN LATERAL (
    SELECT bool_or(starts_at <= $3) AS away, min(CASE WHEN starts_at > $3 THEN starts_at ELSE ends_at END) AS edge
    FROM executor_absences WHERE executor_id = person.id AND ends_at > $3
) absence ON true
WHERE person.pool_id = $1 AND person.epoch > $2
ORDER BY person.id
"""

# Loads that changed after epoch $2; cheap, because lifecycle changes touch nothing else. Reads the pool's rows, one a
# person: an index over the epoch would cost every batch more than it spares here.
LOADS = """
SELECT executor_id AS id, open_count, window_start, window_weight::float8 AS window_weight,
       level_offset::float8 AS level_offset, present, business_day, day_routed::float8 AS day_routed, last_assigned,
       last_ended
FROM executor_loads WHERE pool_id = $1 AND epoch > $2
ORDER BY executor_id
"""

# Who came (their level raised to that of the others) and who went. Not stamped with an epoch by itself: the pool is
# ours, and the batch that follows raises it (`epoch` is the one to come).
MARK_PRESENCE = Statement("""
UPDATE executor_loads load
SET present = seen.present, epoch = :epoch,
    level_offset = CASE WHEN load.window_start = :window_start THEN load.level_offset ELSE 0 END
        + seen.lift::numeric(14, 3),
    window_weight = CASE WHEN load.window_start = :window_start THEN load.window_weight ELSE 0 END,
    window_start = :window_start
FROM unnest(:executor_ids::bigint[], :present::bool[], :lifts::float8[]) AS seen(executor_id, present, lift)
WHERE load.executor_id = seen.executor_id
""")

# The whole batch: fence, tasks, assignments, outbox, loads, days, class counts and parked tasks in one statement.
# Returns no epoch, and writes nothing, where the epoch moved on: a decision made on an old picture changes nothing.
# Everything hangs on `fence` by a join, so that no part can be written without it. `tasks` (`new_counts`) counts what
# somebody was given anew: a task that comes back to the same person (rework) is work again, and not another task.
# Rows that were read ahead of the look are written only as they were read (`seen_*`; empty for what the look itself
# read). A day's row is there already in all but a batch or two of the day, and an update takes it without the second
# look and the lock that an insert in conflict makes first; one that a move counted just now is met by the insert.
COMMIT_BATCH = Statement("""
WITH fence AS (
    UPDATE pool_states SET epoch = epoch + 1, wake_at = least(wake_at, :valid_until)
    WHERE pool_id = :pool_id AND epoch = :epoch RETURNING epoch
), decided AS MATERIALIZED (
    SELECT nextval('assignments_id_seq') AS assignment_id, given.*
    FROM fence, unnest(:task_ids::bigint[], :executor_ids::bigint[], :kinds::text[], :weights::float8[],
        :scores::float8[], :explanations::jsonb[], :class_ids::bigint[], :seen_decided::xid[])
         AS given(task_id, executor_id, kind, weight, score, explanation, class_id, seen)
), placed AS (
    UPDATE tasks task
    SET status = 'assigned', executor_id = decided.executor_id, version = version + 1, wait_reason = NULL,
        wake_at = NULL, wait_class_id = NULL, wait_explanation = NULL, attempts = 0, updated_at = :now
    FROM decided
    WHERE task.id = decided.task_id AND task.status = 'pending' AND task.xmin = coalesce(decided.seen, task.xmin)
    RETURNING task.version, task.home_pool_id, decided.*
), assigned AS (
    INSERT INTO assignments (id, task_id, pool_id, executor_id, kind, rule_set_id, class_id, roster_id, weight, score,
                             explanation, business_day, decided_at)
    SELECT assignment_id, task_id, :pool_id, executor_id, kind, :rule_set_id::bigint, class_id, :roster_id::bigint,
           weight::numeric(14, 3), score, explanation, :day::date, :now
    FROM placed
), receiver AS MATERIALIZED (
    SELECT :pool_id::bigint AS pool_id, 'ais' AS destination WHERE :deliver::bool
    UNION ALL
    SELECT pool_id, 'webhook:' || id FROM webhooks
    WHERE active AND (pool_id = :pool_id OR pool_id IN (SELECT home_pool_id FROM placed))
), told AS (
    INSERT INTO outbox (pool_id, task_id, sequence, destination, event, payload)
    SELECT receiver.pool_id, placed.task_id, placed.version, receiver.destination, 'assigned',
           jsonb_build_object('assignment_id', placed.assignment_id)
    FROM placed JOIN receiver ON receiver.pool_id IN (:pool_id, placed.home_pool_id)
), sums AS MATERIALIZED (
    SELECT executor_id, fence.epoch, count, tasks, last,
           weight::numeric(14, 3) AS weight, routed::numeric(14, 3) AS routed
    FROM fence, unnest(:loaded_ids::bigint[], :open_counts::int[], :load_weights::float8[],
        :routed_weights::float8[], :last_assigned::bigint[], :new_counts::int[])
         AS given(executor_id, count, weight, routed, last, tasks)
), carried AS (
    UPDATE executor_loads load
    SET epoch = sums.epoch,
        open_count = load.open_count + sums.count,
        open_weight = load.open_weight + sums.weight,
        window_weight = CASE WHEN load.window_start = :window_start::date THEN load.window_weight ELSE 0 END
            + sums.weight,
        level_offset = CASE WHEN load.window_start = :window_start THEN load.level_offset ELSE 0 END,
        window_start = :window_start,
        day_count = CASE WHEN load.business_day = :day THEN load.day_count ELSE 0 END + sums.tasks,
        day_weight = CASE WHEN load.business_day = :day THEN load.day_weight ELSE 0 END + sums.weight,
        day_routed = CASE WHEN load.business_day = :day THEN load.day_routed ELSE 0 END + sums.routed,
        business_day = :day,
        last_assigned = sums.last
    FROM sums WHERE load.executor_id = sums.executor_id
), continued AS (
    UPDATE executor_days day
    SET assigned_count = day.assigned_count + sums.tasks,
        assigned_weight = day.assigned_weight + sums.weight,
        routed_weight = day.routed_weight + sums.routed
    FROM sums WHERE day.executor_id = sums.executor_id AND day.business_day = :day
    RETURNING day.executor_id
), begun AS (
    INSERT INTO executor_days AS day
           (executor_id, business_day, pool_id, assigned_count, assigned_weight, routed_weight)
    SELECT executor_id, :day, :pool_id, tasks, weight, routed
    FROM sums WHERE executor_id NOT IN (SELECT executor_id FROM continued)
    ORDER BY executor_id
    ON CONFLICT (executor_id, business_day) DO UPDATE
    SET assigned_count = day.assigned_count + excluded.assigned_count,
        assigned_weight = day.assigned_weight + excluded.assigned_weight,
        routed_weight = day.routed_weight + excluded.routed_weight
), arrived AS (
    INSERT INTO class_hours AS hour (class_id, roster_id, hour, pool_id, placed_count, placed_weight)
    SELECT class_id, :roster_id::bigint, date_trunc('hour', :now::timestamptz, :zone), :pool_id, count(*),
        sum(weight)::numeric(14, 3)
    FROM decided WHERE class_id IS NOT NULL AND kind IN ('primary', 'reassign')
    GROUP BY class_id ORDER BY class_id
    ON CONFLICT (class_id, roster_id, hour) DO UPDATE
    SET placed_count = hour.placed_count + excluded.placed_count,
        placed_weight = hour.placed_weight + excluded.placed_weight
), counted AS (
    INSERT INTO kpi_hours AS hour (pool_id, hour, stripe, assigned, parked, waited, waited_seconds, latency_sum,
                                   latency_buckets)
    SELECT :pool_id, date_trunc('hour', :now, :zone::text), pg_backend_pid() % 16,
           (SELECT coalesce(sum(tasks), 0) FROM unnest(:new_counts::int[]) AS sum(tasks)), :parked::bigint,
           :waited::bigint, :waited_seconds::float8, :latency_sum::float8, :latency_buckets::bigint[]
    FROM fence
    ON CONFLICT (pool_id, hour, stripe) DO UPDATE
    SET assigned = hour.assigned + excluded.assigned, parked = hour.parked + excluded.parked,
        waited = hour.waited + excluded.waited, waited_seconds = hour.waited_seconds + excluded.waited_seconds,
        latency_sum = hour.latency_sum + excluded.latency_sum,
        latency_buckets = (
            SELECT coalesce(array_agg(coalesce(had, 0) + coalesce(came, 0) ORDER BY bucket), '{}')
            FROM unnest(hour.latency_buckets, excluded.latency_buckets) WITH ORDINALITY AS merged(had, came, bucket)
        )
), framed AS (
    INSERT INTO trail_frames (pool_id, number, start, content)
    SELECT :pool_id, epoch, :frame_start::bigint, :frame::jsonb FROM fence
), parked AS (
    UPDATE tasks task
    SET wait_reason = waiting.reason, waiting_since = coalesce(task.waiting_since, :now), wake_at = waiting.until,
        wait_class_id = waiting.class_id, wait_explanation = waiting.explanation, attempts = 0, updated_at = :now
    FROM fence, unnest(:waiting_ids::bigint[], :waiting_reasons::text[], :waiting_class_ids::bigint[],
        :waiting_explanations::jsonb[], :seen_waiting::xid[], :waiting_until::timestamptz[])
         AS waiting(task_id, reason, class_id, explanation, seen, until)
    WHERE task.id = waiting.task_id AND task.status = 'pending' AND task.xmin = coalesce(waiting.seen, task.xmin)
), ended AS (
    UPDATE pool_attempts tried
    SET deciding = 0, careful = greatest(0, tried.careful - cardinality(:task_ids) - cardinality(:waiting_ids))
    FROM fence WHERE tried.pool_id = :pool_id
)
SELECT fence.epoch, (SELECT count(*) FROM placed) AS placed, pg_notify(:tick_channel, :tick),
       CASE WHEN :report::text IS NOT NULL THEN pg_notify(:serving_channel, :report) END
FROM fence
""")

# Notes, in a transaction of its own, that $2 tasks are being decided; $3 more are still to be decided with care. Those
# in $4 are counted: a worker died over them before. Takes no lock that anybody waits for: the pool is ours.
BEGIN_ATTEMPT = """
WITH counted AS (UPDATE tasks SET attempts = attempts + 1, updated_at = clock_timestamp() WHERE id = ANY($4::bigint[]))
INSERT INTO pool_attempts (pool_id, deciding, careful) VALUES ($1, $2, $3)
ON CONFLICT (pool_id) DO UPDATE SET deciding = excluded.deciding, careful = excluded.careful
"""

# The last batch failed by nobody's fault: takes back the note and the counts of $2.
FORGIVE_ATTEMPT = """
WITH counted AS (UPDATE tasks SET attempts = greatest(0, attempts - 1) WHERE id = ANY($2::bigint[]))
UPDATE pool_attempts SET deciding = 0 WHERE pool_id = $1
"""

# Parks a task over which too many workers died, and takes back the note.
SET_ASIDE = """
WITH ended AS (UPDATE pool_attempts SET deciding = 0 WHERE pool_id = $1)
UPDATE tasks
SET wait_reason = 'set_aside', waiting_since = coalesce(waiting_since, clock_timestamp()),
    wake_at = clock_timestamp() + interval '1 hour', wait_class_id = NULL, wait_explanation = $3::jsonb,
    updated_at = clock_timestamp()
WHERE id = $2 AND status = 'pending'
"""

# Pools that have tasks to look at, with how many (counting stops at $1, so that a large backlog stays cheap to see).
BACKLOG = """
SELECT pool.id AS pool_id, pool.code,
       (SELECT count(*)
        FROM (SELECT FROM tasks
              WHERE pool_id = pool.id AND status = 'pending' AND wait_reason IS NULL LIMIT $1) seen) AS lag
FROM pools pool
"""

# Stores eligibility classes that were not seen before; returns the ids of all that were given. Those that another
# worker stored are only read: a pool that moves between workers writes nothing by it.
KEEP_CLASSES = """
WITH given AS (
    SELECT * FROM unnest($3::text[], $4::jsonb[]) AS seen(digest, content)
), known AS (
    SELECT digest, id FROM class_snapshots WHERE pool_id = $1 AND digest = ANY($3)
), stored AS (
    INSERT INTO class_snapshots (pool_id, digest, rule_set_id, content)
    SELECT $1, digest, $2, content FROM given WHERE digest NOT IN (SELECT digest FROM known) ORDER BY digest
    ON CONFLICT (pool_id, digest) DO UPDATE SET digest = excluded.digest
    RETURNING digest, id
)
SELECT digest, id FROM known UNION ALL SELECT digest, id FROM stored
"""

# What a business day brought lately, per unit of qualification: the scale of preferences. Null on the first day.
RECENT_DAY_WEIGHT = """
SELECT avg(day.weight)::float8 FROM (
    SELECT sum(days.assigned_weight) / sum(person.qualification) AS weight
    FROM executor_days days JOIN executors person ON person.id = days.executor_id
    WHERE days.pool_id = $1 AND days.business_day BETWEEN $2::date - 7 AND $2::date - 1
    GROUP BY days.business_day
) day
"""

# The id of a roster, stored when it was not seen before.
KEEP_ROSTER = """
INSERT INTO rosters (pool_id, digest, members) VALUES ($1, $2, $3)
ON CONFLICT (pool_id, digest) DO UPDATE SET digest = excluded.digest
RETURNING id
"""

# Who has a task of this pool.
EXECUTOR_OF_TASK = "SELECT executor_id FROM tasks WHERE id = $1 AND pool_id = $2"

# What is held back already, by whom it is held for, without the tasks in $2; what was woken for them is theirs still.
HELD_FOR = """
SELECT (wait_explanation ->> 'held_for')::bigint AS executor_id, count(*) AS count,
       sum((wait_explanation ->> 'weight')::float8) AS weight
FROM tasks WHERE pool_id = $1 AND status = 'pending' AND wait_explanation ? 'held_for' AND id NOT IN (
    SELECT unnest($2::bigint[])
) GROUP BY 1
"""

# The one clock that all processes share.
NOW = "SELECT clock_timestamp()"
