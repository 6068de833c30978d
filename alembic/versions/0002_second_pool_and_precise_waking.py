"""A task may be worked on in a second pool; what waits is woken by class, and by one clock for each pool.

Additions with defaults, and external ids unique in the pool where a task was handed in: the code before this goes on
running on it (it finds a known external id more slowly, and never moves a task).

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():  # one table at a time: see docs/production.md
        op.add_column("tasks", sa.Column("home_pool_id", sa.BigInteger(), nullable=True), if_not_exists=True)
        op.add_column(
            "tasks", sa.Column("moved_at", sa.DateTime(timezone=True), nullable=True), if_not_exists=True
        )
        op.create_index(
            "uq_tasks_home_external_id",
            "tasks",
            [sa.literal_column("coalesce(home_pool_id, pool_id)"), "external_id"],
            unique=True,
            postgresql_where=sa.text("external_id IS NOT NULL"),
            if_not_exists=True,
        )
        op.create_index(
            "ix_tasks_home_pool_id_id",
            "tasks",
            ["home_pool_id", "id"],
            unique=False,
            postgresql_where=sa.text("home_pool_id IS NOT NULL"),
            if_not_exists=True,
        )
        op.drop_index("uq_tasks_pool_id_external_id", table_name="tasks", if_exists=True)
        op.add_column(
            "class_snapshots", sa.Column("current_id", sa.BigInteger(), nullable=True), if_not_exists=True
        )
        op.add_column(
            "class_snapshots",
            sa.Column("checked_epoch", sa.BigInteger(), server_default="0", nullable=False),
            if_not_exists=True,
        )
        op.add_column(
            "pool_states",
            sa.Column("people_epoch", sa.BigInteger(), server_default="1", nullable=False),
            if_not_exists=True,
        )
        op.add_column(
            "pool_states",
            sa.Column("wake_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
            if_not_exists=True,
        )
        for name in ("moved_in", "moved_out"):
            op.add_column(
                "kpi_hours",
                sa.Column(name, sa.BigInteger(), server_default="0", nullable=False),
                if_not_exists=True,
            )


def downgrade() -> None:
    for name in ("moved_out", "moved_in"):
        op.drop_column("kpi_hours", name)
    op.drop_column("pool_states", "wake_at")
    op.drop_column("pool_states", "people_epoch")
    op.drop_column("class_snapshots", "checked_epoch")
    op.drop_column("class_snapshots", "current_id")
    op.execute(
        "UPDATE tasks SET pool_id = home_pool_id WHERE home_pool_id IS NOT NULL AND status = 'pending'"
    )
    op.create_index(
        "uq_tasks_pool_id_external_id",
        "tasks",
        ["pool_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.drop_index("ix_tasks_home_pool_id_id", table_name="tasks")
    op.drop_index("uq_tasks_home_external_id", table_name="tasks")
    op.drop_column("tasks", "moved_at")
    op.drop_column("tasks", "home_pool_id")
