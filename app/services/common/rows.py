"""Rows become domain values here and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.engine.calendar import BusinessDays, KeptDay, UnreadableHours, WorkingHours, next_of
from app.engine.placement.state import PoolSettings
from app.engine.types import AssignmentKind, Executor, ExecutorId, Load, Policy, Rules, Task, TaskId
from app.models import Pool
from app.rule_engine import Catalogue, Parameter, ParameterType, parse_rule_set
from app.services.common.escalation_steps import with_escalation
from app.services.common.pool_options import EscalationStep, fairness_options, pool_zone
from app.telemetry.metrics import rule_compile_seconds

DAY_COLUMNS = ("timezone", "timezone_before", "kept_day", "kept_day_begins", "kept_day_ends")
"""What of a pool's row says which business day it is."""


def days_of(row: Any) -> BusinessDays:
    """The business days of a pool from a row with DAY_COLUMNS. Raises BrokenSettings for a zone that is none."""
    zone = pool_zone(row["timezone"])
    if row["kept_day"] is None:
        return BusinessDays(zone)
    before = pool_zone(row["timezone_before"])
    return BusinessDays(zone, KeptDay(row["kept_day"], row["kept_day_begins"], row["kept_day_ends"], before))


def days_of_pool(pool: Pool) -> BusinessDays:
    """The business days of a pool. Raises BrokenSettings for a zone that is none."""
    return days_of({name: getattr(pool, name) for name in DAY_COLUMNS})


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a person takes work now, and when the clock may change that.

    `fault` says what of the stored row cannot be read, if anything. Such a person takes no work: the others do.
    """

    available: bool
    next_change: datetime | None
    fault: str = ""


def availability_of(row: Any, zone: ZoneInfo, now: datetime) -> Availability:
    """Available means: active, not on a break, not absent, within working hours. Never raises for what is stored."""
    try:
        hours = WorkingHours.stored(row["working_hours"], zone) if row["working_hours"] else None
        working = hours is None or hours.working(now)
    except (UnreadableHours, OverflowError) as error:
        return Availability(False, None, str(error))
    willing = row["active"] and row["availability"] == "available"
    edges = [row["edge"], hours.next_change(now) if hours else None]
    return Availability(bool(willing and working and not row["away"]), next_of(edges) if willing else None)


def starts_at(row: Any, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When a person who takes no work now will, by their hours and planned absence; None where nothing says so."""
    if not row["active"] or row["availability"] != "available":
        return None
    try:
        hours = WorkingHours.stored(row["working_hours"], zone) if row["working_hours"] else None
        at: datetime | None = row["edge"] if row["away"] else now
        if at is not None and hours is not None and not hours.working(at):
            at = hours.next_change(at)
    except (UnreadableHours, OverflowError):
        return None
    return at if at is not None and at > now else None


def executor_of(row: Any, availability: Availability) -> Executor:
    """An executor as the engine sees them; parameters that are no object count as none."""
    return Executor(
        id=ExecutorId(row["id"]),
        parameters=row["parameters"] if isinstance(row["parameters"], dict) else {},
        external_id=row["external_id"] or "",
        name=row["name"],
        qualification=row["qualification"],
        daily_limit=row["daily_limit"],
        max_open=row["max_open"],
        available=availability.available,
        active=row["active"],
    )


def load_of(row: Any, *, day: date, window_start: date) -> Load:
    """A load as of this business day and fairness window: what was counted on earlier ones is over."""
    in_window = row["window_start"] == window_start
    return Load(
        level=row["level_offset"] + row["window_weight"] if in_window else 0.0,
        used=row["day_routed"] if row["business_day"] == day else 0.0,
        open=row["open_count"],
        last_assigned=row["last_assigned"],
        last_ended=row["last_ended"],
    )


def task_of(row: Any) -> Task:
    """A pending task, the executor it is bound to (by its own route, else by its parent), and those it is kept from."""
    previous = None if row["previous_executor"] is None else ExecutorId(row["previous_executor"])
    forced, kind = None, None
    if row["route"] == "reassign":
        kind = AssignmentKind.REASSIGN
    elif row["route"] == "rework" and previous is not None:
        forced, kind = previous, AssignmentKind.REWORK
    elif row["route"] == "manual" and previous is not None:
        forced, kind = previous, AssignmentKind.MANUAL
    elif row["parent_executor"] is not None:
        forced, kind = ExecutorId(row["parent_executor"]), AssignmentKind.PARENT
    return Task(
        id=TaskId(row["id"]),
        parameters=row["parameters"] if isinstance(row["parameters"], dict) else {},
        external_id=row["external_id"] or "",
        weight=row["weight"],
        priority=row["priority"],
        deadline=row["deadline"],
        created_at=row["created_at"],
        forced_executor=forced,
        forced_kind=kind,
        excluded_executors=frozenset(row["barred"] or ()),
        escalation=row["escalation"],
    )


def settings_of(pool: Any, day_weight: float | None) -> PoolSettings:
    """How the pool distributes; `day_weight` is what a day brought lately per unit of qualification.

    Raises ValueError where the stored settings make no sense.
    """
    fairness_options(
        pool["settings"]
    )  # what makes no sense stops the pool instead of switching something off
    return PoolSettings(
        policy=Policy(pool["policy"]),
        theta=pool["theta"],
        day_load=day_weight or PoolSettings().day_load,
        paused=not pool["active"],
    )


def catalogue_of(rows: Sequence[Any]) -> Catalogue:
    """The parameter catalogue of a pool."""
    return Catalogue(tuple(parameter_of(row) for row in rows))


def rules_of(document: Any, catalogue: Catalogue, steps: Sequence[EscalationStep] = ()) -> Rules:
    """The active rule set, compiled, with the steps of what waits; without one everybody is eligible."""
    with rule_compile_seconds.time():
        return with_escalation(parse_rule_set(document or {}, catalogue), steps)


def parameter_of(row: Any) -> Parameter:
    """A parameter of the catalogue."""
    options = tuple(option["value"] if isinstance(option, dict) else option for option in row["options"])
    return Parameter(
        owner=row["owner"],
        key=row["key"],
        type=ParameterType(row["type"]),
        label_ru=row["label_ru"],
        label_en=row["label_en"],
        options=options,
        required=row["required"],
        default=row["default"],
        minimum=row["minimum"],
        maximum=row["maximum"],
        open_options=row["open_options"],
        deprecated=row["deprecated"],
    )
