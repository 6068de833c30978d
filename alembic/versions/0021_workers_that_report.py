"""Reports of workers: whether each can write, and when it decided last.

The table is new; the code before runs on this schema unchanged.

Revision ID: 0021
Revises: 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE worker_reports (
            process text NOT NULL,
            trouble text DEFAULT '' NOT NULL,
            decided_at timestamptz,
            reported_at timestamptz DEFAULT clock_timestamp() NOT NULL,
            CONSTRAINT pk_worker_reports PRIMARY KEY (process)
        )
        """)


def downgrade() -> None:
    op.execute("DROP TABLE worker_reports")
