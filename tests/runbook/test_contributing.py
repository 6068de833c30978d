"""The five steps of CONTRIBUTING.md, followed literally in a fresh clone, end with a feature that works."""

import faulthandler
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.local.embedded import temporary_directory
from tests.runbook.play import clone
from tests.servers import ROOT

pytestmark = pytest.mark.slow
PROGRAMS = Path(sys.executable).parent
STEPS = re.search(
    r"^## Add a feature in five steps\n(.*?)^## ",
    (ROOT / "CONTRIBUTING.md").read_text(),
    re.MULTILINE | re.DOTALL,
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout() -> Iterator[Path]:
    directory = temporary_directory("executor-balancer-test-steps-")
    yield clone(directory)
    shutil.rmtree(directory, ignore_errors=True)


def test_the_five_steps_end_with_a_working_feature(checkout: Path, empty_database_url: str):
    faulthandler.cancel_dump_traceback_later()  # three commands and a test run, each in a process of its own
    assert STEPS is not None
    blocks = BLOCK.findall(STEPS[1])
    assert {kind for kind, _ in blocks} == {"python", "diff", "sh"}
    for kind, text in blocks:
        follow(kind, text, checkout, empty_database_url)
    [made] = (checkout / "alembic" / "versions").glob("*_notices.py")
    assert made.read_text().count("op.create_table(") == 1 and "op.alter" not in made.read_text()


def follow(kind: str, text: str, checkout: Path, database_url: str) -> None:
    """Do what a block says."""
    if kind == "sh":
        for line in text.splitlines():
            play(line, checkout, database_url)
        return
    first, _, rest = text.partition("\n")
    if kind == "python":
        file = checkout / first.removeprefix("# new: ")
        assert not file.exists()
        file.write_text(rest)
        return
    file = checkout / first.removeprefix("# ")
    anchor, *added = rest.splitlines()
    assert all(line.startswith("+") for line in added) and anchor.startswith(" ")
    before = file.read_text()
    assert before.count(f"\n{anchor[1:]}\n") == 1, f"{file.name} has not exactly one line {anchor[1:]!r}"
    below = "\n".join([anchor[1:], *(line[1:] for line in added)])
    file.write_text(before.replace(f"\n{anchor[1:]}\n", f"\n{below}\n"))


def play(line: str, checkout: Path, database_url: str) -> None:
    """Run a command of the steps, with the programs of this environment; style is what `make test` looks at."""
    if line.startswith("make "):
        return
    environment = os.environ | {"DATABASE_URL": database_url, "PYTHONPATH": str(checkout)}
    environment["PATH"] = f"{PROGRAMS}:{os.environ['PATH']}"
    program, *arguments = line.replace('"', "").split()
    done = subprocess.run(
        [str(PROGRAMS / program), *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"
