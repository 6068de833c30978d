"""Logs that services write to: bounded while they run, readable by their owner alone."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def append_to(path: Path) -> BinaryIO:
    """Open a log at its end, readable by its owner alone, also where an earlier version made it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab")


def trim(path: Path, most: int) -> None:
    """Set a log of more than `most` bytes aside and begin anew; writers append, so they go on at the beginning."""
    with suppress(FileNotFoundError):
        if path.stat().st_size > most:
            with append_to(path.with_suffix(".log.1")) as kept, path.open("rb") as log:
                kept.truncate(0)
                shutil.copyfileobj(log, kept)
            os.truncate(path, 0)
