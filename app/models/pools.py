"""Pools and what is configured in them: parameters and rule sets."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import EMPTY_ARRAY, EMPTY_OBJECT, NOW, Base, Json, one_of


class Pool(Base):
    """A team or department with its own parameters, rules, executors and tasks.

    `kept_day` is the business day on which `timezone` was last changed (null: never); see
    `app.engine.calendar.BusinessDays`.
    """

    __tablename__ = "pools"
    __table_args__ = (
        one_of("policy", "fair", "round_robin", "longest_idle", "best_match"),
        one_of("fairness_window", "day", "week", "month"),
        CheckConstraint("theta >= 0", name="theta_not_negative"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    timezone: Mapped[str] = mapped_column(server_default="Europe/Moscow")
    timezone_before: Mapped[str | None]
    kept_day: Mapped[date | None]
    kept_day_begins: Mapped[datetime | None]
    kept_day_ends: Mapped[datetime | None]
    policy: Mapped[str] = mapped_column(server_default="fair")
    fairness_window: Mapped[str] = mapped_column(server_default="day")
    theta: Mapped[float] = mapped_column(server_default="0.05")
    defaults: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    settings: Mapped[Json] = mapped_column(server_default=EMPTY_OBJECT)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    paused_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW, onupdate=NOW)


class PoolStateRow(Base):
    """The pool's lock and its epoch, apart from `pools` so that foreign keys to the pool never wait for it.

    Every transaction that changes what a decision depends on raises `epoch` first; a worker that decided on an
    older picture finds its epoch gone and changes nothing. `config_epoch` is the epoch at which rules, parameters or
    pool settings last changed: below it a worker reloads all, above it the rows stamped later are enough.
    `people_epoch` is the epoch at which somebody last changed in a way that rules may read. `wake_at` is when the clock
    next lets somebody take work (a shift begins, a limit turns over). `settled_for` names the day and the people for
    whom levels were last settled (see `app.engine.placement.settle`).
    """

    __tablename__ = "pool_states"
    __table_args__ = {"postgresql_with": {"fillfactor": "50"}}

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(server_default="1")
    config_epoch: Mapped[int] = mapped_column(server_default="1")
    people_epoch: Mapped[int] = mapped_column(server_default="1")
    wake_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    settled_for: Mapped[str | None]
    settled_at: Mapped[datetime | None]


class PoolAttempt(Base):
    """The batch a worker is deciding, noted outside of its transaction: see `services.placement.poison`."""

    __tablename__ = "pool_attempts"
    __table_args__ = {"postgresql_with": {"fillfactor": "50"}}

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    deciding: Mapped[int] = mapped_column(Integer(), server_default="0")
    careful: Mapped[int] = mapped_column(Integer(), server_default="0")


class ParameterRow(Base):
    """A parameter of tasks or executors: added by a person, known to rules at once, without code or migration."""

    __tablename__ = "parameters"
    __table_args__ = (
        UniqueConstraint("pool_id", "owner", "key"),
        one_of("owner", "task", "executor"),
        one_of("type", "string", "number", "boolean", "datetime", "enum", "list"),
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


class RuleSetRow(Base):
    """A version of a pool's rules. Immutable once active; exactly one is active per pool."""

    __tablename__ = "rule_sets"
    __table_args__ = (
        UniqueConstraint("pool_id", "name", "version"),
        one_of("state", "draft", "active", "archived"),
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
