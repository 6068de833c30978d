"""The shape of the code: arrows of imports, size of files, what must stay empty."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT

LONGEST_FILE = 500
SOURCES = sorted(
    path for folder in ("app", "ais_emulator", "streamlit_app") for path in (ROOT / folder).rglob("*.py")
)


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            Path(sys.executable).parent / "lint-imports",
            "--no-logo",
            "--no-cache",
            "--config",
            ROOT / "pyproject.toml",
        ],
        cwd=root,
        env={"PYTHONPATH": str(root), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_point_down():
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_a_room_not_a_hall(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


def test_the_engine_package_is_empty_so_that_nothing_runs_in_a_circle():
    assert (ROOT / "app" / "engine" / "__init__.py").read_text() == ""


def test_the_product_silences_no_type_error():
    silenced = [str(path.relative_to(ROOT)) for path in SOURCES if "type: ignore" in path.read_text()]

    assert silenced == []


def test_no_lock_names_a_host():
    for lock in ROOT.glob("requirements*.txt"):
        assert not re.search(r"://|--(extra-)?index-url|--find-links", lock.read_text()), lock.name


def test_nothing_published_names_a_path_of_the_machine_that_measured_it():
    published = [*(ROOT / "benchmarks" / "results").glob("*.json"), *(ROOT / "docs").rglob("*.md")]
    assert len(published) > 20
    elsewhere = re.compile(rf"{re.escape(str(ROOT))}|/(?:home|root|work|Users|tmp)/[\w.-]+/[\w./-]*\.py")
    assert [path.name for path in published if elsewhere.search(path.read_text())] == []


def test_every_locked_requirement_has_hashes():
    for lock in ROOT.glob("requirements*.txt"):
        blocks = re.split(r"\n(?=\S)", lock.read_text().strip())
        assert [block for block in blocks if "--hash=sha256:" not in block] == [], lock.name
