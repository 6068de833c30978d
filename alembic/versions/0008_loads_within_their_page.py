"""Loads are updated within their page: the index over their epoch, which every batch changed in every row, is gone.

With it each of a batch's rows was written anew in two indexes; without it nothing but the row changes. What changed
since an epoch is read from the pool's loads, one row a person. The code before runs on it unchanged.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

contract = "an index alone: the code before asks the same and is answered from the pool's rows"


def upgrade() -> None:
    op.create_index("ix_executor_loads_pool_id", "executor_loads", ["pool_id"])
    op.drop_index("ix_executor_loads_pool_id_epoch", table_name="executor_loads")


def downgrade() -> None:
    op.create_index("ix_executor_loads_pool_id_epoch", "executor_loads", ["pool_id", "epoch"])
    op.drop_index("ix_executor_loads_pool_id", table_name="executor_loads")
