"""The run book works, word for word: played in a fresh clone with an empty HOME, quoted by both READMEs."""

import faulthandler
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from app.config import Settings
from app.local.embedded import temporary_directory
from tests.runbook.play import LIST, ROOT, commands

READMES = ("README.md", "README.ru.md")
WHOLE = os.environ.get("RUNBOOK") == "whole"
NESTED = os.environ.get("RUNBOOK") == "nested"
OTHERS = ("3.11", "3.12", "3.13")


def pythons() -> list[Path]:
    """This Python; where the whole run book is played, each other supported one that is installed too."""
    own = Path(sys.base_prefix) / "bin" / "python"
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": own}
    if WHOLE:
        for version in OTHERS:
            places = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
            path = places[-1] if places else shutil.which(f"python{version}")
            if path and version not in found:
                found[version] = Path(path)
    return list(found.values())


@pytest.fixture
def directory() -> Iterator[Path]:
    """A fresh directory that the servers' user can enter."""
    made = temporary_directory("executor-balancer-test-runbook-")
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.skipif(NESTED, reason="the run book does not play itself")
@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.parent.parent.name)
def test_every_line_works_in_a_fresh_clone(python: Path, directory: Path):
    faulthandler.cancel_dump_traceback_later()  # each line has a time limit of its own
    command = [sys.executable, "-m", "tests.runbook.play", str(directory), "--python", str(python)]
    own = {name: value for name, value in os.environ.items() if name not in FOUND}
    done = subprocess.run(
        [*command, *(["--whole"] if WHOLE else [])],
        cwd=ROOT,
        env=own | {"PYTHONPATH": str(ROOT)},
        capture_output=not WHOLE,  # `make runbook` shows the transcript as it grows
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


FOUND = (
    "ENV_FILE",
    "STACK_FILE",
    "SECRETS_DIR",
    "XDG_DATA_HOME",
    "DEFAULT_DATABASE_URL",
    "DEFAULT_REDIS_URL",
)


@pytest.mark.parametrize("name", READMES)
def test_the_readme_quotes_every_line_in_its_section(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    missing = [each.line for each in commands() if f"\n{each.line}\n" not in _plain(text)]
    assert missing == [], f"not in {name}, word for word, as in {LIST.name}"


def _plain(text: str) -> str:
    """The text without the remarks that stand behind commands."""
    lines = [line.partition("  # ")[0].rstrip() for line in text.splitlines()]
    return "\n".join(["", *lines, ""])


def test_prometheus_by_hand_reads_what_is_there():
    document = yaml.safe_load((ROOT / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {each["job_name"]: each for each in document["scrape_configs"]}
    key = jobs["api"]["authorization"]["credentials_file"]
    assert ROOT / key == Settings.model_fields["secrets_dir"].default / "api_key"
    assert jobs["api"]["static_configs"][0]["targets"] == ["localhost:8000"]
    first = Settings.model_fields["metrics_port"].default
    assert jobs["worker"]["static_configs"][0]["targets"] == [
        f"localhost:{first + number}" for number in range(3)
    ]
    assert all((ROOT / each).exists() for each in document["rule_files"])
