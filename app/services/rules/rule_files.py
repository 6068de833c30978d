"""A rule set as one JSON file: with the parameters that it reads, so that it can move to another pool or system."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId, RuleSetId
from app.errors import FieldError, Invalid
from app.messages.message import say
from app.models import ParameterRow, RuleSetRow
from app.services.common.pool_lock import raise_epoch
from app.services.pools.parameters import check_parameter, list_parameters
from app.services.rules.rule_checks import refuse
from app.services.rules.rules import add_version, find_faults, get_rule_set

FORMAT = "executor-balancer/rules/1"
FIELDS = (
    "owner", "key", "type", "label_ru", "label_en", "options", "required", "default", "minimum", "maximum",
    "open_options", "deprecated", "position",
)  # fmt: skip


async def export_rules(session: AsyncSession, *, rule_set_id: RuleSetId) -> dict[str, Any]:
    """The file of a rule set. Raises NotFound."""
    rule_set = await get_rule_set(session, rule_set_id=rule_set_id)
    read = set(_paths_in(rule_set.document))
    return {
        "format": FORMAT,
        "name": rule_set.name,
        "description": f"version {rule_set.version}",
        "rules": rule_set.document,
        "parameters": [
            {name: getattr(row, name) for name in FIELDS}
            for row in await list_parameters(session, pool_id=PoolId(rule_set.pool_id))
            if f"{row.owner}.parameters.{row.key}" in read
        ],
    }


def _paths_in(part: Any) -> list[str]:
    """The fields that a document names, those of its tests included."""
    if isinstance(part, Mapping):
        found = [part["field"]] if isinstance(part.get("field"), str) else []
        for owner in ("task", "executor"):
            if isinstance(part.get(owner), Mapping):
                found += [f"{owner}.parameters.{key}" for key in part[owner].get("parameters", {})]
        return found + [path for each in part.values() for path in _paths_in(each)]
    return [path for each in part for path in _paths_in(each)] if isinstance(part, list) else []


async def import_rules(
    session: AsyncSession,
    *,
    pool_id: PoolId,
    name: str,
    document: Mapping[str, Any],
    parameters: Sequence[Mapping[str, Any]],
    add_parameters: bool,
    author: str,
) -> RuleSetRow:
    """Save a file as a draft, all or nothing. Raises Invalid where the pool's parameters do not fit it.

    With `add_parameters`, those that the pool does not have yet are added; those that it has stay as they are, and must
    be of the same type.
    """
    await raise_epoch(session, pool_id, configuration=add_parameters)
    known = {(row.owner, row.key): row for row in await list_parameters(session, pool_id=pool_id)}
    faults = []
    for index, each in enumerate(parameters):
        where = f"file.parameters[{index}]"
        row = known.get((each["owner"], each["key"]))
        if row is not None and row.type != each["type"]:
            reason = say(
                "{owner}.{key} is a {kind} in this pool, a {other_kind} in the file",
                owner=each["owner"],
                key=each["key"],
                kind=row.type,
                other_kind=each["type"],
            )
            faults.append(FieldError(f"{where}.type", reason, say("rename it in the file, rules included")))
        elif row is None and add_parameters:
            check_parameter(each, where=f"{where}.")
            known[each["owner"], each["key"]] = ParameterRow(pool_id=pool_id, **each)
            session.add(known[each["owner"], each["key"]])
        elif row is None:
            reason = say(
                "this pool has no parameter {key} of the {owner}", key=each["key"], owner=each["owner"]
            )
            faults.append(FieldError(where, reason, say("add it, or send add_parameters: true")))
    if faults:
        raise Invalid(
            say(
                "{field}: {reason}; {remedy}",
                field=faults[0].field,
                reason=faults[0].reason,
                remedy=faults[0].remedy,
            ),
            faults,
        )
    await session.flush()
    refuse(await find_faults(session, pool_id=pool_id, document=document))
    rule_set = await add_version(session, pool_id=pool_id, name=name, document=document, author=author)
    await session.commit()
    await session.refresh(rule_set)
    return rule_set
