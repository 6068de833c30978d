"""`executor-balancer doctor`: looks at a live system and says what is wrong, and what to do."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from alembic.config import Config
from alembic.script import ScriptDirectory
from rich.console import Console
from rich.table import Table

from app.config import ROOT, BadSettings, Settings, read_settings
from app.database import TROUBLE, Database, trouble_in_words, wait_for_server
from app.integrations.postgresql import read_address
from app.services.audit.audit_anchors import open_anchors
from app.services.audit.doctor import State, Symptom, examine

SIGNS = {
    State.WELL: "[green]✓[/]",
    State.WORTH_KNOWING: "[yellow]![/]",
    State.BROKEN: "[bold red]✗[/]",
}


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Set counters that are wrong to what the assignments say.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Data directory of a running `run`, if not the usual one.")
    ] = None,
) -> None:
    """Check a live system: servers, versions, lag, and that every invariant holds.

    Exit code 0: nothing is broken; 1: something is; 2: there is no system to look at.
    """
    try:
        settings = read_settings(data, database_wait_seconds=0)
    except BadSettings as error:
        raise _nothing_to_look_at(str(error)) from None
    if settings.place is None and not settings.names_database:
        _must_answer(settings)
    symptoms = asyncio.run(_examined(settings, repair))
    if as_json:
        typer.echo(json.dumps([asdict(symptom) for symptom in symptoms], ensure_ascii=False, indent=2))
    else:
        _show(settings, symptoms)
    raise typer.Exit(int(any(symptom.state is State.BROKEN for symptom in symptoms)))


def _must_answer(settings: Settings) -> None:
    """End the command where nothing named a system and the default address has none. Raises Exit."""
    try:
        asyncio.run(wait_for_server(settings, lambda _line: None))
    except TROUBLE as error:
        raise _nothing_to_look_at(
            f"no system runs here and DATABASE_URL is not set; {trouble_in_words(error, settings)} Or start one with "
            "`make run`, or name its data with --data."
        ) from None


def _nothing_to_look_at(reason: str) -> typer.Exit:
    typer.echo(f"doctor: {reason}", err=True)
    return typer.Exit(2)


async def _examined(settings: Settings, repair: bool) -> list[Symptom]:
    database = await Database.open(settings)
    try:
        return await examine(
            database.hot,
            settings.redis_url,
            schema=newest_schema(),
            repair=repair,
            anchors=open_anchors(settings),
        )
    finally:
        await database.close()


def newest_schema() -> str:
    """The newest migration of this program."""
    return str(ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_current_head())


def _show(settings: Settings, symptoms: list[Symptom]) -> None:
    console = Console()
    console.print(f"Looking at {read_address(settings.database_url)}", highlight=False)
    table = Table.grid(padding=(0, 2))
    for symptom in symptoms:
        table.add_row(SIGNS[symptom.state], f"[bold]{symptom.name}[/]", symptom.found)
        if symptom.remedy:
            table.add_row("", "", f"[cyan]→ {symptom.remedy}[/]")
    console.print(table)
