"""If-Match: a change may say which version it is based on, and is refused when that is not the present one."""

from typing import Annotated

from fastapi import Header

from app.errors import Invalid
from app.messages.message import say

IfMatch = Annotated[str | None, Header(description='The version this change is based on, such as "3".')]


def version_of(if_match: str | None) -> int | None:
    """The version in an If-Match header. Raises Invalid."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(say('If-Match: not a version; send the number of the ETag, such as "3".'))
    return int(text)
