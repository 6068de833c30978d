"""Evidence kept whole: webhooks are audited, and a task's history is only ever added to while the task lives.

The log of what is configured is one chain, whose lock each entry takes; moves of tasks are the hot path and stay out of
it. Their history is guarded by triggers instead, which cost an insert nothing: nobody changes a step (erasing a person
takes the name alone), and only what ended can be removed, as archiving does. The code before this runs on it unchanged.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_REFUSE = """
CREATE FUNCTION task_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF current_setting('app.erasing', true) = 'on' AND to_jsonb(NEW) - 'actor' = to_jsonb(OLD) - 'actor' THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (
            SELECT FROM tasks WHERE id = OLD.task_id AND status NOT IN ('completed', 'rejected', 'cancelled')
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'task_events is append-only' USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():  # one table at a time: see docs/production.md
        op.execute(_REFUSE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
        op.execute(
            "CREATE OR REPLACE TRIGGER task_events_append_only BEFORE UPDATE OR DELETE ON task_events"
            " FOR EACH ROW EXECUTE FUNCTION task_events_refuse()"
        )
        op.execute(
            "CREATE OR REPLACE TRIGGER task_events_no_truncate BEFORE TRUNCATE ON task_events"
            " FOR EACH STATEMENT EXECUTE FUNCTION task_events_refuse()"
        )
    op.execute(
        "CREATE CONSTRAINT TRIGGER webhooks_audited AFTER INSERT OR UPDATE OR DELETE ON webhooks"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_change('webhooks', 'pool_id')"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER task_events_no_truncate ON task_events")
    op.execute("DROP TRIGGER task_events_append_only ON task_events")
    op.execute("DROP FUNCTION task_events_refuse()")
    op.execute("DROP TRIGGER webhooks_audited ON webhooks")
