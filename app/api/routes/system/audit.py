"""The audit log: read, exported, proven."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from app.access.roles import Caller
from app.api.deps import CallerDep, DatabaseDep, LanguageDep, SessionDep
from app.api.paging import CursorParam, LimitParam, cursor_to_id, id_to_cursor
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.database import Database
from app.messages.catalogue import told
from app.schemas.access import AuditEntryOut, AuditListedOut, AuditPage, AuditProofOut
from app.schemas.common import Identifier, Instant, Name
from app.services.audit import audit_log
from app.services.audit.audit_log import AuditFilter

router = APIRouter(prefix="/v1/audit", route_class=StrictRoute, tags=["access"])

_PAGE = 1000


async def _filter(
    pool_id: Annotated[Identifier | None, Query()] = None,
    actor: Annotated[Name | None, Query(description="Who did it.")] = None,
    action: Annotated[Name | None, Query(description="For instance created, changed, deleted.")] = None,
    entity: Annotated[Name | None, Query(description="For instance executors, rule_sets, users.")] = None,
    entity_id: Annotated[Name | None, Query()] = None,
    since: Annotated[Instant | None, Query(description="Not before this.")] = None,
    until: Annotated[Instant | None, Query(description="Before this.")] = None,
) -> AuditFilter:
    return AuditFilter(pool_id, actor, action, entity, entity_id, since, until)


FilterDep = Annotated[AuditFilter, Depends(_filter)]


@router.get("", responses=problems(401, 403, 404, 422))
async def list_audit(
    session: SessionDep,
    caller: CallerDep,
    only: FilterDep,
    cursor: CursorParam = None,
    limit: LimitParam = 100,
) -> AuditPage:
    """What happened, newest first: who did it, from where, before and after."""
    entries, before = await audit_log.list_entries(
        session, only=only, caller=caller, before=cursor_to_id(cursor), limit=limit
    )
    names = await audit_log.names_of(session, entries)
    items = [AuditListedOut.model_validate(entry) for entry in entries]
    for item in items:
        item.name = names.get((item.entity, item.entity_id))
    return AuditPage(items=items, next_cursor=id_to_cursor(before))


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/x-ndjson": {}}, "description": "One entry a line, newest first."},
        **problems(401, 403, 404, 422),
    },
)
async def export_audit(database: DatabaseDep, caller: CallerDep, only: FilterDep) -> StreamingResponse:
    """All of it as lines of JSON."""
    lines = _lines(database, caller, only)
    first = await anext(
        lines, ""
    )  # a failure of the database is answered while there still is an answer to choose
    return StreamingResponse(
        _with_first(first, lines),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="audit.ndjson"'},
    )


async def _with_first(first: str, others: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for line in others:
        yield line


async def _lines(database: Database, caller: Caller, only: AuditFilter) -> AsyncIterator[str]:
    before: int | None = None
    while True:
        async with database.session() as session:
            entries, before = await audit_log.list_entries(
                session, only=only, caller=caller, before=before, limit=_PAGE
            )
        for entry in entries:
            row = AuditEntryOut.model_validate(entry).model_dump(mode="json")
            row |= {"hash": entry.hash.hex(), "previous_hash": entry.previous_hash.hex()}
            yield json.dumps(row, ensure_ascii=False) + "\n"
        if before is None:
            return


@router.get("/proof", responses=problems(401, 403))
async def prove_audit(database: DatabaseDep, language: LanguageDep) -> AuditProofOut:
    """Walk the whole chain and say whether anything was changed, removed or slipped in."""
    proof = await audit_log.verify(database.hot)
    return AuditProofOut.model_validate(
        {**asdict(proof), "holds": proof.holds, "reason": told(proof.reason, language)}
    )
