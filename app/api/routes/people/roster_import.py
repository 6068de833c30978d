"""Import of people from CSV and XLSX, and the template for it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Query, Response, UploadFile

from app.api.deps import DirectoryDep, DoorbellDep, LanguageDep, NowDep, SessionDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.types import PoolId
from app.messages.catalogue import all_told
from app.schemas.common import Identifier
from app.schemas.executors import CellProblem, ColumnReadOut, ExecutorImportOut, RowOutcome
from app.services.executors import roster_import
from app.services.executors.roster_headings import has_names
from app.services.executors.spreadsheets import MOST_BYTES, SheetOptions, read_table
from app.services.pools.parameters import list_parameters
from app.utils.spreadsheet_text import Language
from app.utils.written_dates import FORMATS

router = APIRouter(prefix="/v1/executors/import", tags=["executors"], route_class=StrictRoute)

_SHOWN, _TOLD = 50, 1000
_READERS = ThreadPoolExecutor(2, "tables")
"""Tables read at once: each may take some seconds and a hundred megabytes."""
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _options(
    encoding: Annotated[
        str,
        Query(max_length=40, description="Of a text file; found out where left out.", examples=["koi8-r"]),
    ] = "",
    sheet: Annotated[
        str, Query(max_length=200, description="Of a spreadsheet: its name, or its number from 1.")
    ] = "",
    heading_row: Annotated[
        int, Query(ge=0, le=10_000, description="Line of the headings from 1; 0: found out.")
    ] = 0,
) -> SheetOptions:
    return SheetOptions(encoding, sheet, heading_row)


@router.post("", responses=problems(404, 409, 413, 422))
async def import_executors(
    file: Annotated[UploadFile, File(description="CSV, XLSX, ODS or XLS; see the template.")],
    session: SessionDep,
    directory: DirectoryDep,
    doorbell: DoorbellDep,
    now: NowDep,
    language: LanguageDep,
    options: Annotated[SheetOptions, Depends(_options)],
    pool_id: Annotated[Identifier | None, Query()] = None,
    dry_run: Annotated[
        bool, Query(description="Look only: what would be written, and what is wrong.")
    ] = False,
    date_format: Annotated[
        str, Query(max_length=40, description=f"Of columns of times: {', '.join(FORMATS)}.")
    ] = "",
) -> ExecutorImportOut:
    """Add or change many people by a table: all of them, or nobody where one row is wrong."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    content = await file.read(MOST_BYTES + 1)
    table = await asyncio.get_running_loop().run_in_executor(
        _READERS, read_table, content, options, has_names
    )
    found = await roster_import.import_executors(
        session,
        pool_id=pool.id,
        table=table,
        now=now,
        dry_run=dry_run,
        zone=pool.zone,
        date_format=date_format,
    )
    if found.applied:
        doorbell.ring(pool.id)
    return ExecutorImportOut(
        rows=found.rows,
        form=found.form,
        added=found.count("added"),
        changed=found.count("changed"),
        unchanged=found.count("unchanged"),
        applied=found.applied,
        notes=all_told(found.notes, language),
        columns=[ColumnReadOut(**asdict(column)) for column in found.columns],
        errors=[CellProblem(**all_told(asdict(error), language)) for error in found.errors],
        unknown_columns=found.unknown_columns,
        people=found.people[:_SHOWN],
        outcomes=[RowOutcome(**asdict(outcome)) for outcome in found.outcomes[:_TOLD]],
    )


@router.get(
    "/template",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}, _XLSX: {}}}, **problems(404, 422)},
)
async def get_import_template(
    session: SessionDep,
    directory: DirectoryDep,
    form: Annotated[Literal["csv", "xlsx"], Query(alias="format")] = "csv",
    pool_id: Annotated[Identifier | None, Query()] = None,
    lang: Annotated[
        Language | None,
        Query(description="Of headings and, in csv, of separators; left out: keys, and `;` between cells."),
    ] = None,
) -> Response:
    """A table to fill in, with the columns of this pool."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    parameters = await list_parameters(session, pool_id=pool.id, owner="executor")
    content = roster_import.template(parameters, xlsx=form == "xlsx", language=lang)
    return Response(
        content,
        media_type=_XLSX if form == "xlsx" else "text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="executors.{form}"'},
    )
