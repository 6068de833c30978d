"""Reports of background loops that are not well, and leases for work that one process at a time should do.

Both tables are new; the code before runs on this schema unchanged.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE loop_reports (
            process text NOT NULL,
            loop text NOT NULL,
            part text NOT NULL,
            failures integer NOT NULL,
            error text DEFAULT '' NOT NULL,
            since timestamptz DEFAULT clock_timestamp() NOT NULL,
            reported_at timestamptz DEFAULT clock_timestamp() NOT NULL,
            CONSTRAINT pk_loop_reports PRIMARY KEY (process, loop, part)
        )
        """)
    op.execute("""
        CREATE TABLE leases (
            name text NOT NULL,
            holder text NOT NULL,
            until timestamptz NOT NULL,
            CONSTRAINT pk_leases PRIMARY KEY (name)
        )
        """)


def downgrade() -> None:
    op.execute("DROP TABLE leases")
    op.execute("DROP TABLE loop_reports")
