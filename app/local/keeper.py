"""Runs a command that ends when its starter does, however the starter ends.

Between the two stands a keeper: this very file, run as a script. It holds the read end of a pipe whose write
end only the starter has; when the starter stops it, exits, or is killed with SIGKILL, the pipe closes and the
keeper ends the command in order: the stop signal, a time of grace, then SIGKILL. If the keeper itself is
killed, Linux sends the command the stop signal (`PR_SET_PDEATHSIG`). The command lives in a session of its
own, so that Ctrl-C in a terminal reaches the starter alone, which then decides what stops in which order.

Only the standard library is used: the script runs isolated (`python -I -S`), so that it starts in
milliseconds and no module of ours shadows one of Python's.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1
NOT_STARTED = 127


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user and group a command is dropped to; only root can do that."""

    uid: int
    gid: int


class KeptProcess:
    """A running command with a keeper.

    Parameters
    ----------
    command
        Program and arguments.
    log
        Where its output goes; None leaves it on the starter's own.
    stop_signal, grace
        How it is asked to end, and for how many seconds before it is killed.
    run_as
        User to drop to; None keeps the starter's.
    hold
        A file descriptor that stays open as long as the keeper lives: a lock that must outlive the starter
        until the command has really ended.

    Raises
    ------
    OSError
        If the command cannot be started; the message says why.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 10.0,
        run_as: RunAs | None = None,
        hold: int | None = None,
    ) -> None:
        self.command = list(command)
        self._grace = grace
        read_end, write_end = os.pipe()
        order = {
            "command": self.command,
            "stop_signal": int(stop_signal),
            "grace": grace,
            "run_as": [run_as.uid, run_as.gid] if run_as else None,
            "report": write_end,
        }
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=env,
            cwd=cwd,
            start_new_session=True,
            pass_fds=[write_end] if hold is None else [write_end, hold],
        )
        os.close(write_end)
        with os.fdopen(read_end) as report:
            answer = report.read()
        if not answer.isdigit():
            self._keeper.communicate()
            raise OSError(answer or f"the keeper of {self.command[0]} did not start")
        self.pid = int(answer)

    def poll(self) -> int | None:
        """Exit code of the command (negative: the signal that ended it), None while it runs."""
        code = self._keeper.poll()
        if code is not None:
            self.ask_to_stop()  # nobody reads the pipe any more: close it
        return 128 - code if code is not None and code > 128 else code

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the command itself; nothing happens when it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ask_to_stop(self) -> None:
        """Begin the orderly end without waiting for it."""
        if self._keeper.stdin is not None:
            with suppress(OSError):
                self._keeper.stdin.close()

    def stop(self) -> int:
        """End the command in order and wait until it has; returns its exit code."""
        self.ask_to_stop()
        self._keeper.wait(self._grace + 15)
        return self.poll() or 0

    def kill(self) -> None:
        """End the command at once, as a crash would, and wait until it has."""
        self.send_signal(signal.SIGKILL)
        self._keeper.wait(15)
        self.ask_to_stop()


def keep(order: dict[str, Any]) -> int:
    """Run the command, wait for its end or the starter's, and return what the keeper shall exit with."""
    wakeups = _wake_on(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    report: int = order["report"]
    uid, gid = order["run_as"] or (None, None)
    try:
        child = subprocess.Popen(
            order["command"],
            stdin=subprocess.DEVNULL,
            process_group=0,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            preexec_fn=_die_with_keeper(order["stop_signal"]),  # noqa: PLW1509 - this process has one thread
        )
    except (OSError, subprocess.SubprocessError) as error:
        os.write(report, f"cannot start {order['command'][0]}: {error}".encode())
        return NOT_STARTED
    os.write(report, str(child.pid).encode())
    os.close(report)
    _wait(child, wakeups)
    _end(child, order["stop_signal"], order["grace"])
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _wake_on(*signals: signal.Signals) -> int:
    """Make signals readable on the returned descriptor, so that one `select` waits for everything.

    A handler, not SIG_IGN: an ignored signal would stay ignored in the command.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in signals:
        signal.signal(number, lambda *_: None)
    return read_end


def _die_with_keeper(stop_signal: int) -> Callable[[], None] | None:
    """Ask the kernel for the stop signal when the keeper dies (Linux only); runs in the command before it starts."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    keeper = os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != keeper:  # it died before the kernel knew
            os._exit(NOT_STARTED)

    return ask_kernel


def _wait(child: "subprocess.Popen[bytes]", wakeups: int) -> None:
    """Return when the command has ended, the starter is gone or has closed the pipe, or SIGTERM came."""
    while child.poll() is None:
        ready, _, _ = select.select([0, wakeups], [], [])
        if wakeups in ready and signal.SIGTERM in os.read(wakeups, 64):
            return
        if 0 in ready and not os.read(0, 64):
            return


def _end(child: "subprocess.Popen[bytes]", stop_signal: int, grace: float) -> None:
    """Stop the command if it still runs, then whatever it left behind in its process group."""
    if child.poll() is None:
        child.send_signal(stop_signal)
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    sys.exit(keep(json.loads(sys.argv[1])))
