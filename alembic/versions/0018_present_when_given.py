"""An assignment says who was present when it was decided, and a load when the last work ended.

What is taken back is taken from the work of those who were present; `longest_idle` goes by the end of work.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():  # one table at a time: see docs/production.md
        op.add_column(
            "assignments", sa.Column("roster_id", sa.BigInteger(), nullable=True), if_not_exists=True
        )
        op.add_column(
            "executor_days",
            sa.Column("handed_over_weight", sa.Numeric(14, 3), server_default="0", nullable=False),
            if_not_exists=True,
        )
        op.add_column(
            "executor_loads",
            sa.Column("last_ended", sa.BigInteger(), server_default="0", nullable=False),
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_column("executor_loads", "last_ended")
    op.drop_column("executor_days", "handed_over_weight")
    op.drop_column("assignments", "roster_id")
