"""The report as people read it; what it must say stands in `golden/`, kept by hand."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app.demo.player import PlayedScenario
from app.demo.report import number, quantile, show
from app.demo.scenario import Scenario
from app.engine.types import WaitReason

GOLDEN = Path(__file__).parent / "golden"


def a_report(language: str, **changes: Any) -> str:
    console = Console(file=io.StringIO(), width=100)
    show(console, replace(PLAYED, **changes), language)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def a_person(name: str, received: float, fair: float) -> dict[str, object]:
    return {"name": name, "received": received, "fair_share": fair, "deviation": received - fair}


PLAYED = PlayedScenario(
    scenario=Scenario(
        "log",
        "work.csv [2011]",
        [],
        [{}] * 3,
        {},
        [{}] * 2020,
        happened={"Анна": 1300, "Boris [b]": 600, "Вера": 100},
        dropped={"no resource": 4},
    ),
    paced=False,
    pool_id=1,
    seconds=0.5,
    stats={"mae": 0.0123, "mae_optimum": 0.0101},
    fairness={
        "fairness_gap": 0.0025,
        "executors": [
            a_person("Анна", 1000, 997.5),
            a_person("Boris [b]", 900, 902.5),
            a_person("Вера", 100, 100),
        ],
    },
    latencies=[0.004] * 1980 + [0.25] * 20,
    waiting={"all_at_limit": 20},
    example={"text": {"ru": "Заявку получает Анна.", "en": "Anna received the task."}},
)


@pytest.mark.parametrize("language", ["ru", "en"])
def test_report_says_what_the_golden_file_says(language: str) -> None:
    assert a_report(language) == (GOLDEN / f"report.{language}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_reason_and_every_status_of_what_is_not_placed_is_told(language: str) -> None:
    told = a_report(language, waiting=dict.fromkeys([*WaitReason, "cancelled"], 1))
    assert "cancelled" in told
    assert not any(reason in told for reason in WaitReason if "_" in reason)


def test_numbers_are_written_as_the_language_does() -> None:
    assert [number(-1234.5, language, 1) for language in ("en", "ru")] == ["-1,234.5", "-1\u00a0234,5"]


def test_quantiles_of_few_values() -> None:
    assert quantile([], 0.5) is None
    assert [quantile([1.0, 2.0, 3.0], share) for share in (0, 0.5, 0.99, 1)] == [1.0, 2.0, 3.0, 3.0]
