"""The catalogue: parameters of tasks and executors, added and changed without code."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, status

from app.api.deps import DirectoryDep, SessionDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.types import PoolId
from app.models import ParameterRow
from app.schemas.common import Identifier
from app.schemas.parameters import Option, ParameterChange, ParameterIn, ParameterList, ParameterOut
from app.services.pools import parameters as parameter_service

router = APIRouter(prefix="/v1/parameters", tags=["parameters"], route_class=StrictRoute)

ParameterIdPath = Annotated[Identifier, Path(description="The parameter's id.")]


@router.get("", responses=problems(404, 422))
async def list_parameters(
    session: SessionDep,
    directory: DirectoryDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
    owner: Annotated[Literal["task", "executor"] | None, Query()] = None,
) -> ParameterList:
    """A pool's parameters."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    rows = await parameter_service.list_parameters(session, pool_id=pool.id, owner=owner)
    return ParameterList(items=[_out(row) for row in rows])


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(404, 409, 422))
async def create_parameter(body: ParameterIn, session: SessionDep, directory: DirectoryDep) -> ParameterOut:
    """Add a parameter: rules and tasks may use it at once."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    values = body.model_dump(exclude={"pool_id"})
    parameter = await parameter_service.create_parameter(session, pool_id=pool.id, values=values)
    directory.forget()
    return _out(parameter)


@router.get("/{parameter_id}", responses=problems(404, 422))
async def get_parameter(parameter_id: ParameterIdPath, session: SessionDep) -> ParameterOut:
    """One parameter."""
    return _out(await parameter_service.get_parameter(session, parameter_id=parameter_id))


@router.patch("/{parameter_id}", responses=problems(404, 409, 422))
async def change_parameter(
    parameter_id: ParameterIdPath, body: ParameterChange, session: SessionDep, directory: DirectoryDep
) -> ParameterOut:
    """Change a parameter."""
    parameter = await parameter_service.change_parameter(
        session, parameter_id=parameter_id, changes=body.model_dump(exclude_unset=True)
    )
    directory.forget()
    return _out(parameter)


@router.post("/{parameter_id}/options", responses=problems(404, 422))
async def add_parameter_option(
    parameter_id: ParameterIdPath, body: Option, session: SessionDep, directory: DirectoryDep
) -> ParameterOut:
    """Add one option on the fly, or label one that is there."""
    parameter = await parameter_service.add_option(
        session, parameter_id=parameter_id, option=body.model_dump()
    )
    directory.forget()
    return _out(parameter)


@router.delete("/{parameter_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404, 409, 422))
async def delete_parameter(
    parameter_id: ParameterIdPath, session: SessionDep, directory: DirectoryDep
) -> None:
    """Delete a parameter that the active rules do not read."""
    await parameter_service.delete_parameter(session, parameter_id=parameter_id)
    directory.forget()


def _out(parameter: ParameterRow) -> ParameterOut:
    fields = {name: getattr(parameter, name) for name in ParameterOut.model_fields if name != "parameter_id"}
    return ParameterOut.model_validate({**fields, "parameter_id": parameter.id})
