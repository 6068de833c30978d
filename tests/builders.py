"""Small makers of the things that tests need, with sensible defaults."""

import io
import zipfile

from app.database import Database
from app.engine.types import ExecutorId, PoolId, TaskId

ADD_EXECUTOR = """
WITH person AS (
    INSERT INTO executors (pool_id, name, parameters, daily_limit, max_open, qualification, availability)
    VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
)
INSERT INTO executor_loads (executor_id, pool_id, window_start, business_day)
SELECT id, $1, DATE '2000-01-01', DATE '2000-01-01' FROM person RETURNING executor_id
"""


async def add_pool(
    database: Database, *, code: str = "default", timezone: str = "UTC", **columns: object
) -> PoolId:
    """A pool with its state row."""
    names = ", ".join(["code", "name", "timezone", *columns])
    places = ", ".join(f"${number}" for number in range(1, 4 + len(columns)))
    async with database.hot.acquire() as connection, connection.transaction():
        pool_id = await connection.fetchval(
            f"INSERT INTO pools ({names}) VALUES ({places}) RETURNING id",
            code,
            code,
            timezone,
            *columns.values(),
        )
        await connection.execute("INSERT INTO pool_states (pool_id) VALUES ($1)", pool_id)
    return PoolId(pool_id)


async def add_executors(
    database: Database,
    pool_id: PoolId,
    count: int,
    *,
    daily_limit: float | None = None,
    max_open: int | None = None,
    qualification: float = 1.0,
    availability: str = "available",
    parameters: dict[str, object] | None = None,
) -> list[ExecutorId]:
    """People of a pool who are alike."""
    async with database.hot.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1 WHERE pool_id = $1", pool_id
        )
        return [
            ExecutorId(
                await connection.fetchval(
                    ADD_EXECUTOR,
                    pool_id,
                    f"Executor {number}",
                    parameters or {},
                    daily_limit,
                    max_open,
                    qualification,
                    availability,
                )
            )
            for number in range(count)
        ]


async def add_tasks(
    database: Database,
    pool_id: PoolId,
    count: int,
    *,
    weight: float = 1.0,
    parameters: dict[str, object] | None = None,
) -> list[TaskId]:
    """Pending tasks, written without ringing for them."""
    async with database.hot.acquire() as connection:
        rows = await connection.fetch(
            "INSERT INTO tasks (pool_id, parameters, weight) "
            "SELECT $1, $2, $3 FROM generate_series(1, $4) RETURNING id",
            pool_id,
            parameters or {},
            weight,
            count,
        )
    return [TaskId(row["id"]) for row in rows]


def as_ods(rows: list[list[str]], of_last_row: str = "") -> bytes:
    """An OpenDocument spreadsheet of one sheet; `of_last_row` are more attributes of its last row."""
    cells = "".join(
        f"<table:table-row{of_last_row if row is rows[-1] else ''}>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    names = "".join(
        f' xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in (("office", "office"), ("table", "table"), ("text", "text"))
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
        archive.writestr("META-INF/manifest.xml", f'<m:manifest xmlns:m="{manifest}"/>')
        archive.writestr(
            "content.xml",
            f"<office:document-content{names}><office:body><office:spreadsheet>"
            f'<table:table table:name="log">{cells}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return content.getvalue()
