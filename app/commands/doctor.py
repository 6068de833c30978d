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
from sqlalchemy import make_url

from app.config import Settings
from app.database import Database
from app.local.embedded import default_data_directory, running_addresses
from app.services.audit.audit_anchors import ANCHORS, open_anchors
from app.services.audit.doctor import State, Symptom, examine

ROOT = Path(__file__).resolve().parents[2]
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
    settings = _found(Settings(), data)
    if settings is None:
        place = data or default_data_directory()
        typer.echo(
            f"doctor: no system runs on {place} and DATABASE_URL is not set: start one with `make run`, name its "
            "data with --data, or set DATABASE_URL (and REDIS_URL)",
            err=True,
        )
        raise typer.Exit(2)
    symptoms = asyncio.run(_examined(settings, repair))
    if as_json:
        typer.echo(json.dumps([asdict(symptom) for symptom in symptoms], ensure_ascii=False, indent=2))
    else:
        _show(settings, symptoms)
    raise typer.Exit(int(any(symptom.state is State.BROKEN for symptom in symptoms)))


def _found(settings: Settings, data: Path | None) -> Settings | None:
    """Settings that name a database: the environment's, else those of the embedded servers that run here."""
    if data is None and "database_url" in settings.model_fields_set:
        return settings
    directory = (data or default_data_directory()).expanduser().absolute()
    addresses = running_addresses(directory)
    if addresses is None:
        return None
    kept = directory / "secret.key"
    return Settings(
        **{
            "audit_anchors": directory / ANCHORS,
            **({"secret_key": kept.read_text().strip()} if kept.exists() else {}),
            **settings.model_dump(exclude_unset=True),
            "database_url": addresses.database_url,
            "redis_url": addresses.redis_url,
        }
    )


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
    where = make_url(settings.database_url)
    console.print(f"Looking at {where.host}:{where.port}/{where.database}", highlight=False)
    table = Table.grid(padding=(0, 2))
    for symptom in symptoms:
        table.add_row(SIGNS[symptom.state], f"[bold]{symptom.name}[/]", symptom.found)
        if symptom.remedy:
            table.add_row("", "", f"[cyan]→ {symptom.remedy}[/]")
    console.print(table)
