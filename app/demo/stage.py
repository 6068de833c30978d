"""Where the demo plays: on the system that runs here, or on one that it starts for itself and stops again."""

import http
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from app.config import Settings
from app.demo.player import DemoError
from app.local.embedded import EmbeddedError, free_port, temporary_directory
from app.local.keeper import KeptProcess
from app.local.own_secrets import local_api_key

ROOT = Path(__file__).resolve().parents[2]
START_PATIENCE = 180.0
"""Seconds that the system of one's own may take to start; the first time programs are unpacked."""
REMOVE_PATIENCE = 20.0
"""Seconds that its servers may take to let go of their files."""
DIRECT = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}
"""For httpx: no proxy of the environment is asked for this machine."""


@contextmanager
def a_stage(named: str | None, usual: str, announce: Callable[[str], None]) -> Iterator[str]:
    """Address of a system to play on: the named one, else what answers at the usual place, else one of our own.

    Raises
    ------
    DemoError
        If nobody answers at the named address, or if our own system does not start.
    """
    address = named or usual
    if answers(address):
        yield address
    elif named:
        raise DemoError(
            f"no Executor Balancer answers at {named}: start it with `make run`, or leave --url out"
        )
    else:
        announce(usual)
        with _own_system() as address:
            yield address


def answers(address: str) -> bool:
    """Whether an Executor Balancer is there."""
    try:
        with httpx.Client(base_url=address, timeout=10, mounts=DIRECT) as client:
            answer = client.get("/v1/health/live")
            return answer.is_success and answer.json().get("status") == "ok"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError):
        return False


def kept_token(address: str, settings: Settings) -> str:
    """The key that local programs have, where this address of this machine asks who they are; empty elsewhere.

    The key never goes to another machine.
    """
    if urlsplit(address).hostname not in {"127.0.0.1", "localhost", "::1"}:
        return ""
    with httpx.Client(base_url=address, timeout=10, mounts=DIRECT) as client, suppress(httpx.HTTPError):
        if client.get("/v1/auth/me").status_code == http.HTTPStatus.UNAUTHORIZED:
            return local_api_key(settings) or ""
    return ""


@contextmanager
def _own_system() -> Iterator[str]:
    """Start `executor-balancer run` on data of its own; afterwards nothing of it is left."""
    try:
        directory = temporary_directory("executor-balancer-demo-")
        port = free_port()
    except (EmbeddedError, OSError) as error:
        raise DemoError(f"a system for this demo cannot be started: {error}") from error
    log = directory / "run.log"
    try:
        with log.open("wb") as output:
            options = ["--data", str(directory / "data"), "--port", str(port), "--no-dashboard", "--no-ais"]
            system = KeptProcess(
                [sys.executable, "-m", "app.cli", "run", *options],
                log=output,
                env=_without_settings(),
                cwd=ROOT,
                grace=60.0,
            )
        try:
            yield _await(system, f"http://127.0.0.1:{port}", log)
        finally:
            system.stop()
    finally:
        _remove(directory)


def _remove(directory: Path) -> None:
    """Leave nothing: a server on its way out may still write, so that one pass is not always enough."""
    deadline = time.monotonic() + REMOVE_PATIENCE
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            time.sleep(0.1)


def _without_settings() -> dict[str, str]:
    """The environment without anybody's database, Redis or external system: a demo must not touch those."""
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name.upper() not in ours} | {"ENV_FILE": ""}


def _await(system: KeptProcess, address: str, log: Path) -> str:
    deadline = time.monotonic() + START_PATIENCE
    while time.monotonic() < deadline and system.poll() is None:
        if answers(address):
            return address
        time.sleep(0.1)
    told = log.read_text(errors="replace").strip().splitlines()[-15:]
    raise DemoError("\n".join(["a system for this demo did not start:", *told]))
