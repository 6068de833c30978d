"""The command line `executor-balancer`: which commands there are.

Each is imported when it is called: what they need takes seconds to import, and `--help` needs none of it.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from app import __version__


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """Where a command is, and what the list of commands says of it: the first sentence of its docstring."""

    module: str
    name: str
    help: str


COMMANDS = {
    "run": CommandPlace(
        "app.commands.run",
        "run",
        "Start the whole system here and keep it running: servers, API, workers, dashboard.",
    ),
    "worker": CommandPlace(
        "app.commands.worker",
        "worker",
        "Run one worker process; start as many as you like, on any machine that reaches the database.",
    ),
    "replay": CommandPlace(
        "app.commands.replay",
        "replay",
        "Play an event log through the engine: what really happened beside what would have, and how fair each is.",
    ),
    "doctor": CommandPlace(
        "app.commands.doctor",
        "doctor",
        "Check a live system: servers, versions, lag, and that every invariant holds.",
    ),
    "archive": CommandPlace(
        "app.commands.archive",
        "archive",
        "Write ended tasks and all that belongs to them to compressed CSV, then delete them.",
    ),
    "rotate-key": CommandPlace(
        "app.commands.rotate_key",
        "rotate_key",
        "Put a fresh SECRET_KEY into .env; restart the API when it suits you.",
    ),
    "audit": CommandPlace("app.commands.audit", "audit", "The audit log."),
    "users": CommandPlace("app.commands.users", "users", "Who may sign in, as what."),
}


class LazyCommands(TyperGroup):
    """The commands of `COMMANDS`, each imported when it is called; a list of them shows what the table says."""

    _is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; while a list is shown, one that has its name and help alone."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        return TyperCommand(cmd_name, help=place.help) if self._is_listing else load(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the list of commands without importing them."""
        self._is_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_listing = False


def load(name: str) -> Any:
    """Import a command and return it as Typer calls it."""
    place = COMMANDS[name]
    found = getattr(import_module(place.module), place.name)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


app = typer.Typer(
    name="executor-balancer",
    cls=LazyCommands,
    help="Distributes tasks among executors evenly, by rules that users write, and explains every decision.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Distributes tasks among executors evenly, by rules that users write, and explains every decision."""


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
