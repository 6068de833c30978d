"""An index of the few parked tasks that are bound to a person, and the receivers that are left alone for now.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BOUND = "status = 'pending' AND wait_reason IS NOT NULL AND (parent_id IS NOT NULL OR route IN ('rework', 'manual'))"


def upgrade() -> None:
    op.create_index(
        "ix_tasks_parked_bound", "tasks", ["pool_id", "id"], unique=False, postgresql_where=sa.text(_BOUND)
    )
    op.create_table(
        "delivery_breakers",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_delivery_breakers")),
    )


def downgrade() -> None:
    op.drop_table("delivery_breakers")
    op.drop_index("ix_tasks_parked_bound", table_name="tasks")
