"""Tells what a failure of PostgreSQL, its driver or the network means; the one place where errors are sorted by kind.

Errors are told apart by SQLSTATE where the server sent one, so that a code that no list names still has the meaning of
its class. A driver whose connection dies under it fails in ways that are no error of a database at all (a closed
transport, an attribute of None); these are known by the module that raised them.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import asyncpg
import sqlalchemy.exc
from redis.exceptions import RedisError
from sqlalchemy.orm.exc import StaleDataError


class Trouble(StrEnum):
    """Meaning of a failure for the caller."""

    GONE = "gone"  # no answer, a broken connection, a server that starts, stops or only reads: repeat later
    CONFLICT = "conflict"  # rolled back because of another transaction: repeat at once
    FULL = "full"  # no room, memory or connection left at the server: repeat later
    SCHEMA = "schema"  # the schema is not the one of this program: repeat after the migration
    REFUSED = "refused"  # the database refuses a value: repeating does not help
    DEFECT = "defect"  # the statement itself is wrong


class Down(Exception):
    """Another system that this one talks to does not answer, or not as agreed: repeat later."""


_BY_CODE = {
    "0A000": Trouble.SCHEMA,  # "cached plan must not change result type": a migration has just run
    "28000": Trouble.GONE,
    "28P01": Trouble.GONE,
    "3D000": Trouble.SCHEMA,
    "3F000": Trouble.SCHEMA,
    "42501": Trouble.SCHEMA,
    "42703": Trouble.SCHEMA,
    "42704": Trouble.SCHEMA,
    "42883": Trouble.SCHEMA,
    "42P01": Trouble.SCHEMA,
    "55P03": Trouble.CONFLICT,
    "55006": Trouble.CONFLICT,
}
_BY_CLASS = {
    "08": Trouble.GONE,  # connection
    "22": Trouble.REFUSED,  # data
    "23": Trouble.REFUSED,  # constraint
    "25": Trouble.GONE,  # read-only, idle too long in a transaction, transaction that failed before
    "26": Trouble.GONE,  # a prepared statement that this server does not have
    "40": Trouble.CONFLICT,  # serialization, deadlock
    "53": Trouble.FULL,  # disk, memory, connections
    "54": Trouble.REFUSED,  # too large for an index or a row
    "55": Trouble.GONE,
    "57": Trouble.GONE,  # cancelled, shut down, starting
    "58": Trouble.GONE,  # the server's own system
    "72": Trouble.CONFLICT,
    "F0": Trouble.GONE,
    "XX": Trouble.GONE,
}
_NETWORK = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOTCONN,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.EADDRNOTAVAIL,
    }
)
_DRIVERS = ("asyncpg", "uvloop")
_TOO_MANY_ARGUMENTS = "number of query arguments"


def trouble_of(error: BaseException) -> Trouble | None:
    """Return what a failure means; None where it does not come from the database or the network."""
    if isinstance(error, BaseExceptionGroup):
        kinds = [trouble_of(each) for each in error.exceptions]
        return kinds[0] if None not in kinds else None
    for each in _chain(error):
        kind = _kind_of(each)
        if kind is not None:
            return kind
    return Trouble.GONE if _raised_by_driver(error) else None


def sqlstate_of(error: BaseException) -> str | None:
    """Return the server's own code of a failure, also where SQLAlchemy wraps it; None where there is none."""
    codes = (getattr(each, "sqlstate", None) for each in _chain(error))
    return next((code for code in codes if isinstance(code, str)), None)


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error under SQLAlchemy's wrapping, for what is said of it."""
    return next(
        (each for each in _chain(error) if not isinstance(each, sqlalchemy.exc.SQLAlchemyError)), error
    )


def says(error: BaseException) -> str:
    """Return an error in words: its own, or its type's name where it has none."""
    return str(error) or type(error).__name__


def storable(text: str, most: int = 1000) -> str:
    """Return what another system said in a form that PostgreSQL keeps: no NUL, no lone surrogates, not too long."""
    return text[:most].replace("\x00", "").encode(errors="replace").decode()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The driver's error before SQLAlchemy's wrapping of it."""
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        if error.orig.__cause__ is not None:
            yield error.orig.__cause__
        yield error.orig
    yield error


def _kind_of(error: BaseException) -> Trouble | None:
    code = getattr(error, "sqlstate", None)
    if isinstance(code, str):
        return _BY_CODE.get(code) or _BY_CLASS.get(code[:2], Trouble.DEFECT)
    match error:
        case asyncpg.InterfaceError():
            return _of_interface(error)
        case asyncpg.PostgresError() | asyncpg.InternalClientError() | RedisError() | Down():
            return Trouble.GONE
        case OSError():
            return Trouble.GONE if _is_network(error) else None
        case StaleDataError():
            return Trouble.CONFLICT
        case sqlalchemy.exc.TimeoutError() | sqlalchemy.exc.PendingRollbackError():
            return Trouble.GONE
        case sqlalchemy.exc.DBAPIError():
            return Trouble.GONE if error.connection_invalidated else Trouble.DEFECT
    return None


def _of_interface(error: asyncpg.InterfaceError) -> Trouble:
    """Refused by the driver itself: a value, a statement, or the use of a broken connection."""
    if _TOO_MANY_ARGUMENTS in str(error):
        return Trouble.DEFECT
    return Trouble.REFUSED if isinstance(error, ValueError) else Trouble.GONE


def _is_network(error: OSError) -> bool:
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror | ssl.SSLError):
        return True
    no_socket = (
        isinstance(error, FileNotFoundError) and error.filename is None
    )  # a Unix socket that is not there
    return no_socket or error.errno in _NETWORK


def _raised_by_driver(error: BaseException) -> bool:
    """Whether the innermost frame that raised it is the driver's, and not ours that it called."""
    trace = error.__traceback__
    module = ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return module.partition(".")[0] in _DRIVERS
