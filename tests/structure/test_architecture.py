"""The shape of the code: arrows of imports, size of files, what must stay empty."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from app.models.base import Base
from scripts import code_figures
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


MOST_FILES = 16


def test_no_folder_of_product_code_is_a_hall():
    files = Counter(path.parent for path in SOURCES if path.name != "__init__.py")

    assert {str(folder.relative_to(ROOT)): n for folder, n in files.items() if n > MOST_FILES} == {}


def test_modules_import_each_other_in_no_circle():
    trees = {path: ast.parse(path.read_text()) for path in code_figures.sources("app")}

    assert code_figures.cycle(code_figures.imports(trees)) == []


def test_no_two_public_classes_share_a_name():
    defined = Counter(
        node.name
        for path in SOURCES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert [name for name, times in defined.items() if times > 1] == []


def test_a_circle_of_imports_is_found():
    assert code_figures.cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) != []


def test_each_package_of_services_says_in_one_line_what_it_is_for_and_hands_on_nothing():
    rooms = [path for path in SOURCES if path.name == "__init__.py" and path.parents[1].name == "services"]
    assert len(rooms) > 10

    assert [
        str(path.parent.name) for path in rooms if not re.fullmatch(r'"""[^\n]+"""\n', path.read_text())
    ] == []


def test_files_that_the_architecture_page_names_exist():
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", (ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 20

    assert [name for name in named if not any((ROOT / root / name).is_file() for root in ("", "app"))] == []


def test_tables_columns_and_files_that_the_glossary_names_exist():
    text = (ROOT / "docs" / "glossary.md").read_text()
    columns = {
        f"{table}.{column.name}" for table, of in Base.metadata.tables.items() for column in of.columns
    }
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", text))
    files = {name for name in named if name.endswith(".py")}
    paths = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+(?:\.py)?)`", text)) | files

    assert {name for name in named - files if not name.startswith("flow.")} - columns == set()
    assert [path for path in paths if not any((ROOT / root / path).exists() for root in ("", "app"))] == []
