"""Takes the READMEs' pictures of the dashboard: starts a system of its own, plays the demo through it, and looks.

`--all` takes every page in both languages, light and dark, on a phone, a screen and a projector instead, into
artifacts/pictures. `--out` writes elsewhere.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page

from app.config import Settings
from app.demo.domains import DOMAINS
from app.local.embedded import temporary_directory
from app.local.embedded.data import free_port
from app.local.system import RunOptions, running_system
from tests.dashboard.browser import PATIENCE, address_of, browser, find_browser, open_page

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "docs" / "img"
ARTIFACTS = ROOT / "artifacts" / "pictures"
PAGES = ("overview", "tasks", "executors", "analytics", "rules", "parameters", "load", "system")
SHOWN = {"overview": 1120, "executors": 900, "rules": 900, "task": 960}
"""Pages of the READMEs, with the height of their pictures."""
TEAM = ("--domain", "it", "--executors", "14", "--tasks", "360", "--batch", "6", "--rate", "9")
HIGHEST = 4000


@dataclass(frozen=True, slots=True)
class Stage:
    """A dashboard with work to see: for each language the code of its pool and a task."""

    address: str
    pools: dict[str, str]
    tasks: dict[str, str]

    def page(self, name: str, language: str) -> str:
        """The address of a page; `task` is the card of one."""
        query = {"pool": self.pools[language]}
        if name == "task":
            return address_of(self.address, "tasks", language, task=self.tasks[language], **query)
        return address_of(self.address, name, language, **query)


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Take pictures of the dashboard.")
    parser.add_argument("--all", action="store_true", help="every page, language, theme and width")
    parser.add_argument("--widths", type=int, nargs="+", default=[390, 1200, 1920])
    parser.add_argument("--themes", nargs="+", default=["light", "dark"])
    parser.add_argument("--out", type=Path, help="where to write")
    wanted = parser.parse_args()
    executable = find_browser()
    if executable is None:
        print("no chromium here: apt-get install chromium", file=sys.stderr)
        return 1
    out = wanted.out or (ARTIFACTS if wanted.all else README)
    out.mkdir(parents=True, exist_ok=True)
    with _stage() as stage, browser(executable) as opened:
        if wanted.all:
            for language, theme, width in product(stage.pools, wanted.themes, wanted.widths):
                _every_page(opened, stage, out, language, theme, width)
        else:
            for language in stage.pools:
                _for_the_readme(opened, stage, out, language)
    return 0


@contextmanager
def _stage() -> Iterator[Stage]:
    """A system in a directory of its own, with a team in each language."""
    directory = temporary_directory("executor-balancer-pictures-")
    try:
        wishes = RunOptions(
            port=free_port(), data=directory, dashboard_port=free_port(), ais_port=free_port()
        )
        with running_system(wishes, Settings(_env_file=None)) as running:
            with httpx.Client(base_url=running.places["api"], timeout=PATIENCE) as client:
                pools = _play(client)
                tasks = {language: _some_task(client, code) for language, code in pools.items()}
            yield Stage(running.places["dashboard"], pools, tasks)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _play(client: httpx.Client) -> dict[str, str]:
    """The demo in both languages at once; gives the pools that it made."""
    players = {
        language: subprocess.Popen(
            [sys.executable, "demo.py", "--url", str(client.base_url), "--lang", language, *TEAM],
            cwd=ROOT, stdout=subprocess.DEVNULL,
        )
        for language in ("ru", "en")
    }  # fmt: skip
    for language, player in players.items():
        if player.wait():
            raise RuntimeError(f"the demo in {language} failed: its message stands above")
    names = {DOMAINS["it"].name_ru: "ru", DOMAINS["it"].name_en: "en"}
    made = client.get("/v1/pools").json()["items"]
    return {names[each["name"]]: each["code"] for each in made if each["name"] in names}


def _some_task(client: httpx.Client, code: str) -> str:
    """A task that somebody has."""
    pools = client.get("/v1/pools").json()["items"]
    pool = next(each["pool_id"] for each in pools if each["code"] == code)
    found = client.get("/v1/tasks", params={"pool_id": pool, "status": "assigned", "limit": 1}).json()
    return str(found["items"][0]["task_id"])


def _for_the_readme(opened: Browser, stage: Stage, out: Path, language: str) -> None:
    for name, height in SHOWN.items():
        tab = _tab(opened, 1400, height, "light")
        open_page(tab, stage.page(name, language))
        _take(tab, out / f"dashboard-{name}-{language}.png")
        tab.context.close()


def _every_page(opened: Browser, stage: Stage, out: Path, language: str, theme: str, width: int) -> None:
    tab = _tab(opened, width, 900, theme)
    for name in (*PAGES, "task"):
        tab.set_viewport_size({"width": width, "height": 900})
        open_page(tab, stage.page(name, language))
        tab.wait_for_timeout(500)
        height = int(tab.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? 0"))
        tab.set_viewport_size({"width": width, "height": min(max(900, height + 20), HIGHEST)})
        _take(tab, out / f"{name}-{language}-{theme}-{width}.png")
    tab.context.close()


def _tab(opened: Browser, width: int, height: int, theme: str) -> Page:
    context = opened.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    context.set_default_timeout(PATIENCE * 1000)
    return context.new_page()


def _take(tab: Page, path: Path) -> None:
    """A picture of what stands there once nothing is grey any more and the charts have drawn themselves."""
    if "overview" in path.name:  # its charts come after its figures
        tab.locator(".js-plotly-plot .main-svg").first.wait_for()
    tab.locator("[data-testid=stSkeleton]").first.wait_for(state="detached")
    tab.wait_for_timeout(800)
    tab.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
