"""Finds the system of this machine: the stack that docker-compose started from this checkout, or the embedded one.

Both leave a file behind that outlives them, so that each is asked whether it still runs before it counts.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ANCHORS = "audit-anchors.jsonl"
"""Name of the file in a data directory to which the audit log's sealed head is appended."""
API_ADDRESS = "api.url"
"""Name of the file in a data directory that says where the API of the running system is."""
_PATIENCE = 2.0
"""Seconds that the stack's PostgreSQL may take to accept a connection."""
_STACK_SETTINGS = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "API_KEY",
    "ADMIN_USERNAME",
    "ADMIN_PASSWORD",
)
"""What is taken of the stack's file; init_db.py on this machine makes the same administrator as the stack did."""


@dataclass(frozen=True, slots=True)
class RunningSystem:
    """A system that runs on this machine: what it is called, and the settings that lead to it, by field name."""

    name: str
    settings: dict[str, str] = field(repr=False)
    api_url: str | None = None


def running_stack(file: Path | None) -> RunningSystem | None:
    """Return the stack that wrote `file` (`.secrets/host.env`); None where there is none or it does not run.

    Raises
    ------
    PermissionError
        If the file belongs to another user.
    """
    if file is None or not file.is_file():
        return None
    from dotenv import dotenv_values

    with file.open(encoding="utf-8") as stream:
        given = {name: value for name, value in dotenv_values(stream=stream).items() if value is not None}
    if not given.get("DATABASE_URL") or not _accepts(
        given.get("DATABASE_OWNER_URL") or given["DATABASE_URL"]
    ):
        return None
    settings = {name.lower(): given[name] for name in _STACK_SETTINGS if given.get(name)}
    return RunningSystem(str(file), {"redis_url": "", **settings}, given.get("API_URL"))


def embedded_system(data: Path | None = None) -> RunningSystem | None:
    """Return the embedded system that runs on a data directory, the usual one by default; None where none runs."""
    try:
        from app.local.embedded import default_data_directory, running_addresses
    except ImportError:  # Windows has no embedded servers
        return None
    directory = (data or default_data_directory()).expanduser().absolute()
    addresses = running_addresses(directory)
    if addresses is None:
        return None
    settings = {
        "database_url": addresses.database_url,
        "redis_url": addresses.redis_url or "",
        "secrets_dir": str(directory / "secrets"),
    }
    with suppress(OSError):
        settings["secret_key"] = (directory / "secret.key").read_text(encoding="utf-8").strip()
        settings["audit_anchors"] = str(directory / ANCHORS)
    api_url = None
    with suppress(OSError):
        api_url = (directory / API_ADDRESS).read_text(encoding="utf-8").strip() or None
    return RunningSystem(str(directory), settings, api_url)


def find_place(stack_file: Path | None) -> RunningSystem | None:
    """Return the system that runs here: the stack of this checkout, else the embedded one, else None."""
    return running_stack(stack_file) or embedded_system()


def _accepts(url: str) -> bool:
    """Whether this very database accepts these credentials now; one that is starting or full counts."""
    import asyncpg

    async def ask() -> None:
        connection = await asyncpg.connect(url, timeout=_PATIENCE)
        await connection.close()

    try:
        _in_own_loop(ask)
    except (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError):
        return True
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True


def _in_own_loop(ask: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine function to its end, also where this thread already runs a loop (uvicorn's)."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(ask())).result()
