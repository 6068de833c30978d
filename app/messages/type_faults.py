"""Errors of Pydantic as messages: Pydantic's own templates are keys of the catalogue."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticKnownError

from app.messages.message import Message, as_is, either, message_of, say

PLURAL = "{expected_plural}"
"""Where Pydantic writes an `s` for any number but one."""


def fault_message(fault: Mapping[str, Any]) -> Message:
    """The message of one of `ValidationError.errors()`; a validator's own is the one that it raised."""
    context = dict(fault.get("ctx", {}))
    text = str(fault["msg"])
    if isinstance(context.get("error"), Exception):
        return message_of(context["error"])
    if fault["type"] == "json_invalid" and fault["loc"] and isinstance(fault["loc"][-1], int):
        return no_json(fault["loc"][-1], str(context["error"]))
    try:
        template = PydanticKnownError(fault["type"], context or None).message_template
    except (KeyError, ValueError, TypeError):  # a kind that Pydantic does not know itself
        return as_is(text)
    if isinstance(context.get("expected"), str):
        context["expected"] = either(context["expected"].split(" or "))
    if PLURAL not in template:
        return Message(text, template, context)
    context["count"] = next(value for value in context.values() if isinstance(value, int))
    return Message(text, template.replace(PLURAL, ""), context, template.replace(PLURAL, "s"))


def no_json(position: int, error: str) -> Message:
    """Message of a JSONDecodeError, with the position that FastAPI puts beside it."""
    return say("JSON decode error at character {position}: {json_error}", position=position, json_error=error)
