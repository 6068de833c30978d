"""R6: Redis is flushed, killed, restarted empty, its group destroyed, its stream trimmed, or not there at all."""

import asyncio
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.doorbell.doorbell import GROUP, STREAM
from benchmarks.chaos.stage import Play, Report, Stage, quantiles

SHORT = {"rounds": 1}
FULL = {"rounds": 20}
DEFECT = "no_sweep"


async def run(stage: Stage, *, seed: int, rounds: int) -> Report:
    """Each blow falls after a ring and before a worker hears it: only the sweep can find the work."""
    report = Report("R6", "Redis gone", seed, 0)
    async with stage.open() as play:
        pool_id = await play.people(5)
        worker = stage.start(WORKER_SWEEP_SECONDS="0.5")
        delays: dict[str, list[float]] = {}
        for _ in range(rounds):
            for blow in (flush, destroy_group, trim, *([kill] if stage.servers else [])):
                await play.send(pool_id, 30)
                await play.drained()
                started = time.monotonic()
                await play.send(pool_id, 30, ring=False)
                await blow(play)
                if not await play.drained(min(60.0, stage.patience)):
                    report.violations.append(f"after {blow.__name__} nobody finds the work")
                    return await play.reckon(report)
                delays.setdefault(blow.__name__, []).append(time.monotonic() - started)
                report.n += 1
        await worker.kill()
        stage.start(REDIS_URL="")
        started = time.monotonic()
        await play.send(pool_id, 30, ring=False)
        await play.drained()
        delays["without Redis"] = [time.monotonic() - started]
        report.figures |= {
            f"delay after {name} p50/p99/max": quantiles(spent) for name, spent in delays.items()
        }
        return await play.reckon(report)


async def _redis(play: Play) -> Redis:
    return Redis.from_url(str(play.stage.redis_url))


async def flush(play: Play) -> None:
    """Everything is evicted."""
    async with await _redis(play) as redis:
        await redis.flushdb()


async def destroy_group(play: Play) -> None:
    """NOGROUP for whoever listens."""
    async with await _redis(play) as redis:
        try:
            await redis.xgroup_destroy(STREAM, GROUP)
        except RedisError:
            return


async def trim(play: Play) -> None:
    """MAXLEN below the backlog."""
    async with await _redis(play) as redis:
        await redis.xtrim(STREAM, maxlen=0, approximate=False)


async def kill(play: Play) -> None:
    """Kill -9, and a new one a second later."""
    servers = play.stage.servers
    assert servers is not None
    assert servers.redis is not None
    await asyncio.to_thread(servers.redis.kill)
    await asyncio.sleep(1.0)
    await asyncio.to_thread(servers.revive)
