"""`executor-balancer users`: manages users from the machine itself, without a sign-in."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_args

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import make_password
from app.access.roles import Role
from app.config import BadSettings, read_settings
from app.database import TROUBLE, Database, acting, trouble_in_words
from app.errors import DomainError, NotFound
from app.messages.message import say
from app.models import User
from app.services.accounts import users as user_service
from app.services.accounts.passwords import Passwords

users = typer.Typer(help="Who may sign in, as what.", no_args_is_help=True)
T = TypeVar("T")
_DATA: ContextVar[Path | None] = ContextVar("data", default=None)
"""The data directory that the command line names."""


@users.callback()
def _which_system(
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory of the running `run` that is meant, if not the usual one."),
    ] = None,
) -> None:
    """Who may sign in, as what."""
    _DATA.set(data)


Username = Annotated[str, typer.Argument(help="The name to sign in with.")]
Pools = Annotated[
    list[int] | None, typer.Option("--pool", help="A pool they see, again for more; all if none.")
]
Ask = Annotated[bool, typer.Option("--ask", help="Ask for the password instead of making one up.")]


@users.command("list")
def list_users() -> None:
    """List all users."""

    async def work(session: AsyncSession) -> list[User]:
        return list((await session.scalars(select(User).order_by(User.id))).all())

    table = Table("id", "name", "role", "pools", "active", "last sign-in")
    for user in _run(work):
        pools = "all" if user.pool_ids is None else ", ".join(map(str, user.pool_ids))
        table.add_row(
            str(user.id),
            user.username,
            user.role,
            pools,
            "yes" if user.active else "no",
            str(user.last_login_at),
        )
    Console().print(table)


@users.command()
def create(
    username: Username,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(get_args(Role))}.")] = "viewer",
    pool: Pools = None,
    executor: Annotated[int | None, typer.Option(help="Who of the executors they are.")] = None,
    ask: Ask = False,
) -> None:
    """Make a user and show the password that was made up."""
    if role not in get_args(Role):
        _fail(f"--role {role}: use one of {', '.join(get_args(Role))}")
    password = _password(ask)
    values = {
        "username": username,
        "password": password,
        "role": role,
        "pool_ids": pool or None,
        "executor_id": executor,
    }

    async def work(session: AsyncSession) -> int:
        return (await user_service.create_user(session, values=values, passwords=Passwords())).id

    typer.echo(
        f"Made user {_run(work)} '{username}' ({role}){'' if ask else f' with the password {password}'}."
    )


@users.command()
def password(username: Username, ask: Ask = False) -> None:
    """Give a user a new password, unlock them and end their sign-ins."""
    fresh = _password(ask)
    _change(username, {"password": fresh})
    typer.echo(
        f"'{username}' has a new password{'' if ask else f': {fresh}'}; all their sign-ins have ended."
    )


@users.command()
def role(username: Username, role: Annotated[str, typer.Argument()], pool: Pools = None) -> None:
    """Change what a user is, and which pools they see."""
    if role not in get_args(Role):
        _fail(f"{role}: use one of {', '.join(get_args(Role))}")
    _change(username, {"role": role, "pool_ids": pool or None})
    typer.echo(f"'{username}' is {role} now.")


@users.command()
def deactivate(username: Username) -> None:
    """Let a user sign in no more; their sign-ins end at once."""
    _change(username, {"active": False})
    typer.echo(f"'{username}' cannot sign in any more.")


@users.command()
def activate(username: Username) -> None:
    """Let a user sign in again."""
    _change(username, {"active": True})
    typer.echo(f"'{username}' may sign in again.")


def _change(username: str, changes: dict[str, Any]) -> None:
    async def work(session: AsyncSession) -> None:
        user_id = await session.scalar(select(User.id).where(User.username == username))
        if user_id is None:
            raise NotFound(
                say("There is no user '{username}'; see executor-balancer users list.", username=username)
            )
        await session.rollback()
        await user_service.change_user(
            session, user_id=user_id, changes=changes, passwords=Passwords(), now=datetime.now(UTC)
        )

    _run(work)


def _password(ask: bool) -> str:
    if not ask:
        return make_password()
    return getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _run(work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    try:
        settings = read_settings(_DATA.get())
    except BadSettings as error:
        _fail(str(error))

    async def inside() -> T:
        database = await Database.open(settings)
        try:
            async with database.session(acting(f"command line: {getpass.getuser()}")) as session:
                return await work(session)
        finally:
            await database.close()

    try:
        return asyncio.run(inside())
    except DomainError as error:
        _fail(error.detail)
    except TROUBLE as error:
        _fail(trouble_in_words(error, settings))


def _fail(reason: str) -> NoReturn:
    typer.echo(reason, err=True)
    raise typer.Exit(1)
