"""Executors, when they are away, and what they carry."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import EMPTY_OBJECT, NOW, Base, Json, one_of


class ExecutorRow(Base):
    """A person who does the work. Never deleted while history names them: `active` says who counts.

    `removed_here`: deactivated by a person and not by a pull from the external system, which then does not undo it.
    """

    __tablename__ = "executors"
    __table_args__ = (
        one_of("availability", "available", "break", "offline"),
        CheckConstraint("qualification > 0", name="qualification_positive"),
        CheckConstraint("daily_limit >= 0", name="daily_limit_not_negative"),
        CheckConstraint("max_open >= 0", name="max_open_not_negative"),
        UniqueConstraint("pool_id", "external_id"),
        Index("ix_executors_pool_id_epoch", "pool_id", "epoch"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"))
    external_id: Mapped[str | None]
    name: Mapped[str]
    parameters: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    availability: Mapped[str] = mapped_column(server_default="available")
    working_hours: Mapped[Json | None]
    daily_limit: Mapped[Decimal | None]
    max_open: Mapped[int | None] = mapped_column(Integer())
    qualification: Mapped[Decimal] = mapped_column(server_default="1")
    reassign_open_at: Mapped[datetime | None]
    removed_here: Mapped[bool] = mapped_column(server_default=text("false"))
    reassign_if_inactive: Mapped[bool] = mapped_column(server_default=text("false"))
    version: Mapped[int] = mapped_column(Integer(), server_default="1")
    epoch: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW, onupdate=NOW)


class ErasedPerson(Base):
    """Who was erased on request, as a digest of pool and external id: a pull from the external system adds them not."""

    __tablename__ = "erased_people"

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)


class ExecutorAbsence(Base):
    """A planned absence (leave, illness, a day off) and what becomes of the open tasks meanwhile."""

    __tablename__ = "executor_absences"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        one_of("open_tasks", "keep", "reassign"),
        Index("ix_executor_absences_executor_id_ends_at", "executor_id", "ends_at"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    executor_id: Mapped[int] = mapped_column(ForeignKey("executors.id", ondelete="CASCADE"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(server_default="")
    open_tasks: Mapped[str] = mapped_column(server_default="keep")
    reassign_after_minutes: Mapped[int] = mapped_column(Integer(), server_default="0")
    handled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ExecutorLoad(Base):
    """Open work of an executor and work received in the fairness window; one row each, updated once per batch.

    `window_weight` counts from `window_start` and `day_*` on `business_day`: a row whose date is past means zero, so
    nothing has to run at midnight. The level that the engine compares is `level_offset + window_weight`; an executor
    who was not `present` and is again gets an offset that lifts them to the level of those who were. `last_ended` is
    when their last open task ended or was taken back, in microseconds since 1970 (0: never).
    """

    __tablename__ = "executor_loads"
    __table_args__ = (
        # Never one over a column that batches change: each row would be written anew in every index.
        Index("ix_executor_loads_pool_id", "pool_id"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    executor_id: Mapped[int] = mapped_column(ForeignKey("executors.id", ondelete="CASCADE"), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"))
    epoch: Mapped[int] = mapped_column(server_default="1")
    open_count: Mapped[int] = mapped_column(Integer(), server_default="0")
    open_weight: Mapped[Decimal] = mapped_column(server_default="0")
    window_start: Mapped[date]
    window_weight: Mapped[Decimal] = mapped_column(server_default="0")
    level_offset: Mapped[Decimal] = mapped_column(server_default="0")
    present: Mapped[bool] = mapped_column(server_default=text("false"))
    business_day: Mapped[date]
    day_count: Mapped[int] = mapped_column(Integer(), server_default="0")
    day_weight: Mapped[Decimal] = mapped_column(server_default="0")
    day_routed: Mapped[Decimal] = mapped_column(server_default="0")
    last_assigned: Mapped[int] = mapped_column(server_default="0")
    last_ended: Mapped[int] = mapped_column(server_default="0")


class ExecutorDay(Base):
    """Work an executor received on one business day of the pool's time zone; daily limits bind `routed_weight`.

    A task that comes back to them after the client's answer (rework) is work again, in weight, and not another task.

    `handed_over_weight` is routed work of the day that was taken from them because they went: their own fair share is
    smaller by it, and nobody else's.
    """

    __tablename__ = "executor_days"
    __table_args__ = (
        Index("ix_executor_days_pool_id_business_day", "pool_id", "business_day"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    executor_id: Mapped[int] = mapped_column(ForeignKey("executors.id", ondelete="CASCADE"), primary_key=True)
    business_day: Mapped[date] = mapped_column(primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"))
    assigned_count: Mapped[int] = mapped_column(Integer(), server_default="0")
    assigned_weight: Mapped[Decimal] = mapped_column(server_default="0")
    routed_weight: Mapped[Decimal] = mapped_column(server_default="0")
    handed_over_weight: Mapped[Decimal] = mapped_column(server_default="0")
    completed_count: Mapped[int] = mapped_column(Integer(), server_default="0")
    rejected_count: Mapped[int] = mapped_column(Integer(), server_default="0")
    returned_count: Mapped[int] = mapped_column(Integer(), server_default="0")
    declined_count: Mapped[int] = mapped_column(Integer(), server_default="0")
