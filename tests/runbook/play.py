"""Plays docs/runbook.toml in a fresh clone: `python -m tests.runbook.play DIRECTORY [--whole] [--python PYTHON]`.

The ports of the run book are fixed, so the lines are played in a network namespace of their own; packages are installed
before. Where no namespace may be made, other ports are used, given by DEFAULT_DATABASE_URL, DEFAULT_REDIS_URL and PORT.
Prints a transcript; exit code 0: every line did what it must.
"""

import argparse
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from app.local.embedded import free_port
from tests.runbook.debugger import attach
from tests.runbook.servers import docker_run
from tests.runbook.terminal import Failed, Terminal, Typed, stop

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs" / "runbook.toml"
PORTS = (8000, 8501, 9090, 5432, 6379, 5678, 9101)
_PATIENCE = 300.0
_ONLINE = ("python -m venv venv", "source venv/bin/activate", "pip install")
"""Beginnings of the lines that are played with the network of this machine."""


@dataclass(frozen=True, slots=True)
class Command:
    """A line of the run book; the keys are described in the file."""

    section: str
    line: str
    shows: list[str] = field(default_factory=list)
    serves: str = ""
    name: str = ""
    stops: list[str] = field(default_factory=list)
    program: str = ""
    played: str = ""
    short: str = ""

    @property
    def installs(self) -> bool:
        """Whether it needs the network of this machine."""
        return self.line.startswith(_ONLINE)


def commands() -> list[Command]:
    """Every line of the run book, in order."""
    return [Command(**each) for each in tomllib.loads(LIST.read_text(encoding="utf-8"))["command"]]


def clone(directory: Path) -> Path:
    """A fresh clone of this checkout, with what is not committed yet; nothing that git ignores."""
    checkout = directory / "executor-balancer"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
    listed = ["git", "ls-files", "-z", "--modified", "--others", "--exclude-standard"]
    for name in filter(
        None, subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    ):
        source, target = ROOT / name, checkout / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        else:
            target.unlink(missing_ok=True)
    return checkout


class Play:
    """The lines in order, the servers they start, and the transcript."""

    def __init__(self, terminal: Terminal, ports: dict[int, int], *, whole: bool) -> None:
        self._terminal = terminal
        self._ports = ports
        self._whole = whole
        self._stack = ExitStack()
        self._running: dict[str, Typed] = {}
        self._has_redis = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, command: Command) -> None:
        """Play one line. Raises Failed."""
        for name in command.stops:
            self._stop(name)
        if command.played:
            self._play_docker(command)
        elif (
            command.program
            and shutil.which(command.program, path=self._terminal.environment()["PATH"]) is None
        ):
            self._tell("-", command.line, f"left out: {command.program} is not installed here")
        elif command.line.startswith("redis-cli") and not self._has_redis:
            self._tell("-", command.line, "left out: no Redis program on this machine")
        elif command.name:
            self._serve(command)
        else:
            self._run(command)

    def end(self) -> None:
        """Stop what still runs, as its user does. Raises Failed."""
        for name in list(self._running):
            self._stop(name)

    def _run(self, command: Command) -> None:
        line = command.line if self._whole or not command.short else command.short
        began = time.monotonic()
        typed = self._terminal.run(
            self._here(line), keys=b"\n" * 8 if line.startswith("openssl") else b"", seconds=_limit(line)
        )
        typed.must_show(command.shows)
        self._tell("✓", line, _last(typed.said), time.monotonic() - began)
        _look_after(command, self._terminal.checkout)

    def _serve(self, command: Command) -> None:
        began = time.monotonic()
        typed = self._stack.enter_context(self._terminal.typed(self._here(command.line)))
        if "--wait-for-client" in command.line:
            attach(self._ports[5678])
        address = self._here(command.serves)
        while not (_answers(address) and all(re.search(pattern, typed.said) for pattern in command.shows)):
            if not typed.read(0.2) or time.monotonic() - began > _PATIENCE:
                typed.must_show(command.shows)
                raise Failed(f"$ {command.line}\n{typed.said[-6000:]}\n... does not serve {address}")
        self._running[command.name] = typed
        self._tell("✓", command.line, f"{address or _last(typed.said)}", time.monotonic() - began)

    def _stop(self, name: str) -> None:
        if name in self._running:
            stop(self._running.pop(name))

    def _play_docker(self, command: Command) -> None:
        if command.played == "postgres":
            directory = self._terminal.home.parent / "servers"
            self._has_redis = self._stack.enter_context(
                docker_run(directory, self._ports[5432], self._ports[6379])
            )
        how = (
            "played by `make images`"
            if command.played == "images"
            else "played by the programs that the product brings"
        )
        self._tell("·", command.line, how)

    def _here(self, text: str) -> str:
        """The text with the ports that are used here."""
        for usual, used in self._ports.items():
            text = re.sub(rf"(?<![\w.]){usual}(?!\w)", str(used), text)
        return text

    def _tell(self, sign: str, line: str, told: str, seconds: float = 0.0) -> None:
        took = f" [{seconds:.1f} s]" if seconds else ""
        print(f"{sign} {line}{took}\n    {told}", flush=True)


def _limit(line: str) -> float:
    return 7200.0 if line.startswith("pytest") else 1200.0


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "(nothing, as it must be)"


def _answers(address: str) -> bool:
    if not address:
        return True
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = (
        False,
        ssl.CERT_NONE,
    )  # the certificate that openssl just made
    try:
        with urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        ).open(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _look_after(command: Command, checkout: Path) -> None:
    """What a line leaves behind: a migration that changes nothing, which goes again."""
    if "--autogenerate" not in command.line:
        return
    [made] = (checkout / "alembic" / "versions").glob("*_description.py")
    body = made.read_text(encoding="utf-8").partition("def upgrade")[2]
    if "op." in body:
        raise Failed(f"the models and the migrations differ:\n{body}")
    made.unlink()


def own_network(arguments: list[str]) -> int | None:
    """Play on in a network namespace of our own; None where none may be made."""
    probe = (
        subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True)
        if shutil.which("unshare")
        else None
    )
    if probe is None or probe.returncode:
        return None
    command = ["unshare", "-n", sys.executable, "-m", "tests.runbook.play", *arguments, "--offline"]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    ).returncode


def raise_loopback() -> None:
    """Switch on the loopback device of a fresh network namespace."""
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(
            probe, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x40, b"")
        )  # SIOCSIFFLAGS, up and running


def play(terminal: Terminal, chosen: list[Command], ports: dict[int, int], *, whole: bool) -> int:
    """Play these lines; returns the exit code."""
    try:
        with Play(terminal, ports, whole=whole) as playing:
            for command in chosen:
                playing.play(command)
            playing.end()
    except (AssertionError, OSError) as error:
        print(f"✗ {error}", flush=True)
        return 1
    return 0


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--whole", action="store_true", help="also the lines that take long")
    parser.add_argument("--python", type=Path, default=Path(sys.base_prefix) / "bin" / "python")
    parser.add_argument("--offline", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    terminal = Terminal(
        arguments.directory / "executor-balancer", arguments.directory / "home", arguments.python
    )
    terminal.home.mkdir(parents=True, exist_ok=True)
    given: list[Any] = [
        arguments.directory,
        "--python",
        arguments.python,
        *(["--whole"] if arguments.whole else []),
    ]
    usual = {port: port for port in PORTS}
    book = commands()
    if arguments.offline:
        raise_loopback()
        return play(terminal, [each for each in book if not each.installs], usual, whole=arguments.whole)
    clone(arguments.directory)
    first = [each for each in book if each.installs and each.section == "install"]
    last = [each for each in book if each.installs and each.section != "install"]
    if play(terminal, first, usual, whole=arguments.whole):
        return 1
    code = own_network(list(map(str, given)))
    if code is None:
        print(
            "No network namespace may be made here: other ports, by DEFAULT_DATABASE_URL, DEFAULT_REDIS_URL, PORT"
        )
        ports = {port: free_port() for port in PORTS}
        terminal.settings |= {
            "DEFAULT_DATABASE_URL": f"postgresql://postgres:postgres@localhost:{ports[5432]}/executor_balancer",
            "DEFAULT_REDIS_URL": f"redis://localhost:{ports[6379]}/0",
            "PORT": str(ports[8000]),
        }
        code = play(terminal, [each for each in book if not each.installs], ports, whole=arguments.whole)
    return code or play(terminal, last, usual, whole=arguments.whole)


if __name__ == "__main__":
    sys.exit(main())
