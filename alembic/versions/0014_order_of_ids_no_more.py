"""The indexes of tasks that end with the id alone go: nothing is ordered by it any more.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

contract = "indexes alone: what the code before asks is answered from those of 0013, which have the same first columns"

_ORDER = [sa.text("priority DESC"), sa.text("deadline ASC NULLS LAST"), "id"]
_INDEXES = {
    "ix_tasks_pool_id_id": (["pool_id", "id"], None),
    "ix_tasks_home_pool_id_id": (["home_pool_id", "id"], "home_pool_id IS NOT NULL"),
    "ix_tasks_to_place": (["pool_id", *_ORDER], "status = 'pending' AND wait_reason IS NULL"),
    "ix_tasks_parked_of_class": (
        ["pool_id", "wait_class_id", *_ORDER],
        "status = 'pending' AND wait_reason IS NOT NULL",
    ),
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name in _INDEXES:
            op.drop_index(name, table_name="tasks", postgresql_concurrently=True, if_exists=True)
        op.execute("RESET lock_timeout")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name, (columns, where) in _INDEXES.items():
            op.drop_index(name, table_name="tasks", postgresql_concurrently=True, if_exists=True)
            op.create_index(
                name,
                "tasks",
                columns,
                postgresql_concurrently=True,
                postgresql_where=sa.text(where) if where else None,
            )
        op.execute("RESET lock_timeout")
