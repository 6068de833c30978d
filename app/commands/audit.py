"""`executor-balancer audit`: what an administrator at the machine does with the audit log."""

import asyncio
import getpass
from pathlib import Path
from typing import Annotated

import typer

from app.config import BadSettings, Settings, read_settings
from app.database import TROUBLE, Database
from app.services.audit.audit_anchors import open_anchors
from app.services.audit.audit_watch import acknowledge_loss

audit = typer.Typer(help="The audit log.", no_args_is_help=True)


@audit.callback()
def _group() -> None:
    """The audit log."""


@audit.command()
def acknowledge(
    reason: Annotated[str, typer.Option(help="Why the log lost a part: which restore or failover, when.")],
    data: Annotated[
        Path | None, typer.Option(help="Data directory of a running `run`, if not the usual one.")
    ] = None,
) -> None:
    """Accept that a restore or a failover lost a part of the log; an entry in the log says who did, and why.

    Exit code 0: accepted, or there was nothing to accept; 1: refused; 2: there is no system to look at.
    """
    if not reason.strip():
        raise typer.BadParameter("say which restore or failover it was", param_hint="--reason")
    try:
        settings = read_settings(data, database_wait_seconds=0)
    except BadSettings as error:
        typer.echo(f"audit: {error}", err=True)
        raise typer.Exit(2) from None
    try:
        fault = asyncio.run(_acknowledged(settings, reason))
    except (ValueError, *TROUBLE) as error:
        typer.echo(f"audit: {str(error) or type(error).__name__}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"Accepted: {fault}" if fault else "Nothing to accept: the log holds.")


async def _acknowledged(settings: Settings, reason: str) -> str:
    database = await Database.open(settings)
    try:
        return await acknowledge_loss(
            database.hot,
            open_anchors(settings),
            actor=f"command line: {getpass.getuser()}",
            reason=reason,
        )
    finally:
        await database.close()
