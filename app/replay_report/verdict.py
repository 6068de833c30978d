"""Whether a forecast would have helped: the same stream played with it and without it, day by day."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from app.engine.fairness.forecast import WEEKS
from app.engine.ledger import DayFigures, StreamFigures

NOISE = 0.002
"""A difference of mean gaps below this says nothing."""


class ForecastEffect(StrEnum):
    """Effect that the forecast would have had."""

    HELPS = "helps"
    NEUTRAL = "neutral"
    HURTS = "hurts"
    UNKNOWN = "unknown"  # no day had the same weekday before it


@dataclass(frozen=True, slots=True)
class ForecastVerdict:
    """Mean gaps of those days for which there was something to go by; shares of one."""

    effect: ForecastEffect
    days: int
    gap_without: float | None
    gap_with: float | None

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "effect": self.effect.value,
            "days": self.days,
            "gap_without": self.gap_without,
            "gap_with": self.gap_with,
        }


def judge(without: StreamFigures, with_it: StreamFigures) -> ForecastVerdict:
    """Compare the days that had the same weekday before them."""
    known = {one.day for one in without.days if one.placed}
    gaps = [
        (before.gap, after.gap)
        for before, after in zip(without.days, with_it.days, strict=True)
        if before.gap is not None and after.gap is not None and _has_past(before, known)
    ]
    if not gaps:
        return ForecastVerdict(ForecastEffect.UNKNOWN, 0, None, None)
    plain = sum(before for before, _ in gaps) / len(gaps)
    ahead = sum(after for _, after in gaps) / len(gaps)
    effect = ForecastEffect.NEUTRAL
    if abs(plain - ahead) > NOISE:
        effect = ForecastEffect.HELPS if ahead < plain else ForecastEffect.HURTS
    return ForecastVerdict(effect, len(gaps), round(plain, 6), round(ahead, 6))


def _has_past(one: DayFigures, known: set[Any]) -> bool:
    return any(one.day - timedelta(weeks=week) in known for week in range(1, WEEKS + 1))
