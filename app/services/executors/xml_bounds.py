"""Bounds on XML that people send, checked as a stream before anything builds a tree of it.

What an XLSX unpacks to is bounded in bytes, but a few megabytes of empty elements become gigabytes of objects, and one
attribute of many megabytes costs an incremental parser minutes. So: how many elements in all and in one row, how deep,
how long one tag may be; and no document type, for entities need one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from xml.parsers.expat import ParserCreate

_PIECE = 256 * 1024
_LONGEST_TAG = 1024 * 1024
"""Bytes of one tag or text that the parser has to keep until it ends."""


class TooMuch(ValueError):
    """The document goes beyond its bounds; the message says which."""


@dataclass(slots=True)
class Bounds:
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
                raise TooMuch("a tag of more than a megabyte")
        parser.Parse(b"", True)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _no_type(*_: object) -> None:
    raise ValueError("a document type: a table needs none")


class _Reader:
    """Counts."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._depth = 0
        self._in_row = 0

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        bounds = self._bounds
        bounds.elements -= 1
        self._depth += 1
        self._in_row = 0 if tag.endswith("row") else self._in_row + 1
        if bounds.elements < 0:
            raise TooMuch("too many elements")
        if self._in_row > bounds.in_a_row:
            raise TooMuch("too many elements in one row")
        if self._depth > bounds.deepest:
            raise TooMuch(f"elements nested more than {bounds.deepest} deep")

    def end(self, _tag: str) -> None:
        self._depth -= 1
