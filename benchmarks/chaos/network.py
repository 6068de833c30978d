"""R8: the network to PostgreSQL, Redis and the external system in turn is slow, hangs, breaks off, trickles."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.bare_http import BareClient
from benchmarks.chaos.external import external_system
from benchmarks.chaos.load import PATIENCE, Load, is_ready, start_api
from benchmarks.chaos.proxy import Proxy, Toxic
from benchmarks.chaos.stage import Play, Report, Stage
from benchmarks.results import Cell, Table

TOXICS = {
    "latency 1 s +-0.5": Toxic(latency=1.0, jitter=0.5),
    "hang": Toxic(hang=True),
    "reset": Toxic(reset=True),
    "after 2,000 bytes a reset": Toxic(limit_bytes=2000),
    "slices of 7 bytes": Toxic(slice_bytes=7),
}
PARTS = ("PostgreSQL", "Redis", "АИС")
SHORT = {"toxics": ("hang", "reset"), "seconds": 6.0, "beside": 1.0, "clients": 4}
FULL = {"toxics": tuple(TOXICS), "seconds": 15.0, "beside": 10.0, "clients": 12}
DEFECT = "no_deadline"
REQUEST_SECONDS = 2.0
SLACK = 3.0
"""Seconds that an answer may be late on a busy machine; a request that nobody ends waits for the whole fault."""
SETTINGS = {
    "REQUEST_SECONDS": str(REQUEST_SECONDS),
    "DATABASE_TIMEOUT": "1.5",
    "AIS_TIMEOUT": "1.5",
    "AIS_SYNC_SECONDS": "0",
    "RECONCILE_SECONDS": "0",
    "DELIVERY_LEASE_SECONDS": "3",
}


async def run(
    stage: Stage, *, seed: int, toxics: tuple[str, ...], seconds: float, beside: float, clients: int
) -> Report:
    """Each toxic on each part for a while (`beside`: on what no request needs), under load all along."""
    report = Report("R8", "bad network", seed, 0)
    table = Table(
        "R8: bad networks",
        [
            "part",
            "toxic",
            "requests",
            "2xx, %",
            "p99, s",
            "longest, s",
            "falsely ready, s",
            "ready again after, s",
        ],
        [],
    )
    async with contextlib.AsyncExitStack() as stack:
        external = stack.enter_context(external_system(seed))
        addresses = [stage.settings().dsn, str(stage.redis_url), external.url]
        proxies = [
            await stack.enter_async_context(Proxy(*_address(address), seed + number))
            for number, address in enumerate(addresses)
        ]
        urls = [
            address.replace(f":{_address(address)[1]}", f":{proxy.port}")
            for address, proxy in zip(addresses, proxies, strict=True)
        ]
        play = await stack.enter_async_context(stage.open())
        await play.people(5)
        known = {"DATABASE_URL": urls[0], "REDIS_URL": urls[1], "AIS_URL": urls[2], **SETTINGS}
        _, port = await start_api(play, **known)
        stage.start(**known)
        load = Load(port, f"R8-{seed}", pause=0.01)
        load.start(clients)
        await asyncio.sleep(1.0)
        phases: list[tuple[str, str, _Phase]] = []
        for part, proxy in zip(PARTS, proxies, strict=True):
            for toxic in toxics:
                lasting = seconds if part == "PostgreSQL" else beside
                phase = await _poison(play, load, proxy, TOXICS[toxic], lasting, asks_ais=part == "АИС")
                phases.append((part, toxic, phase))
        await load.stop()
        for part, toxic, phase in phases:  # only now has each request its answer
            table.rows.append([part, toxic, *phase.row()])
            report.violations += [f"{part}, {toxic}: {said}" for said in phase.wrong(part)]
            report.n += 1
        for proxy in proxies:
            proxy.toxic = Toxic()
        await load.lost(play, report)
        load.judge(report, deadline=REQUEST_SECONDS + SLACK)
        if not await play.until(lambda: _all_delivered(play), stage.patience):
            report.violations.append("what was decided does not reach the external system any more")
        report.tables.append(table)
        report.figures = {
            "requests": len(load.answers),
            "longest": f"{max(one.seconds for one in load.answers):.1f} s of {REQUEST_SECONDS:g}",
            "503 without Retry-After": sum(one.status == 503 and not one.retry_after for one in load.answers),
            "falsely ready at most": f"{max(float(str(row[6])) for row in table.rows):.1f} s",
        }
        async with play.database.hot.acquire() as connection:
            there = await connection.fetchval("SELECT count(*) FROM tasks")
        return await play.reckon(report, tasks=there)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


@dataclass(slots=True)
class _Phase:
    """One toxic on one part: what clients and the readiness route said meanwhile."""

    load: Load
    began: float
    ended: float = 0.0
    healed: float | None = None
    told: list[tuple[float, bool]] = field(default_factory=list)
    syncs: list[tuple[int, float]] = field(default_factory=list)

    def row(self) -> list[Cell]:
        """The table's figures."""
        answers = self._answers()
        spent = sorted(one.seconds for one in answers) or [0.0]
        good = sum(one.good for one in answers)
        return [
            len(answers),
            round(100 * good / max(1, len(answers)), 1),
            round(spent[min(len(spent) - 1, int(0.99 * len(spent)))], 2),
            round(spent[-1], 2),
            round(self._falsely_ready(), 1),
            None if self.healed is None else round(self.healed, 2),
        ]

    def wrong(self, part: str) -> list[str]:
        """What must not be."""
        found = []
        if self.healed is None:
            found.append("it does not become ready again")
        if part != "PostgreSQL" and any(one.status >= 500 for one in self._answers()):
            found.append("requests failed that do not need it")
        if part != "PostgreSQL" and not all(ready for _, ready in self.told):
            found.append("it was called not ready though every request could be served")
        if part == "PostgreSQL" and self._falsely_ready() > REQUEST_SECONDS + SLACK:
            found.append("it called itself ready while nothing was served")
        if any(status not in {200, 502, 503, 504} for status, _ in self.syncs):
            found.append(f"pulling people was answered with {self.syncs}")
        return found

    def _answers(self) -> list:  # type: ignore[type-arg]
        return [one for one in self.load.answers if self.began <= one.began <= self.ended]

    def _falsely_ready(self) -> float:
        """The longest span in which it was called ready and no request succeeded, in seconds."""
        good = [one.ended for one in self.load.answers if one.good]
        longest, since = 0.0, None
        for at, ready in self.told:
            served = any(at - 1.0 <= one <= at + 1.0 for one in good)
            since = (since if since is not None else at) if ready and not served else None
            longest = max(longest, at - since if since is not None else 0.0)
        return longest


async def _poison(
    play: Play, load: Load, proxy: Proxy, toxic: Toxic, seconds: float, *, asks_ais: bool
) -> _Phase:
    """Break the network for so many seconds, heal it, and wait until everything is as before."""
    phase = _Phase(load, time.monotonic())
    proxy.toxic = toxic
    if toxic.reset:
        proxy.reset_all()
    pulling = asyncio.create_task(_pull(load.port)) if asks_ais else None
    while time.monotonic() < phase.began + seconds:
        at = time.monotonic()
        phase.told.append((at, await is_ready(load.port)))
        await asyncio.sleep(0.1)
    phase.ended = time.monotonic()
    proxy.toxic = Toxic()
    if pulling is not None:
        phase.syncs.append(await pulling)

    async def as_before() -> bool:
        since = time.monotonic() - 1.0
        return await is_ready(load.port) and any(one.good and one.ended > since for one in load.answers[-50:])

    if await play.until(as_before, play.stage.patience):
        phase.healed = time.monotonic() - phase.ended
    return phase


async def _pull(port: int) -> tuple[int, float]:
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE), BareClient("127.0.0.1", port) as client:
        status, _ = await client.request("POST", "/v1/executors/cache-sync")
    return status, time.monotonic() - began


async def _all_delivered(play: Play) -> bool:
    async with play.database.hot.acquire() as connection:
        return not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox WHERE delivered_at IS NULL)")
