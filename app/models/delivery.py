"""Messages to other systems, and their receivers."""

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import EMPTY_OBJECT, NOW, Base, Json


class OutboxMessage(Base):
    """A message to another system, written with the decision. `sequence` orders the messages of one task."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("task_id", "sequence", "destination"),
        Index(
            "ix_outbox_due",
            "destination",
            "next_attempt_at",
            "id",
            postgresql_where=text("delivered_at IS NULL AND dead_at IS NULL"),
        ),
    )

    # No cache: deliveries are listed by id, and each connection would number from a block of its own.
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int]
    task_id: Mapped[int]
    sequence: Mapped[int] = mapped_column(Integer())
    destination: Mapped[str] = mapped_column(server_default="ais")
    event: Mapped[str]
    payload: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    attempts: Mapped[int] = mapped_column(Integer(), server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=NOW)
    claimed_until: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    dead_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class DeliveryBreaker(Base):
    """A receiver that did not answer several times in a row, and is left alone until `open_until`; no row: it answers.

    The breaker of a receiver as the last sender left it, for display: each sender keeps its own.
    """

    __tablename__ = "delivery_breakers"

    destination: Mapped[str] = mapped_column(primary_key=True)
    failed: Mapped[int] = mapped_column(Integer())
    opened_at: Mapped[datetime] = mapped_column(server_default=NOW)
    open_until: Mapped[datetime]
    last_error: Mapped[str] = mapped_column(server_default="")


class Webhook(Base):
    """A receiver of a pool's messages; `secret` signs them, so it is kept as it is."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_pool_id", "pool_id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"))
    url: Mapped[str]
    secret: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
