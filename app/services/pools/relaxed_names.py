"""Names of conditions that a pool's escalation relaxes: they follow the conditions, or the change of rules is refused.

The pool's settings name conditions of the active rules. Without this check a renamed condition would leave a step that
relaxes nothing, and an unnamed one (`conditions[2]`) would come to mean whatever stands in its place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId
from app.errors import FieldError, Invalid
from app.messages.message import say
from app.models import Pool
from app.services.common.pool_options import BrokenSettings, flow_options


async def keep_relaxed_names(
    session: AsyncSession, *, pool_id: PoolId, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Rename in the pool's escalation what only changed its name from one document to the other.

    Raises Invalid for a name that stands for nothing in the new one. The caller holds the pool and commits.
    """
    pool = await session.get_one(Pool, pool_id)
    try:
        steps = flow_options(pool.settings).escalation
    except BrokenSettings:  # nothing is decided until it is mended
        return
    old, new = _named(before), _named(after)
    relaxed = []
    for number, step in enumerate(steps):
        names: list[str] = []
        for name in step.relax:
            names += [each for each in _now(name, old, new, number, pool_id) if each not in names]
        relaxed.append(names)
    if relaxed != [step.relax for step in steps]:
        escalation = [
            {**stored, "relax": names} if names else stored
            for stored, names in zip(pool.settings["flow"]["escalation"], relaxed, strict=True)
        ]
        pool.settings = {**pool.settings, "flow": {**pool.settings["flow"], "escalation": escalation}}


async def relaxed_in_vain(
    session: AsyncSession, *, pool_id: PoolId, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[str]:
    """Names that the pool's escalation relaxes and that the new document has neither under this name nor another."""
    pool = await session.get_one(Pool, pool_id)
    try:
        steps = flow_options(pool.settings).escalation
    except BrokenSettings:
        return []
    old, new = _named(before), _named(after)
    names = dict.fromkeys(name for step in steps for name in step.relax)
    return [name for name in names if _follow(name, old, new) is None]


def condition_names(document: Mapping[str, Any]) -> list[str]:
    """What the conditions of a document are called, in order; one without a name by its place."""
    return [name for name, _ in _named(document)]


def _named(document: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each condition's name and what it says."""
    return [
        (
            condition.get("name") or f"conditions[{i}]",
            {key: condition[key] for key in condition if key != "name"},
        )
        for i, condition in enumerate(document.get("conditions", ()))
    ]


def _now(
    name: str,
    old: Sequence[tuple[str, dict[str, Any]]],
    new: Sequence[tuple[str, dict[str, Any]]],
    step: int,
    pool_id: PoolId,
) -> list[str]:
    """Names in the new document of a condition that escalation relaxes. Raises Invalid if it has none."""
    names = _follow(name, old, new)
    if names is None:
        place = f"flow.escalation[{step}].relax"
        reason = say(
            "{place} of the pool names '{name}', which these rules do not have", place=place, name=name
        )
        remedy = say(
            "give a condition this name, or take it out of the pool's escalation: PATCH /v1/pools/{pool_id}",
            pool_id=pool_id,
        )
        raise Invalid(
            say("rules.conditions: {reason}; {remedy}.", reason=reason, remedy=remedy),
            [FieldError("rules.conditions", reason, remedy)],
        )
    return names


def _follow(
    name: str, old: Sequence[tuple[str, dict[str, Any]]], new: Sequence[tuple[str, dict[str, Any]]]
) -> list[str] | None:
    """The names under which a document has what another one calls `name`; None where it has not all of it."""
    meant = [said for known, said in old if known == name]
    kept = [said for known, said in new if known == name]
    by_place = name.startswith("conditions[")
    if kept and (not by_place or kept == meant):
        return [name]
    followed = [[known for known, each in new if each == said] for said in meant]
    return [names[0] for names in followed] if meant and all(followed) else None
