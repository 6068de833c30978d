"""The process of one replay: `python -m app.commands.replay_job ID`. Runs at the lowest priority, then ends."""

import asyncio
import os
import sys

from app.config import get_settings
from app.database import Database
from app.services.replays.replays import ReplayJob
from app.telemetry.logs import configure_logging


async def _run(replay_id: int) -> None:
    database = await Database.open(get_settings())
    try:
        await ReplayJob(database, replay_id).run()
    finally:
        await database.close()


def main() -> None:
    """Carry out the replay named on the command line."""
    configure_logging(get_settings())
    if hasattr(os, "nice"):
        os.nice(10)
    asyncio.run(_run(int(sys.argv[1])))


if __name__ == "__main__":
    main()
