"""How long a page of the dashboard takes to be useful, with 1,000 executors and 100,000 tasks."""

import asyncio
import statistics
import time
from collections.abc import Sequence

import httpx
from playwright.sync_api import Browser, Page

from benchmarks import scene
from benchmarks.results import Result, Table, Target
from benchmarks.system import PATIENCE, System, running_servers
from tests.dashboard.browser import address_of, browser, dashboard, find_browser

ABOUT = """
A browser opens each page in a fresh session, as after a click on a link: from the navigation to the first thing that
says something (a figure, a table, a constructor) and to the end of the run. API, worker, PostgreSQL, dashboard and
browser share the machine's cores. The dashboard's own files are in the browser's cache, as after a first visit.
"""

USEFUL = {
    "overview": ".figure .value",
    "tasks": "[data-testid=stDataFrame]",
    "executors": "[data-testid=stDataFrame]",
    "analytics": "[role=tabpanel]",
    "rules": "[data-testid=stTextArea]",
    "parameters": "[data-testid=stDataFrame]",
    "load": "[data-testid=stForm]",
    "system": "[role=tabpanel]",
}
FULL = (1000, 100_000, 5)
SHORT = (100, 2_000, 1)
_BATCH = 2000


def run(*, short: bool) -> Result:
    """All pages, so many times each; medians."""
    executable = find_browser()
    if executable is None:
        raise RuntimeError("no chromium here: apt-get install chromium")
    people, tasks, runs = SHORT if short else FULL
    with running_servers() as system:
        asyncio.run(_prepare(system, people, tasks))
        api = f"http://127.0.0.1:{system.api_port}"
        with dashboard(api) as address, browser(executable) as opened:
            times = {name: _measure(opened, address, name, runs) for name in USEFUL}
    worst = max(statistics.median(useful for useful, _ in pairs) for pairs in times.values())
    return Result(
        name="dashboard",
        title=f"Pages of the dashboard with {people:,} executors and {tasks:,} tasks",
        about=ABOUT,
        targets=[Target("slowest page until useful", "s", round(worst, 2), 2.0, 1.0, "lower")],
        tables=[
            Table(
                "seconds, median (slowest)",
                ["page", "useful", "whole"],
                [
                    [name, _shown([u for u, _ in pairs]), _shown([w for _, w in pairs])]
                    for name, pairs in times.items()
                ],
            )
        ],
    )


def _shown(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({max(seconds):.2f})"


async def _prepare(system: System, people: int, tasks: int) -> None:
    """People, rules and assigned work."""
    await scene.build(await system.fresh(), executors=people, rules=5)
    await system.start(workers=1)
    bodies = scene.requests(tasks)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{system.api_port}", timeout=PATIENCE) as client:
        for start in range(0, tasks, _BATCH):
            answer = await client.post("/v1/tasks/batch", json={"tasks": bodies[start : start + _BATCH]})
            answer.raise_for_status()
        for _ in range(int(PATIENCE)):
            if not (await client.get("/v1/distribution/overview")).json()["undecided"]:
                return
            await asyncio.sleep(1)
        raise RuntimeError("the work was not decided in time")


def _measure(opened: Browser, address: str, name: str, runs: int) -> list[tuple[float, float]]:
    """Seconds until useful and until whole, each time in a new tab of a browser that was here before."""
    context = opened.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    times = []
    for _ in range(runs + 1):
        tab = context.new_page()
        times.append(_once(tab, address_of(address, name, "ru"), USEFUL[name]))
        tab.close()
    context.close()
    return times[1:]  # the first visit fills the cache


def _once(tab: Page, address: str, useful: str) -> tuple[float, float]:
    began = time.perf_counter()
    tab.goto(address, wait_until="commit")
    tab.locator(useful).first.wait_for()
    first = time.perf_counter() - began
    tab.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return first, time.perf_counter() - began
