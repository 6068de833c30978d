"""Runs a program under pyinstrument and writes the profile however it ends: `python -m benchmarks.profiled FILE ...`.

uvicorn, once it has shut down, raises the signal again that ended it: pyinstrument's own command dies of that.
"""

import runpy
import signal
import sys
from pathlib import Path
from types import FrameType

from pyinstrument import Profiler


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """`FILE -m MODULE ARGUMENTS` or `FILE SCRIPT ARGUMENTS`."""
    file, *command = sys.argv[1:]
    sys.path.insert(0, "")
    signal.signal(signal.SIGTERM, _end)
    profiler = Profiler(interval=0.002, async_mode="disabled")
    profiler.start()
    try:
        if command[0] == "-m":
            sys.argv = command[1:]
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = command
            runpy.run_path(command[0], run_name="__main__")
    finally:
        profiler.stop()
        Path(file).write_text(profiler.output_text())


if __name__ == "__main__":
    main()
