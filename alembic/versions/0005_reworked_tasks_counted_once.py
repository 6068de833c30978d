"""A task that came back to the same person is counted once: what was counted before this is set right.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REWORKED = """
SELECT executor_id, business_day, count(*) AS count FROM assignments
WHERE counted AND kind = 'rework' GROUP BY executor_id, business_day
"""


def upgrade() -> None:
    _count("-")


def downgrade() -> None:
    _count("+")


def _count(sign: str) -> None:
    op.execute("SELECT FROM pool_states ORDER BY pool_id FOR UPDATE")  # as all that changes counters does
    for table, column in (("executor_days", "assigned_count"), ("executor_loads", "day_count")):
        op.execute(f"""
            UPDATE {table} known SET {column} = known.{column} {sign} again.count FROM ({_REWORKED}) again
            WHERE known.executor_id = again.executor_id AND known.business_day = again.business_day
            """)  # noqa: S608 - all parts are ours
