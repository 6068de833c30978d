"""A Docker engine of its own, in a network namespace: the ports of compose disturb nothing on this machine."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "containerd": "containerd",
    "docker-compose": "docker-compose",
    "slirp4netns": "slirp4netns",
    "iptables": "iptables",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
}
_PATIENCE = 300.0


class Failed(Exception):
    """One line: what failed, and the remedy where there is one."""


def require_programs() -> None:
    """Raise Failed where this is not root or a program is missing; the message names Debian's packages."""
    if os.geteuid() != 0:
        raise Failed("root is needed: an engine and network namespaces are made")
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        raise Failed(f"missing programs: apt-get install --no-install-recommends {' '.join(missing)}")


@dataclass(frozen=True)
class Engine:
    """A running engine: its socket, and the process in whose network namespace the ports are published."""

    socket: str
    pid: int

    def run(
        self, command: Sequence[str], *, cwd: Path, check: bool = True, seconds: float = 3600
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command where `localhost` is the engine's machine; returns its whole output.

        Raises
        ------
        Failed
            If it ends with another code than 0 and `check` is set.
        """
        done = subprocess.run(
            self.inside(command),
            cwd=cwd,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check and done.returncode:
            raise Failed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return done

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command, in the engine's network namespace."""
        return ["nsenter", "--target", str(self.pid), "--net", "--", *command]

    def environment(self) -> dict[str, str]:
        """The environment of commands: only what finds programs, so that no setting of this shell leaks in."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TERM") if name in os.environ}
        return kept | {"DOCKER_HOST": self.socket, "COMPOSE_INTERACTIVE_NO_CLI": "1", "DOCKER_BUILDKIT": "0"}


@contextmanager
def started_engine(place: Path) -> Iterator[Engine]:
    """Start an engine on an empty directory; it and its containers are gone afterwards."""
    socket = f"unix://{place}/docker.sock"
    prepare = "mount --make-rprivate / && ip link set lo up && exec dockerd"
    places = f"--data-root {place}/data --exec-root {place}/exec --pidfile {place}/pid --host {socket}"
    with ExitStack() as stack:
        log = stack.enter_context((place / "engine.log").open("wb"))
        isolated = ["unshare", "--net", "--mount", "--", "sh", "-c", f"{prepare} {places}"]
        process = subprocess.Popen(isolated, stdout=log, stderr=log, start_new_session=True)
        stack.callback(_end, process)
        engine = Engine(socket, process.pid)
        _await(lambda: _answers(engine, place, process), "the engine", place / "engine.log")
        network = ["slirp4netns", "--configure", "--mtu=65520", str(process.pid), "tap0"]
        stack.callback(_end, subprocess.Popen(network, stdout=log, stderr=log, start_new_session=True))
        yield engine


def _answers(engine: Engine, place: Path, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise Failed(f"the engine ended:\n{(place / 'engine.log').read_text()[-2000:]}")
    return engine.run(["docker", "version"], cwd=place, check=False).returncode == 0


def _await(condition: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process in order; after a minute by force."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
