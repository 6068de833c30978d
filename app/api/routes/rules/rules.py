"""Rules: who may take what, and who is preferred; versions of them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, status

from app.api.deps import CallerDep, DirectoryDep, DoorbellDep, NowDep, SessionDep
from app.api.paging import CursorParam, LimitParam, cursor_to_id, id_to_cursor
from app.api.problems import problems
from app.api.strict import RuleRoute
from app.engine.types import PoolId, RuleSetId
from app.models import RuleSetRow
from app.schemas.common import Identifier
from app.schemas.rules import (
    DifferenceOut,
    RulesDiff,
    RuleSetIn,
    RuleSetOut,
    RuleSetPage,
    RulesFile,
    RulesFileIn,
)
from app.services.rules import rule_files, rules as rule_service

router = APIRouter(prefix="/v1/rules", tags=["rules"], route_class=RuleRoute)

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


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(404, 413, 422))
async def create_rule_set(
    body: RuleSetIn, session: SessionDep, directory: DirectoryDep, caller: CallerDep
) -> RuleSetOut:
    """Save a checked document as a draft: the next version of its name."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    rule_set = await rule_service.create_rule_set(
        session, pool_id=pool.id, name=body.name, document=body.rules, author=caller.name
    )
    return _out(rule_set)


@router.post("/import", status_code=status.HTTP_201_CREATED, responses=problems(404, 413, 422))
async def import_rule_set(
    body: RulesFileIn, session: SessionDep, directory: DirectoryDep, caller: CallerDep
) -> RuleSetOut:
    """Save an exported file or a template as a draft; the pool's parameters must fit it, or may be added with it."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    rule_set = await rule_files.import_rules(
        session,
        pool_id=pool.id,
        name=body.file.name,
        document=body.file.rules,
        parameters=[each.model_dump() for each in body.file.parameters],
        add_parameters=body.add_parameters,
        author=caller.name,
    )
    directory.forget()
    return _out(rule_set)


@router.get("/{rule_set_id}", responses=problems(404, 422))
async def get_rule_set(rule_set_id: RuleSetIdPath, session: SessionDep) -> RuleSetOut:
    """One rule set."""
    return _out(await rule_service.get_rule_set(session, rule_set_id=RuleSetId(rule_set_id)))


@router.get("/{rule_set_id}/export", responses=problems(404, 422))
async def export_rule_set(rule_set_id: RuleSetIdPath, session: SessionDep) -> RulesFile:
    """A rule set as one JSON file, with the parameters that it reads."""
    exported = await rule_files.export_rules(session, rule_set_id=RuleSetId(rule_set_id))
    return RulesFile.model_validate(exported)


@router.get("/{rule_set_id}/diff", responses=problems(404, 422))
async def diff_rule_set(
    rule_set_id: RuleSetIdPath,
    session: SessionDep,
    against: Annotated[
        Identifier | None, Query(description="Another rule set of the pool; the active one where left out.")
    ] = None,
) -> RulesDiff:
    """What differs from another version to this one."""
    before, after, found = await rule_service.compare_rule_sets(
        session,
        rule_set_id=RuleSetId(rule_set_id),
        against=None if against is None else RuleSetId(against),
    )
    return RulesDiff(
        before=before.id if before else None,
        after=after.id,
        differences=[DifferenceOut.model_validate(each, from_attributes=True) for each in found],
    )


@router.post("/{rule_set_id}/activate", responses=problems(404, 409, 422))
async def activate_rule_set(
    rule_set_id: RuleSetIdPath, session: SessionDep, doorbell: DoorbellDep, now: NowDep
) -> RuleSetOut:
    """Put a rule set in force with the next batch and archive the one before; its tests must pass."""
    rule_set = await rule_service.activate_rule_set(session, rule_set_id=RuleSetId(rule_set_id), now=now)
    doorbell.ring(PoolId(rule_set.pool_id))
    return _out(rule_set)


@router.post("/{rule_set_id}/archive", responses=problems(404, 409, 422))
async def archive_rule_set(rule_set_id: RuleSetIdPath, session: SessionDep, now: NowDep) -> RuleSetOut:
    """Put a draft away; the active rule set stays until another takes its place."""
    return _out(await rule_service.archive_rule_set(session, rule_set_id=RuleSetId(rule_set_id), now=now))


@router.post("/{rule_set_id}/rollback", responses=problems(404, 409, 422))
async def roll_back_rule_set(
    rule_set_id: RuleSetIdPath, session: SessionDep, doorbell: DoorbellDep, now: NowDep, caller: CallerDep
) -> RuleSetOut:
    """Put an archived rule set in force again, as a new version of its name."""
    rule_set = await rule_service.roll_back(
        session, rule_set_id=RuleSetId(rule_set_id), author=caller.name, now=now
    )
    doorbell.ring(PoolId(rule_set.pool_id))
    return _out(rule_set)


def _out(rule_set: RuleSetRow) -> RuleSetOut:
    own = ("rule_set_id", "rules")
    fields = {name: getattr(rule_set, name) for name in RuleSetOut.model_fields if name not in own}
    return RuleSetOut.model_validate({**fields, "rule_set_id": rule_set.id, "rules": rule_set.document})
