"""A dashboard in a process of its own, and a browser that looks at it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from app.local.embedded.data import free_port

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts" / "dashboard"
PATIENCE = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb"]

# The pages' policy lets nothing be evaluated in them, as `wait_for_function` would.
CALM = "[data-testid=stApp][data-test-script-state=notRunning]"


def find_browser() -> str | None:
    """The browser of this machine; none is ever downloaded."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def dashboard(api: str, port: int | None = None) -> Iterator[str]:
    """A dashboard for this API; gives its address."""
    port = port or free_port()
    options = {"server.port": str(port), "server.address": "127.0.0.1", "server.headless": "true"}
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "streamlit_app/dashboard.py", *flags],
        cwd=ROOT,
        env=os.environ | {"API_URL": api},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_healthy(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/_stcore/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the dashboard did not start: streamlit run streamlit_app/dashboard.py says why")


@contextmanager
def browser(executable: str) -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield opened
        opened.close()


def address_of(base: str, page: str, language: str, **query: str) -> str:
    """The address of a page in a language."""
    return f"{base}/{'' if page == 'overview' else page}?{urlencode({'lang': language} | query)}"


def open_page(page: Page, address: str) -> Page:
    """Open an address and wait until the page is whole and calm."""
    page.goto(address)
    page.locator("h1").first.wait_for()
    settle(page)
    return page


def settle(page: Page) -> None:
    """Wait until the run of the script that was caused is over."""
    page.locator(CALM).wait_for()


def keep(page: Page, name: str, *, whole: bool = True) -> Path:
    """A picture of the page, as high as what is on it."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTIFACTS / f"{name}.png"
    # Parts of the page that are still being fetched are grey until they are there.
    page.locator("[data-testid=stSkeleton]").first.wait_for(state="detached")
    if whole:
        size = page.viewport_size or {"width": 1400, "height": 900}
        height = page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? 0")
        page.set_viewport_size(
            {"width": size["width"], "height": max(size["height"], min(int(height) + 20, 3000))}
        )
        page.wait_for_timeout(400)  # charts draw themselves anew
        page.screenshot(path=path)
        page.set_viewport_size(size)
    else:
        page.screenshot(path=path)
    return path
