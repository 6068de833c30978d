"""`executor-balancer archive`: history of long ago goes to files, so that the database stays small."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.config import BadSettings, Settings, read_settings
from app.database import TROUBLE, Database, trouble_in_words
from app.services.audit.archive import KEPT_DAYS, Files, archive_ended, count_ended

console = Console()
_PATIENCE = 600.0
"""Seconds a statement may take here: a portion is larger than what requests wait for."""


def archive(
    before: Annotated[str, typer.Option(help="Tasks that ended before this day (YYYY-MM-DD, UTC) go.")],
    to: Annotated[Path | None, typer.Option(help="Folder of the files; made, must not be there yet.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory of the running `run` that is meant, if not the usual one."),
    ] = None,
) -> None:
    """Write ended tasks and all that belongs to them to compressed CSV, then delete them.

    Key figures, fair shares of closed days and the audit log stay. Open work never goes. Can be repeated at any time.
    """
    instant = _instant(before)
    if to is None and not dry_run:
        raise typer.BadParameter("name a folder for the files, or --dry-run", param_hint="--to")
    if to is not None and to.exists() and not dry_run:
        raise typer.BadParameter(
            f"{to} is there already: an archive is never written over", param_hint="--to"
        )
    try:
        settings = read_settings(data, database_timeout=_PATIENCE, worker_transaction_seconds=_PATIENCE)
    except BadSettings as error:
        raise _failed(str(error)) from None
    try:
        asyncio.run(_archive(settings, instant, None if dry_run else to))
    except TROUBLE as error:
        raise _failed(trouble_in_words(error, settings)) from None


def _failed(reason: str) -> typer.Exit:
    typer.echo(f"archive: {reason}", err=True)
    return typer.Exit(1)


def _instant(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write the day as YYYY-MM-DD", param_hint="--before") from None
    latest = datetime.now(UTC).date() - timedelta(days=KEPT_DAYS)
    if day > latest:
        raise typer.BadParameter(
            f"the last {KEPT_DAYS} days stay: fairness is settled over up to a month; {latest} at the latest",
            param_hint="--before",
        )
    return datetime.combine(day, time.min, UTC)


async def _archive(settings: Settings, before: datetime, folder: Path | None) -> None:
    database = await Database.open(settings)
    try:
        if folder is None:
            console.print(
                f"{await count_ended(database.hot, before=before)} tasks would go, and what belongs to them."
            )
            return
        files = Files(folder)
        total = 0
        async for count in archive_ended(database.hot, files, before=before):
            total += count
            console.print(f"{total} tasks archived", highlight=False)
        rows = files.finish(before)
        console.print(
            f"{folder}: "
            + (", ".join(f"{count} {name}" for name, count in rows.items()) or "nothing to archive")
        )
    finally:
        await database.close()
