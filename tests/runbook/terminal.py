"""A terminal in which the lines of the run book are typed: a real pseudo-terminal, an empty HOME, bash."""

import contextlib
import errno
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")
_KEPT = (
    "LANG",
    "PIP_CACHE_DIR",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "SSL_CERT_FILE",
)
"""What of the environment is this machine's, and no person's."""
CTRL_C = b"\x03"


class Failed(AssertionError):
    """A line of the run book did not do what it must."""


@dataclass
class Typed:
    """A line that was typed, and what it has said so far."""

    line: str
    process: "subprocess.Popen[bytes]"
    screen: int
    said: str = ""
    code: int | None = None

    def read(self, seconds: float) -> bool:
        """Take what it says within so many seconds; False once it has ended and said everything."""
        if not select.select([self.screen], [], [], seconds)[0]:
            return True
        try:
            chunk = os.read(self.screen, 65536)
        except OSError as error:  # nobody holds the other end any more
            if error.errno != errno.EIO:
                raise
            chunk = b""
        self.said += _COLOURS.sub("", chunk.decode(errors="replace"))
        return bool(chunk)

    def must_show(self, patterns: list[str]) -> None:
        """Raise Failed where its output lacks one of these."""
        for pattern in patterns:
            if not re.search(pattern, self.said):
                raise Failed(f"$ {self.line}\n{self.said[-4000:]}\n... does not show {pattern!r}")


@dataclass
class Terminal:
    """Types lines in a checkout, each in a shell of its own, and keeps those that run on."""

    checkout: Path
    home: Path
    python: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """That of a person who has just signed in."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        path = f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"PATH": path, "HOME": str(self.home), "TERM": "xterm", **kept, **self.settings}

    @contextlib.contextmanager
    def typed(self, line: str) -> Iterator[Typed]:
        """Start a line; what still runs of it afterwards is killed."""
        is_there = (self.checkout / "venv" / "bin" / "activate").exists()
        script = ["source venv/bin/activate"] * is_there + [line] + ["wait"] * line.endswith("&")
        screen, keyboard = pty.openpty()
        # The first terminal that a session opens is its own: Ctrl-C there reaches all of its processes.
        script.insert(0, f"exec < {os.ttyname(keyboard)}")
        try:
            process = subprocess.Popen(
                ["bash", "-c", "\n".join(script)],
                cwd=self.checkout,
                env=self.environment(),
                stdin=keyboard,
                stdout=keyboard,
                stderr=keyboard,
                start_new_session=True,
            )
        finally:
            os.close(keyboard)
        typed = Typed(line, process, screen)
        try:
            yield typed
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(screen)

    def run(self, line: str, *, keys: bytes = b"", seconds: float = 900.0) -> Typed:
        """Type a line and wait for its end. Raises Failed where it does not end with 0."""
        with self.typed(line) as typed:
            os.write(typed.screen, keys)
            deadline = time.monotonic() + seconds
            while typed.read(1.0):
                if time.monotonic() > deadline:
                    raise Failed(f"$ {line}\n{typed.said[-4000:]}\n... does not end within {seconds:g} s")
            typed.code = typed.process.wait()
        if typed.code:
            raise Failed(f"$ {line}\n{typed.said[-6000:]}\n... ends with {typed.code}")
        return typed


def stop(typed: Typed, seconds: float = 120.0) -> None:
    """End a line that runs on, as a person does. Raises Failed where it stays, or shows a traceback."""
    os.write(typed.screen, CTRL_C)
    deadline = time.monotonic() + seconds
    while typed.read(0.5):
        if time.monotonic() > deadline:
            raise Failed(f"$ {typed.line}\n{typed.said[-4000:]}\n... does not end on Ctrl-C")
    if "Traceback" in typed.said:
        raise Failed(f"$ {typed.line}\n{typed.said[-6000:]}\n... shows a traceback")
