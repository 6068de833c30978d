"""`executor-balancer run`: the whole system on this machine."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from sqlalchemy import make_url

from app.config import Settings
from app.local.embedded import EmbeddedError
from app.local.system import Running, RunOptions, StartError, StopRequested, running_system, stop_on_signals
from app.telemetry.logs import configure_logging

console = Console()
errors = Console(stderr=True)


def run(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    data: Annotated[
        Path | None, typer.Option(help="Directory of the embedded servers' data and of all logs.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; HOST or 127.0.0.1 by default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the API; PORT or 8000 by default.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=64, help="Worker processes; by default one for every two cores.")
    ] = max(1, (os.cpu_count() or 2) // 2),
    dashboard: Annotated[bool, typer.Option(help="Whether to start the dashboard.")] = True,
    dashboard_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the dashboard.")] = 8501,
    ais: Annotated[bool, typer.Option(help="Whether to start the emulator of the external system.")] = True,
    ais_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of that emulator.")] = 8090,
    ssl_certfile: Annotated[
        Path | None, typer.Option(help="Certificate of https (make cert); SSL_CERTFILE by default.")
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option(help="The certificate's key; SSL_KEYFILE by default.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option(help="Show all logs here instead of writing them to files.")
    ] = False,
) -> None:
    """Start the whole system here and keep it running: servers, API, workers, dashboard.

    PostgreSQL and Redis are brought along, unless DATABASE_URL (and REDIS_URL) name others. Ctrl-C stops
    everything.
    """
    try:
        settings = Settings()
        wishes = RunOptions(
            host or settings.host,
            port or settings.port,
            workers,
            data,
            dashboard_port if dashboard else None,
            ais_port if ais else None,
            verbose,
            _certificate(ssl_certfile or settings.ssl_certfile, ssl_keyfile or settings.ssl_keyfile),
        )
        configure_logging(settings)
        with stop_on_signals(), ExitStack() as stack:
            with console.status("Starting…"):
                system = stack.enter_context(running_system(wishes, settings))
            console.print(_panel(system))
            system.watch()
    except StopRequested:
        console.print("Stopped.")
    except ValidationError as error:
        raise _cannot_start(
            "; ".join(f"{_name(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        ) from None
    except (StartError, EmbeddedError) as error:
        raise _cannot_start(str(error)) from None


def _certificate(certfile: Path | None, keyfile: Path | None) -> tuple[Path, Path] | None:
    if certfile is None and keyfile is None:
        return None
    if certfile is None or keyfile is None:
        raise StartError("https needs both a certificate and its key: SSL_CERTFILE and SSL_KEYFILE")
    return certfile, keyfile


def _cannot_start(reason: str) -> typer.Exit:
    errors.print(f"[bold red]Cannot start:[/] {escape(reason)}", highlight=False, soft_wrap=True)
    return typer.Exit(1)


def _name(location: Sequence[int | str]) -> str:
    """A setting's name as it stands in the environment."""
    return ".".join(str(part) for part in location).upper()


def _panel(system: Running) -> Panel:
    table = Table.grid(padding=(0, 2))
    for name, address in _addresses(system):
        table.add_row(f"[bold]{name}[/]", escape(address))
    for note in system.notes:
        table.add_row("", escape(note))
    return Panel(table, title="Executor Balancer", subtitle="Ctrl-C stops everything", expand=False)


def _addresses(system: Running) -> list[tuple[str, str]]:
    titles = {"dashboard": "Dashboard", "api": "API", "ais": "АИС emulator"}
    rows = [(title, system.places[name]) for name, title in titles.items() if name in system.places]
    rows.append(("API documentation", f"{system.places['api']}/docs"))
    rows.append(("Metrics", f"{system.places['api']}/metrics"))
    rows.append(("Data, logs" if system.servers else "Logs", str(system.directory)))
    if system.servers:
        where = make_url(system.servers.addresses.database_url)
        rows.append(("PostgreSQL", f"{where.host}:{where.port}/{where.database} (commands here find it)"))
    if system.servers and system.servers.redis is None:
        rows.append(("Redis", "none found here: workers look for work every 200 ms instead"))
    return rows
