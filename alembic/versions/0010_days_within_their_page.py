"""Days are updated within their page, as loads are: half of each new page is left for what batches change.

Full pages sent almost every second update of a day to another page, with a row in two indexes: with 10,000 people a
tenth of what it takes to write a batch. Pages that are there stay as they are; a day's are new. The code before runs
on it unchanged.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE executor_days SET (fillfactor = 50)")


def downgrade() -> None:
    op.execute("ALTER TABLE executor_days RESET (fillfactor)")
