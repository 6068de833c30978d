"""What all faults need: a pool with people, work, processes to be broken, and the final reckoning."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import Doorbell, open_doorbell
from app.engine.types import PoolId
from app.local.embedded import Durability, EmbeddedServers
from app.services.audit.invariants import find_violations
from app.services.intake.intake import NewTask, write_tasks
from benchmarks.chaos.planted import plant_in_database
from benchmarks.chaos.zygote import Child, Zygote
from benchmarks.results import Table
from benchmarks.system import running_servers


@dataclass(slots=True)
class Report:
    """What a fault did: how often it struck, what was measured, and what must not have happened."""

    name: str
    title: str
    seed: int
    n: int
    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """No failure in n trials: with 95 % confidence the rate of failures is below this."""
        return 3 / self.n if self.n else 1.0

    def line(self) -> str:
        """The report in a line."""
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        said = "; ".join(self.violations) or "nothing lost, double, over limit or miscounted"
        return f"{self.name}: n={self.n} (rate < {self.bound:.2g}), {figures}; {said} [seed {self.seed}]"


@dataclass(slots=True)
class Stage:
    """Where a fault plays; `servers` only for faults that break servers, which then belong to it alone."""

    database_url: str
    redis_url: str | None
    zygote: Zygote
    defect: str = ""
    servers: EmbeddedServers | None = None
    patience: float = 60.0
    """Seconds a state may take to come; shorter under a planted defect, when it may never."""

    def settings(self, **changes: Any) -> Settings:
        """Settings of this process's own connections."""
        return Settings(database_url=self.database_url, redis_url=self.redis_url, **changes)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Play"]:
        """Connect, plant what is planted in the database, and leave nothing running afterwards."""
        settings = self.settings()
        database, doorbell = await Database.open(settings), open_doorbell(self.redis_url)
        await plant_in_database(self.defect, settings.dsn)
        try:
            yield Play(self, database, doorbell)
        finally:
            await self.zygote.end_all()
            await doorbell.close()
            database.hot.terminate()
            await database.engine.dispose()

    def start(self, kind: str = "worker", failpoints: str = "", world: str = "", **settings: str) -> Child:
        """Start a worker or an API on this stage, in a world that may differ, with the planted defect if any."""
        known = {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url or ""}
        return self.zygote.start(
            kind,
            {**known, **settings},
            failpoints=failpoints,
            defect=",".join(filter(None, (world, self.defect))),
        )


@asynccontextmanager
async def of_its_own(stage: Stage) -> AsyncIterator[Stage]:
    """Lend this stage if its servers may be broken; else one on new servers, for everybody needs the others."""
    if stage.servers is not None:
        yield stage
        return
    with running_servers(Durability.FAST) as system:
        url = await system.fresh("chaos")
        yield replace(
            stage, database_url=url, redis_url=system.servers.addresses.redis_url, servers=system.servers
        )


@dataclass(slots=True)
class Play:
    """A stage with open connections."""

    stage: Stage
    database: Database
    doorbell: Doorbell
    sent: int = 0

    async def people(
        self,
        count: int,
        *,
        daily_limit: float | None = None,
        max_open: int | None = None,
        code: str = "default",
    ) -> PoolId:
        """A pool with so many alike executors; made when it is not there."""
        async with self.database.hot.acquire() as connection, connection.transaction():
            pool_id = await connection.fetchval(
                "INSERT INTO pools (code, name, timezone) VALUES ($1, $1, 'UTC') "
                "ON CONFLICT (code) DO UPDATE SET name = excluded.name RETURNING id",
                code,
            )
            await connection.execute(
                "INSERT INTO pool_states (pool_id) VALUES ($1) ON CONFLICT (pool_id) DO UPDATE "
                "SET epoch = pool_states.epoch + 1, config_epoch = pool_states.epoch + 1",
                pool_id,
            )
            await connection.execute(
                """
                WITH people AS (
                    INSERT INTO executors (pool_id, name, daily_limit, max_open)
                    SELECT $1, 'Executor ' || number, $3, $4 FROM generate_series(1, $2::int) number RETURNING id
                )
                INSERT INTO executor_loads (executor_id, pool_id, window_start, business_day)
                SELECT id, $1, DATE '2000-01-01', DATE '2000-01-01' FROM people
                """,
                pool_id,
                count,
                daily_limit,
                max_open,
            )
        return PoolId(pool_id)

    async def send(self, pool_id: PoolId, count: int, *, ring: bool = True, priority: int = 0) -> None:
        """Commit new tasks as intake does, and ring for them once."""
        names = range(self.sent, self.sent + count)
        tasks = [NewTask(pool_id, external_id=f"T-{name}", priority=priority) for name in names]
        await write_tasks(self.database.hot, tasks)
        self.sent += count
        if ring:
            self.doorbell.ring(pool_id)

    async def count(self, status: str) -> int:
        """How many tasks are in a status, or wait for a reason."""
        async with self.database.hot.acquire() as connection:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM tasks WHERE coalesce(wait_reason, status) = $1", status
                )
            )

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float | None = None) -> bool:
        """Wait for a condition; false if it does not come in time."""
        deadline = time.monotonic() + (seconds or self.stage.patience)
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if await condition():
                    return True
            await asyncio.sleep(0.02)
        return False

    async def drained(self, seconds: float | None = None) -> bool:
        """Whether every task gets looked at."""

        async def nothing_left() -> bool:
            return await self.count("pending") == 0

        return await self.until(nothing_left, seconds)

    async def reckon(self, report: Report, *, tasks: int | None = None) -> Report:
        """The final reckoning: the backlog drains by itself, all tasks are there, every invariant holds."""
        if not await self.drained():
            report.violations.append(f"{await self.count('pending')} tasks are never looked at")
        async with self.database.hot.acquire() as connection:
            found = await connection.fetchval("SELECT count(*) FROM tasks")
            expected = self.sent if tasks is None else tasks
            if found != expected:
                report.violations.append(f"{expected} tasks were sent, {found} are there")
            report.violations += [
                f"{finding.check.name} broken {finding.count} times: {finding.examples[0]}"
                for finding in await find_violations(connection)
            ]
        report.figures["tasks"] = found
        return report


def quantiles(seconds: list[float]) -> str:
    """p50, p99 and maximum, in seconds."""
    ordered = sorted(seconds) or [0.0]
    chosen = [ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in (0.5, 0.99)]
    return "/".join(f"{value:.2f}" for value in (*chosen, ordered[-1])) + " s"
