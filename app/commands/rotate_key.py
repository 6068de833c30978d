"""`executor-balancer rotate-key`: a fresh SECRET_KEY in `.env`, the one before kept for reading."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from app.access.keys import make_secret

_KEPT = 2
"""Keys before the current one that are kept for reading."""


def rotate_key(
    file: Annotated[Path, typer.Option(help="The file with the settings.")] = Path(".env"),
) -> None:
    """Put a fresh SECRET_KEY into .env; restart the API when it suits you.

    Tokens of the key before are still read, so nobody has to sign in again.
    """
    if not file.exists():
        typer.echo(f"{file} is not there: `make env` writes one.", err=True)
        raise typer.Exit(1)
    text = rotated(file.read_text(encoding="utf-8"), make_secret() + make_secret())
    fresh = file.with_suffix(".rotating")
    with open(fresh, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as target:
        target.write(text)
    fresh.replace(file)
    typer.echo(
        f"{file} has a fresh SECRET_KEY; the one before still reads tokens. Restart the API to use it."
    )


def rotated(text: str, secret: str) -> str:
    """The settings with a fresh secret in front and the ones before behind it."""
    current = _value(text, "SECRET_KEY")
    before = [key for key in _value(text, "SECRET_KEY_PREVIOUS").split(",") if key]
    kept = ",".join(([current] if current else []) + before[: _KEPT - 1])
    return _set(_set(text, "SECRET_KEY", secret), "SECRET_KEY_PREVIOUS", kept)


def _value(text: str, name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    return found[1].strip().strip("\"'") if found else ""


def _set(text: str, name: str, value: str) -> str:
    line = f"{name}={value}"
    if re.search(rf"^{name}=", text, re.MULTILINE):
        return re.sub(rf"^{name}=.*$", line, text, flags=re.MULTILINE)
    return f"{text.rstrip()}\n{line}\n"
