"""Pools: teams with their own rules, people and work."""

from typing import Annotated

from fastapi import APIRouter, Path, Response, status

from app.api.deps import CallerDep, DirectoryDep, DoorbellDep, NowDep, SessionDep, SettingsDep
from app.api.problems import problems
from app.api.routes.rules.replays import replay_out
from app.api.strict import StrictRoute
from app.engine.types import PoolId
from app.models import Pool
from app.schemas.common import Identifier
from app.schemas.explanations import in_both
from app.schemas.pools import ForecastOut, PoolChange, PoolIn, PoolList, PoolOut
from app.schemas.replays import ReplayOut
from app.services.common.pool_options import BrokenSettings, fairness_options
from app.services.pools import pools as pool_service
from app.services.pools.forecast_verdict import last_trial, verdict_text
from app.services.replays.forecast_trial import start_trial
from app.services.replays.replays import launch

router = APIRouter(prefix="/v1/pools", tags=["pools"], route_class=StrictRoute)

PoolIdPath = Annotated[Identifier, Path(description="The pool's id.")]


@router.get("")
async def list_pools(session: SessionDep, caller: CallerDep) -> PoolList:
    """The pools that you see."""
    return PoolList(items=[pool_out(pool) for pool in await pool_service.list_pools(session, caller=caller)])


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(409, 422))
async def create_pool(body: PoolIn, session: SessionDep, directory: DirectoryDep) -> PoolOut:
    """Make a pool."""
    pool = await pool_service.create_pool(session, values=body.model_dump())
    directory.forget()
    return pool_out(pool)


@router.get("/{pool_id}", responses=problems(404, 422))
async def get_pool(pool_id: PoolIdPath, session: SessionDep) -> PoolOut:
    """One pool."""
    return pool_out(await pool_service.get_pool(session, pool_id=PoolId(pool_id)))


@router.patch("/{pool_id}", responses=problems(404, 422))
async def change_pool(
    pool_id: PoolIdPath,
    body: PoolChange,
    session: SessionDep,
    directory: DirectoryDep,
    doorbell: DoorbellDep,
    caller: CallerDep,
) -> PoolOut:
    """Change a pool; what waits is looked at again."""
    changes = {
        name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None
    }
    pool = await pool_service.change_pool(session, pool_id=PoolId(pool_id), changes=changes, caller=caller)
    directory.forget()
    doorbell.ring(PoolId(pool_id))
    return pool_out(pool)


@router.get("/{pool_id}/forecast", responses=problems(404, 422))
async def get_forecast(pool_id: PoolIdPath, session: SessionDep) -> ForecastOut:
    """Whether a forecast is on, and whether it would have helped on the days on which it was last measured."""
    pool = await pool_service.get_pool(session, pool_id=PoolId(pool_id))
    trial = await last_trial(session, pool_id=PoolId(pool_id))
    fairness = pool_out(pool).fairness
    return ForecastOut(
        on=fairness is not None and fairness.forecast,
        effect=trial.effect.value if trial else None,
        days=trial.days if trial else 0,
        gap_without=trial.gap_without if trial else None,
        gap_with=trial.gap_with if trial else None,
        measured_at=trial.measured_at if trial else None,
        replay_id=trial.replay_id if trial else None,
        text=in_both(verdict_text(trial)),
    )


@router.post("/{pool_id}/forecast", status_code=status.HTTP_202_ACCEPTED, responses=problems(404, 422, 429))
async def measure_forecast(
    pool_id: PoolIdPath,
    session: SessionDep,
    settings: SettingsDep,
    now: NowDep,
    caller: CallerDep,
    response: Response,
) -> ReplayOut:
    """Play the last weeks with a forecast and without, in the background; watch it at `Location`."""
    await pool_service.get_pool(session, pool_id=PoolId(pool_id))
    asked = await start_trial(session, pool_id=PoolId(pool_id), caller=caller.name, now=now)
    await launch(settings, asked.id)
    response.headers["Location"] = f"/v1/replays/{asked.id}"
    return replay_out(asked)


def pool_out(pool: Pool) -> PoolOut:
    """The API's form of a pool."""
    own = ("pool_id", "fairness")
    fields = {name: getattr(pool, name) for name in PoolOut.model_fields if name not in own}
    try:
        fairness = fairness_options(pool.settings)
    except BrokenSettings:
        fairness = None
    return PoolOut.model_validate({**fields, "pool_id": pool.id, "fairness": fairness})
