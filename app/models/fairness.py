"""Fairness as it is kept: hours as they ended, alarms, and replays with their results."""

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import EMPTY_OBJECT, NOW, Base, Json, one_of


class FairnessHour(Base):
    """A pool's business day as it stood in this hour: the last row of a day is the day.

    `shares` gives for each executor id what they had received by then and what would have been fair: the difference
    to the hour before is the hour's. Written by the fairness watch, so that no later question needs the raw history.
    """

    __tablename__ = "fairness_hours"

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    fairness_gap: Mapped[float | None]
    mae: Mapped[float]
    mae_optimum: Mapped[float | None]
    shares: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)


class FairnessAlert(Base):
    """A bound that was passed, until it no longer is; `executor_id` is null for the pool's gap."""

    __tablename__ = "fairness_alerts"
    __table_args__ = (
        one_of("kind", "gap", "deviation", "demand"),
        Index(
            "uq_fairness_alerts_open",
            "pool_id",
            "kind",
            text("coalesce(executor_id, 0)"),
            unique=True,
            postgresql_where=text("cleared_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"))
    kind: Mapped[str]
    executor_id: Mapped[int | None]
    value: Mapped[float]
    bound: Mapped[float]
    facts: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]


class Replay(Base):
    """Past work distributed once more: what was asked, how far it is, and what came of it."""

    __tablename__ = "replays"
    __table_args__ = (
        one_of("state", "queued", "running", "done", "failed", "cancelled"),
        Index("ix_replays_pool_id_id", "pool_id", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"))
    rule_set_id: Mapped[int | None] = mapped_column(ForeignKey("rule_sets.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(server_default="queued")
    request: Mapped[Json]
    done: Mapped[int] = mapped_column(Integer(), server_default="0")
    total: Mapped[int] = mapped_column(Integer(), server_default="0")
    result: Mapped[Json | None]
    error: Mapped[str | None]
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    seen_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
