"""API and worker as a user starts them: with nothing set, on an empty database, on a port that is taken."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

import httpx
import pytest

from app.local.embedded import free_port
from tests.servers import ROOT, RunServers

pytestmark = pytest.mark.slow
PATIENCE = 120.0
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what the run book says
UVICORN = [sys.executable, "-m", "uvicorn", "app.main:app"]


class Started:
    """A process whose lines can be waited for."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line)
            self._lines.put(line)

    def until(self, pattern: str) -> str:
        """The first line from now on that has this pattern."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except Empty:
                raise AssertionError(f"no {pattern!r} in:\n{''.join(self.said)}") from None
            if re.search(pattern, line):
                return line


@contextlib.contextmanager
def started(command: list[str], **environment: str) -> Iterator[Started]:
    running = Started(command, environment)
    try:
        yield running
    finally:
        running.process.send_signal(signal.SIGTERM)
        try:
            running.process.wait(PATIENCE)
        finally:
            running.process.kill()
            running.process.communicate()
    assert "Traceback" not in "".join(running.said)


def play(*command: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | environment, check=True, capture_output=True
    )


def test_both_say_what_an_empty_database_needs_and_go_on_by_themselves(
    empty_database_url: str, tmp_path: Path
):
    port = free_port()
    given = {
        "DATABASE_URL": empty_database_url,
        "SECRETS_DIR": str(tmp_path / "kept" / "secrets"),
        "METRICS_PORT": "0",
    }
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(started([*UVICORN, "--host", EVERYWHERE, "--port", str(port)], **given))
        assert "SECRET_KEY is not set" in api.until("secret.made")
        assert "admin_password" in api.until("sign_in.required")
        worker = stack.enter_context(started([sys.executable, "app/worker.py"], **given))
        for process in (api, worker):
            assert "no tables yet: run alembic upgrade head" in process.until("database.not_ready")
        play("-m", "alembic", "upgrade", "head", **given)
        for process in (api, worker):
            process.until("no pool or no user: run python init_db.py")
        play("init_db.py", **given)
        api.until("database.ready")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert client.get("/v1/health/ready").status_code == 200
            assert client.get("/v1/pools").status_code == 401  # of everybody, loopback too
            key = (tmp_path / "kept" / "secrets" / "api_key").read_text().strip()
            headers = {"Authorization": f"Bearer {key}"}
            assert client.get("/v1/pools", headers=headers).json()["items"][0]["code"] == "default"
            assert "queue_lag" in client.get("/metrics", headers=headers).text


def test_a_server_that_does_not_answer_is_named_once(tmp_path: Path):
    given = {"DATABASE_URL": "postgresql://a:hidden@127.0.0.1:9/b", "METRICS_PORT": "0"}
    with started([sys.executable, "app/worker.py"], **given) as worker:
        line = worker.until("database.not_ready")
    assert "127.0.0.1:9/b (DATABASE_URL): nothing answers there. Start PostgreSQL there or correct" in line
    assert sum("not_ready" in each for each in worker.said) == 1
    assert "hidden" not in "".join(worker.said)
    assert worker.process.returncode == 0


@pytest.mark.parametrize("command", [["app/main.py"], ["-m", "uvicorn", "app.main:app"], ["app/worker.py"]])
def test_a_wrong_setting_is_one_line(command: list[str]):
    done = failed(command, DATABASE_URL="mysql://a:hidden@b/c")
    assert (
        done.startswith("Cannot start: DATABASE_URL: ") and "postgresql://" in done and "hidden" not in done
    )


def test_a_port_in_use_is_one_line(servers: RunServers):
    port = httpx.URL(servers.database_url.replace("postgresql", "http")).port
    for command in (["app/main.py"], ["-m", "uvicorn", "app.main:app", "--port", str(port)]):
        assert failed(command, PORT=str(port)) == (
            f"Cannot start: cannot listen on 127.0.0.1:{port} (Address already in use): choose another "
            f"{'PORT' if 'app/main.py' in command else '--port'}"
        )


@pytest.mark.parametrize("program", ["init_db.py", "demo.py", "app/main.py", "app/worker.py"])
def test_an_old_python_is_one_line(program: str):
    old = next(iter(OLD), None)
    if old is None:
        pytest.skip("no Python before 3.11 is installed here")
    done = subprocess.run(
        [old, program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 1
    [line] = (done.stdout + done.stderr).strip().splitlines()
    assert (
        line.startswith("Executor Balancer needs Python 3.11 or later, this is 3.") and "-m venv venv" in line
    )


OLD = [
    found
    for version in ("3.10", "3.9", "3.8")
    for found in [
        *Path.home().glob(f".pyenv/versions/{version}.*/bin/python"),
        shutil.which(f"python{version}"),
    ]
    if found and subprocess.run([found, "--version"], check=False, capture_output=True).returncode == 0
]
"""Those that start: a version manager leaves names of programs that it does not run."""


def failed(command: list[str], **environment: str) -> str:
    """The single line of a start that fails."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    [line] = (done.stdout + done.stderr).strip().splitlines()
    return line
