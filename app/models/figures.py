"""Key figures, folded in as they happen."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import EMPTY_OBJECT, Base, Json


class KpiHour(Base):
    """A stripe of the figures of a pool in one hour; the sum over stripes is the hour (services/common/counters.py)."""

    __tablename__ = "kpi_hours"
    __table_args__ = {"postgresql_with": {"fillfactor": "50"}}

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    stripe: Mapped[int] = mapped_column(SmallInteger(), primary_key=True)
    received: Mapped[int] = mapped_column(server_default="0")
    assigned: Mapped[int] = mapped_column(server_default="0")
    parked: Mapped[int] = mapped_column(server_default="0")
    completed: Mapped[int] = mapped_column(server_default="0")
    rejected: Mapped[int] = mapped_column(server_default="0")
    returned: Mapped[int] = mapped_column(server_default="0")
    cancelled: Mapped[int] = mapped_column(server_default="0")
    reassigned: Mapped[int] = mapped_column(server_default="0")
    moved_in: Mapped[int] = mapped_column(server_default="0")
    moved_out: Mapped[int] = mapped_column(server_default="0")
    delivered: Mapped[int] = mapped_column(server_default="0")
    waited: Mapped[int] = mapped_column(server_default="0")
    waited_seconds: Mapped[float] = mapped_column(server_default="0")
    latency_sum: Mapped[float] = mapped_column(server_default="0")
    latency_buckets: Mapped[list[int]] = mapped_column(server_default=text("'{}'::bigint[]"))


class KpiDay(Base):
    """A pool's fairness of one business day, closed at its midnight."""

    __tablename__ = "kpi_days"

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    business_day: Mapped[date] = mapped_column(primary_key=True)
    assigned: Mapped[int] = mapped_column(server_default="0")
    weight: Mapped[Decimal] = mapped_column(server_default="0")
    mae: Mapped[float | None]
    mae_optimum: Mapped[float | None]
    fairness_gap: Mapped[float | None]
    shares: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)


class ArchivedDay(Base):
    """Sums of the archived assignments of a business day: counters stay checkable without the rows."""

    __tablename__ = "archived_days"

    executor_id: Mapped[int] = mapped_column(ForeignKey("executors.id", ondelete="CASCADE"), primary_key=True)
    business_day: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer())
    weight: Mapped[Decimal]
    routed: Mapped[Decimal]
