"""Reads hostile files in a process of its own, with a limit on its memory, and tells what became of it.

`python -m tests.fuzz.victim table|log FOLDER` prints, for each file: refused, read, or what flew out; and the process's
peak of memory and the longest time, which are figures for people.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from app.errors import Invalid, TooLarge
from app.eventlog import EventLogError, read_event_log
from app.services.executors.spreadsheets import read_table

MOST_MEMORY = 4 << 30
"""A reader that needs more fails here, and not the machine."""


def read(kind: str, path: Path) -> str:
    try:
        if kind == "table":
            read_table(path.read_bytes())
        else:
            read_event_log(path)
    except (Invalid, TooLarge) as error:
        return "refused" if error.detail.startswith("file: ") else f"unclear: {error.detail}"
    except EventLogError as error:
        return "refused" if "\n" not in str(error) and str(path) in str(error) else f"unclear: {error}"
    return "read"


def peak_mb() -> float:
    """This process's peak of memory; what getrusage says counts the parent before the exec too."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def told(kind: str, path: Path) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        became = read(kind, path)
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        became = f"flew out: {type(error).__name__}: {error}"[:300]
    seconds = time.perf_counter() - began
    return {"file": path.name, "became": became, "seconds": seconds, "peak_mb": peak_mb()}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    start = peak_mb()
    for each in sorted(Path(sys.argv[2]).iterdir()):
        print(json.dumps({"start_mb": start, **told(sys.argv[1], each)}), flush=True)  # noqa: T201
