"""The executors' side of rules: one column per field and use, one position per executor.

Strings, numbers and booleans that are compared for equality become small integers once, in a table that all columns
share; lists become one bitmap per member. A column is written at the positions that changed and nowhere else.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from app.engine.types import BoolArray, Executor, IntArray
from app.rule_engine.language import Field
from app.rule_engine.values import Atom, Kind, Value

At: TypeAlias = IntArray | slice
"""Positions to answer for: some, or `EVERYBODY`."""

EVERYBODY = slice(None)
ABSENT = -1
_MOST_BITMAP_BYTES = 64 * 1024 * 1024


class Codes:
    """The table of values: each different one has a number, for good."""

    def __init__(self) -> None:
        self.atoms: list[Atom] = []
        self._codes: dict[Atom, int] = {}

    def __len__(self) -> int:
        return len(self.atoms)

    def __contains__(self, atom: Atom) -> bool:
        return atom in self._codes

    def learn(self, atom: Atom) -> int:
        """The number of a value, a new one where it has none."""
        code = self._codes.setdefault(atom, len(self.atoms))
        if code == len(self.atoms):
            self.atoms.append(atom)
        return code

    def get(self, atom: Atom) -> int | None:
        """The number of a value; None where nobody and no rule has it."""
        return self._codes.get(atom)


class Column(Protocol):
    """The interface of all columns."""

    def put(self, positions: IntArray, values: Sequence[Value], size: int) -> None:
        """Write values at positions; the column then has `size` of them."""


class OrderColumn:
    """Numbers as float64, instants as int64 microseconds."""

    def __init__(self, field: Field) -> None:
        instants = field.kinds == {Kind.INSTANT}
        self.data: NDArray[Any] = np.zeros(0, np.int64 if instants else np.float64)
        self.missing: BoolArray = np.zeros(0, dtype=np.bool_)

    def put(self, positions: IntArray, values: Sequence[Value], size: int) -> None:
        """Write values; what is missing is zero and marked."""
        self.data, self.missing = _grown(self.data, size), _grown(self.missing, size)
        self.data[positions] = [0 if value is None else value for value in values]
        self.missing[positions] = [value is None for value in values]


class CodeColumn:
    """Single values by their codes; ABSENT where missing."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self.data: IntArray = np.zeros(0, dtype=np.int64)
        self.missing: BoolArray = np.zeros(0, dtype=np.bool_)

    def put(self, positions: IntArray, values: Sequence[Value], size: int) -> None:
        """Write values, giving codes to those that have none."""
        self.data, self.missing = _grown(self.data, size), _grown(self.missing, size)
        learn = self._codes.learn
        self.data[positions] = [ABSENT if value is None else learn(_atom(value)) for value in values]
        self.missing[positions] = self.data[positions] == ABSENT

    def where_text(self, says: Callable[[str], bool], at: At) -> BoolArray:
        """Positions whose string satisfies a test; each different string is tested once."""
        different, place = np.unique(self.data[at], return_inverse=True)
        atoms = (self._codes.atoms[code] if code != ABSENT else None for code in different.tolist())
        return np.array([isinstance(atom, str) and says(atom) for atom in atoms], dtype=np.bool_)[place]


class ListColumn:
    """Lists: a bitmap over the executors for each member that is asked for."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self._size = 0
        # Tuples take a third of what sets take, and most lists are never compared again.
        self._members: list[tuple[int, ...]] = []
        self._holders: dict[int, set[int]] = {}
        self._bitmaps: dict[int, BoolArray] = {}
        self.counts: IntArray = np.zeros(0, dtype=np.int64)
        self.missing: BoolArray = np.zeros(0, dtype=np.bool_)

    def put(self, positions: IntArray, values: Sequence[Value], size: int) -> None:
        """Write lists; only bitmaps of members that somebody gained or lost change, and only there."""
        self.missing, self.counts = _grown(self.missing, size), _grown(self.counts, size)
        self._members += [()] * (size - self._size)
        if size != self._size:
            self._bitmaps = {code: _grown(bitmap, size) for code, bitmap in self._bitmaps.items()}
            self._size = size
        learn = self._codes.learn
        for position, value in zip(positions.tolist(), values, strict=True):
            atoms = value if isinstance(value, tuple) else ()
            self._replace(position, {learn(atom) for atom in atoms})
            self.missing[position] = value is None
            self.counts[position] = len(atoms)
        if len(positions) > 1 and len(self._holders) * size <= _MOST_BITMAP_BYTES // 4:
            for code, holders in self._holders.items():  # ahead of the first task that asks
                if code not in self._bitmaps:
                    self._draw(code, holders)

    def has(self, atom: Atom) -> BoolArray | None:
        """Positions whose list has this member, shape (n,); None if no list has it."""
        code = self._codes.get(atom)
        holders = None if code is None else self._holders.get(code)
        if code is None or not holders:
            return None
        bitmap = self._bitmaps.get(code)
        if bitmap is None:
            if (len(self._bitmaps) + 1) * self._size > _MOST_BITMAP_BYTES:
                self._bitmaps.clear()
            bitmap = self._draw(code, holders)
        return bitmap

    def _draw(self, code: int, holders: set[int]) -> BoolArray:
        bitmap = np.zeros(self._size, dtype=np.bool_)
        bitmap[np.fromiter(holders, dtype=np.int64, count=len(holders))] = True
        self._bitmaps[code] = bitmap
        return bitmap

    def how_many(self, atoms: Iterable[Atom], at: At) -> IntArray:
        """How many of these different members each list has."""
        total = np.zeros(len(self.counts[at]), dtype=np.int64)
        for atom in atoms:
            bitmap = self.has(atom)
            if bitmap is not None:
                total += bitmap[at]
        return total

    def _replace(self, position: int, members: set[int]) -> None:
        before = set(self._members[position])
        for code in before - members:
            self._holders[code].discard(position)
            self._mark(code, position, False)
        for code in members - before:
            self._holders.setdefault(code, set()).add(position)
            self._mark(code, position, True)
        self._members[position] = tuple(members)

    def _mark(self, code: int, position: int, holds: bool) -> None:
        bitmap = self._bitmaps.get(code)
        if bitmap is not None:
            bitmap[position] = holds


class ValueColumn:
    """Values as they are, for comparisons of one executor's fields with each other."""

    def __init__(self) -> None:
        self.values: list[Value] = []

    def put(self, positions: IntArray, values: Sequence[Value], size: int) -> None:
        """Write values."""
        self.values += [None] * (size - len(self.values))
        for position, value in zip(positions.tolist(), values, strict=True):
            self.values[position] = value


class Columns:
    """All columns that the rules ask for."""

    def __init__(self) -> None:
        self.codes = Codes()
        self.size = 0
        self._order: dict[str, OrderColumn] = {}
        self._code: dict[str, CodeColumn] = {}
        self._list: dict[str, ListColumn] = {}
        self._value: dict[str, ValueColumn] = {}
        self._fields: dict[str, Field] = {}

    def order(self, field: Field) -> OrderColumn:
        """The column of a field for comparisons by order, and of numbers."""
        self._fields[field.path] = field
        return self._order.setdefault(field.path, OrderColumn(field))

    def code(self, field: Field) -> CodeColumn:
        """The column of a field for comparisons by equality."""
        self._fields[field.path] = field
        return self._code.setdefault(field.path, CodeColumn(self.codes))

    def list(self, field: Field) -> ListColumn:
        """The column of a list."""
        self._fields[field.path] = field
        return self._list.setdefault(field.path, ListColumn(self.codes))

    def value(self, field: Field) -> ValueColumn:
        """The column of a field as it is."""
        self._fields[field.path] = field
        return self._value.setdefault(field.path, ValueColumn())

    def put(self, positions: IntArray, executors: Sequence[Executor]) -> dict[str, Sequence[Value]]:
        """Write executors at positions into every column, and return the values written by path."""
        self.size = max(self.size, int(positions.max(initial=-1)) + 1)
        written: dict[str, Sequence[Value]] = {}
        for path, field in self._fields.items():
            values = written[path] = [field.of(executor) for executor in executors]
            for columns in (self._order, self._code, self._list, self._value):
                column: Column | None = columns.get(path)
                if column is not None:
                    column.put(positions, values, self.size)
        return written


Numbers = TypeVar("Numbers", bound=np.generic)


def _grown(column: NDArray[Numbers], size: int) -> NDArray[Numbers]:
    """The same column with room for `size`; never in place, since arrays that were handed out stay as they are."""
    if len(column) == size:
        return column
    return np.concatenate((column, np.zeros(size - len(column), dtype=column.dtype)))


def _atom(value: Value) -> Atom:
    """A value of a field without lists."""
    return cast("Atom", value)
