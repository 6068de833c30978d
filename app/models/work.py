"""Tasks, their lives, and who has them."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import EMPTY_OBJECT, NOW, Base, Json, one_of

TASK_STATUSES = ("pending", "assigned", "in_progress", "completed", "rejected", "cancelled", "returned")


class TaskRow(Base):
    """A piece of work.

    Pending with a `wait_reason` means parked: looked at, nobody could take it; an event or the pool's clock wakes it
    (`app.services.waking`), or a clock of its own (`wake_at`: until when the reason holds at the latest). `executor_id`
    is the current executor; while the task is pending again, the one that it is bound to: `route` says whether it goes
    back to them (rework), to them because a person decided so (manual), or to anybody (reassign: no executor). Until
    `barred_until` it does not go to `barred_executor_id`, who had it last; `escalate_at`: no further step before then,
    because the last try was refused. `pool_id` is where it is worked on; `home_pool_id` (null: the same) where it was
    handed in, where its `external_id` is unique and whose people go on seeing it; `moved_at` says since when.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        one_of("status", *TASK_STATUSES),
        one_of("route", "rework", "reassign", "manual"),
        CheckConstraint("weight > 0", name="weight_positive"),
        Index(
            "uq_tasks_home_external_id",
            text("coalesce(home_pool_id, pool_id)"),
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        # Order of arrival is `created_at`, then `id`: ids alone come in blocks, one for each connection.
        Index("ix_tasks_pool_id_created_at", "pool_id", "created_at", "id"),
        Index(
            "ix_tasks_home_pool_id_created_at",
            "home_pool_id",
            "created_at",
            "id",
            postgresql_where=text("home_pool_id IS NOT NULL"),
        ),
        Index(
            "ix_tasks_to_place_in_order",
            "pool_id",
            text("priority DESC"),
            text("deadline ASC NULLS LAST"),
            "created_at",
            "id",
            postgresql_where=text("status = 'pending' AND wait_reason IS NULL"),
        ),
        Index(
            "ix_tasks_parked",
            "pool_id",
            "wake_at",
            postgresql_where=text("status = 'pending' AND wait_reason IS NOT NULL"),
        ),
        Index(
            "ix_tasks_parked_in_order",
            "pool_id",
            "wait_class_id",
            text("priority DESC"),
            text("deadline ASC NULLS LAST"),
            "created_at",
            "id",
            postgresql_where=text("status = 'pending' AND wait_reason IS NOT NULL"),
        ),
        Index(
            "ix_tasks_open_of_executor",
            "executor_id",
            "id",
            postgresql_where=text("status IN ('assigned', 'in_progress', 'returned')"),
        ),
        Index(
            "ix_tasks_parked_bound",
            "pool_id",
            "id",
            postgresql_where=text(
                "status = 'pending' AND wait_reason IS NOT NULL"
                " AND (parent_id IS NOT NULL OR route IN ('rework', 'manual'))"
            ),
        ),
        # Tasks come in the order of time: a few pages of index say which pages of the table a period lies in.
        Index("ix_tasks_created_at", "created_at", postgresql_using="brin"),
        Index("ix_tasks_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(cache=1000), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"))
    home_pool_id: Mapped[int | None]
    moved_at: Mapped[datetime | None]
    external_id: Mapped[str | None]
    parameters: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    weight: Mapped[Decimal] = mapped_column(server_default="1")
    priority: Mapped[int] = mapped_column(Integer(), server_default="0")
    deadline: Mapped[datetime | None]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"))
    status: Mapped[str] = mapped_column(server_default="pending")
    version: Mapped[int] = mapped_column(Integer(), server_default="1")
    executor_id: Mapped[int | None]
    wait_reason: Mapped[str | None]
    waiting_since: Mapped[datetime | None]
    wake_at: Mapped[datetime | None]
    wait_class_id: Mapped[int | None]
    wait_explanation: Mapped[Json | None]
    route: Mapped[str | None]
    escalation: Mapped[int] = mapped_column(Integer(), server_default="0")
    escalate_at: Mapped[datetime | None]
    barred_executor_id: Mapped[int | None]
    barred_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer(), server_default="0")
    origin: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class TaskEvent(Base):
    """One step in a task's life after intake: who moved it from what to what, and why."""

    __tablename__ = "task_events"
    __table_args__ = (
        Index("ix_task_events_task_id_id", "task_id", "id"),
        Index("ix_task_events_at", "at", postgresql_using="brin"),
    )

    id: Mapped[int] = mapped_column(Identity(cache=100), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    pool_id: Mapped[int]
    event: Mapped[str]
    from_status: Mapped[str]
    to_status: Mapped[str]
    executor_id: Mapped[int | None]
    actor: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    at: Mapped[datetime] = mapped_column(server_default=NOW)


class Assignment(Base):
    """One executor for one task. Current while `released_at` is null; history is never rewritten.

    `counted` turns false when the work was taken back undone (rejected, reassigned, cancelled), for every assignment of
    the task: it counts as received by the person who has it or completed it, and by no other. Counters are sums over
    counted assignments, which `doctor` checks. `roster_id` says who was present (null: decided before that was kept).
    """

    __tablename__ = "assignments"
    __table_args__ = (
        one_of("kind", "primary", "parent", "rework", "reassign", "manual"),
        one_of("delivery_state", "decided", "sent", "confirmed", "drifted"),
        Index("uq_assignments_current", "task_id", unique=True, postgresql_where=text("released_at IS NULL")),
        Index("ix_assignments_task_id_id", "task_id", "id"),
        Index("ix_assignments_executor_id_id", "executor_id", "id"),
        Index(
            "ix_assignments_unconfirmed", "id", postgresql_where=text("delivery_state IN ('sent', 'drifted')")
        ),
        Index("ix_assignments_pool_id_decided_at", "pool_id", "decided_at"),
    )

    id: Mapped[int] = mapped_column(Identity(cache=1000), primary_key=True)
    task_id: Mapped[int]
    pool_id: Mapped[int]
    executor_id: Mapped[int]
    kind: Mapped[str]
    rule_set_id: Mapped[int | None]
    class_id: Mapped[int | None]
    roster_id: Mapped[int | None]
    weight: Mapped[Decimal]
    score: Mapped[float]
    explanation: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    business_day: Mapped[date]
    decided_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    released_at: Mapped[datetime | None]
    release_reason: Mapped[str | None]
    counted: Mapped[bool] = mapped_column(server_default=text("true"))
    accepted_at: Mapped[datetime | None]
    delivery_state: Mapped[str] = mapped_column(server_default="decided")


class MoveKey(Base):
    """A key that a client gave with a move of a task: the same key again gets the same answer."""

    __tablename__ = "move_keys"

    task_id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    answer: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class IdempotencyKey(Base):
    """A key that a client gave with a task: the same key again gets the same task."""

    __tablename__ = "idempotency_keys"

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    task_id: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
