"""The parameter catalogue of a pool: read, extended, changed without code."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId
from app.errors import AlreadyExists, Conflict, FieldError, Invalid, NotFound
from app.messages.message import say
from app.models import ExecutorRow, ParameterRow, RuleSetRow, TaskRow
from app.rule_engine import Catalogue, RuleSetInvalid, parse_rule_set
from app.rule_engine.values import read_atom
from app.services.common.pool_lock import raise_epoch
from app.services.common.rows import parameter_of
from app.services.waking.waking import wake_everything


async def list_parameters(
    session: AsyncSession, *, pool_id: PoolId, owner: str | None = None
) -> Sequence[ParameterRow]:
    """A pool's parameters, in their order."""
    query = select(ParameterRow).where(ParameterRow.pool_id == pool_id)
    if owner is not None:
        query = query.where(ParameterRow.owner == owner)
    return (
        await session.scalars(query.order_by(ParameterRow.owner, ParameterRow.position, ParameterRow.id))
    ).all()


async def read_catalogue(session: AsyncSession, *, pool_id: PoolId) -> Catalogue:
    """A pool's parameters as the rule engine knows them."""
    return Catalogue([parameter_of(vars(row)) for row in await list_parameters(session, pool_id=pool_id)])


async def create_parameter(
    session: AsyncSession, *, pool_id: PoolId, values: Mapping[str, Any]
) -> ParameterRow:
    """Add a parameter. Raises AlreadyExists (the key), Invalid (no sense), Conflict (stored values do not fit)."""
    await raise_epoch(session, pool_id, configuration=True)
    parameter = ParameterRow(pool_id=pool_id, **values)
    check_parameter(values)
    session.add(parameter)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            say(
                "key: this pool has a parameter '{key}' of the {owner} already; choose another key.",
                key=values["key"],
                owner=values["owner"],
            )
        ) from error
    if parameter.owner == "executor":  # tasks that came before it keep what they have
        await refuse_breaking(session, parameter)
    await session.commit()
    await session.refresh(parameter)
    return parameter


async def get_parameter(session: AsyncSession, *, parameter_id: int) -> ParameterRow:
    """One parameter. Raises NotFound."""
    parameter = await session.get(ParameterRow, parameter_id)
    if parameter is None:
        raise NotFound(
            say("There is no parameter {parameter_id}.", parameter_id=parameter_id), parameter_id=parameter_id
        )
    return parameter


async def change_parameter(
    session: AsyncSession, *, parameter_id: int, changes: Mapping[str, Any]
) -> ParameterRow:
    """Change a parameter. Raises NotFound, Invalid, and Conflict with all that the change would break."""
    pool_id = PoolId((await get_parameter(session, parameter_id=parameter_id)).pool_id)
    await raise_epoch(session, pool_id, configuration=True)
    parameter = await session.get_one(ParameterRow, parameter_id, populate_existing=True)
    for name, value in changes.items():
        setattr(parameter, name, value)
    check_parameter(vars(parameter))
    await session.flush()
    await refuse_breaking(session, parameter)
    if changes.keys() & _READ_BY_RULES:
        await wake_everything(session, pool_id=pool_id)
    await session.commit()
    await session.refresh(parameter)
    return parameter


_READ_BY_RULES = {"type", "default"}
"""What of a parameter decides how rules read it."""


async def add_option(session: AsyncSession, *, parameter_id: int, option: Mapping[str, Any]) -> ParameterRow:
    """Add one option; a known one gets these labels. Raises NotFound, Invalid (no enum or list, another kind)."""
    pool_id = PoolId((await get_parameter(session, parameter_id=parameter_id)).pool_id)
    await raise_epoch(session, pool_id, configuration=True)
    parameter = await session.get_one(ParameterRow, parameter_id, populate_existing=True)
    others = [each for each in parameter.options if not _same_option(each, option)]
    parameter.options = [*others, dict(option)]
    check_parameter(vars(parameter))
    await session.commit()
    await session.refresh(parameter)
    return parameter


def _same_option(one: Any, other: Mapping[str, Any]) -> bool:
    value = one["value"] if isinstance(one, dict) else one
    return read_atom(value) == read_atom(other["value"])


async def delete_parameter(session: AsyncSession, *, parameter_id: int) -> PoolId:
    """Delete a parameter; stored values stay, as unknown ones. Raises NotFound, Conflict (active rules read it)."""
    parameter = await get_parameter(session, parameter_id=parameter_id)
    pool_id = PoolId(parameter.pool_id)
    await raise_epoch(session, pool_id, configuration=True)
    await session.delete(parameter)
    await session.flush()
    breaks = await _broken_rules(session, pool_id)
    if breaks:
        name = breaks[0]["name"]
        raise Conflict(
            say("The active rule set '{name}' reads this parameter: change the rules first.", name=name),
            breaks=breaks,
        )
    await session.commit()
    return pool_id


async def refuse_breaking(session: AsyncSession, parameter: ParameterRow) -> None:
    """Raise Conflict with the rules, executors and open tasks that the catalogue of this session breaks."""
    pool_id = PoolId(parameter.pool_id)
    breaks = [*await _broken_rules(session, pool_id), *await _broken_values(session, parameter)]
    if breaks:
        first = breaks[0]
        count = say("{count} or more", count=len(breaks)) if len(breaks) >= _MOST_BREAKS else len(breaks)
        raise Conflict(
            say(
                "{count} things would break; the first: {thing} {id}, {reason}. Mend these first, or change less.",
                count=count,
                thing=first["what"],
                id=first["id"],
                reason=first["reason"],
            ),
            breaks=breaks,
        )


async def _broken_rules(session: AsyncSession, pool_id: PoolId) -> list[dict[str, Any]]:
    active = await session.scalar(
        select(RuleSetRow).where(RuleSetRow.pool_id == pool_id, RuleSetRow.state == "active")
    )
    if active is None:
        return []
    try:
        parse_rule_set(active.document, await read_catalogue(session, pool_id=pool_id))
    except RuleSetInvalid as error:
        return [
            {
                "what": "rule set",
                "id": active.id,
                "name": active.name,
                "path": each.path,
                "value": each.value,
                "reason": each.reason,
            }
            for each in error.issues
        ]
    return []


async def _broken_values(session: AsyncSession, parameter: ParameterRow) -> list[dict[str, Any]]:
    """Stored values of people and of tasks that are still to be done which no longer fit."""
    table: Any = ExecutorRow if parameter.owner == "executor" else TaskRow
    query = select(table.id, table.parameters[parameter.key]).where(table.pool_id == parameter.pool_id)
    if table is TaskRow:
        query = query.where(TaskRow.status.in_(("pending", "assigned", "in_progress", "returned")))
    else:
        query = query.where(ExecutorRow.active)
    catalogue = Catalogue([parameter_of(vars(parameter))])
    broken: list[dict[str, Any]] = []
    for row_id, value in await session.execute(query.order_by(table.id)):
        given = {} if value is None else {parameter.key: value}
        # A task never gets an absent value any more: what is required is asked of new ones.
        checked = catalogue.check_values(catalogue.parameters[0].owner, given, partial=table is TaskRow)
        for error in checked.errors:
            path = f"parameters.{parameter.key}"
            broken.append(
                {"what": parameter.owner, "id": row_id, "path": path, "value": value, "reason": error.reason}
            )
        if len(broken) >= _MOST_BREAKS:
            break
    return broken


def check_parameter(values: Mapping[str, Any], where: str = "") -> None:
    """Raise Invalid for a parameter that makes no sense by itself."""
    faults = [*_odd_bounds(values), *_odd_options(values)]
    default = values.get("default")
    if default is not None and not faults:
        alone = parameter_of({**_BLANK, **values, "required": False})
        checked = Catalogue([alone]).check_values(values["owner"], {values["key"]: default})
        faults += [FieldError("default", error.reason, error.remedy) for error in checked.errors]
    if faults:
        found = [FieldError(where + each.field, each.reason, each.remedy) for each in faults]
        raise Invalid(
            say(
                "{field}: {reason}; {remedy}.",
                field=found[0].field,
                reason=found[0].reason,
                remedy=found[0].remedy,
            ),
            found,
        )


def _odd_bounds(values: Mapping[str, Any]) -> list[FieldError]:
    minimum, maximum = values.get("minimum"), values.get("maximum")
    if minimum is None and maximum is None:
        return []
    if values["type"] != "number":
        name = "minimum" if minimum is not None else "maximum"
        return [
            FieldError(
                name,
                say("a {type} has no bounds", type=values["type"]),
                say("leave it out, or make it a number"),
            )
        ]
    if minimum is not None and maximum is not None and minimum > maximum:
        return [
            FieldError(
                "maximum",
                say("{maximum} is below minimum {minimum}", maximum=maximum, minimum=minimum),
                say("send minimum <= maximum"),
            )
        ]
    return []


def _odd_options(values: Mapping[str, Any]) -> list[FieldError]:
    options = [each["value"] if isinstance(each, dict) else each for each in values.get("options") or ()]
    if options and values["type"] not in ("enum", "list"):
        return [
            FieldError(
                "options",
                say("a {type} has no options", type=values["type"]),
                say("leave them out, or make it an enum"),
            )
        ]
    seen = set()
    for index, option in enumerate(options):
        atom = read_atom(option)
        if atom is None or atom in seen:
            reason = (
                say("{option!r} stands twice", option=option)
                if atom in seen
                else say("{option!r} is no value", option=option)
            )
            return [FieldError(f"options[{index}].value", reason, say("name each option once"))]
        seen.add(atom)
    return []


_MOST_BREAKS = 100
_BLANK: dict[str, Any] = {
    "label_ru": "",
    "label_en": "",
    "options": [],
    "required": False,
    "default": None,
    "minimum": None,
    "maximum": None,
    "open_options": False,
    "deprecated": False,
}
