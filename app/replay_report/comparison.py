"""Comparison of the real distribution with the replayed ones: as values, and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.engine.ledger import PersonFigures, StreamFigures
from app.engine.replay import PlayedStream
from app.engine.types import ExecutorId, Policy
from app.replay_report.verdict import ForecastVerdict, judge

ACTUAL = "actual"
FORECAST = "fair_forecast"


@dataclass(frozen=True, slots=True)
class Run:
    """One distribution of the stream, real or replayed; `moved` tasks went to another executor than in fact."""

    name: str
    figures: StreamFigures
    moved: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Description of the stream that was played."""

    name: str
    items: int
    people: int
    activities: int
    first: datetime | None
    last: datetime | None
    timezone: str
    dropped: Mapping[str, int]
    notes: Sequence[str]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunComparison:
    """The source and its runs, the actual one first, the proposed one next."""

    source: Source
    runs: Sequence[Run]
    names: Mapping[ExecutorId, str]

    @property
    def actual(self) -> Run | None:
        """The real distribution."""
        return next((run for run in self.runs if run.name == ACTUAL), None)

    @property
    def proposed(self) -> Run:
        """The proposed distribution."""
        return next(run for run in self.runs if run.name != ACTUAL)

    @property
    def verdict(self) -> ForecastVerdict | None:
        """Whether a forecast would have helped; None where it was not tried."""
        runs = {run.name: run.figures for run in self.runs}
        if FORECAST not in runs or Policy.FAIR.value not in runs:
            return None
        return judge(runs[Policy.FAIR.value], runs[FORECAST])


def moved(actual: PlayedStream, proposed: PlayedStream) -> int:
    """Number of tasks that went to another executor."""
    return sum(actual.holders.get(task_id, who) != who for task_id, who in proposed.holders.items())


def as_json(comparison: RunComparison) -> dict[str, Any]:
    """Plain JSON; weights in task units, waits in seconds, gaps as shares of one."""
    source = asdict(comparison.source)
    for edge in ("first", "last"):
        source[edge] = source[edge].isoformat() if source[edge] else None
    told = {"source": source, "runs": [_run(run, comparison.names) for run in comparison.runs]}
    return told if comparison.verdict is None else {**told, "forecast": comparison.verdict.as_json()}


def _run(run: Run, names: Mapping[ExecutorId, str]) -> dict[str, Any]:
    figures = run.figures
    worst = figures.worst
    return {
        "name": run.name,
        "arrived": figures.arrived,
        "placed": figures.placed,
        "moved": run.moved,
        "unplaced": dict(figures.unplaced),
        "broken": dict(figures.broken),
        "fairness_gap": _rounded(figures.fairness_gap),
        "mae": _rounded(figures.mae),
        "mae_optimum": _rounded(figures.mae_optimum),
        "worst": _person(worst, names) if worst else None,
        "waits": asdict(figures.waits) if figures.waits else None,
        "executors": [_person(one, names) for one in figures.people],
        "days": [
            {
                **asdict(day),
                "day": day.day.isoformat(),
                "gap": _rounded(day.gap),
                "gap_so_far": _rounded(day.gap_so_far),
            }
            for day in figures.days
        ],
        "hours": [asdict(hour) for hour in figures.hours],
    }


def _person(one: PersonFigures, names: Mapping[ExecutorId, str]) -> dict[str, Any]:
    return {
        "executor_id": one.executor_id,
        "name": names.get(one.executor_id, ""),
        "tasks": one.tasks,
        "received": one.received,
        "fair_share": _rounded(one.fair),
        "deviation": _rounded(one.deviation),
        "even_share": _rounded(one.even),
        "days": one.days,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
