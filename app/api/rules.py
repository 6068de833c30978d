"""Rules: who may take what, and who is preferred."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, status

from app.api.deps import CallerDep, DirectoryDep, DoorbellDep, NowDep, SessionDep
from app.api.paging import CursorParam, LimitParam, cursor_to_id, id_to_cursor
from app.api.problems import problems
from app.engine.types import PoolId, RuleSetId
from app.models import RuleSet
from app.schemas.common import Identifier
from app.schemas.rules import RuleSetIn, RuleSetOut, RuleSetPage, RulesIn, RulesVerdict
from app.services import rules as rule_service

router = APIRouter(prefix="/v1/rules", tags=["rules"])

RuleSetIdPath = Annotated[Identifier, Path(description="The rule set's id.")]


@router.get("", responses=problems(404, 422))
async def list_rule_sets(
    session: SessionDep,
    directory: DirectoryDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
    state: Annotated[Literal["draft", "active", "archived"] | None, Query()] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> RuleSetPage:
    """A pool's rule sets, newest first."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    rows, before = await rule_service.list_rule_sets(
        session, pool_id=pool.id, state=state, before=cursor_to_id(cursor), limit=limit
    )
    return RuleSetPage(items=[_out(row) for row in rows], next_cursor=id_to_cursor(before))


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(404, 422))
async def create_rule_set(
    body: RuleSetIn, session: SessionDep, directory: DirectoryDep, caller: CallerDep
) -> RuleSetOut:
    """Save a checked document as a draft: the next version of its name."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    rule_set = await rule_service.create_rule_set(
        session, pool_id=pool.id, name=body.name, document=body.rules, author=caller.name
    )
    return _out(rule_set)


@router.post("/validate", responses=problems(404, 422))
async def validate_rules(body: RulesIn, session: SessionDep, directory: DirectoryDep) -> RulesVerdict:
    """Check a document without saving it."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    faults = await rule_service.find_faults(session, pool_id=pool.id, document=body.rules)
    return RulesVerdict(valid=not faults, errors=[asdict(fault) for fault in faults])


@router.get("/{rule_set_id}", responses=problems(404, 422))
async def get_rule_set(rule_set_id: RuleSetIdPath, session: SessionDep) -> RuleSetOut:
    """One rule set."""
    return _out(await rule_service.get_rule_set(session, rule_set_id=RuleSetId(rule_set_id)))


@router.post("/{rule_set_id}/activate", responses=problems(404, 409, 422))
async def activate_rule_set(
    rule_set_id: RuleSetIdPath, session: SessionDep, doorbell: DoorbellDep, now: NowDep
) -> RuleSetOut:
    """Put a rule set in force with the next batch and archive the one before."""
    rule_set = await rule_service.activate_rule_set(session, rule_set_id=RuleSetId(rule_set_id), now=now)
    doorbell.ring(PoolId(rule_set.pool_id))
    return _out(rule_set)


def _out(rule_set: RuleSet) -> RuleSetOut:
    own = ("rule_set_id", "rules")
    fields = {name: getattr(rule_set, name) for name in RuleSetOut.model_fields if name not in own}
    return RuleSetOut.model_validate({**fields, "rule_set_id": rule_set.id, "rules": rule_set.document})
