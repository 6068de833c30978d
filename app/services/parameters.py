"""The parameter catalogue of a pool: read, extended, changed without code."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId
from app.errors import AlreadyExists, Conflict, FieldError, Invalid, NotFound
from app.models import Parameter, RuleSet
from app.rule_engine import Catalogue, RuleSetInvalid, parse_rule_set
from app.services.epoch import raise_epoch
from app.services.rows import parameter_of


async def list_parameters(
    session: AsyncSession, *, pool_id: PoolId, owner: str | None = None
) -> Sequence[Parameter]:
    """A pool's parameters, in their order."""
    query = select(Parameter).where(Parameter.pool_id == pool_id)
    if owner is not None:
        query = query.where(Parameter.owner == owner)
    return (await session.scalars(query.order_by(Parameter.owner, Parameter.position, Parameter.id))).all()


async def read_catalogue(session: AsyncSession, *, pool_id: PoolId) -> Catalogue:
    """A pool's parameters as the rule engine knows them."""
    return Catalogue([parameter_of(vars(row)) for row in await list_parameters(session, pool_id=pool_id)])


async def create_parameter(session: AsyncSession, *, pool_id: PoolId, values: Mapping[str, Any]) -> Parameter:
    """Add a parameter. Raises AlreadyExists where the pool has the key, Invalid for a default that does not fit."""
    await raise_epoch(session, pool_id, configuration=True)
    parameter = Parameter(pool_id=pool_id, **values)
    _check_default(values)
    session.add(parameter)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"key: this pool has a parameter '{values['key']}' of the {values['owner']} already; choose another key."
        ) from error
    await session.commit()
    await session.refresh(parameter)
    return parameter


async def get_parameter(session: AsyncSession, *, parameter_id: int) -> Parameter:
    """One parameter. Raises NotFound."""
    parameter = await session.get(Parameter, parameter_id)
    if parameter is None:
        raise NotFound(f"There is no parameter {parameter_id}.", parameter_id=parameter_id)
    return parameter


async def change_parameter(
    session: AsyncSession, *, parameter_id: int, changes: Mapping[str, Any]
) -> Parameter:
    """Change a parameter. Raises NotFound, Invalid."""
    pool_id = PoolId((await get_parameter(session, parameter_id=parameter_id)).pool_id)
    await raise_epoch(session, pool_id, configuration=True)
    parameter = await get_parameter(session, parameter_id=parameter_id)
    for name, value in changes.items():
        setattr(parameter, name, value)
    _check_default(vars(parameter))
    await session.commit()
    await session.refresh(parameter)
    return parameter


async def delete_parameter(session: AsyncSession, *, parameter_id: int) -> PoolId:
    """Delete a parameter. Raises NotFound, and Conflict where the active rules read it."""
    parameter = await get_parameter(session, parameter_id=parameter_id)
    pool_id = PoolId(parameter.pool_id)
    await raise_epoch(session, pool_id, configuration=True)
    await session.delete(parameter)
    await session.flush()
    await _check_rules(session, pool_id)
    await session.commit()
    return pool_id


async def _check_rules(session: AsyncSession, pool_id: PoolId) -> None:
    active = await session.scalar(
        select(RuleSet).where(RuleSet.pool_id == pool_id, RuleSet.state == "active")
    )
    if active is None:
        return
    try:
        parse_rule_set(active.document, await read_catalogue(session, pool_id=pool_id))
    except RuleSetInvalid as error:
        faults = [
            {"rule_set_id": active.id, "path": issue.path, "value": issue.value, "reason": issue.reason}
            for issue in error.issues
        ]
        raise Conflict(
            f"The active rule set '{active.name}' reads this parameter: change the rules first.",
            breaks=faults,
        ) from error


def _check_default(values: Mapping[str, Any]) -> None:
    minimum, maximum = values.get("minimum"), values.get("maximum")
    if minimum is not None and maximum is not None and minimum > maximum:
        fault = FieldError("maximum", f"{maximum} is below minimum {minimum}", "send minimum <= maximum")
        raise Invalid("maximum: below minimum.", [fault])
    default = values.get("default")
    if default is None:
        return
    checked = Catalogue([parameter_of({**_BLANK, **values})]).check_values(
        values["owner"], {values["key"]: default}
    )
    if checked.errors:
        error = checked.errors[0]
        raise Invalid(f"default: {error.reason}.", [FieldError("default", error.reason, error.remedy)])


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
