"""A process that has loaded the product and forks workers and APIs on request: a start costs milliseconds.

Run as `python -m benchmarks.chaos.zygote` it reads one JSON object a line from stdin, `{"kind": "worker" | "api",
"settings": {...}, "failpoints": "...", "defect": "..."}`, and writes `{"started": pid}` and
`{"ended": pid, "code": n}`. When stdin closes, it kills its children and ends: nothing outlives a test.
"""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A forked process, as its starter sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self._ended = threading.Event()

    def end(self, code: int) -> None:
        """Note that it has ended."""
        self.code = code
        self._ended.set()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    def signal(self, number: int) -> None:
        """Send a signal to it, if it is still there."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self, seconds: float = 60.0) -> int | None:
        """Wait for its end; its exit code, or None if it did not end in time."""
        await asyncio.to_thread(self._ended.wait, seconds)
        return self.code

    async def kill(self) -> None:
        """Kill it and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.wait()


class Zygote:
    """The forking process; a context manager, to be used by one thread."""

    def __init__(self, log: Path | None = None) -> None:
        output = log.open("ab") if log else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.chaos.zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        if not isinstance(output, int):
            output.close()
        self._children: dict[int, Child] = {}
        self._lock = threading.Lock()
        self._started = threading.Semaphore(0)
        self._last: Child | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill all children and end."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(30)
        self._reader.join(30)
        if self._process.stdout:
            self._process.stdout.close()

    def start(self, kind: str, settings: dict[str, str], *, failpoints: str = "", defect: str = "") -> Child:
        """Fork a worker or an API with these settings."""
        asked = {"kind": kind, "settings": settings, "failpoints": failpoints, "defect": defect}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        if not self._started.acquire(timeout=60) or self._last is None:
            raise RuntimeError("the zygote does not fork")
        return self._last

    async def end_all(self) -> None:
        """Kill what still runs."""
        for child in list(self._children.values()):
            await child.kill()
        self._children.clear()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            said = json.loads(line)
            if "started" in said:
                self._last = self._children[said["started"]] = Child(said["started"])
                self._started.release()
            elif said["ended"] in self._children:
                self._children[said["ended"]].end(said["code"])


def _main() -> None:
    import app.main
    import app.worker  # noqa: F401 - loaded once for all children

    children: set[int] = set()
    while True:
        readable, _, _ = select.select([0], [], [], 0.02)
        for pid in list(children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                children.discard(pid)
                _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})
        if not readable:
            continue
        line = sys.stdin.buffer.raw.readline()  # type: ignore[attr-defined]
        if not line:
            break
        asked = json.loads(line)
        _listen(asked["settings"].get("SHARED_PORT"))
        pid = os.fork()
        if pid == 0:
            _be(asked)
        children.add(pid)
        _say({"started": pid})
    for pid in children:
        os.kill(pid, signal.SIGKILL)


_SHARED: dict[str, socket.socket] = {}
"""Sockets on which several APIs listen: opened here, so that they outlive each of them."""


def _listen(port: str | None) -> None:
    if port and port not in _SHARED:
        _SHARED[port] = socket.create_server(("127.0.0.1", int(port)), backlog=1024)


def _say(message: dict[str, int]) -> None:
    os.write(1, (json.dumps(message) + "\n").encode())


def _be(asked: dict[str, Any]) -> None:
    """Become what was asked for; never returns."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.environ.update(
            {"METRICS_PORT": "0", "LOG_LEVEL": "error", "LOG_FORMAT": "json", **asked["settings"]}
        )
        code = _run(asked)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's code
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _run(asked: dict[str, Any]) -> int:
    from app.config import Settings
    from app.telemetry.logs import configure_logging
    from app.utils import failpoints
    from benchmarks.chaos.planted import plant

    settings = Settings()
    configure_logging(settings)
    failpoints.arm(asked["failpoints"])
    if asked["defect"]:
        plant(asked["defect"])
    if asked["kind"] == "worker":
        from app.worker import run_worker

        asyncio.run(run_worker(settings))
        return 0
    import uvicorn

    from app.api.edge.http_protocol import BoundedProtocol
    from app.main import create_app

    config = uvicorn.Config(
        create_app(settings),
        http=BoundedProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=25,
    )
    sockets = [socket.create_server((settings.host, settings.port), backlog=1024)]
    if shared := asked["settings"].get("SHARED_PORT"):
        sockets.append(_SHARED[shared])
    uvicorn.Server(config).run(sockets)
    return 0


if __name__ == "__main__":
    _main()
