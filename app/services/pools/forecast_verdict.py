"""Whether a pool may trust a forecast: measured on its own past days, told in words, asked before it is switched on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId
from app.errors import Invalid
from app.messages.message import Message, Template, decimal, say, tell
from app.models import Replay
from app.replay_report.verdict import ForecastEffect


@dataclass(frozen=True, slots=True)
class Trial:
    """The newest measurement of a pool's forecast."""

    replay_id: int
    measured_at: datetime
    effect: ForecastEffect
    days: int
    gap_without: float | None
    gap_with: float | None


async def last_trial(session: AsyncSession, *, pool_id: PoolId) -> Trial | None:
    """The newest measurement; None where there is none."""
    found = (
        await session.execute(
            select(Replay.id, Replay.finished_at, Replay.result["forecast"])
            .where(Replay.pool_id == pool_id, Replay.state == "done", Replay.result.has_key("forecast"))
            .order_by(Replay.id.desc())
            .limit(1)
        )
    ).first()
    if found is None:
        return None
    replay_id, finished_at, verdict = found
    return Trial(
        replay_id,
        finished_at,
        ForecastEffect(verdict["effect"]),
        verdict["days"],
        verdict["gap_without"],
        verdict["gap_with"],
    )


async def refuse_bad_forecast(session: AsyncSession, *, pool_id: PoolId) -> None:
    """Raise Invalid unless a forecast was measured on this pool's past and did not hurt."""
    trial = await last_trial(session, pool_id=pool_id)
    place = "fairness.forecast"
    if trial is None or trial.effect is ForecastEffect.UNKNOWN:
        reason = say("it was not measured yet on days that had the same weekday before them")
        remedy = say("measure it with POST /v1/pools/{pool_id}/forecast", pool_id=pool_id)
        raise Invalid.at(place, reason, remedy)
    if trial.effect is ForecastEffect.HURTS:
        reason = say(
            "A forecast would have hurt: mean gap of a day {before} % → {after} % ({days} days)",
            **_numbers(trial),
        )
        remedy = say(
            "measure it with POST /v1/pools/{pool_id}/forecast again when the weekdays are more alike",
            pool_id=pool_id,
        )
        raise Invalid.at(place, reason, remedy)


_TEMPLATES = {
    ForecastEffect.HELPS: Template(
        "A forecast would have helped: mean gap of a day {before} % → {after} % ({days} days)."
    ),
    ForecastEffect.NEUTRAL: Template(
        "A forecast would have changed next to nothing: {before} % → {after} % ({days} days)."
    ),
    ForecastEffect.HURTS: Template(
        "A forecast would have hurt: mean gap of a day {before} % → {after} % ({days} days)."
    ),
    ForecastEffect.UNKNOWN: Template("Nothing to judge by: no day had the same weekday before it."),
}


def verdict_text(trial: Trial | None) -> Message:
    """The measurement as a sentence."""
    if trial is None:
        return say("The forecast was not measured on past days yet.")
    return tell(_TEMPLATES[trial.effect], **_numbers(trial))


def _numbers(trial: Trial) -> dict[str, Any]:
    before, after = (decimal(f"{100 * (gap or 0.0):.2f}") for gap in (trial.gap_without, trial.gap_with))
    return {"before": before, "after": after, "days": trial.days}
