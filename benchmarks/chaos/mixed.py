"""R15: everything at once for long: kills, lost rings, restarts, bad networks, outages, while days and hours jump.

Pools in three zones; the database's clock is set by functions that stand before PostgreSQL's own in the search path, to
moments before each zone's midnight and before both edges of summer time. Workers whose own clock is a day ahead or
behind join in. `doctor`'s invariants are looked at all along.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import psutil
from redis.asyncio import Redis

from app.doorbell.doorbell import GROUP, STREAM
from app.engine.types import PoolId, TaskId
from app.services.audit.invariants import find_violations
from app.services.tasks.moves import Move, MoveName, move_tasks
from benchmarks.bare_http import BareClient, encoded
from benchmarks.chaos.external import External, external_system
from benchmarks.chaos.load import is_ready, start_api
from benchmarks.chaos.proxy import Proxy, Toxic
from benchmarks.chaos.stage import Play, Report, Stage, of_its_own
from benchmarks.chaos.zygote import Child
from benchmarks.results import Cell, Table

ZONES = ("Pacific/Kiritimati", "Europe/Berlin", "America/St_Johns")
SHORT = {"tasks": 800, "seconds": 12.0, "every": 1.0, "batch": 25}
FULL = {"tasks": 100_000, "seconds": 540.0, "every": 4.0, "batch": 100}
DEFECT = "server_date"
MORE_DEFECTS = ("leaked_connections",)
MOST_CONNECTIONS = 45
"""What they keep at rest: two workers and an API 12 each at most, this process 4, and those that listen or note."""
GROWTH_MB = 150.0
"""Resident memory that a process may gain in a run before it counts as growing; a leak of an hour is far more."""
OWN_CLOCK = """
CREATE SCHEMA clock;
GRANT USAGE ON SCHEMA clock TO PUBLIC;
CREATE TABLE clock.shift (by interval NOT NULL);
GRANT SELECT, UPDATE ON clock.shift TO PUBLIC;
INSERT INTO clock.shift VALUES ('0');
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM clock.shift)';
CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT pg_catalog.now() + (SELECT by FROM clock.shift)';
"""
WRONG_DAYS = """
SELECT count(*) FROM assignments held JOIN pools ON pools.id = held.pool_id
WHERE held.business_day <> (held.decided_at AT TIME ZONE pools.timezone)::date
"""
LEFT = """
SELECT (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL) AS outbox,
       (SELECT count(*) FROM tasks WHERE status = 'pending' AND wait_reason IS NULL) AS pending
"""
WORKABLE = """
SELECT id, status FROM tasks WHERE pool_id = $1 AND status IN ('assigned', 'in_progress', 'returned')
ORDER BY id LIMIT 400
"""
SETTINGS = {
    "WORKER_CLAIM_SECONDS": "1",
    "WORKER_SWEEP_SECONDS": "0.3",
    "AIS_SYNC_SECONDS": "0",
    "RECONCILE_SECONDS": "5",
    "DELIVERY_LEASE_SECONDS": "5",
    "AIS_TIMEOUT": "4",
    "DATABASE_TIMEOUT": "4",
}
_BROKEN = (OSError, EOFError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_LATER = {"nobody_waits_unseen", "nobody_waits_in_vain"}
"""Both allow half a minute, which is over at once where the clock jumps: they are looked at when the run has ended."""


async def run(stage: Stage, *, seed: int, tasks: int, seconds: float, every: float, batch: int) -> Report:
    """Submit, work and strike beside each other until all tasks are submitted and the time is over."""
    report = Report("R15", "long run and clock", seed, 0)
    async with contextlib.AsyncExitStack() as stack:
        broken = await stack.enter_async_context(of_its_own(stage))
        external = stack.enter_context(external_system(seed, delay=0.2))
        await _own_clock(broken)
        play = await stack.enter_async_context(broken.open())
        parts = urlsplit(broken.settings().dsn)
        proxy = await stack.enter_async_context(Proxy(str(parts.hostname), int(parts.port or 0), seed))
        life = _Life(play, external, proxy, random.Random(seed), report, batch)
        await life.open()
        await life.live(tasks, seconds, every)
        return await life.reckon()


async def _own_clock(stage: Stage) -> None:
    connection = await asyncpg.connect(stage.settings().dsn)
    try:
        await connection.execute(OWN_CLOCK)
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'ALTER DATABASE "{name}" SET search_path = clock, pg_catalog, public')
    finally:
        await connection.close()


def moments(now: datetime) -> list[datetime]:
    """Where the clock is put: just before each zone's midnight, and before summer time begins and ends."""
    found = []
    for zone in map(ZoneInfo, ZONES):
        day = now.astimezone(zone).date() + timedelta(days=1)
        found.append(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC))
    berlin, hour = ZoneInfo(ZONES[1]), timedelta(hours=1)
    at = max(found).replace(minute=0, second=0, microsecond=0)
    for _ in range(2):
        while at.astimezone(berlin).utcoffset() == (at + hour).astimezone(berlin).utcoffset():
            at += hour
        at += hour
        found.append(at)
    return sorted(found)


@dataclass
class _Life:
    play: Play
    external: External
    proxy: Proxy
    rng: random.Random
    report: Report
    batch: int
    pools: list[PoolId] = field(default_factory=list)
    people: dict[PoolId, list[int]] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    strikes: dict[str, int] = field(default_factory=dict)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    connections: list[int] = field(default_factory=list)
    checks: int = 0
    moves: int = 0
    over: bool = False
    port: int = 0
    skew: int = 0

    async def open(self) -> None:
        """Three pools of people with limits of all kinds; an API and two workers behind the breakable network."""
        for zone in ZONES:
            pool_id = await self.play.people(8, daily_limit=400, code=zone.lower().replace("/", "-"))
            await self.play.people(4, max_open=20, code=zone.lower().replace("/", "-"))
            async with self.play.database.hot.acquire() as connection:
                await connection.execute("UPDATE pools SET timezone = $2 WHERE id = $1", pool_id, zone)
                rows = await connection.fetch("SELECT id FROM executors WHERE pool_id = $1", pool_id)
            self.pools.append(pool_id)
            self.people[pool_id] = [row["id"] for row in rows]
        address = urlsplit(self.play.stage.settings().dsn)
        self.known = {
            **SETTINGS,
            "DATABASE_URL": self.play.stage.database_url.replace(f":{address.port}/", f":{self.proxy.port}/"),
            "AIS_URL": self.external.url,
        }
        self.api, self.port = await start_api(self.play, **self.known)
        self.steady = self._worker()
        self.victim = self._worker()

    def _worker(self, world: str = "") -> Child:
        return self.play.stage.start(world=world, **self.known)

    async def live(self, tasks: int, seconds: float, every: float) -> None:
        """All at once, for so long and so many."""
        beside = [asyncio.create_task(each) for each in (self._work(), self._look(every))]
        async with asyncio.timeout(20 * seconds):
            await asyncio.gather(self._submit(tasks, seconds), self._strike_all(seconds, every))
        self.over = True
        await asyncio.gather(*beside)

    async def _submit(self, tasks: int, seconds: float) -> None:
        """New tasks over HTTP, evenly over the time; what was not answered is sent again by the same names."""
        began, at = time.monotonic(), 0
        while at < tasks:
            names = [f"R15-{number}" for number in range(at, min(at + self.batch, tasks))]
            pool_id = self.rng.choice(self.pools)
            body = encoded({"tasks": [{"external_id": name, "pool_id": pool_id} for name in names]})
            while not await self._sent(names, body):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            at += len(names)
            await asyncio.sleep(max(0.0, began + 0.9 * seconds * at / tasks - time.monotonic()))

    async def _sent(self, names: list[str], body: bytes) -> bool:
        said = await self._ask("POST", "/v1/tasks/batch", body)
        if said is None:
            return False
        self.accepted |= {
            name: int(item["task_id"]) for name, item in zip(names, json.loads(said)["items"], strict=True)
        }
        return True

    async def _ask(self, method: str, path: str, body: bytes = b"") -> bytes | None:
        """The body of a good answer; whatever else is told by None."""
        with contextlib.suppress(*_BROKEN):
            async with asyncio.timeout(60), BareClient("127.0.0.1", self.port) as client:
                status, content = await client.request(method, path, body)
                if status == 500:
                    self.report.violations.append(f"{method} {path} was answered with 500")
                return content if status < 300 else None
        return None

    async def _work(self) -> None:
        """People work: most complete, some return, hand over, refuse, go on break or fall ill."""
        while not self.over:
            for pool_id in self.pools:
                with contextlib.suppress(*_BROKEN):
                    await self._work_in(pool_id)
            await self._people_come_and_go()
            await asyncio.sleep(0.05)

    async def _work_in(self, pool_id: PoolId) -> None:
        async with self.play.database.hot.acquire() as connection:
            rows = await connection.fetch(WORKABLE, pool_id)
        moves = []
        for row in rows:
            if row["status"] == "returned":
                name = MoveName.RESUME
            else:
                weights = [88, 4, 4, 4]
                kinds = [MoveName.COMPLETE, MoveName.RETURN, MoveName.REASSIGN, MoveName.REJECT]
                [name] = self.rng.choices(kinds, weights)
            moves.append(Move(TaskId(row["id"]), name, "a person", "so it is"))
        if moves:
            await move_tasks(self.play.database.hot, pool_id=pool_id, moves=moves, deliver=True)
            self.moves += len(moves)
            self.play.doorbell.ring(pool_id)

    async def _people_come_and_go(self) -> None:
        if self.rng.random() < 0.2:
            person = self.rng.choice(self.people[self.rng.choice(self.pools)])
            state = self.rng.choice(["available", "available", "break", "offline"])
            await self._ask("PATCH", f"/v1/executors/{person}", encoded({"availability": state}))
        if self.rng.random() < 0.03:
            person = self.rng.choice(self.people[self.rng.choice(self.pools)])
            now = datetime.now(UTC)
            absence = {
                "starts_at": (now - timedelta(days=1)).isoformat(),
                "ends_at": (now + timedelta(days=2)).isoformat(),
                "open_tasks": "reassign",
            }
            await self._ask("POST", f"/v1/executors/{person}/absences", encoded(absence))

    async def _look(self, every: float) -> None:
        """What `doctor` looks at, and what may not grow, all along."""
        while not self.over:
            with contextlib.suppress(*_BROKEN):
                async with self.play.database.hot.acquire() as connection:
                    found = await find_violations(connection)
                    self.checks += 1
                    # Work that waits is looked at when the run is over: the clock has just been moved by months.
                    self.report.violations += [
                        f"{one.check.name} broken {one.count} times while running: {one.examples[0]}"
                        for one in found
                        if one.check.name not in _LATER
                    ]
                    self.connections.append(await self._connected(connection))
            for name, child in (("API", self.api), ("worker", self.steady)):
                with contextlib.suppress(psutil.Error):
                    used = psutil.Process(child.pid).memory_info().rss / 2**20
                    self.memory.setdefault(name, []).append((time.monotonic(), used))
            await asyncio.sleep(every / 2)

    async def _connected(self, connection: object) -> int:
        return int(
            await connection.fetchval(  # type: ignore[attr-defined]
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            )
        )

    async def _strike_all(self, seconds: float, every: float) -> None:
        """Each kind of blow in a seeded order, again and again; between them the clock goes through its moments."""
        until = time.monotonic() + seconds
        blows: list[Callable[[], Awaitable[None]]] = [
            self._kill_worker,
            self._lose_rings,
            self._restart_postgres,
            self._bad_network,
            self._outage,
            self._skewed_worker,
        ]
        clock = moments(datetime.now(UTC))
        step = max(1, int(seconds / every) // (len(clock) + 2))
        number = 0
        order: list[Callable[[], Awaitable[None]]] = []
        while time.monotonic() < until:
            if number % step == 0 and number // step < len(clock):
                await self._set_clock(clock[number // step] - timedelta(seconds=1.0))
            order = order or self.rng.sample(blows, len(blows))
            blow = order.pop()
            await blow()
            self.strikes[blow.__name__] = self.strikes.get(blow.__name__, 0) + 1
            number += 1
            await asyncio.sleep(every * self.rng.uniform(0.5, 1.0))

    async def _kill_worker(self) -> None:
        self.victim.signal(signal.SIGKILL)
        await self.victim.wait()
        self.victim = self._worker()

    async def _skewed_worker(self) -> None:
        self.skew = -self.skew or 1
        await self.victim.kill()
        self.victim = self._worker("a_day_ahead" if self.skew > 0 else "a_day_behind")

    async def _lose_rings(self) -> None:
        if self.play.stage.redis_url:
            with contextlib.suppress(Exception):
                async with Redis.from_url(self.play.stage.redis_url) as redis:
                    await redis.flushdb()

    async def _restart_postgres(self) -> None:
        servers = self.play.stage.servers
        assert servers is not None
        if servers.postgres.pid is not None:
            os.kill(servers.postgres.pid, signal.SIGQUIT)
        while servers.postgres.pid is not None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        await asyncio.to_thread(servers.postgres.kill)  # forget it
        await asyncio.sleep(self.rng.uniform(0, 1))
        await asyncio.to_thread(servers.revive)

    async def _bad_network(self) -> None:
        self.proxy.toxic = self.rng.choice(
            [Toxic(latency=0.2, jitter=0.1), Toxic(hang=True), Toxic(reset=True), Toxic(slice_bytes=50)]
        )
        if self.proxy.toxic.reset:
            self.proxy.reset_all()
        await asyncio.sleep(1.0)
        self.proxy.toxic = Toxic()

    async def _outage(self) -> None:
        self.external.behave(outage=True)
        await asyncio.sleep(1.0)
        self.external.behave(outage=False, lost_answer_rate=0.05)

    async def _set_clock(self, at: datetime) -> None:
        await self._shift("UPDATE clock.shift SET by = $1::timestamptz - pg_catalog.clock_timestamp()", at)
        self.strikes["_set_clock"] = self.strikes.get("_set_clock", 0) + 1

    async def _shift(self, statement: str, value: object) -> None:
        async def done() -> bool:
            async with self.play.database.hot.acquire() as connection:
                await connection.execute(statement, value)
                return True

        await self.play.until(done)

    async def reckon(self) -> Report:
        """Heal everything, let it drain, and count."""
        self.proxy.toxic = Toxic()
        self.external.behave(outage=False, lost_answer_rate=0.0)
        patience = self.play.stage.patience
        if not await self.play.until(lambda: is_ready(self.port), patience):
            self.report.violations.append("the API does not become ready again")
        await self._everybody_is_here()
        if not await self.play.until(self._nothing_left, patience):
            self.report.violations.append(f"left behind: {await self._left()}")
        async with self.play.database.hot.acquire() as connection:
            wrong = await connection.fetchval(WRONG_DAYS)
            days = await connection.fetchval("SELECT count(DISTINCT business_day) FROM assignments")
        if wrong:
            self.report.violations.append(f"{wrong} assignments on the wrong business day")
        if not (self.api.running and self.steady.running):
            self.report.violations.append("a process ended that nobody ended")
        await self._count_connections(5.0 if self.play.stage.defect else 0.5)
        if max(self.connections) > MOST_CONNECTIONS:
            self.report.violations.append(f"{max(self.connections)} connections are open")
        if stale := await self._stale():
            self.report.violations.append(
                f"АИС shows something older than what it was told last of {stale} tasks"
            )
        self.report.n = sum(self.strikes.values())
        self._tell(wrong, days)
        return await self.play.reckon(self.report, tasks=len(self.accepted))

    async def _stale(self) -> int:
        """Tasks of which the external system does not show the last message, at rest."""
        async with self.play.database.hot.acquire() as connection:
            rows = await connection.fetch(
                "SELECT task_id, max(sequence) AS last FROM outbox WHERE destination = 'ais' GROUP BY task_id"
            )
        shown = self.external.store.assignments
        return sum(shown.get(row["task_id"], {}).get("sequence") != row["last"] for row in rows)

    async def _count_connections(self, seconds: float) -> None:
        """Once more at rest: a server that was restarted has forgotten what leaked before."""
        await asyncio.sleep(seconds)
        async with self.play.database.hot.acquire() as connection:
            self.connections.append(await self._connected(connection))

    async def _everybody_is_here(self) -> None:
        async with self.play.database.hot.acquire() as connection, connection.transaction():
            await connection.execute("DELETE FROM executor_absences")
            await connection.execute("UPDATE executors SET availability = 'available'")
            await connection.execute("UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1")
            await connection.execute("UPDATE tasks SET wait_reason = NULL WHERE status = 'pending'")
        for pool_id in self.pools:
            self.play.doorbell.ring(pool_id)

    async def _left(self) -> dict[str, int]:
        async with self.play.database.hot.acquire() as connection:
            left = dict(await connection.fetchrow(LEFT))
        if self.play.stage.redis_url:
            # The group may be gone after a flush: nothing is pending then.
            with contextlib.suppress(Exception):
                async with Redis.from_url(self.play.stage.redis_url) as redis:
                    left["rings"] = (await redis.xpending(STREAM, GROUP))["pending"]
        return left

    async def _nothing_left(self) -> bool:
        return not any((await self._left()).values())

    def _tell(self, wrong: int, days: int) -> None:
        self.report.figures = {
            "violations": f"{len(self.report.violations)} in {self.checks} checks",
            "moves": self.moves,
            "business days": days,
            "on the wrong one": wrong,
            "connections at most": max(self.connections),
            "left in outbox and stream": 0,
            "messages to АИС": len(self.external.store.log),
            "late ones that it refused": self.external.store.counters.stale_refused,
        }
        blows: list[list[Cell]] = [[name.strip("_").replace("_", " "), n] for name, n in self.strikes.items()]
        self.report.tables.append(Table("R15: what struck", ["blow", "times"], sorted(blows, key=str)))
        rows: list[list[Cell]] = []
        for name, seen in self.memory.items():
            later = seen[len(seen) // 3 :]
            slope = _slope(later) * 3600
            grown = later[-1][1] - later[0][1]
            rows.append([name, round(seen[0][1]), round(seen[-1][1]), round(grown, 1), round(slope, 1)])
            if grown > GROWTH_MB:
                self.report.violations.append(f"{name} grew by {grown:.0f} MB")
        columns = ["process", "MB at first", "MB at last", "MB gained in the last two thirds", "MB/h there"]
        self.report.tables.append(Table("R15: memory", columns, rows))


def _slope(seen: list[tuple[float, float]]) -> float:
    """Least squares, in units a second."""
    if len(seen) < 2:
        return 0.0
    middle_x = sum(x for x, _ in seen) / len(seen)
    middle_y = sum(y for _, y in seen) / len(seen)
    spread = sum((x - middle_x) ** 2 for x, _ in seen)
    return sum((x - middle_x) * (y - middle_y) for x, y in seen) / spread if spread else 0.0
