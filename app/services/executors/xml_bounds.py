"""Bounds on XML that people send, checked as a stream before anything builds a tree of it.

What an XLSX unpacks to is bounded in bytes, but a few megabytes of empty elements become gigabytes of objects, and one
attribute of many megabytes costs an incremental parser minutes. So: how many elements in all and in one row, how deep,
how long one tag may be; and no document type, for entities need one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from xml.parsers.expat import ParserCreate

from app.messages.message import say

_PIECE = 256 * 1024
_LONGEST_TAG = 1024 * 1024
"""Bytes of one tag or text that the parser has to keep until it ends."""


class BeyondBounds(ValueError):
    """The document goes beyond its bounds; the message says which."""


@dataclass(slots=True)
class XmlBounds:
    """What a document may have; `elements` is used up by what is read, so that several documents can share it."""

    elements: int
    in_a_row: int
    deepest: int = 30

    def check(self, file: IO[bytes]) -> None:
        """Read a document to its end. Raises TooMuch, ExpatError where it is no XML, ValueError for a document type."""
        parser = ParserCreate()
        parser.buffer_text = False
        reader = _Reader(self)
        parser.StartElementHandler = reader.start
        parser.EndElementHandler = reader.end
        parser.StartDoctypeDeclHandler = _no_type
        fed = 0
        for piece in _pieces(file):
            parser.Parse(piece)
            fed += len(piece)
            if fed - max(parser.CurrentByteIndex, 0) > _LONGEST_TAG:
                raise BeyondBounds(say("a tag of more than a megabyte"))
        parser.Parse(b"", True)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _no_type(*_: object) -> None:
    raise ValueError(say("a document type: a table needs none"))


class _Reader:
    """Counts."""

    def __init__(self, bounds: XmlBounds) -> None:
        self._bounds = bounds
        self._depth = 0
        self._in_row = 0

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        bounds = self._bounds
        bounds.elements -= 1
        self._depth += 1
        self._in_row = 0 if tag.endswith("row") else self._in_row + 1
        if bounds.elements < 0:
            raise BeyondBounds(say("too many elements"))
        if self._in_row > bounds.in_a_row:
            raise BeyondBounds(say("too many elements in one row"))
        if self._depth > bounds.deepest:
            raise BeyondBounds(say("elements nested more than {most} deep", most=bounds.deepest))

    def end(self, _tag: str) -> None:
        self._depth -= 1


def check_repeats(file: IO[bytes], rows: int, columns: int) -> None:
    """Refuse an ODS whose filled cells reach beyond these: a few bytes say that a row or a cell comes a million times.

    Raises TooMuch, ExpatError.
    """
    reader = _Repeats(rows, columns)
    parser = ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    for piece in _pieces(file):
        parser.Parse(piece)
    parser.Parse(b"", True)


class _Repeats:
    """Follows the place of each cell."""

    def __init__(self, rows: int, columns: int) -> None:
        self._most_rows, self._most_columns = rows, columns
        self._row = self._column = self._times = 0
        self._in_cell = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag.endswith(":table"):
            self._row = 0
        elif tag.endswith(":table-row"):
            self._times, self._column = _repeated(attributes, "rows"), 0
        elif tag.endswith("table-cell"):
            self._column += _repeated(attributes, "columns")
            self._in_cell = True
            if any(name.endswith(":value-type") for name in attributes):
                self._fill()

    def text(self, text: str) -> None:
        if self._in_cell and text.strip():
            self._fill()

    def _fill(self) -> None:
        if self._row + self._times > self._most_rows or self._column > self._most_columns:
            raise BeyondBounds(
                say(
                    "more than {rows} rows or {columns} columns",
                    rows=self._most_rows,
                    columns=self._most_columns,
                )
            )

    def end(self, tag: str) -> None:
        if tag.endswith("table-cell"):
            self._in_cell = False
        elif tag.endswith(":table-row"):
            self._row += self._times


def _repeated(attributes: dict[str, str], what: str) -> int:
    text = next(
        (value for name, value in attributes.items() if name.endswith(f"number-{what}-repeated")), "1"
    )
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1 << 30
