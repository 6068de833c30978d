"""Order of arrival is the time of intake: indexes that end with it replace those that end with the id alone.

The new ones are built while the system works, and wait for every transaction that is older: no timeout may end that, as
an index half built would stay. Those that they replace go in the next revision.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

contract = "drops nothing but what an interrupted run of its own left half built"

_ORDER = [sa.text("priority DESC"), sa.text("deadline ASC NULLS LAST"), "created_at", "id"]
_INDEXES = {
    "ix_tasks_pool_id_created_at": (["pool_id", "created_at", "id"], None),
    "ix_tasks_home_pool_id_created_at": (["home_pool_id", "created_at", "id"], "home_pool_id IS NOT NULL"),
    "ix_tasks_to_place_in_order": (["pool_id", *_ORDER], "status = 'pending' AND wait_reason IS NULL"),
    "ix_tasks_parked_in_order": (
        ["pool_id", "wait_class_id", *_ORDER],
        "status = 'pending' AND wait_reason IS NOT NULL",
    ),
}


def upgrade() -> None:
    op.execute("ALTER TABLE outbox ALTER COLUMN id SET CACHE 1")
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


def downgrade() -> None:
    op.execute("ALTER TABLE outbox ALTER COLUMN id SET CACHE 1000")
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name in _INDEXES:
            op.drop_index(name, table_name="tasks", postgresql_concurrently=True, if_exists=True)
        op.execute("RESET lock_timeout")
