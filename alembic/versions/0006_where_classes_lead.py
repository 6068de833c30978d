"""An index of what classes are since people changed.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_class_snapshots_current_id",
        "class_snapshots",
        ["current_id"],
        unique=False,
        postgresql_where=sa.text("current_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_class_snapshots_current_id", table_name="class_snapshots")
