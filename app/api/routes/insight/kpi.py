"""Key figures per hour and day, and the report to take away."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from app.api.deps import DirectoryDep, NowDep, SessionDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.types import PoolId
from app.schemas.common import Identifier
from app.schemas.kpi import CountsOut, DayOut, HourOut, KpiOut
from app.services.reports.exports import (
    ExportTable,
    csv_lines,
    executor_days,
    json_head,
    json_rows,
    tables_of,
)
from app.services.reports.figures import Counts, Kpi, get_days, get_figures, get_hours
from app.utils.spreadsheet_text import Language

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["distribution"])

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FILE_CHUNK = 64 * 1024
_REPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report, as a file.",
        "content": {
            EXCEL: {"schema": {"type": "string", "format": "binary"}},
            "text/csv": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}

PoolQuery = Annotated[Identifier | None, Query(description="The default pool where left out.")]
DaysQuery = Annotated[int, Query(ge=1, le=366, description="Business days, today included.")]
TableName = Literal["days", "hours", "executors", "categories", "executor_days"]


@router.get("/kpi", responses=problems(404, 422, 503))
async def get_kpi(
    session: SessionDep,
    directory: DirectoryDep,
    now: NowDep,
    pool_id: PoolQuery = None,
    days: DaysQuery = 7,
    by: Annotated[Literal["hour", "day"], Query(description="How long a span is.")] = "day",
) -> KpiOut:
    """Arrivals, assignments, latency, waits and fairness of the last days, as they were folded in."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    if by == "hour":
        hours = await get_hours(session, pool_id=pool.id, days=days, now=now)
        found = [HourOut(hour=hour.start, **_counts(hour.counts)) for hour in hours]
        return KpiOut(pool_id=pool.id, by=by, hours=found, days=[])
    figures = await get_days(session, pool_id=pool.id, days=days, now=now)
    return KpiOut(
        pool_id=pool.id,
        by=by,
        hours=[],
        days=[
            DayOut(
                business_day=day.day,
                weight=day.weight,
                mae=day.mae,
                mae_optimum=day.mae_optimum,
                fairness_gap=day.fairness_gap,
                **_counts(day.counts),
            )
            for day in figures
        ],
    )


def _counts(counts: Counts) -> dict[str, Any]:
    plain = {name: getattr(counts, name) for name in CountsOut.model_fields if hasattr(counts, name)}
    shares = {f"latency_p{share * 100:.0f}": counts.latency(share) for share in (0.5, 0.95, 0.99)}
    return plain | shares


@router.get("/exports/kpi", response_class=Response, responses={**_REPORT, **problems(404, 422, 503)})
async def export_kpi(
    session: SessionDep,
    directory: DirectoryDep,
    now: NowDep,
    pool_id: PoolQuery = None,
    days: DaysQuery = 30,
    form: Annotated[Literal["excel", "csv", "json"], Query(alias="format")] = "excel",
    table: Annotated[
        TableName | None,
        Query(
            description="csv: which table, days where left out; json: only this one. Excel has all but the last."
        ),
    ] = None,
    lang: Annotated[
        Language | None,
        Query(
            description="excel: of headings and charts, ru where left out. csv: of headings, separators and decimal"
            " sign, as a spreadsheet of that language expects them; left out: for programs (keys, commas, points)."
        ),
    ] = None,
) -> Response:
    """The report of the last days: Excel with charts, CSV (one table) or JSON; streamed."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    figures = await get_figures(session, pool_id=pool.id, days=days, now=now)
    name = f"kpi-{pool.code}-{figures.last.isoformat()}"
    if form == "excel":
        return await _excel(figures, name, lang or "ru")
    by_day = _executor_days(session, figures)
    if form == "csv":
        lines = _csv(figures, by_day, table or "days", lang)
        return _download(lines, "text/csv; charset=utf-8", f"{name}.csv")
    return _download(_json(figures, by_day, table), "application/json", f"{name}.json")


def _executor_days(session: SessionDep, figures: Kpi) -> AsyncIterator[ExportTable]:
    return executor_days(
        session, pool_id=figures.pool_id, days=figures.business_days, first=figures.first, last=figures.last
    )


def _download(content: AsyncIterator[bytes], media_type: str, name: str) -> Response:
    return StreamingResponse(content, media_type=media_type, headers=_attachment(name))


def _attachment(name: str) -> dict[str, str]:
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "-_.") else "_" for each in name)
    return {"Content-Disposition": f'attachment; filename="{plain}"'}


async def _csv(
    figures: Kpi, by_day: AsyncIterator[ExportTable], wanted: TableName, language: Language | None
) -> AsyncIterator[bytes]:
    if wanted == "executor_days":
        header = True
        async for table in by_day:
            for line in csv_lines(table, language=language, header=header):
                yield line.encode()
            header = False
        return
    [table] = [table for table in tables_of(figures) if table.key == wanted]
    for line in csv_lines(table, language=language):
        yield line.encode()


async def _json(
    figures: Kpi, by_day: AsyncIterator[ExportTable], wanted: TableName | None
) -> AsyncIterator[bytes]:
    yield json_head(figures)
    for table in tables_of(figures):
        if wanted in (None, table.key):
            yield f',"{table.key}":['.encode()
            for rows in json_rows(table):
                yield rows
            yield b"]"
    if wanted == "executor_days":
        yield b',"executor_days":['
        comma = False
        async for part in by_day:
            for rows in json_rows(part, comma=comma):
                yield rows
                comma = True
        yield b"]"
    yield b"}"


async def _excel(figures: Kpi, name: str, language: Language) -> Response:
    """The workbook is written to a file beside the loop; the file goes when the answer has gone."""
    folder = tempfile.TemporaryDirectory(prefix="executor-balancer-report-")
    path = Path(folder.name) / "report.xlsx"
    try:
        from app.services.reports.workbook import write_workbook  # megabytes that few requests need

        await asyncio.to_thread(write_workbook, path, figures, language)
    except BaseException:
        folder.cleanup()
        raise
    return StreamingResponse(
        _read(path),
        media_type=EXCEL,
        headers=_attachment(f"{name}.xlsx") | {"Content-Length": str(path.stat().st_size)},
        background=BackgroundTask(folder.cleanup),
    )


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_FILE_CHUNK), b"")
