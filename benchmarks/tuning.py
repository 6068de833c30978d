"""Settings of production, each measured before and after under the same load: what the production guide advises.

`python -m benchmarks.tuning GROUP` measures one group anew and keeps the others as they were last measured.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import asyncpg
from redis.asyncio import Redis

from benchmarks import page, scene
from benchmarks.bare_http import encoded
from benchmarks.end_to_end import batches, share, throughput, warm_up
from benchmarks.results import DIRECTORY, Cell, Result, Table, read
from benchmarks.system import System, running_servers

ABOUT = """
One setting is changed at a time; everything else stays as the first row of its table has it. Each measurement has
fresh servers, a team of 1,000 with 13 rules, and the same two loads: batches of 500 over HTTP from four clients, then
single POSTs from 32 clients, each until the last assignment is committed. Rounds alternate all rows of a table, so
that what else the machine did falls on all of them alike; figures are medians, and the range shows what chance does.
A change counts as a difference where its median lies outside the range of the first row and the ranges do not meet.
API, workers, PostgreSQL (durable), Redis and the load generator share the machine's cores, and the data fits into
memory: on a larger machine settings that give PostgreSQL more cores or memory do more than here.
"""
SAME = "no difference"

# What a run leaves behind in PostgreSQL: bytes of log, checkpoints begun by its amount, updates within the page.
_LOG = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS bytes"
_UPDATES = """
SELECT sum(n_tup_hot_upd)::float8 / nullif(sum(n_tup_upd), 0) AS hot, sum(pg_relation_size(relid))::float8 AS bytes
FROM pg_stat_user_tables WHERE relname = ANY(ARRAY['executor_loads', 'executor_days', 'pool_states', 'kpi_hours'])
"""
_FILL = ("executor_loads", "pool_states", "kpi_hours")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of a table: what differs from the first row. `serve` are arguments of uvicorn."""

    name: str
    postgres: Mapping[str, str] = field(default_factory=dict)
    redis: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    serve: Sequence[str] = ()
    statements: Sequence[str] = ()
    workers: int = 1
    pools: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run gave; times in ms, sizes in MB."""

    batches: float
    singles: float
    answer_p99: float
    log_mb: float
    hot_percent: float
    tables_mb: float


def _full(*tables: str) -> list[str]:
    return [f"ALTER TABLE {table} SET (fillfactor = 100)" for table in tables]


_STREAMS = 8
_VACUUM = {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_naptime": "5s"}
GROUPS: dict[str, tuple[str, list[Setting]]] = {
    "workers": (
        "Workers, with one busy pool and with eight",
        [
            Setting(f"{workers} of them, {pools} busy pool{'s' * (pools > 1)}", workers=workers, pools=pools)
            for pools in (1, _STREAMS)
            for workers in (1, 2, 4)
        ],
    ),
    "connections": (
        "Connections of each process",
        [
            Setting("HOT_POOL_SIZE 4, DATABASE_POOL_SIZE 8"),
            Setting("HOT_POOL_SIZE 2", settings={"HOT_POOL_SIZE": "2"}),
            Setting("HOT_POOL_SIZE 8", settings={"HOT_POOL_SIZE": "8"}),
            Setting("HOT_POOL_SIZE 16", settings={"HOT_POOL_SIZE": "16"}),
            Setting("DATABASE_POOL_SIZE 2", settings={"DATABASE_POOL_SIZE": "2"}),
            Setting("DATABASE_POOL_SIZE 16", settings={"DATABASE_POOL_SIZE": "16"}),
        ],
    ),
    "postgresql": (
        "PostgreSQL: memory and checkpoints",
        [
            Setting("shared_buffers 256MB, max_wal_size 2GB"),
            Setting("shared_buffers 128MB", postgres={"shared_buffers": "128MB"}),
            Setting("shared_buffers 1GB", postgres={"shared_buffers": "1GB"}),
            Setting("max_wal_size 64MB: checkpoints all the time", postgres={"max_wal_size": "64MB"}),
        ],
    ),
    "tables": (
        "PostgreSQL: hot tables",
        [
            Setting("fillfactor 50, autovacuum as delivered"),
            Setting("fillfactor 100", statements=_full(*_FILL)),
            Setting("autovacuum_vacuum_scale_factor 0.02", postgres=_VACUUM),
            Setting("autovacuum off", postgres={"autovacuum": "off"}),
        ],
    ),
    "redis": (
        "What is written to disk before anybody goes on, and no Redis at all",
        [
            Setting("as delivered: synchronous_commit on, wal_compression off, appendfsync everysec"),
            Setting("PostgreSQL: synchronous_commit off (not safe)", postgres={"synchronous_commit": "off"}),
            Setting("PostgreSQL: wal_compression on", postgres={"wal_compression": "on"}),
            Setting("Redis: appendonly no", redis={"appendonly": "no"}),
            Setting("Redis: appendfsync always", redis={"appendfsync": "always"}),
            Setting("no Redis at all", settings={"REDIS_URL": ""}),
        ],
    ),
    "server": (
        "The API's server",
        [
            Setting("uvicorn, one process, uvloop"),
            Setting("two processes (--workers 2)", serve=("--workers", "2")),
            Setting("asyncio's own loop (--loop asyncio)", serve=("--loop", "asyncio")),
            Setting("INTAKE_BATCH 100", settings={"INTAKE_BATCH": "100"}),
            Setting("WORKER_BATCH 250", settings={"WORKER_BATCH": "250"}),
        ],
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is sent, and how often."""

    batch_tasks: int
    single_tasks: int
    rounds: int


MOST_SECONDS = 215.0
"""A round is not begun where the group would take longer: whoever lends a quiet machine knows for how long."""
FULL = Sizes(15_000, 4_000, 3)
SHORT = Sizes(1_000, 200, 1)
COLUMNS = [
    "setting", "batches, tasks/s", "range", "against the first", "single POSTs, tasks/s", "range of POSTs",
    "POSTs against the first", "p99 of a POST, ms", "log, MB", "updates within the page, %", "hot tables, MB",
]  # fmt: skip


def run(*, short: bool) -> Result:
    """All groups."""
    result = Result("tuning", "Settings of production, before and after", ABOUT)
    for name in GROUPS:
        result.tables.append(asyncio.run(_group(name, SHORT if short else FULL)))
    return result


async def _group(name: str, sizes: Sizes, most_seconds: float = MOST_SECONDS) -> Table:
    title, settings = GROUPS[name]
    found: dict[str, list[Measured]] = {setting.name: [] for setting in settings}
    started, rounds = time.monotonic(), 0
    while rounds < sizes.rounds:
        if rounds and (time.monotonic() - started) * (rounds + 1) > most_seconds * rounds:
            break
        for setting in settings:
            found[setting.name].append(await _measure(setting, sizes))
        rounds += 1
    first = found[settings[0].name]
    rows = [_row(name, runs, first) for name, runs in found.items()]
    return Table(f"{title} ({rounds} rounds)", COLUMNS, rows)


async def _measure(setting: Setting, sizes: Sizes) -> Measured:
    with running_servers(**setting.postgres) as system:
        await system.fresh()
        ids = await scene.build(system.dsn, executors=1000, rules=13, pools=setting.pools)
        await _prepare(system, setting)
        await system.start(workers=setting.workers, serve=setting.serve, **setting.settings)
        before = await _ask(system, _LOG)
        warm, many, single = (
            scene.requests(count, pool_ids=ids, seed=seed)
            for seed, count in ((9, 2000 * setting.pools), (2, sizes.batch_tasks), (3, sizes.single_tasks))
        )
        await warm_up(system, warm)
        by_batch = await throughput(system, "/v1/tasks/batch", batches(many, 500), len(many), 4)
        bodies = [encoded(body) for body in single]
        by_one = await throughput(system, "/v1/tasks", bodies, len(single), 32)
        log = float((await _ask(system, _LOG))["bytes"] - before["bytes"])
        await asyncio.sleep(1.0)  # until the server's processes have told what they counted
        tables = await _ask(system, _UPDATES)
        system.stop()
    return Measured(
        batches=by_batch.per_second,
        singles=by_one.per_second,
        answer_p99=1000 * share(sorted(by_one.answers), 0.99),
        log_mb=log / 2**20,
        hot_percent=100 * (tables["hot"] or 0.0),
        tables_mb=tables["bytes"] / 2**20,
    )


async def _prepare(system: System, setting: Setting) -> None:
    connection = await asyncpg.connect(system.dsn)
    try:
        for statement in setting.statements:
            await connection.execute(statement)
    finally:
        await connection.close()
    if setting.redis and (url := system.servers.addresses.redis_url):
        async with Redis.from_url(url) as redis:
            for name, value in setting.redis.items():
                await redis.config_set(name, value)


async def _ask(system: System, query: str) -> Any:
    connection = await asyncpg.connect(system.dsn)
    try:
        return await connection.fetchrow(query)
    finally:
        await connection.close()


def _row(name: str, runs: Sequence[Measured], first: Sequence[Measured]) -> list[Cell]:
    many, one = [run.batches for run in runs], [run.singles for run in runs]
    return [
        name,
        round(median(many)),
        f"{min(many):,.0f}-{max(many):,.0f}",
        difference(many, [run.batches for run in first]),
        round(median(one)),
        f"{min(one):,.0f}-{max(one):,.0f}",
        difference(one, [run.singles for run in first]),
        round(median(run.answer_p99 for run in runs)),
        round(median(run.log_mb for run in runs)),
        round(median(run.hot_percent for run in runs)),
        round(median(run.tables_mb for run in runs), 1),
    ]


def difference(now: Sequence[float], first: Sequence[float]) -> str:
    """By how much the median moved, in percent; "no difference" where the two ranges meet."""
    if min(now) <= max(first) and min(first) <= max(now):
        return SAME
    return f"{100 * (median(now) / median(first) - 1):+.0f} %"


def _measure_anew(names: Sequence[str], most_seconds: float) -> Result:
    """These groups measured, the others as the file has them."""
    path, started = DIRECTORY / "tuning.json", time.monotonic()
    result = Result("tuning", "Settings of production, before and after", ABOUT)
    known = read(path) if path.exists() else result
    tables = {table.title.partition(" (")[0]: table for table in known.tables}
    for name in names:
        tables[GROUPS[name][0]] = asyncio.run(_group(name, FULL, most_seconds))
    result.tables = [tables[title] for title, _ in GROUPS.values() if title in tables]
    result.stamp(short=False, seconds=known.seconds + time.monotonic() - started)
    return result


def main() -> None:
    """Measure the groups that are named, and make the page anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="+", choices=GROUPS)
    parser.add_argument("--seconds", type=float, default=MOST_SECONDS, help="no further round beyond that")
    args = parser.parse_args()
    print(_measure_anew(args.groups, args.seconds).write())
    print(page.write())


if __name__ == "__main__":
    main()
