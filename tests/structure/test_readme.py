"""The READMEs keep what they promise: commands and files they name exist, both languages say the same."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.ru.md")
TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", READMES)
def test_every_make_command_exists(name: str) -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", text_of(name)))
    assert {"run", "demo", "test"} <= named
    assert named <= set(TARGETS)


@pytest.mark.parametrize("name", READMES)
def test_every_file_it_links_exists(name: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", text_of(name)) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", READMES)
def test_every_program_it_runs_exists(name: str) -> None:
    programs = re.findall(r"python ([a-z_/]+\.py)", text_of(name))
    assert {"demo.py", "init_db.py", "app/worker.py"} <= set(programs)
    assert [program for program in programs if not (ROOT / program).exists()] == []


def test_both_languages_have_the_same_form() -> None:
    first, second = (form_of(text_of(name)) for name in READMES)
    assert first == second


def form_of(text: str) -> list[str]:
    """Headings by level, tables by rows, code that is run: what must not differ between languages."""
    code = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    runs = [re.sub(r"\s+#.*|\{.*\}", "", line) for block in code for line in block.splitlines()]
    lines = [line.split(" ")[0].rstrip("|") for line in text.splitlines() if line.startswith(("#", "|"))]
    return [*lines, *runs]
