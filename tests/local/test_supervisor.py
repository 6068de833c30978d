"""Kept processes and their supervisor: they end when asked, return when they fall, leave nobody behind."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.local import supervisor as supervision
from app.local.embedded.data import process_arguments
from app.local.keeper import KeptProcess
from app.local.supervisor import Service, Supervisor

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]


def python(script: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", script]


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class TestKeptProcess:
    def test_its_exit_code_is_known(self):
        process = KeptProcess(python("raise SystemExit(3)"))

        assert eventually(lambda: process.poll() is not None)
        assert process.poll() == 3
        process.stop()

    def test_the_signal_that_ended_it_is_known(self):
        process = KeptProcess(SLEEP)

        process.kill()

        assert process.poll() == -signal.SIGKILL

    def test_a_program_that_is_not_there_is_named(self):
        with pytest.raises(OSError, match=r"cannot start /nowhere/at/all: .*No such file"):
            KeptProcess(["/nowhere/at/all"])

    def test_it_is_asked_before_it_is_killed(self, tmp_path):
        farewell = tmp_path / "farewell"
        ready = tmp_path / "ready"
        script = f"""
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path({str(farewell)!r}).touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path({str(ready)!r}).touch()
time.sleep(60)"""
        process = KeptProcess(python(script))
        assert eventually(ready.exists)

        assert process.stop() == 0
        assert farewell.exists()

    def test_one_that_does_not_listen_is_killed_after_its_grace(self, tmp_path):
        ready = tmp_path / "ready"
        script = "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        process = KeptProcess(
            python(f"{script} pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"), grace=0.1
        )
        assert eventually(ready.exists)

        assert process.stop() == -signal.SIGKILL

    def test_what_it_started_ends_with_it(self, tmp_path):
        note = tmp_path / "child"
        script = f"""
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
pathlib.Path({str(note)!r}).write_text(f"{{child.pid}} ")
time.sleep(60)"""
        process = KeptProcess(python(script))
        assert eventually(lambda: note.exists() and note.read_text().endswith(" "))

        process.kill()

        assert eventually(lambda: not process_arguments(int(note.read_text())))

    def test_ctrl_c_in_the_terminal_does_not_reach_it(self):
        process = KeptProcess(python("import os, time; assert os.getpgid(0) == os.getpid(); time.sleep(60)"))

        assert process.poll() is None
        process.stop()


class TestSupervisor:
    @pytest.fixture
    def supervisor(self, tmp_path: Path) -> Iterator[Supervisor]:
        supervisor = Supervisor(tmp_path)
        yield supervisor
        supervisor.stop()

    def test_a_service_that_falls_is_started_again(self, supervisor):
        supervisor.start(Service("sleeper", SLEEP))
        first = supervisor.pid("sleeper")

        kill(first)
        assert eventually(lambda: supervisor.pid("sleeper") is None)
        assert eventually(lambda: supervisor.watch() or supervisor.pid("sleeper"))

        assert supervisor.pid("sleeper") != first

    def test_one_that_keeps_falling_is_given_more_and_more_time(self, supervisor, tmp_path):
        starts = tmp_path / "starts"
        starts.touch()
        script = f"import time; print(time.monotonic(), file=open({str(starts)!r}, 'a'))"
        before = time.monotonic()
        supervisor.start(Service("faller", python(script)))

        assert eventually(lambda: supervisor.watch() or starts.read_text().count("\n") == 3)

        second, third = [float(line) for line in starts.read_text().split()[1:]]
        assert second - before >= 0.5
        assert third - second >= 1.0

    def test_services_stop_backwards_each_after_the_one_before(self, supervisor, tmp_path):
        order = tmp_path / "order"
        for name in ("first", "second", "third"):
            supervisor.start(Service(name, python(_noting(order, name)), log=tmp_path / f"{name}.log"))
        assert eventually(
            lambda: all((tmp_path / f"{n}.log").read_text() for n in ("first", "second", "third"))
        )

        supervisor.stop()

        assert order.read_text().split() == ["third", "second", "first"]

    def test_an_overgrown_log_is_set_aside_while_it_is_written_to(self, supervisor, tmp_path, monkeypatch):
        monkeypatch.setattr(supervision, "LOG_LIMIT", 1000)
        file = tmp_path / "talker.log"
        talk = "import time\nwhile True:\n    print('word ' * 50, flush=True); time.sleep(0.005)"
        supervisor.start(Service("talker", python(talk), log=file))
        assert eventually(lambda: file.stat().st_size > 1000)

        supervisor.watch()

        assert (tmp_path / "talker.log.1").stat().st_size > 1000
        assert eventually(lambda: file.stat().st_size > 0)
        assert file.read_text().startswith("word")


def kill(pid: int | None) -> None:
    assert pid
    os.kill(pid, signal.SIGKILL)


def _noting(order: Path, name: str) -> str:
    """A script that says when it is ready, and notes its name when it is asked to end."""
    return f"""
import signal, sys, time
def end(*_):
    time.sleep(0.05)
    print({name!r}, file=open({str(order)!r}, "a"))
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)"""
