"""A pool's business day goes on when its time zone changes: which day that was, and which day it is now.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("timezone_before", sa.Text()),
    ("kept_day", sa.Date()),
    ("kept_day_begins", sa.DateTime(timezone=True)),
    ("kept_day_ends", sa.DateTime(timezone=True)),
)

# The same as `app.engine.calendar.BusinessDays.day_of`, for instants that are not of the past.
_POOL_DAY = """
CREATE FUNCTION pool_day(timezone text, kept_day date, kept_day_ends timestamptz, instant timestamptz) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN instant < kept_day_ends THEN kept_day ELSE (instant AT TIME ZONE timezone)::date END $$
"""


def upgrade() -> None:
    for name, kind in _COLUMNS:
        op.add_column("pools", sa.Column(name, kind, nullable=True))
    op.execute(_POOL_DAY)


def downgrade() -> None:
    op.execute("DROP FUNCTION pool_day(text, date, timestamptz, timestamptz)")
    for name, _ in reversed(_COLUMNS):
        op.drop_column("pools", name)
