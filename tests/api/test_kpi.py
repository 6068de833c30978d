"""The key figures over HTTP and the report to take away."""

import asyncio
import csv
import io
import re
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pypdf
import pytest

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import open_doorbell
from app.engine.types import PoolId
from app.services.fairness.closed_days import Books
from app.services.intake.intake import NewTask, write_tasks
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.worker import Worker
from tests.api.conftest import client_of
from tests.builders import add_executors, add_pool
from tests.lifecycle.conftest import until

NOW = datetime.now(UTC)


async def a_day_of_work(database: Database, pool_id: PoolId, *, people: int = 4, tasks: int = 30) -> None:
    await add_executors(database, pool_id, people, daily_limit=20)
    await write_tasks(database.hot, [NewTask(pool_id)] * tasks)
    picture = PoolSnapshot(pool_id)
    while (await place_batch(database.hot, picture, limit=100, deliver=False)).found is Found.WORK:
        pass


async def moved_back(database: Database, days: int) -> None:
    """What happened today happened some days ago."""
    back = timedelta(days=days)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE kpi_hours SET hour = hour - $1::interval", back)
        await connection.execute("UPDATE class_hours SET hour = hour - $1::interval", back)
        await connection.execute("UPDATE executor_days SET business_day = business_day - $1::int", days)


async def test_hours_and_days_say_what_happened(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
):
    await a_day_of_work(database, pool_id)
    [day] = (await client.get("/v1/kpi")).json()["days"]
    assert (day["received"], day["assigned"], day["parked"], day["weight"]) == (30, 30, 0, 30)
    assert day["fairness_gap"] == pytest.approx(2 / 30)  # 8, 8, 7, 7 where 7.5 would be fair
    assert 0 < day["latency_p50"] <= day["latency_p95"] <= day["latency_p99"]
    hours = (await client.get("/v1/kpi", params={"by": "hour", "days": 1})).json()["hours"]
    assert sum(hour["assigned"] for hour in hours) == 30


async def test_a_closed_day_is_kept_and_needs_nothing_else_any_more(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
):
    await a_day_of_work(database, pool_id)
    await moved_back(database, 2)
    books = Books(database)
    assert await books.close(now=datetime.now(UTC)) == 1
    assert await books.close(now=datetime.now(UTC)) == 0
    async with database.hot.acquire() as connection:
        await connection.execute("DELETE FROM class_hours")
    [day] = (await client.get("/v1/kpi", params={"days": 3})).json()["days"]
    assert date.fromisoformat(day["business_day"]) < datetime.now(UTC).date()
    assert day["fairness_gap"] == pytest.approx(2 / 30)
    report = (await client.get("/v1/exports/kpi", params={"format": "json", "days": 3})).json()
    assert [person["fair_share"] for person in report["executors"]] == [7.5] * 4


async def test_csv_is_read_back_whole_and_runs_nothing(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
):
    await a_day_of_work(database, pool_id, people=3, tasks=9)
    async with database.hot.acquire() as connection:
        await connection.execute(
            """UPDATE executors SET name = (ARRAY['=HYPERLINK("x")', '  +1, "а"', E'Иван\nПетров'])[id]"""
        )
    for table in ("executors", "executor_days"):
        answer = await client.get("/v1/exports/kpi", params={"format": "csv", "days": 1, "table": table})
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
        assert [row["name"] for row in rows] == ['\'=HYPERLINK("x")', '\'  +1, "а"', "Иван\nПетров"]
        assert [float(row["fair_share"]) for row in rows] == [3.0] * 3


async def test_csv_in_a_language_is_what_its_spreadsheets_expect(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId
):
    await a_day_of_work(database, pool_id, people=2, tasks=3)
    for table in ("days", "hours", "executors", "categories", "executor_days"):
        for lang, separator, sign in (("ru", ";", ","), ("en", ",", ".")):
            query = {"format": "csv", "days": 1, "table": table, "lang": lang}
            content = (await client.get("/v1/exports/kpi", params=query)).content.decode()
            assert content.startswith("\ufeff") and content.count("\ufeff") == 1
            rows = list(csv.reader(io.StringIO(content[1:], newline=""), delimiter=separator))
            assert len(rows) > 1 and {len(row) for row in rows} == {len(rows[0])}
            assert bool(re.search("[а-я]", "".join(rows[0]))) is (lang == "ru")
            if table.startswith("executor"):
                shares = [
                    row[rows[0].index("Справедливая доля" if lang == "ru" else "Fair share")] for row in rows
                ]
                assert shares[1:] == [f"1{sign}5"] * 2


@pytest.mark.parametrize("table", [None, "days", "hours", "executors", "categories", "executor_days"])
@pytest.mark.parametrize("worked", [True, False])
async def test_json_is_whole_with_and_without_work(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId, table: str | None, worked: bool
):
    if worked:
        await a_day_of_work(database, pool_id)
    query: dict[str, Any] = {"format": "json"} | ({"table": table} if table else {})
    report = (await client.get("/v1/exports/kpi", params=query)).json()
    tables = {table} if table else {"days", "hours", "executors", "categories"}
    assert report.keys() - {"pool_id", "pool", "timezone", "first_day", "last_day"} == tables
    assert all(bool(report[each]) == worked for each in tables)


async def workbook_of(client: httpx.AsyncClient, path: Path, **query: Any) -> openpyxl.Workbook:
    answer = await client.get("/v1/exports/kpi", params={"format": "excel", "lang": "en"} | query)
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    path.write_bytes(answer.content)
    return openpyxl.load_workbook(path)


async def test_excel_has_a_sheet_for_each_table_with_formats_and_frozen_headers(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId, tmp_path: Path
):
    await a_day_of_work(database, pool_id)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE executors SET name = '=1+1' WHERE id = 1")
    book = await workbook_of(client, tmp_path / "report.xlsx")
    assert book.sheetnames == ["Summary", "Charts", "Days", "Hours", "Executors", "Kinds of work"]
    people = book["Executors"]
    assert people.freeze_panes == "C2"
    columns = {cell.value: cell.column - 1 for cell in people[1]}
    rows = list(people.iter_rows(min_row=2))
    assert sum(row[columns["Received"]].value for row in rows) == 30
    assert {row[columns["Utilization"]].number_format for row in rows} == {"0.0%"}
    [tricky] = [row[columns["Executor"]] for row in rows if row[columns["Id"]].value == 1]
    assert (tricky.data_type, tricky.value, tricky.quotePrefix) == ("s", "=1+1", True)
    assert not any(cell.data_type == "f" for sheet in book for row in sheet.iter_rows() for cell in row)
    assert book["Days"]["A2"].value.date() == datetime.now(UTC).date()
    assert book["Days"]["A2"].number_format == "yyyy-mm-dd"


async def test_excel_charts_are_native_and_read_their_figures_from_the_sheets(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId, tmp_path: Path
):
    await a_day_of_work(database, pool_id, people=60, tasks=200)
    book = await workbook_of(client, tmp_path / "report.xlsx")
    charts = book["Charts"]._charts
    assert len(charts) == 4
    sources = [series.val.numRef.f for chart in charts for series in chart.series]
    assert len(sources) == 6
    for source in sources:
        sheet, _, cells = source.replace("'", "").replace("$", "").partition("!")
        values = [
            cell.value
            for row in book[sheet][f"{cells}:{cells}" if ":" not in cells else cells]
            for cell in row
        ]
        assert values and all(isinstance(value, int | float) for value in values), source


async def test_excel_opens_in_libreoffice(
    client: httpx.AsyncClient, database: Database, pool_id: PoolId, tmp_path: Path
):
    if (office := shutil.which("soffice")) is None:
        pytest.skip("no LibreOffice on this machine")
    await a_day_of_work(database, pool_id)
    await workbook_of(client, tmp_path / "report.xlsx", lang="ru")
    arguments = [
        "--headless",
        "--convert-to",
        "pdf",
        "--outdir",
        str(tmp_path),
        str(tmp_path / "report.xlsx"),
    ]
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    await asyncio.to_thread(subprocess.run, [office, profile, *arguments], check=True, timeout=300)
    pages = [page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages]
    text = "\n".join(pages)
    for words in ("Ключевые показатели", "Поступление и назначения", "Исполнитель", "Executor 0"):
        assert words in text
    assert not any(error in text for error in ("#REF!", "#NAME?", "#VALUE!", "Err:"))


async def test_an_empty_pool_gives_an_empty_report(client: httpx.AsyncClient, tmp_path: Path):
    book = await workbook_of(client, tmp_path / "report.xlsx")
    assert [row[0].value for row in book["Days"].iter_rows()] == ["Day"]
    assert (await client.get("/v1/kpi")).json()["days"] == []


async def test_a_report_is_of_one_pool_alone(settings: Settings, database: Database, pool_id: PoolId):
    other = await add_pool(database, code="другой")
    await a_day_of_work(database, pool_id)
    async with client_of(settings) as client:
        query = {"format": "json", "pool_id": int(other)}
        report = (await client.get("/v1/exports/kpi", params=query)).json()
        assert report["executors"] == report["days"] == []
        answer = await client.get("/v1/exports/kpi", params={"pool_id": int(other)})
        assert answer.headers["content-disposition"].isascii()
        assert (await client.get("/v1/exports/kpi", params={"pool_id": 999})).status_code == 404


async def test_a_worker_closes_days_that_are_over(settings: Settings, database: Database, pool_id: PoolId):
    await a_day_of_work(database, pool_id)
    await moved_back(database, 1)
    doorbell = open_doorbell(settings.redis_url)
    worker = Worker(settings, database, doorbell)
    running = asyncio.create_task(worker.run())
    async with database.hot.acquire() as connection:
        await until(lambda: connection.fetchval("SELECT count(*) FROM kpi_days"))
    worker.stop()
    await running
    await doorbell.close()
