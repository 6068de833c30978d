"""Fields and types that several resources share."""

import re
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AllowInfNan,
    AwareDatetime,
    BeforeValidator,
    Field,
    Strict,
    StringConstraints,
    WithJsonSchema,
)

from app.messages.message import say
from app.utils.normal_form import nfc, visible
from app.utils.parameter_values import LONGEST_LIST, LONGEST_TEXT, MOST_KEYS, storable_values

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$"),
    AfterValidator(visible),
]
Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$"), AfterValidator(nfc)]
LARGEST_ID = 2**63 - 1
"""The largest id that PostgreSQL's bigint holds."""
ID_FORM = say(
    "a whole number from 1 to {largest}, digits 0-9 only, no sign, no leading zero", largest=LARGEST_ID
)
_ID = re.compile(r"[1-9][0-9]{0,18}")


def read_id(text: str) -> int | None:
    """The id that this text of a path, query, cursor or header spells; None if it spells none.

    The only reader of ids in text: the guard (app/api/edge/guard.py) decides on the value that the route receives. One
    value has one spelling, so `05`, `+5`, `5.0`, ` 5` and digits of other scripts are no ids.
    """
    if _ID.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number <= LARGEST_ID else None


def _identifier(value: Any) -> Any:
    """An id of a path, query or header, by `read_id`; what is no text is left to the next check. Raises ValueError."""
    if not isinstance(value, str):
        return value
    number = read_id(value)
    if number is None:
        raise ValueError(say("not an id; send {id_form}", id_form=ID_FORM))
    return number


Identifier = Annotated[int, Strict(), Field(ge=1, le=LARGEST_ID), BeforeValidator(_identifier)]
"""An id in a path, query or header, where everything is text. Its name must stand in app/api/edge/permissions.py."""
Reference = Annotated[int, Strict(), Field(ge=1, le=LARGEST_ID)]
"""An id in a JSON body: a whole number. true, "5" and 5.0 are none."""
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), AllowInfNan(False)]
Flag = Annotated[bool, Strict()]


def _written_out(value: Any) -> Any:
    """A number is neither day nor instant: Pydantic would take it for seconds since 1970. Raises ValueError."""
    if isinstance(value, str) and value[4:5] == "-" == value[7:8]:
        return value
    raise ValueError(
        say("not written out; send a day such as 2026-01-31, an instant such as 2026-01-31T09:00:00Z")
    )


Day = Annotated[date, BeforeValidator(_written_out, json_schema_input_type=date)]
"""A calendar day, YYYY-MM-DD."""
Instant = Annotated[AwareDatetime, BeforeValidator(_written_out, json_schema_input_type=AwareDatetime)]
"""An ISO 8601 instant with its offset."""

_SCALARS: list[dict[str, Any]] = [
    {"type": "string", "maxLength": LONGEST_TEXT, "pattern": r"^[^\x00]*$"},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "null"},
]

Parameters = Annotated[
    dict[str, Any],
    Field(max_length=MOST_KEYS),
    AfterValidator(storable_values),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_KEYS,
            "additionalProperties": {
                "anyOf": [
                    *_SCALARS,
                    {"type": "array", "items": {"anyOf": _SCALARS}, "maxItems": LONGEST_LIST},
                ]
            },
        }
    ),
]
"""Values by parameter key."""

_STORED_VALUE: dict[str, Any] = {"anyOf": [*_SCALARS, {"type": "array", "items": {"anyOf": _SCALARS}}]}
StoredParameters = Annotated[
    Any, WithJsonSchema({"type": "object", "title": "Parameters", "additionalProperties": _STORED_VALUE})
]
"""Values as they are stored, shown as they are: one that could not be sent today must not break a list of others."""
StoredObject = Annotated[
    Any,
    WithJsonSchema({"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}]}),
]
"""A stored document, or null; shown as it is."""
