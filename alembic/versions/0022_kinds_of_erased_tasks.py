"""Erasing a task reaches the values that rules read of it: they stand as the key of its class of work.

Every class of a key that no other task has loses its values and its digest; one that others have too stays, as the
kind of work that it is. Workers read the pool anew, so that none goes on with such a class. The code before runs on
this schema unchanged.

Revision ID: 0022
Revises: 0021
"""

from pathlib import Path

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

BEFORE = Path(__file__).with_name("0019_erasing.sql")
_SIGNATURE = "FUNCTION erase_task(erased bigint)"

_ERASE = """
CREATE OR REPLACE FUNCTION erase_task(erased bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    pool bigint;
    pools bigint[];
    kinds bigint[];
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    PERFORM set_config('app.erasing', 'on', true);

    -- Classes of all keys that its decisions and waits had, also under later rosters.
    SELECT coalesce(array_agg(same.id), '{}'), coalesce(array_agg(DISTINCT same.pool_id), '{}') INTO kinds, pools
    FROM (
        SELECT class_id AS id FROM assignments WHERE task_id = erased
        UNION SELECT wait_class_id FROM tasks WHERE id = erased
    ) had
    JOIN class_snapshots class ON class.id = had.id
    JOIN class_snapshots same ON same.pool_id = class.pool_id AND same.content -> 'key' = class.content -> 'key'
    WHERE class.content -> 'key' NOT IN ('[]', '["erased"]');
    PERFORM FROM pool_states WHERE pool_id = ANY(pools) ORDER BY pool_id FOR UPDATE;

    UPDATE tasks SET parameters = '{}', external_id = 'erased ' || id, wait_explanation = NULL, origin = NULL
    WHERE id = erased AND status IN ('completed', 'rejected', 'cancelled') RETURNING pool_id INTO pool;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'task % has not ended', erased USING ERRCODE = 'restrict_violation';
    END IF;
    UPDATE task_events SET reason = '' WHERE task_id = erased;
    UPDATE outbox SET payload = payload || '{"reason": ""}', last_error = NULL WHERE task_id = erased;
    DELETE FROM idempotency_keys WHERE task_id = erased;
    DELETE FROM move_keys WHERE task_id = erased;

    WITH kind AS (
        SELECT DISTINCT content -> 'key' AS key, pool_id FROM class_snapshots WHERE id = ANY(kinds)
    ), lonely AS (
        SELECT key, pool_id FROM kind
        WHERE NOT EXISTS (
            SELECT FROM class_snapshots same
            JOIN assignments given ON given.class_id = same.id
            JOIN tasks other ON other.id = given.task_id
            WHERE same.id = ANY(kinds) AND same.pool_id = kind.pool_id AND same.content -> 'key' = kind.key
              AND other.external_id IS DISTINCT FROM 'erased ' || other.id
        ) AND NOT EXISTS (
            SELECT FROM class_snapshots same JOIN tasks other ON other.wait_class_id = same.id
            WHERE same.id = ANY(kinds) AND same.pool_id = kind.pool_id AND same.content -> 'key' = kind.key
              AND other.external_id IS DISTINCT FROM 'erased ' || other.id
        )
    ), emptied AS (
        UPDATE class_snapshots kind
        SET content = jsonb_set(kind.content, '{key}', '["erased"]'), digest = 'erased ' || kind.id
        FROM lonely
        WHERE kind.id = ANY(kinds) AND kind.pool_id = lonely.pool_id AND kind.content -> 'key' = lonely.key
        RETURNING kind.pool_id
    )
    UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1
    WHERE pool_id IN (SELECT pool_id FROM emptied);

    INSERT INTO audit_log (actor, action, entity, entity_id, pool_id, request_id, address)
    VALUES (
        coalesce(nullif(current_setting('app.actor', true), ''), 'system'), 'erased', 'tasks', erased::text, pool,
        nullif(current_setting('app.request_id', true), ''), nullif(current_setting('app.address', true), '')
    );
    PERFORM set_config('app.erasing', '', true);
    SET CONSTRAINTS ALL DEFERRED;
END $$
"""
# As in 0019: a table of the same name in a session's own schema must not stand in for ours.
_OWN_SCHEMA = """
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION erase_task(bigint) SET search_path = %s, pg_temp',
        (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'audit_log'::regclass)
    );
END $$
"""


def upgrade() -> None:
    op.execute(_ERASE)
    op.execute(_OWN_SCHEMA)


def downgrade() -> None:
    for statement in BEFORE.read_text(encoding="utf-8").split("\n--next")[1:]:
        made = statement.partition("\n")[2]
        if made.startswith(f"CREATE {_SIGNATURE}"):
            op.execute(made.replace("CREATE ", "CREATE OR REPLACE ", 1))
    op.execute(_OWN_SCHEMA)
