"""The tables, and nothing that decides.

Conventions: ids are bigint identities; instants are `timestamptz` in UTC; weights are `numeric(14, 3)`
in task units; states are text with a CHECK, so that a new state is a cheap migration. Locks are always
taken in one order: pool (`pool_states`), executors by id, tasks by id.

Rows that a batch writes by the hundred (assignments, outbox, tasks' executors) carry no foreign keys: checking them
was a third of the batch's time. They are written from rows that the same statement reads under the pool's lock,
executors and decided tasks are never deleted while anything names them, and `doctor` looks for strays.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

NOW = func.now()
EMPTY_OBJECT = text("'{}'::jsonb")
EMPTY_ARRAY = text("'[]'::jsonb")


class Base(DeclarativeBase):
    """The declarative base; its metadata is what Alembic compares with the database."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        int: BigInteger(),
        str: Text(),
        bool: Boolean(),
        float: Float(),
        datetime: DateTime(timezone=True),
        date: Date(),
        Decimal: Numeric(14, 3),
        Json: JSONB(),
        list[Any]: JSONB(),
        list[str]: ARRAY(Text()),
        list[int]: ARRAY(BigInteger()),
        bytes: LargeBinary(),
    }


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Pool(Base):
    """A team or department with its own parameters, rules, executors and tasks."""

    __tablename__ = "pools"
    __table_args__ = (
        _one_of("policy", "fair", "round_robin", "longest_idle", "best_match"),
        _one_of("fairness_window", "day", "week", "month"),
        CheckConstraint("theta >= 0", name="theta_not_negative"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    timezone: Mapped[str] = mapped_column(server_default="Europe/Moscow")
    policy: Mapped[str] = mapped_column(server_default="fair")
    fairness_window: Mapped[str] = mapped_column(server_default="day")
    theta: Mapped[float] = mapped_column(server_default="0.05")
    defaults: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    settings: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW, onupdate=NOW)


class PoolState(Base):
    """The pool's lock and its epoch, apart from `pools` so that foreign keys to the pool never wait for it.

    Every transaction that changes what a decision depends on raises `epoch` first; a worker that decided on an
    older picture finds its epoch gone and changes nothing. `config_epoch` is the epoch at which rules, parameters or
    pool settings last changed: below it a worker reloads all, above it the rows stamped later are enough.
    """

    __tablename__ = "pool_states"
    __table_args__ = {"postgresql_with": {"fillfactor": "50"}}

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(server_default="1")
    config_epoch: Mapped[int] = mapped_column(server_default="1")


class Parameter(Base):
    """A parameter of tasks or executors: added by a person, known to rules at once, without code or migration."""

    __tablename__ = "parameters"
    __table_args__ = (
        UniqueConstraint("pool_id", "owner", "key"),
        _one_of("owner", "task", "executor"),
        _one_of("type", "string", "number", "boolean", "datetime", "enum", "list"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"))
    owner: Mapped[str]
    key: Mapped[str]
    type: Mapped[str]
    label_ru: Mapped[str] = mapped_column(server_default="")
    label_en: Mapped[str] = mapped_column(server_default="")
    options: Mapped[list[Any]] = mapped_column(server_default=EMPTY_ARRAY)
    required: Mapped[bool] = mapped_column(server_default=text("false"))
    default: Mapped[Any | None] = mapped_column(JSONB())
    minimum: Mapped[float | None]
    maximum: Mapped[float | None]
    open_options: Mapped[bool] = mapped_column(server_default=text("false"))
    deprecated: Mapped[bool] = mapped_column(server_default=text("false"))
    position: Mapped[int] = mapped_column(Integer(), server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW, onupdate=NOW)


class Executor(Base):
    """A person who does the work. Never deleted while history names them: `active` says who counts."""

    __tablename__ = "executors"
    __table_args__ = (
        _one_of("availability", "available", "break", "offline"),
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
    version: Mapped[int] = mapped_column(Integer(), server_default="1")
    epoch: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW, onupdate=NOW)


class ExecutorAbsence(Base):
    """A planned absence (leave, illness, a day off) and what becomes of the open tasks meanwhile."""

    __tablename__ = "executor_absences"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        _one_of("open_tasks", "keep", "reassign"),
        Index("ix_executor_absences_executor_id_ends_at", "executor_id", "ends_at"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    executor_id: Mapped[int] = mapped_column(ForeignKey("executors.id", ondelete="CASCADE"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(server_default="")
    open_tasks: Mapped[str] = mapped_column(server_default="keep")
    reassign_after_minutes: Mapped[int] = mapped_column(Integer(), server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ExecutorLoad(Base):
    """What an executor carries now and has received in the fairness window; one row each, updated once per batch.

    `window_weight` counts from `window_start` and `day_*` on `business_day`: a row whose date is past means zero, so
    nothing has to run at midnight. The level that the engine compares is `level_offset + window_weight`; whoever was
    not `present` and is again gets an offset that lifts them to the level of those who were.
    """

    __tablename__ = "executor_loads"
    __table_args__ = (
        Index("ix_executor_loads_pool_id_epoch", "pool_id", "epoch"),
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


class ExecutorDay(Base):
    """What an executor received on one business day of the pool's time zone; `routed_weight` is what limits bind."""

    __tablename__ = "executor_days"
    __table_args__ = (Index("ix_executor_days_pool_id_business_day", "pool_id", "business_day"),)

    executor_id: Mapped[int] = mapped_column(ForeignKey("executors.id", ondelete="CASCADE"), primary_key=True)
    business_day: Mapped[date] = mapped_column(primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"))
    assigned_count: Mapped[int] = mapped_column(Integer(), server_default="0")
    assigned_weight: Mapped[Decimal] = mapped_column(server_default="0")
    routed_weight: Mapped[Decimal] = mapped_column(server_default="0")


TASK_STATUSES = ("pending", "assigned", "in_progress", "completed", "rejected", "cancelled", "returned")


class Task(Base):
    """A piece of work.

    Pending with a `wait_reason` means parked: looked at, nobody could take it; an event wakes it, or the clock at
    `wake_at` (a shift begins, a limit turns over). `executor_id` is the current executor, or the previous one while
    the task is pending again: `route` then says whether it goes back to them (rework) or away from them (reassign).
    """

    __tablename__ = "tasks"
    __table_args__ = (
        _one_of("status", *TASK_STATUSES),
        _one_of("route", "rework", "reassign"),
        CheckConstraint("weight > 0", name="weight_positive"),
        Index(
            "uq_tasks_pool_id_external_id",
            "pool_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index("ix_tasks_pool_id_id", "pool_id", "id"),
        Index(
            "ix_tasks_to_place",
            "pool_id",
            text("priority DESC"),
            text("deadline ASC NULLS LAST"),
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
            "ix_tasks_open_of_executor",
            "executor_id",
            "id",
            postgresql_where=text("status IN ('assigned', 'in_progress', 'returned')"),
        ),
        Index("ix_tasks_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(cache=1000), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"))
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
    attempts: Mapped[int] = mapped_column(Integer(), server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class TaskEvent(Base):
    """One step in a task's life after intake: who moved it from what to what, and why."""

    __tablename__ = "task_events"
    __table_args__ = (Index("ix_task_events_task_id_id", "task_id", "id"),)

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


class RuleSet(Base):
    """A version of a pool's rules. Immutable once active; exactly one is active per pool."""

    __tablename__ = "rule_sets"
    __table_args__ = (
        UniqueConstraint("pool_id", "name", "version"),
        _one_of("state", "draft", "active", "archived"),
        Index("uq_rule_sets_active", "pool_id", unique=True, postgresql_where=text("state = 'active'")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"))
    name: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    document: Mapped[Json]
    state: Mapped[str] = mapped_column(server_default="draft")
    author: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    activated_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]


class ClassSnapshot(Base):
    """One eligibility class under one rule set and one roster: who could take it, and which rule kept the others out.

    Stored once, however many tasks are decided on it; assignments refer to it, which makes them explainable for good.
    """

    __tablename__ = "class_snapshots"
    __table_args__ = (UniqueConstraint("pool_id", "digest"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"))
    digest: Mapped[str]
    rule_set_id: Mapped[int | None] = mapped_column(ForeignKey("rule_sets.id"))
    content: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class TrailFrame(Base):
    """Who carried what when one batch was decided; see `app.engine.trail`. `number` is the batch's epoch."""

    __tablename__ = "trail_frames"
    __table_args__ = (Index("ix_trail_frames_pool_id_start_number", "pool_id", "start", "number"),)

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int]
    content: Mapped[Json]


class Roster(Base):
    """Who was present together: `members` are `[executor id, qualification, daily limit or null]`, by id."""

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


class Assignment(Base):
    """One executor for one task. Current while `released_at` is null; history is never rewritten.

    `counted` turns false when the work was taken back undone (rejected, reassigned, cancelled): counters are sums
    over counted assignments, which `doctor` checks.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        _one_of("kind", "primary", "parent", "rework", "reassign", "manual"),
        _one_of("delivery_state", "decided", "sent", "confirmed", "drifted"),
        Index("uq_assignments_current", "task_id", unique=True, postgresql_where=text("released_at IS NULL")),
        Index("ix_assignments_task_id_id", "task_id", "id"),
        Index("ix_assignments_executor_id_id", "executor_id", "id"),
        Index("ix_assignments_pool_id_decided_at", "pool_id", "decided_at"),
    )

    id: Mapped[int] = mapped_column(Identity(cache=1000), primary_key=True)
    task_id: Mapped[int]
    pool_id: Mapped[int]
    executor_id: Mapped[int]
    kind: Mapped[str]
    rule_set_id: Mapped[int | None]
    class_id: Mapped[int | None]
    weight: Mapped[Decimal]
    score: Mapped[float]
    explanation: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    business_day: Mapped[date]
    decided_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    released_at: Mapped[datetime | None]
    release_reason: Mapped[str | None]
    counted: Mapped[bool] = mapped_column(server_default=text("true"))
    delivery_state: Mapped[str] = mapped_column(server_default="decided")


class OutboxMessage(Base):
    """What the outside must learn, written with the decision. `sequence` orders the messages of one task."""

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

    id: Mapped[int] = mapped_column(Identity(cache=1000), primary_key=True)
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


class IdempotencyKey(Base):
    """A key that a client gave with a task: the same key again gets the same task."""

    __tablename__ = "idempotency_keys"

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    task_id: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class KpiHour(Base):
    """A pool's figures of one hour, folded in as they happen. The histogram's bounds are `app.services.kpi`'s."""

    __tablename__ = "kpi_hours"

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    received: Mapped[int] = mapped_column(server_default="0")
    assigned: Mapped[int] = mapped_column(server_default="0")
    parked: Mapped[int] = mapped_column(server_default="0")
    completed: Mapped[int] = mapped_column(server_default="0")
    rejected: Mapped[int] = mapped_column(server_default="0")
    returned: Mapped[int] = mapped_column(server_default="0")
    cancelled: Mapped[int] = mapped_column(server_default="0")
    delivered: Mapped[int] = mapped_column(server_default="0")
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


class User(Base):
    """Somebody who signs in. `pool_ids` null means all pools."""

    __tablename__ = "users"
    __table_args__ = (_one_of("role", "viewer", "lead", "admin", "integration", "executor"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="viewer")
    pool_ids: Mapped[list[int] | None]
    executor_id: Mapped[int | None] = mapped_column(ForeignKey("executors.id"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    token_version: Mapped[int] = mapped_column(Integer(), server_default="1")
    failed_logins: Mapped[int] = mapped_column(Integer(), server_default="0")
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    last_login_at: Mapped[datetime | None]


class ApiKey(Base):
    """A key of an integration: hashed, limited to pools and actions, expiring."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    key_hash: Mapped[bytes]
    role: Mapped[str] = mapped_column(server_default="integration")
    scopes: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    pool_ids: Mapped[list[int] | None]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AuditEntry(Base):
    """Who changed what, when and from where, before and after; each entry carries the hash of the one before."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_pool_id_id", "pool_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    actor: Mapped[str]
    action: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[str]
    pool_id: Mapped[int | None]
    before: Mapped[Json | None]
    after: Mapped[Json | None]
    request_id: Mapped[str | None]
    address: Mapped[str | None]
    previous_hash: Mapped[bytes | None]
    hash: Mapped[bytes | None]
