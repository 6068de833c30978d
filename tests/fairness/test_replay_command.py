"""`executor-balancer replay`: out of the box, in the terminal, as JSON and as a page."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app

HEADER = "case,activity,resource,time,org:group"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Anna got nearly everything that Boris and Vera could have done as well; <Gleb> is alone with his."""
    rows = [HEADER]
    for day in range(2, 12):
        stamp = f"2026-03-{day:02}T1"
        rows += [f"c{day}-{n},check,Anna,{stamp}{n}:00:00Z,desk" for n in range(8)]
        rows += [f"c{day}-b,check,Boris,{stamp}8:00:00Z,desk", f"c{day}-v,check,Vera,{stamp}9:00:00Z,desk"]
        rows += [f"c{day}-g,sign,<Gleb>,{stamp}5:30:00Z,head", f"c{day}-x,check,,{stamp}6:00:00Z,desk"]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def played(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["replay", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_log_runs_out_of_the_box_and_shows_what_was_unfair(log: Path) -> None:
    result = json.loads(played(log, "--json"))
    actual, proposed = result["runs"]
    assert (actual["name"], proposed["name"]) == ("actual", "fair")
    assert actual["fairness_gap"] == pytest.approx(2 * (80 - 100 / 3) / 110, abs=1e-3)
    assert proposed["fairness_gap"] < 0.02
    assert proposed["placed"] == actual["placed"] == 110
    assert result["source"]["dropped"] == {"no resource": 10}
    by_name = {one["name"]: one for one in proposed["executors"]}
    assert by_name["<Gleb>"]["received"] == 10
    assert {round(by_name[name]["fair_share"], 1) for name in ("Anna", "Boris", "Vera")} == {33.3}


def test_policies_are_compared_side_by_side(log: Path) -> None:
    result = json.loads(played(log, "--compare", "all", "--json"))
    assert [run["name"] for run in result["runs"]] == [
        "actual",
        "fair",
        "round_robin",
        "longest_idle",
        "best_match",
    ]


def test_a_rule_set_decides_who_may(log: Path, tmp_path: Path) -> None:
    condition = {"operator": "contains", "field": "executor.parameters.groups", "value": "head"}
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"conditions": [condition]}), encoding="utf-8")
    result = json.loads(played(log, "--rules", rules, "--json"))
    actual, proposed = result["runs"]
    assert actual["broken"]["ineligible"] == 100
    assert {one["name"]: one["received"] for one in proposed["executors"] if one["received"]} == {
        "<Gleb>": 110
    }


def test_limits_leave_work_over_and_say_so(log: Path) -> None:
    result = json.loads(played(log, "--limit", 3, "--json"))
    assert sum(result["runs"][1]["unplaced"].values()) == 110 - 10 * (3 * 3 + 1)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in {"meta", "rect", "line", "polyline", "i"} or tag == "i":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("language", "word"), [("en", "Fairness gap"), ("ru", "Отклонение от справедливого")]
)
def test_the_page_needs_nothing_else_and_escapes_names(
    log: Path, tmp_path: Path, language: str, word: str
) -> None:
    out = tmp_path / "report.html"
    played(log, "--html", out, "--lang", language)
    text = out.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert "<Gleb>" not in text and "<Gleb>" in page.text
    assert word in page.text
    assert page.links == [] and "script" not in page.tags
    assert page.tags.count("svg") == 3


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_terminal_names_people_and_the_verdict(log: Path, language: str) -> None:
    said = played(log, "--lang", language)
    assert "Anna" in said and "%" in said


def test_what_was_left_out_is_said_in_the_language_asked_for_whatever_the_log_calls_it(log: Path) -> None:
    text = log.read_text(encoding="utf-8").replace(HEADER, f"{HEADER},lifecycle")
    log.write_text(f"{text}\nc,check,Anna,2026-03-02T10:00:00Z,desk,[/bold]{{0}}\nc,check,Anna,soon,desk,\n")
    said = {language: " ".join(played(log, "--lang", language).split()) for language in ("ru", "en")}
    for words in ("без исполнителя: 10", "время не прочитать: 1", "этап [/bold]{0}: 1"):
        assert words in said["ru"]
    assert "no resource: 10" in said["en"] and "lifecycle [/bold]{0}: 1" in said["en"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--map", "who=x"], "ROLE=COLUMN"),
        (["--map", "resource=nobody"], "nobody"),
        (["--compare", "luck"], "--compare luck"),
        (["--presence", "never"], "--presence never"),
        (["--window", "year"], "--window year"),
        (["--timezone", "Mars/Base"], "Mars/Base"),
        (["--lang", "de"], "--lang de"),
        (["--rules", "nowhere.json"], "nowhere.json"),
    ],
)
def test_a_wish_that_cannot_be_met_is_answered_in_one_line(
    log: Path, arguments: list[str], word: str
) -> None:
    result = CliRunner().invoke(app, ["replay", str(log), *arguments])
    assert result.exit_code == 1
    assert word in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_a_broken_rule_set_names_the_place(log: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('{"conditions": [{"operator": "maybe"}]}', encoding="utf-8")
    result = CliRunner().invoke(app, ["replay", str(log), "--rules", str(rules)])
    assert result.exit_code == 1
    assert "$.conditions[0].operator" in result.stderr
