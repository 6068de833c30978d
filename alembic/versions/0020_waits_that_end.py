"""Waits that end: who declined a task is offered it again after a while, refused steps are tried again.

A pending task that goes to anybody (`route` reassign) no longer names the one it was taken from as its executor: it
says whom it is kept from, and until when. Additions only; the code before runs on it.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():  # one table at a time: see docs/production.md
        op.add_column(
            "tasks", sa.Column("escalate_at", sa.DateTime(timezone=True), nullable=True), if_not_exists=True
        )
        op.add_column(
            "pools", sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True), if_not_exists=True
        )
        op.add_column(
            "tasks", sa.Column("barred_executor_id", sa.BigInteger(), nullable=True), if_not_exists=True
        )
        op.add_column(
            "tasks", sa.Column("barred_until", sa.DateTime(timezone=True), nullable=True), if_not_exists=True
        )
        op.add_column(
            "executors",
            sa.Column("reassign_if_inactive", sa.Boolean(), server_default=sa.text("false"), nullable=False),
            if_not_exists=True,
        )
        op.add_column(
            "executors",
            sa.Column("removed_here", sa.Boolean(), server_default=sa.text("false"), nullable=False),
            if_not_exists=True,
        )
        op.create_table(
            "erased_people",
            sa.Column("pool_id", sa.BigInteger(), nullable=False),
            sa.Column("digest", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("pool_id", "digest", name=op.f("pk_erased_people")),
            sa.ForeignKeyConstraint(
                ["pool_id"], ["pools.id"], name=op.f("fk_erased_people_pool_id"), ondelete="CASCADE"
            ),
            if_not_exists=True,
        )
        # Rows in the order in which the product takes them, so that neither waits for the other in a circle.
        op.execute("""
            UPDATE tasks SET executor_id = NULL FROM (
                SELECT id FROM tasks WHERE status = 'pending' AND route = 'reassign' ORDER BY id FOR UPDATE
            ) taken WHERE tasks.id = taken.id
            """)


def downgrade() -> None:
    op.drop_table("erased_people")
    op.drop_column("executors", "removed_here")
    op.drop_column("executors", "reassign_if_inactive")
    op.drop_column("pools", "paused_until")
    op.drop_column("tasks", "barred_until")
    op.drop_column("tasks", "barred_executor_id")
    op.drop_column("tasks", "escalate_at")
