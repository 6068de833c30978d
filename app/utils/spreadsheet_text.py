"""Text of others in files that a spreadsheet program opens: nothing in it may be run as a formula."""

import re

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
"""What begins a formula. Programs with an East Asian language take the full-width and small forms too."""
_SKIPPED = r'\s"\x00\u200b-\u200f\u2060\ufeff'
"""Space, quotes and what is invisible: programs skip them before a formula."""
_BEGINS = re.compile(rf"[\t\r\n]|[{_SKIPPED}]*[{_SIGNS}]")
_HOLDS = re.compile(rf"([;,\t\r\n][{_SKIPPED}]*)(?=[{_SIGNS}])")


def harmless(text: str) -> str:
    """Return the text as a spreadsheet shows it without running it: apostrophes stand before what looks like a formula.

    A sign after `;`, a comma, a tab or a line break counts as well: a program that takes another separator than the
    file has makes a cell of what follows. Text that was made harmless stays as it is.
    """
    held = _HOLDS.sub(r"\1'", text)
    return f"'{held}" if _BEGINS.match(held) else held
