"""What a benchmark found, in the shape that all share (see `benchmarks`): values, and their files."""

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

DIRECTORY = Path(__file__).resolve().parent / "results"

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that was promised, beside what was measured."""

    what: str
    unit: str
    measured: float
    target: float
    stretch: float | None = None
    better: Literal["higher", "lower"] = "higher"

    def reached(self, bound: float | None) -> bool:
        """Whether the measured figure is at least as good as `bound`."""
        if bound is None:
            return False
        return self.measured >= bound if self.better == "higher" else self.measured <= bound


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; units stand in the names."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one bar of each group; a point is `[x, y]`."""

    name: str
    points: list[list[Cell]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of figures that a table holds too."""

    title: str
    kind: Literal["bar", "line"]
    x: str
    y: str
    series: list[Series]
    log_x: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Something to be read as it is: a profile, a plan."""

    title: str
    body: str


@dataclass(slots=True)
class Result:
    """One benchmark's result; the runner fills in the last four."""

    name: str
    title: str
    about: str
    targets: list[Target] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    short: bool = False
    seconds: float = 0.0
    made_at: str = ""
    machine: dict[str, Cell] = field(default_factory=dict)

    def stamp(self, *, short: bool, seconds: float) -> None:
        """Say when, where and how long."""
        self.short, self.seconds = short, round(seconds, 1)
        self.made_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.machine = this_machine()

    def write(self, directory: Path = DIRECTORY) -> Path:
        """Write the JSON file and return its path."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}{'.short' if self.short else ''}.json"
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n")
        return path


def read(path: Path) -> Result:
    """A result as it was written."""
    content: dict[str, Any] = json.loads(path.read_text())
    kinds: dict[str, Any] = {"targets": Target, "tables": Table, "texts": Text}
    for name, kind in kinds.items():
        content[name] = [kind(**member) for member in content.get(name, [])]
    content["charts"] = [
        Chart(**{**chart, "series": [Series(**series) for series in chart["series"]]})
        for chart in content.get("charts", [])
    ]
    return Result(**content)


def committed(directory: Path = DIRECTORY) -> Iterator[Result]:
    """The results of full runs, by name."""
    for path in sorted(directory.glob("*.json")):
        if not path.name.endswith(".short.json"):
            yield read(path)


def this_machine() -> dict[str, Cell]:
    """Cores and memory, and what the figures depend on besides."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gb": round(memory),
        "python": platform.python_version(),
    }
