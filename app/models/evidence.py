"""Evidence that makes decisions explainable and fair shares solvable for good."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import NOW, Base, Json


class ClassSnapshotRow(Base):
    """One eligibility class under one rule set and one roster: who could take it, and which rule kept the others out.

    Stored once, however many tasks are decided on it; assignments refer to it, which makes them explainable for good.
    Parked tasks keep the class of their last look: `current_id` names what that class is since people changed (null:
    still itself), as seen at `checked_epoch`.
    """

    __tablename__ = "class_snapshots"
    __table_args__ = (
        UniqueConstraint("pool_id", "digest"),
        Index("ix_class_snapshots_current_id", "current_id", postgresql_where=text("current_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"))
    digest: Mapped[str]
    rule_set_id: Mapped[int | None] = mapped_column(ForeignKey("rule_sets.id"))
    content: Mapped[Json]
    current_id: Mapped[int | None]
    checked_epoch: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class TrailFrame(Base):
    """Loads when one batch was decided; see `app.engine.placement.decision_log`. `number` is the batch's epoch."""

    __tablename__ = "trail_frames"
    __table_args__ = (Index("ix_trail_frames_pool_id_start_number", "pool_id", "start", "number"),)

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int]
    content: Mapped[Json]


class RosterRow(Base):
    """Executors present together: `members` are `[executor id, qualification, daily limit or null]`, by id."""

    __tablename__ = "rosters"
    __table_args__ = (UniqueConstraint("pool_id", "digest"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"))
    digest: Mapped[str]
    members: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ClassHour(Base):
    """How much routed work of a class was placed in an hour while these people were present.

    Enough to solve the fair share of any period later, span by span, without the raw history.
    """

    __tablename__ = "class_hours"
    __table_args__ = (Index("ix_class_hours_pool_id_hour", "pool_id", "hour"),)

    class_id: Mapped[int] = mapped_column(
        ForeignKey("class_snapshots.id", ondelete="CASCADE"), primary_key=True
    )
    roster_id: Mapped[int] = mapped_column(ForeignKey("rosters.id", ondelete="CASCADE"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    pool_id: Mapped[int]
    placed_count: Mapped[int] = mapped_column(server_default="0")
    placed_weight: Mapped[Decimal] = mapped_column(server_default="0")
