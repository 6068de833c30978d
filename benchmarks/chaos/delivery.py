"""R12: what was decided reaches an external system that takes 2 to 10 seconds, fails, loses answers and goes down.

Two stretches: the system as it is (only slow), and then at its worst, with a sender killed on the way.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from ais_emulator.main import create_app
from ais_emulator.state import EmulatedFaults, EmulatorSettings, Store
from app.engine.types import PoolId, TaskId
from app.services.tasks.moves import Move, MoveName, move_tasks
from benchmarks.chaos.stage import Play, Report, Stage, quantiles

SHORT = {"tasks": 60, "seconds": 2.0, "senders": 2, "delay": (0.05, 0.2), "outage": 0.5}
FULL = {"tasks": 3_000, "seconds": 60.0, "senders": 4, "delay": (2.0, 10.0), "outage": 10.0}
DEFECT = "no_sequence_check"

_SAMPLE_SECONDS = 0.1
_AGE_OF_OLDEST = """
SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 FROM outbox
WHERE delivered_at IS NULL AND dead_at IS NULL
"""
_AGES = "SELECT extract(epoch FROM delivered_at - created_at)::float8 AS age FROM outbox WHERE task_id > $1"


async def run(
    stage: Stage,
    *,
    seed: int,
    tasks: int,
    seconds: float,
    senders: int,
    delay: tuple[float, float],
    outage: float,
) -> Report:
    """Lives of three messages each, sent while they happen."""
    report = Report("R12", "delivery at the external system's pace", seed, 0)
    low, high = delay
    with _emulator(EmulatorSettings(delay_min=low, delay_max=high, seed=seed)) as (url, store):
        async with stage.open() as play:
            pool_id = await play.people(20)
            timeout = str(2 * high + 1)
            lease = str(max(3 * high, 3.0))
            settings = {
                "AIS_URL": url,
                "AIS_TIMEOUT": timeout,
                "DELIVERY_LEASE_SECONDS": lease,
                "RECONCILE_SECONDS": "0",
            }
            children = [stage.start(**settings) for _ in range(senders)]
            report.figures["only slow"] = await _stretch(play, pool_id, tasks, seconds)
            first = await play.database.hot.fetchval("SELECT max(id) FROM tasks")
            worst = EmulatedFaults(delay_min=low, delay_max=high, error_rate=0.1, lost_answer_rate=0.1)
            store.faults = worst
            failing = asyncio.create_task(_fail(store, worst, children[0], seconds, outage))
            report.figures["at its worst"] = await _stretch(play, pool_id, tasks, seconds, after=first)
            await failing
            await _judge(play, report, store)
            return await play.reckon(report)


async def _stretch(play: Play, pool_id: PoolId, tasks: int, seconds: float, after: int = 0) -> str:
    """So many lives within so many seconds, until all is delivered; the ages of messages and of the oldest."""
    ended = asyncio.Event()
    watching = asyncio.create_task(_watch(play, ended))
    steps = max(1, int(seconds * 5))
    for step in range(steps):
        began = time.monotonic()
        share = tasks * (step + 1) // steps - tasks * step // steps
        if share:
            await play.send(pool_id, share)
        await _go_on(play, pool_id)
        await asyncio.sleep(max(0.0, seconds / steps - (time.monotonic() - began)))
    await play.until(lambda: _all_ended(play, pool_id))
    await play.until(lambda: _all_delivered(play), seconds + 10 * play.stage.patience)
    ended.set()
    oldest = await watching
    ages = [row["age"] for row in await play.database.hot.fetch(_AGES, after) if row["age"] is not None]
    return f"oldest waiting {quantiles(oldest)} (p50/p99/max), a message {quantiles(ages)}"


async def _go_on(play: Play, pool_id: PoolId) -> int:
    """Start what is assigned, complete what was started; how many are still on their way."""
    rows = await play.database.hot.fetch(
        "SELECT id, status FROM tasks WHERE status IN ('pending', 'assigned', 'in_progress') ORDER BY id LIMIT 500"
    )
    names = {"assigned": MoveName.START, "in_progress": MoveName.COMPLETE}
    moves = [Move(TaskId(row["id"]), names[row["status"]], "chaos") for row in rows if row["status"] in names]
    if moves:
        await move_tasks(play.database.hot, pool_id=pool_id, moves=moves, deliver=True)
    return len(rows)


async def _watch(play: Play, ended: asyncio.Event) -> list[float]:
    """The age of the oldest message that is not delivered, again and again."""
    ages = []
    while not ended.is_set():
        age = await play.database.hot.fetchval(_AGE_OF_OLDEST)
        if age is not None:
            ages.append(age)
        await asyncio.sleep(_SAMPLE_SECONDS)
    return ages


async def _fail(store: Store, worst: EmulatedFaults, sender: Any, seconds: float, outage: float) -> None:
    await asyncio.sleep(seconds / 3)
    await sender.kill()
    store.faults = worst.model_copy(update={"outage": True})
    await asyncio.sleep(outage)
    store.faults = worst


async def _all_ended(play: Play, pool_id: PoolId) -> bool:
    return not await _go_on(play, pool_id)


async def _all_delivered(play: Play) -> bool:
    return not await play.database.hot.fetchval("SELECT count(*) FROM outbox WHERE delivered_at IS NULL")


async def _judge(play: Play, report: Report, store: Store) -> None:
    """Each delivered, in order for each task, nothing stale over something newer."""
    row = await play.database.hot.fetchrow(
        "SELECT count(*) AS all, count(delivered_at) AS delivered, count(dead_at) AS dead FROM outbox"
    )
    counted = dict(row or {})
    report.n = counted["all"]
    inversions, highest = 0, dict[int, int]()
    for task_id, sequence in store.log:
        inversions += sequence < highest.get(task_id, 0)
        highest[task_id] = max(sequence, highest.get(task_id, 0))
    told = await play.database.hot.fetch(
        "SELECT task_id, max(sequence) AS newest FROM outbox GROUP BY task_id"
    )
    stale = sum(store.assignments.get(row["task_id"], {}).get("sequence") != row["newest"] for row in told)
    report.figures |= {
        "delivered": f"{counted['delivered']} of {counted['all']}",
        "requests": store.counters.requests,
        "failed": store.counters.failed,
        "sent twice": f"{100 * store.counters.duplicates / max(1, counted['all']):.2g} %",
        "inversions": inversions,
        "stale": stale,
    }
    if counted["delivered"] != counted["all"] or counted["dead"]:
        report.violations.append(f"{counted['all'] - counted['delivered']} messages are not delivered")
    if inversions or stale:
        report.violations.append(
            f"{inversions} messages came after a later one, {stale} tasks show something stale"
        )


@contextlib.contextmanager
def _emulator(settings: EmulatorSettings) -> Iterator[tuple[str, Store]]:
    """The external system in a thread of this process."""
    app = create_app(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.store
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
