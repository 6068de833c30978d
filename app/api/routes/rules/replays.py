"""Replays: a period of the past distributed once more, under a rule set that may not be in force yet."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response, status
from fastapi.responses import HTMLResponse

from app.api.deps import CallerDep, NowDep, SessionDep, SettingsDep
from app.api.problems import problems
from app.api.routes.rules.rules import RuleSetIdPath
from app.api.strict import StrictRoute
from app.engine.types import Policy, PoolId, RuleSetId
from app.errors import Conflict
from app.messages.message import say
from app.models import Replay
from app.schemas.common import Identifier
from app.schemas.replays import ReplayIn, ReplayOut
from app.services.pools.pools import get_pool
from app.services.replays import replays as replay_service
from app.services.replays.replays import Wish
from app.services.rules.rules import get_rule_set

router = APIRouter(prefix="/v1", tags=["replays"], route_class=StrictRoute)

ReplayIdPath = Annotated[Identifier, Path(description="The replay's id.")]


@router.post(
    "/rules/{rule_set_id}/replay",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(404, 422, 429),
)
async def start_replay(
    rule_set_id: RuleSetIdPath,
    body: ReplayIn,
    session: SessionDep,
    settings: SettingsDep,
    now: NowDep,
    caller: CallerDep,
    response: Response,
) -> ReplayOut:
    """Play a period of this pool's history under this rule set, in the background; watch it at `Location`."""
    rule_set = await get_rule_set(session, rule_set_id=RuleSetId(rule_set_id))
    pool = await get_pool(session, pool_id=PoolId(rule_set.pool_id))
    until = body.until or now
    policy = body.policy or Policy(pool.policy)
    wanted = [policy, *body.compare, *([Policy.FAIR] if body.forecast else [])]
    wish = Wish(
        since=body.since or until - timedelta(days=7),
        until=until,
        policies=list(dict.fromkeys(wanted)),
        theta=body.theta,
        daily_limit=body.daily_limit,
        max_open=body.max_open,
        forecast=body.forecast,
    )
    asked = await replay_service.start_replay(
        session, rule_set_id=RuleSetId(rule_set_id), wish=wish, caller=caller.name, now=now
    )
    await replay_service.launch(settings, asked.id)
    response.headers["Location"] = f"/v1/replays/{asked.id}"
    return replay_out(asked)


@router.get("/replays/{replay_id}", responses=problems(404, 422))
async def get_replay(replay_id: ReplayIdPath, session: SessionDep, now: NowDep) -> ReplayOut:
    """How far it is; its result when it is done."""
    return replay_out(await replay_service.get_replay(session, replay_id=replay_id, now=now))


@router.get("/replays/{replay_id}/report", response_class=HTMLResponse, responses=problems(404, 409, 422))
async def get_replay_report(
    replay_id: ReplayIdPath,
    session: SessionDep,
    now: NowDep,
    lang: Annotated[Literal["ru", "en"], Query()] = "ru",
) -> HTMLResponse:
    """The result as a page with charts that needs nothing else."""
    asked = await replay_service.get_replay(session, replay_id=replay_id, now=now)
    if asked.result is None:
        raise Conflict(
            say("Replay {replay_id} has no result: it is {state}.", replay_id=replay_id, state=asked.state),
            state=asked.state,
        )
    return HTMLResponse(asked.result["pages"][lang])


@router.post("/replays/{replay_id}/cancel", responses=problems(404, 409, 422))
async def cancel_replay(replay_id: ReplayIdPath, session: SessionDep, now: NowDep) -> ReplayOut:
    """Stop it; what it found so far is not kept."""
    return replay_out(await replay_service.cancel_replay(session, replay_id=replay_id, now=now))


def replay_out(asked: Replay) -> ReplayOut:
    """The API's form of a replay."""
    own = ("replay_id", "progress", "result")
    fields = {name: getattr(asked, name) for name in ReplayOut.model_fields if name not in own}
    progress = 1.0 if asked.state == "done" else asked.done / max(1, asked.total)
    result = asked.result["comparison"] if asked.result else None
    return ReplayOut.model_validate({**fields, "replay_id": asked.id, "progress": progress, "result": result})
