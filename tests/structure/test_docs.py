"""The documents: links lead somewhere, drawings agree with the code, the site builds."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from defusedxml import ElementTree

from app.services.tasks.moves import MOVES
from scripts.make_schema_doc import DOCUMENT, schema_document

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?\)")


def anchors(page: Path) -> set[str]:
    """The anchors that headings make, as GitHub makes them."""
    text = FENCE.sub("", page.read_text())
    found = set()
    for title in re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE):
        plain = re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", title)
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path):
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            assert target.startswith(("https://", "http://127.0.0.1", "http://localhost", "mailto:")), target
            continue
        path, _, anchor = target.partition("#")
        meant = (page.parent / path).resolve() if path else page
        assert meant.exists(), f"{page.name} links to {target}"
        if anchor and meant.suffix == ".md":
            assert anchor in anchors(meant), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", ["production"])
def test_what_users_read_is_there_in_both_languages(name: str):
    english, russian = (ROOT / "docs" / f"{name}{end}.md" for end in ("", ".ru"))
    sections = [len(re.findall(r"^##+ ", page.read_text(), re.MULTILINE)) for page in (english, russian)]
    blocks = [len(FENCE.findall(page.read_text())) for page in (english, russian)]
    assert sections[0] == sections[1] and blocks[0] == blocks[1]


def test_the_schema_is_drawn_as_the_models_say():
    drawn = DOCUMENT.read_text()
    assert drawn == schema_document(), "run: python scripts/make_schema_doc.py"


def test_the_states_are_drawn_as_the_code_has_them():
    text = (ROOT / "docs" / "process.md").read_text()
    drawn = {tuple(each) for each in re.findall(r"^    (\w+) --> (\w+): (\w+)$", text, re.MULTILINE)}
    coded = {
        (status, effect.to, name.value) for name, (statuses, effect) in MOVES.items() for status in statuses
    }
    assert drawn == coded | {("pending", "assigned", "placed")}


def test_the_process_model_is_whole():
    bpmn = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
    di = "{http://www.omg.org/spec/BPMN/20100524/DI}"
    root = ElementTree.parse(ROOT / "docs" / "process.bpmn").getroot()
    process = root.find(f"{bpmn}process")
    assert process is not None
    nodes = {each.get("id"): each for each in process if each.tag != f"{bpmn}sequenceFlow"}
    flows = {each.get("id"): each for each in process if each.tag == f"{bpmn}sequenceFlow"}
    shapes = {each.get("bpmnElement") for each in root.iter(f"{di}BPMNShape")}
    edges = {each.get("bpmnElement") for each in root.iter(f"{di}BPMNEdge")}
    assert nodes.keys() == shapes and flows.keys() == edges
    for flow in flows.values():
        assert {flow.get("sourceRef"), flow.get("targetRef")} <= nodes.keys()
    for name, node in nodes.items():
        comes = any(flow.get("targetRef") == name for flow in flows.values())
        goes = any(flow.get("sourceRef") == name for flow in flows.values())
        assert comes or node.tag == f"{bpmn}startEvent"
        assert goes or node.tag == f"{bpmn}endEvent"


def test_the_debugger_starts_what_exists():
    configurations = json.loads((ROOT / ".vscode" / "launch.json").read_text())["configurations"]
    for each in configurations:
        if program := each.get("program"):
            assert (ROOT / program.replace("${workspaceFolder}/", "")).exists()
        if module := each.get("module"):
            assert find_spec(module) is not None


@pytest.mark.slow
def test_the_site_builds_and_fetches_nothing_from_elsewhere(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert loaded == [], f"{page.name} loads {loaded}"


def test_steps_for_contributors_name_files_that_are_there():
    named = set(re.findall(r"`([\w./]+/[\w./]*)`", (ROOT / "CONTRIBUTING.md").read_text()))
    named = {each for each in named if "NAME" not in each}
    assert len(named) > 20
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []
