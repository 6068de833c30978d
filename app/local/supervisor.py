"""Keeps processes running: starts them in order, restarts what ends, stops them backwards."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from app.local.keeper import KeptProcess
from app.local.rotation import append_to, trim

FIRST_DELAY = 0.5
"""Seconds before the first restart of a service that ended; doubled each time up to the longest delay."""
LONGEST_DELAY = 30.0
STEADY_AFTER = 60.0
"""Seconds of running after which an earlier failure no longer counts."""
LOG_LIMIT = 32 * 1024 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """One process to be kept running.

    A log of None leaves the output on the supervisor's own. `grace` is the seconds it may take to end once
    asked.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    grace: float = 15.0


@dataclass(slots=True)
class _Running:
    service: Service
    process: KeptProcess | None = None
    started_at: float = 0.0
    delay: float = FIRST_DELAY
    restart_at: float = 0.0
    restarts: int = 0


class Supervisor:
    """Holds the services; `start`, then `watch` again and again, then `stop`.

    Not for use by several threads. The services end with this process even if `stop` is never reached.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, _Running] = {}

    def start(self, service: Service) -> None:
        """Start one more service; the last to start is the first to stop.

        Raises
        ------
        OSError
            If its program cannot be run at all.
        """
        running = _Running(service)
        self._launch(running)
        self._running[service.name] = running

    def pid(self, name: str) -> int | None:
        """Process id of a service, None while it does not run."""
        process = self._running[name].process
        return process.pid if process and process.poll() is None else None

    def watch(self) -> None:
        """Look at each service once: restart what ended, as soon as its delay is over."""
        now = time.monotonic()
        for running in self._running.values():
            if running.process is not None and running.process.poll() is not None:
                self._note_end(running, now)
            if running.process is None and now >= running.restart_at:
                self._restart(running, now)
            if running.service.log is not None:
                trim(running.service.log, LOG_LIMIT)

    def stop(self) -> None:
        """Ask the services to end, the latest first, each when the one before has ended."""
        while self._running:
            _, running = self._running.popitem()
            if running.process:
                code = running.process.stop()
                log.info("service.stopped", service=running.service.name, code=code)

    def _note_end(self, running: _Running, now: float) -> None:
        code = running.process.poll() if running.process else None
        if now - running.started_at >= STEADY_AFTER:
            running.delay = FIRST_DELAY
        running.process = None
        running.restart_at = now + running.delay
        log.warning("service.ended", service=running.service.name, code=code, restart_in=running.delay)
        running.delay = min(2 * running.delay, LONGEST_DELAY)

    def _restart(self, running: _Running, now: float) -> None:
        try:
            self._launch(running)
        except OSError as error:  # no memory, no more processes: the machine may recover
            running.restart_at = now + running.delay
            log.warning("service.not_started", service=running.service.name, error=str(error))
        else:
            running.restarts += 1

    def _launch(self, running: _Running) -> None:
        service = running.service
        running.started_at = time.monotonic()
        output = append_to(service.log) if service.log else None
        try:
            running.process = KeptProcess(
                service.command,
                log=output,
                env=os.environ | dict(service.environment),
                cwd=self._directory,
                stop_signal=signal.SIGTERM,
                grace=service.grace,
            )
        finally:
            if output:
                output.close()
