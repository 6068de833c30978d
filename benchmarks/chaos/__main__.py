"""The runner of all faults: `python -m benchmarks.chaos [--short] [--planted] [--seed N] [NAMES]`."""

import argparse
import asyncio
import secrets
import sys
import time
from types import ModuleType

from app.embedded import Durability
from benchmarks.chaos import faults
from benchmarks.chaos.stage import Report, Stage
from benchmarks.chaos.zygote import Zygote
from benchmarks.results import Result, Table
from benchmarks.system import System, running_servers

ABOUT = """
Each row is a fault played against running processes and real servers: what struck how often, and what was lost by it.
No failure in n trials bounds the rate of failures at 3/n with 95 % confidence. Each fault has a planted defect, a
one-line change of the product under which it turns red: `python -m benchmarks.chaos --planted` shows it.
"""


async def play(
    name: str, module: ModuleType, system: System, zygote: Zygote, *, short: bool, seed: int, defect: str = ""
) -> Report:
    """One fault on a database of its own."""
    url = await system.fresh(f"chaos_{name}_{'planted' if defect else 'sound'}_{seed % 10_000}")
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
            defect = module.DEFECT if args.planted else ""
            report = await play(name, module, system, zygote, short=args.short, seed=args.seed, defect=defect)
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
    rows = [
        [
            one.name,
            one.title,
            one.n,
            round(one.bound, 5),
            "; ".join(one.violations) or "0",
            ", ".join(f"{name} {value}" for name, value in one.figures.items()),
            module.DEFECT,
        ]
        for _, module, one in reports
    ]
    columns = ["", "fault", "n", "rate below", "violations", "figures", "planted defect"]
    notes = [f"Seed {reports[0][2].seed}: the same seed strikes at the same moments."] if reports else []
    result = Result("chaos", "Faults", ABOUT, tables=[Table("Faults", columns, rows)], notes=notes)
    result.stamp(short=short, seconds=seconds)
    print(f"written: {result.write()}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
