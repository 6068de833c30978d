"""How a decided batch is best written: the worker's one statement against COPY, separate statements and SQLAlchemy."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import asyncpg

from app.services.placement import sql as statements
from benchmarks import scene
from benchmarks.alchemy_writers import Core, Orm
from benchmarks.results import Chart, Result, Series, Table
from benchmarks.system import System, running_servers
from benchmarks.writers import Batch, CopiedRows, OneStatement, SeparateStatements, Writer

ABOUT = """
Tasks that wait are assigned: the same decisions, written in five ways over one connection, each batch in a transaction
of its own. Each writes the task's row anew, its assignment, the loads and days of those who receive something, the
class counts, the hour's figures, the trail and the pool's epoch, to which it is bound. Afterwards the rows must be the
same in each of these tables, by count and checksum, whoever wrote them. Nothing is decided here: the time is that of
driver and database. 1,000 executors, 300 classes; the server is durable. Medians; ways alternate in each round of
a size: they compare within a column, whatever else the machine did.

*One statement* is `COMMIT_BATCH`, as the worker sends it: arrays, `unnest`, and all tables at once. *Separate
statements* are the same arrays sent once for each table. *COPY* fills a temporary table, from which the same statements
read. *SQLAlchemy Core* is `insert` and `update` with lists of values (insertmanyvalues where something is returned);
the *ORM* reads the counters, changes objects, and writes in bulk what `Session.execute` takes in bulk.
"""

WRITERS: list[tuple[str, Callable[[], Writer]]] = [
    ("one statement (the worker's)", OneStatement),
    ("COPY, then statements", CopiedRows),
    ("separate statements", SeparateStatements),
    ("SQLAlchemy Core", Core),
    ("SQLAlchemy ORM, bulk", Orm),
]
FULL = {1: 200, 100: 4_000, 500: 10_000, 1_000: 20_000}
SHORT = {1: 20, 100: 400}
"""How many tasks in batches of which size."""
_ROUNDS = 3
_CLASSES = 300

# What must be there afterwards; left out is what is drawn (ids of assignments) and where (stripes of an hour).
_CHECKED = {
    "pool_states": "SELECT pool_id, epoch FROM pool_states",
    "tasks": "SELECT id, status, executor_id, version, updated_at FROM tasks",
    "assignments": """
        SELECT task_id, pool_id, executor_id, kind, class_id, weight, score, explanation, business_day, decided_at,
               counted, delivery_state FROM assignments
        """,
    "executor_loads": "SELECT * FROM executor_loads",
    "executor_days": "SELECT * FROM executor_days",
    "class_hours": "SELECT * FROM class_hours",
    "kpi_hours": "SELECT pool_id, hour, sum(assigned) FROM kpi_hours GROUP BY pool_id, hour",
    "trail_frames": "SELECT * FROM trail_frames",
}
_SUM = """
SELECT count(*) AS rows, md5(string_agg(written::text, '|' ORDER BY written::text)) AS sum FROM ({query}) written
"""


def run(*, short: bool) -> Result:
    """All ways, all sizes, on servers of their own."""
    return asyncio.run(_run(SHORT if short else FULL, 1 if short else _ROUNDS))


async def _run(sizes: dict[int, int], rounds: int) -> Result:
    result = Result("writes", "Ways to write a decided batch", ABOUT)
    spent: dict[tuple[str, int], list[list[float]]] = {}
    with running_servers() as system:
        await system.fresh("written")
        batches_of = await _prepare(system, max(sizes.values()))
        for size, count in sizes.items():
            for number in range(rounds):
                first: Any = None
                for name, make in WRITERS:
                    seconds, sums = await _measure(system, make(), batches_of(size, count), number)
                    first = first or sums
                    if sums != first:
                        differ = [table for table in sums if sums[table] != first[table]]
                        raise RuntimeError(f"{name}, batches of {size}: other rows in {', '.join(differ)}")
                    spent.setdefault((name, size), []).append(seconds)
    _tell(result, sizes, spent)
    return result


async def _prepare(system: System, count: int) -> Callable[[int, int], list[Batch]]:
    """People, classes and waiting tasks in the database that every measurement begins with a copy of."""
    [pool_id] = await scene.build(system.dsn, executors=1000, rules=13)
    connection = await asyncpg.connect(system.dsn)
    try:
        await connection.execute(
            """
            INSERT INTO class_snapshots (pool_id, digest, content)
            SELECT $1, number::text, '{}' FROM generate_series(1, $2) number
            """,
            pool_id,
            _CLASSES,
        )
        await connection.execute(
            "INSERT INTO rosters (pool_id, digest, members) VALUES ($1, '', '[]')", pool_id
        )
        bodies = scene.requests(count)
        for at in range(0, count, 500):
            await connection.fetchrow(*_intake(pool_id, bodies[at : at + 500]))
        await connection.execute("VACUUM ANALYZE")
        tasks = [row["id"] for row in await connection.fetch("SELECT id FROM tasks ORDER BY id")]
        people = [row["id"] for row in await connection.fetch("SELECT id FROM executors ORDER BY id")]
        classes = [row["id"] for row in await connection.fetch("SELECT id FROM class_snapshots ORDER BY id")]
        roster = await connection.fetchval("SELECT id FROM rosters")
        epoch = await connection.fetchval("SELECT epoch FROM pool_states WHERE pool_id = $1", pool_id)
    finally:
        await connection.close()

    def batches_of(size: int, some: int) -> list[Batch]:
        return [
            Batch.of(
                pool_id,
                epoch + number,
                roster,
                tasks[at : at + size],
                first=at,
                people=people,
                classes=classes,
            )
            for number, at in enumerate(range(0, some, size))
        ]

    return batches_of


def _intake(pool_id: int, bodies: Sequence[dict[str, Any]]) -> list[Any]:
    """INSERT_TASKS with its arguments."""
    nothing = [None] * len(bodies)
    return statements.INSERT_TASKS(
        pool_ids=[pool_id] * len(bodies),
        external_ids=[body["external_id"] for body in bodies],
        parameters=[json.dumps(body["parameters"]) for body in bodies],
        weights=[float(body["weight"]) for body in bodies],
        priorities=[body["priority"] for body in bodies],
        deadlines=nothing,
        parent_ids=nothing,
        keys=nothing,
        fingerprints=nothing,
        origins=nothing,
    )


async def _measure(
    system: System, writer: Writer, batches: Sequence[Batch], number: int
) -> tuple[list[float], dict[str, tuple[int, str]]]:
    """Seconds of each batch, and what the tables hold afterwards: rows and checksum."""
    server = system.servers.addresses.database_url.rpartition("/")[0]
    name = f"written_{type(writer).__name__.lower()}"
    admin = await asyncpg.connect(system.servers.addresses.database_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE written")
        await writer.open(f"{server}/{name}")
        seconds = []
        for batch in batches:
            started = time.perf_counter()
            await writer.write(batch)
            seconds.append(time.perf_counter() - started)
        await writer.close()
        sums = await _sums(f"{server}/{name}")
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
    if sums["assignments"][0] != sum(len(batch.tasks) for batch in batches):
        raise RuntimeError(f"{name}, round {number}: {sums['assignments'][0]} assignments")
    return seconds, sums


async def _sums(dsn: str) -> dict[str, tuple[int, str]]:
    connection = await asyncpg.connect(dsn)
    try:
        return {
            table: tuple(await connection.fetchrow(_SUM.format(query=query)))
            for table, query in _CHECKED.items()
        }
    finally:
        await connection.close()


def _tell(result: Result, sizes: dict[int, int], spent: dict[tuple[str, int], list[list[float]]]) -> None:
    """Tables, the chart, and the worker's way against the best of the others."""
    speed = {
        (name, size): median(sizes[size] / sum(seconds) for seconds in rounds)
        for (name, size), rounds in spent.items()
    }
    largest = max(sizes)
    result.tables += [
        Table(
            "Tasks/s by size of the batch",
            ["way", *map(str, sizes)],
            [[name, *(round(speed[name, size]) for size in sizes)] for name, _ in WRITERS],
        ),
        Table(
            "Median ms a batch",
            ["way", *map(str, sizes)],
            [
                [
                    name,
                    *(
                        round(1000 * median(median(seconds) for seconds in spent[name, size]), 2)
                        for size in sizes
                    ),
                ]
                for name, _ in WRITERS
            ],
        ),
    ]
    result.charts.append(
        Chart(
            f"Batches of {largest:,}",
            "bar",
            "",
            "tasks/s",
            [Series("tasks/s", [[name, round(speed[name, largest])] for name, _ in WRITERS])],
        )
    )
    others = max(speed[name, largest] for name, _ in WRITERS[1:])
    result.notes.append(
        f"In batches of {largest:,} the worker's way is at {100 * speed[WRITERS[0][0], largest] / others:.0f} % of the"
        " best of the others."
    )
    result.notes.append(
        f"Rows and checksums of {', '.join(_CHECKED)} were the same after every way, size and round."
    )
