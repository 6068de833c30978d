"""The SQL of deliveries. Messages are taken with a lease and by nobody else (SKIP LOCKED); no pool is locked here."""

# Receivers with something due, found by leaping along ix_outbox_due, whatever the number of messages.
DUE = """
WITH RECURSIVE receiver(destination) AS (
    (SELECT destination FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL ORDER BY destination LIMIT 1)
    UNION ALL
    SELECT (SELECT destination FROM outbox
            WHERE delivered_at IS NULL AND dead_at IS NULL AND destination > receiver.destination
            ORDER BY destination LIMIT 1)
    FROM receiver WHERE receiver.destination IS NOT NULL
)
SELECT destination FROM receiver WHERE destination IS NOT NULL
"""

# Takes the oldest due messages of a receiver that no earlier message of the same task holds back, and nobody else is
# sending. `attempts` fences what a sender says later: whoever was paused past the lease says it about an old attempt.
CLAIM = """
WITH due AS MATERIALIZED (
    SELECT message.id FROM outbox message
    WHERE destination = $1 AND delivered_at IS NULL AND dead_at IS NULL
      AND next_attempt_at <= clock_timestamp()
      AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
      AND NOT EXISTS (
          SELECT FROM outbox earlier
          WHERE earlier.task_id = message.task_id AND earlier.destination = message.destination
            AND earlier.sequence < message.sequence AND earlier.delivered_at IS NULL AND earlier.dead_at IS NULL
      )
    ORDER BY next_attempt_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE outbox message
    SET claimed_until = clock_timestamp() + make_interval(secs => $3::float8), attempts = attempts + 1
    FROM due WHERE message.id = due.id
    RETURNING message.id, message.pool_id, message.task_id, message.sequence, message.event, message.payload,
              message.attempts, message.created_at
)
SELECT taken.*, task.external_id, task.origin,
       coalesce((taken.payload ->> 'executor_id')::bigint, given.executor_id) AS executor_id,
       (SELECT external_id FROM executors
        WHERE id = coalesce((taken.payload ->> 'executor_id')::bigint, given.executor_id)) AS executor_external_id
FROM taken
LEFT JOIN tasks task ON task.id = taken.task_id
LEFT JOIN assignments given ON given.id = (taken.payload ->> 'assignment_id')::bigint
ORDER BY taken.id
"""

# Delivered, whoever says it: the receiver has it. Assignments that were decided are sent now; drifted ones were told
# again. Returns the messages by pool, for the figures.
DELIVERED = """
WITH done AS (
    UPDATE outbox SET delivered_at = clock_timestamp(), claimed_until = NULL, last_error = NULL
    WHERE id = ANY($1::bigint[]) AND delivered_at IS NULL
    RETURNING id, pool_id, destination, (payload ->> 'assignment_id')::bigint AS assignment_id
), marked AS (
    UPDATE assignments held SET delivery_state = 'sent'
    FROM done
    WHERE done.destination = 'ais' AND held.id = done.assignment_id AND held.delivery_state IN ('decided', 'drifted')
)
SELECT pool_id, count(*) AS count FROM done GROUP BY pool_id ORDER BY pool_id
"""

# Not delivered in this attempt: to be tried again after a while, or set aside as dead.
FAILED = """
UPDATE outbox message
SET claimed_until = NULL, last_error = said.error,
    next_attempt_at = clock_timestamp() + make_interval(secs => said.pause),
    dead_at = CASE WHEN said.dead THEN clock_timestamp() END
FROM unnest($1::bigint[], $2::int[], $3::text[], $4::float8[], $5::bool[]) AS said(id, attempts, error, pause, dead)
WHERE message.id = said.id AND message.attempts = said.attempts AND message.delivered_at IS NULL
"""

# What the external system was told last of tasks whose assignments it has not been seen to show, or of the open
# assignments after task $2, in turn: what it showed once may be changed there by hand.
TO_COMPARE = """
WITH chosen AS (
    (SELECT task_id, false AS in_turn FROM assignments WHERE delivery_state IN ('sent', 'drifted') ORDER BY id LIMIT $1)
    UNION ALL
    (SELECT task_id, true FROM assignments
     WHERE released_at IS NULL AND task_id > $2 AND delivery_state = 'confirmed' ORDER BY task_id LIMIT $1)
)
SELECT chosen.task_id, bool_or(chosen.in_turn) AS in_turn, told.id, told.sequence, told.event, told.payload,
       coalesce((told.payload ->> 'executor_id')::bigint, given.executor_id) AS executor_id
FROM chosen
CROSS JOIN LATERAL (
    SELECT id, sequence, event, payload, delivered_at FROM outbox
    WHERE task_id = chosen.task_id AND destination = 'ais' AND dead_at IS NULL ORDER BY sequence DESC LIMIT 1
) told
LEFT JOIN assignments given ON given.id = (told.payload ->> 'assignment_id')::bigint
WHERE told.delivered_at < clock_timestamp() - make_interval(secs => $3::float8)
GROUP BY chosen.task_id, told.id, told.sequence, told.event, told.payload, given.executor_id
ORDER BY chosen.task_id
"""

# The external system shows what it was told last of these tasks.
CONFIRM = """
UPDATE assignments SET delivery_state = 'confirmed'
WHERE task_id = ANY($1::bigint[]) AND delivery_state IN ('sent', 'drifted')
"""

# It shows something else: say so, and tell it again. Only where the message is still the last one.
DRIFT = """
WITH drifted AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS seen(task_id, message_id, error)
), again AS (
    UPDATE outbox message
    SET delivered_at = NULL, claimed_until = NULL, next_attempt_at = clock_timestamp(), last_error = drifted.error
    FROM drifted
    WHERE message.id = drifted.message_id
      AND NOT EXISTS (SELECT FROM outbox later WHERE later.task_id = message.task_id
                      AND later.destination = message.destination AND later.sequence > message.sequence)
    RETURNING message.task_id
)
UPDATE assignments held SET delivery_state = 'drifted'
FROM again
WHERE held.task_id = again.task_id
  AND held.id = (SELECT id FROM assignments WHERE task_id = again.task_id
                 ORDER BY released_at DESC NULLS FIRST, decided_at DESC, id DESC LIMIT 1)
RETURNING held.task_id
"""

# What a sender found of a receiver that does not answer; the first row says since when.
BREAKER_OPEN = """
INSERT INTO delivery_breakers AS known (destination, failed, open_until, last_error)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3::float8), $4)
ON CONFLICT (destination) DO UPDATE
SET failed = greatest(known.failed, excluded.failed), open_until = excluded.open_until, last_error = excluded.last_error
"""

# It answers again.
BREAKER_CLOSED = "DELETE FROM delivery_breakers WHERE destination = $1"

# Receivers that are left alone now, by kind, of those that still exist; since when the first of them is.
BREAKERS = """
SELECT split_part(known.destination, ':', 1) AS receiver, count(*) AS count, min(known.opened_at) AS since
FROM delivery_breakers known
WHERE known.destination NOT LIKE 'webhook:%'
   OR EXISTS (SELECT FROM webhooks WHERE active AND 'webhook:' || id = known.destination)
GROUP BY 1
"""
