"""The runner of all faults: `python -m benchmarks.chaos [--short] [--planted] [--seed N] [NAMES]`."""

import argparse
import asyncio
import secrets
import sys
import time
from types import ModuleType

from app.local.embedded import Durability
from benchmarks.chaos import faults
from benchmarks.chaos.stage import Report, Stage
from benchmarks.chaos.zygote import Zygote
from benchmarks.results import DIRECTORY, Cell, Result, Table, read
from benchmarks.system import System, running_servers

ABOUT = """
Each row is a fault played against running processes and real servers: what struck how often, and what was lost by it.
No failure in n trials bounds the rate of failures at 3/n with 95 % confidence. Each fault has a planted defect, a
one-line change of the product under which it turns red: `python -m benchmarks.chaos --planted` shows it.
"""
COLUMNS = ["", "fault", "n", "rate below", "violations", "figures", "planted defect", "seed"]
NOTES = [
    "The same seed strikes at the same moments: `python -m benchmarks.chaos --seed SEED NAME`.",
    "Counts hold on any machine. Seconds were taken beside other work on the same two cores: they are upper bounds.",
]


async def play(
    name: str, module: ModuleType, system: System, zygote: Zygote, *, short: bool, seed: int, defect: str = ""
) -> Report:
    """One fault on a database of its own."""
    url = await system.fresh(f"chaos_{name}_{defect or 'sound'}_{seed % 10_000}")
    addresses = system.servers.addresses
    stage = Stage(url, addresses.redis_url, zygote, defect, system.servers, patience=8.0 if defect else 120.0)
    sizes = module.SHORT if short or defect else module.FULL
    report: Report = await module.run(stage, seed=seed, **sizes)
    return report


async def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which faults; all where none is named")
    parser.add_argument("--short", action="store_true", help="the forms that `make test` runs")
    parser.add_argument("--planted", action="store_true", help="plant each fault's defect: all must turn red")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    args = parser.parse_args()
    known = faults()
    if unknown := [name for name in args.names if name not in known]:
        parser.error(f"there is no fault {unknown[0]}; there are {', '.join(known)}")
    started, reports, wrong = time.monotonic(), [], 0
    with running_servers(Durability.FAST) as system, Zygote(system.directory / "children.log") as zygote:
        for name in args.names or known:
            module = known[name]
            for defect in (module.DEFECT, *getattr(module, "MORE_DEFECTS", ())) if args.planted else ("",):
                report = await play(
                    name, module, system, zygote, short=args.short, seed=args.seed, defect=defect
                )
                reports.append((name, module, report))
                red = bool(report.violations)
                wrong += red is not args.planted
                print(
                    f"{'red' if red else 'green'} {f'under {defect}: ' if defect else ''}{report.line()}",
                    flush=True,
                )
    if not args.planted:
        _result(reports, args.short, time.monotonic() - started)
    return int(wrong > 0)


def _result(reports: list[tuple[str, ModuleType, Report]], short: bool, seconds: float) -> None:
    """Write what was played; faults that were not played keep what an earlier run of theirs found."""
    rows: list[list[Cell]] = [
        [
            one.name,
            one.title,
            one.n,
            round(one.bound, 5),
            "; ".join(one.violations) or "0",
            ", ".join(f"{name} {value}" for name, value in one.figures.items()),
            module.DEFECT,
            one.seed,
        ]
        for _, module, one in reports
    ]
    tables = [table for _, _, one in reports for table in one.tables]
    earlier = DIRECTORY / "chaos.json"
    if not short and earlier.exists():
        kept = read(earlier)
        played = {str(row[0]) for row in rows}
        rows += [row for row in kept.tables[0].rows if row[0] not in played and len(row) == len(COLUMNS)]
        tables += [table for table in kept.tables[1:] if table.title.partition(":")[0] not in played]
        seconds += kept.seconds
    rows.sort(key=lambda row: int(str(row[0]).removeprefix("R")))
    result = Result("chaos", "Faults", ABOUT, tables=[Table("Faults", COLUMNS, rows), *tables], notes=NOTES)
    result.stamp(short=short, seconds=seconds)
    print(f"written: {result.write()}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
