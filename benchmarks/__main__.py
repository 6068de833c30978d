"""The runner: `python -m benchmarks [--short] [--page] [NAMES]`."""

import argparse
import importlib
import sys
import time
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table as Grid

from benchmarks import page
from benchmarks.results import Result

console = Console()


def benchmarks() -> dict[str, ModuleType]:
    """All modules beside this one that have a `run`, by name; those whose extras are missing are told and left out."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem.startswith("__") or "\ndef run(" not in path.read_text():
            continue
        try:
            found[path.stem] = importlib.import_module(f"benchmarks.{path.stem}")
        except ImportError as error:
            console.print(f"[yellow]{path.stem} is left out: {error}[/]")
    return found


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which benchmarks; all where none is named")
    parser.add_argument("--short", action="store_true", help="only show that they work; commits nothing")
    parser.add_argument("--page", action="store_true", help="make docs/benchmarks.md anew and run nothing")
    args = parser.parse_args()
    if args.page:
        console.print(f"written: {page.write()}")
        return 0
    known = benchmarks()
    if unknown := [name for name in args.names if name not in known]:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(known)}")
    for name in args.names or known:
        console.rule(name)
        started = time.monotonic()
        result: Result = known[name].run(short=args.short)
        result.stamp(short=args.short, seconds=time.monotonic() - started)
        show(result)
        console.print(f"written: {result.write()}")
    if not args.short:
        console.print(f"written: {page.write()}")
    return 0


def show(result: Result) -> None:
    """Print a result's tables and targets."""
    console.print(f"[bold]{result.title}[/]\n{result.about.strip()}\n")
    for table in result.tables:
        grid = Grid(*table.columns, title=table.title)
        for row in table.rows:
            grid.add_row(*(f"{cell:,.4g}" if isinstance(cell, float) else str(cell) for cell in row))
        console.print(grid)
    for target in result.targets:
        mark = "[green]reached[/]" if target.reached(target.target) else "[red]missed[/]"
        console.print(
            f"{mark} {target.what}: {target.measured:,.4g} {target.unit}, target {target.target:,.4g}"
        )
    for note in result.notes:
        console.print(f"- {note}")


if __name__ == "__main__":
    sys.exit(main())
