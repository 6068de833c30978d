"""Secrets that this program makes on its first start and keeps in files that only their owner can read."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_BYTES = 48


def _random() -> str:
    return secrets.token_urlsafe(_BYTES)


def kept_secret(path: Path, make: Callable[[], str] = _random) -> str:
    """Return the secret in a file; make it where there is none.

    Processes that start at once agree on one secret: the file appears whole, by a hard link, which only the first of
    them can make.

    Raises
    ------
    OSError
        If the file can neither be read nor made.
    ValueError
        If the file is empty.
    """
    with suppress(FileNotFoundError):
        return read_secret(path)
    unfinished = _written(path, make())
    try:
        with suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        unfinished.unlink()
    return read_secret(path)


def read_secret(path: Path) -> str:
    """Return the secret in a file. Raises OSError or ValueError as `kept_secret` does."""
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise ValueError(f"{path} is empty: restore it, or remove it to have a new secret made")
    return secret


def keep(path: Path, secret: str) -> None:
    """Write a secret, in place of an earlier one. Raises OSError."""
    _written(path, secret).replace(path)


def short(path: Path) -> str:
    """Return a path as a person in the current folder would type it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _written(path: Path, secret: str) -> Path:
    """Write a temporary file beside `path`, closed to others from its first moment, and return it."""
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with open(unfinished, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(file.fileno())
    return unfinished
