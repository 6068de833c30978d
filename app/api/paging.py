"""Cursors: opaque to the client, so that what they hold may change."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query

from app.errors import FieldError, Invalid
from app.messages.message import say
from app.schemas.common import read_id

CursorParam = Annotated[
    str | None,
    Query(max_length=200, description="`next_cursor` of the page before; none for the first page."),
]
ParametersParam = Annotated[
    str | None,
    Query(
        max_length=4000,
        description=(
            'Values of parameters as JSON: `{"region": "north", "level": {"gte": 3}}`. A list means any of its '
            "members. Words: eq ne in contains gt gte lt lte is_null, as the parameter's type allows. Keys are those "
            "of the pool's catalogue (the default pool's where `pool_id` is left out)."
        ),
        examples=["{}"],
    ),
]
LimitParam = Annotated[int, Query(ge=1, le=1000, description="Most items on the page.")]


def id_to_cursor(last_id: int | None) -> str | None:
    """The cursor that goes on after this id; None after the last page."""
    return None if last_id is None else _written("id", str(last_id))


def instant_to_cursor(position: tuple[datetime, int] | None) -> str | None:
    """The cursor that goes on after this instant and id; None after the last page."""
    if position is None:
        return None
    instant, last_id = position
    return _written("at", f"{instant.astimezone(UTC).isoformat()} {last_id}")


def cursor_to_id(cursor: str | None) -> int | None:
    """The id a page goes on after. Raises Invalid for a cursor in any other spelling than `id_to_cursor` gives it.

    A cursor is a position and grants nothing: each list is narrowed to the caller's pools whatever the cursor says.
    """
    if cursor is None:
        return None
    last_id = read_id(_read(cursor).removeprefix("id:"))
    if last_id is None or id_to_cursor(last_id) != cursor:
        raise _none_of_ours()
    return last_id


def cursor_to_instant(cursor: str | None) -> tuple[datetime, int] | None:
    """The instant and id that a page goes on after. Raises Invalid as `cursor_to_id` does."""
    if cursor is None:
        return None
    instant, _, number = _read(cursor).removeprefix("at:").partition(" ")
    last_id = read_id(number)
    try:
        position = None if last_id is None else (datetime.fromisoformat(instant).astimezone(UTC), last_id)
    except (ValueError, OverflowError):
        position = None
    if position is None or instant_to_cursor(position) != cursor:
        raise _none_of_ours()
    return position


def _written(kind: str, value: str) -> str:
    return urlsafe_b64encode(f"{kind}:{value}".encode()).decode().rstrip("=")


def _read(cursor: str) -> str:
    """What is written in a cursor; empty for what is no base64 of text."""
    try:
        return urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
    except ValueError:
        return ""


def _none_of_ours() -> Invalid:
    return Invalid(
        say("cursor: it is none of ours; leave it out to begin with the first page."),
        [
            FieldError(
                "cursor", say("not a cursor of this list"), say("use next_cursor of the page before, or none")
            )
        ],
    )
