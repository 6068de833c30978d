"""One comparison over all executors at once.

The executor's field is always on the left here: where a document has it on the right, the operator is turned round
(`task.sum lte executor.max` asks whether `executor.max gte task.sum`). On the right stands a value: a literal, or what
the task of an eligibility class has.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np

from app.engine.types import BoolArray
from app.rule_engine.columns import At, CodeColumn, Columns, ListColumn, OrderColumn, ValueColumn
from app.rule_engine.language import Comparison, Field, compare
from app.rule_engine.values import TRUE, Atom, Value

Answer: TypeAlias = bool | BoolArray
"""For everybody the same, or one for each position asked for."""

Leaf: TypeAlias = Callable[[Value, At], Answer]
"""Whether the executors at these positions pass, given the value of the other side."""

_TURNED = {
    "eq": "eq", "ne": "ne", "gt": "lt", "gte": "lte", "lt": "gt", "lte": "gte", "in": "contains", "not_in": "lacks",
    "contains": "in", "contains_any": "contains_any", "contains_all": "subset", "starts_with": "prefixes",
}  # fmt: skip


def make_leaf(comparison: Comparison, columns: Columns) -> Leaf:
    """A comparison of an executor's field with a literal or with a field of the task."""
    field, operator = comparison.field, comparison.operator
    if field.owner == "task":
        text = field.is_text and operator == "contains"
        field = cast("Field", comparison.value)
        operator = "part_of" if text else _TURNED[operator]
    elif operator == "contains" and field.is_text:
        operator = "has_part"
    if operator == "is_null":
        return _null(field, columns)
    if field.is_list:
        return _of_list(operator, columns.list(field), comparison.on_missing)
    alike = len({each.kinds for each in comparison.fields}) == 1
    if field.is_ordered and alike and operator in _ORDERED:
        return _of_order(operator, columns.order(field), comparison.on_missing)
    return _of_code(operator, columns.code(field), columns, comparison.on_missing)


def make_own_leaf(comparison: Comparison, columns: Columns) -> Callable[[At], BoolArray]:
    """A comparison of two fields of the same executor."""
    left, right = columns.value(comparison.field), columns.value(cast("Field", comparison.value))
    operator, on_missing = comparison.operator, comparison.on_missing

    def ask(at: At) -> BoolArray:
        pairs = zip(_pick(left, at), _pick(right, at), strict=True)
        return np.array([compare(operator, one, other, on_missing) for one, other in pairs], dtype=np.bool_)

    return ask


def _pick(column: ValueColumn, at: At) -> list[Value]:
    return column.values if isinstance(at, slice) else [column.values[position] for position in at.tolist()]


def _null(field: Field, columns: Columns) -> Leaf:
    column = _any_column(field, columns)
    return lambda value, at: column.missing[at] == (value == TRUE)


def _any_column(field: Field, columns: Columns) -> ListColumn | OrderColumn | CodeColumn:
    if field.is_list:
        return columns.list(field)
    return columns.order(field) if field.is_ordered else columns.code(field)


_ORDERED: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
    "between": lambda data, ends: (data >= ends[0]) & (data <= ends[1]),
}


def _of_order(operator: str, column: OrderColumn, on_missing: bool) -> Leaf:
    asks = _ORDERED[operator]

    def ask(value: Value, at: At) -> Answer:
        if value is None:
            return on_missing
        return _with_missing(asks(column.data[at], value), column.missing[at], on_missing)

    return ask


def _of_list(operator: str, column: ListColumn, on_missing: bool) -> Leaf:
    asks = _LISTS[operator]

    def ask(value: Value, at: At) -> Answer:
        if value is None:
            return on_missing
        return _with_missing(asks(column, value, at), column.missing[at], on_missing)

    return ask


def _contains(column: ListColumn, value: Any, at: At) -> Answer:
    bitmap = column.has(value)
    return False if bitmap is None else bitmap[at]


def _lacks(column: ListColumn, value: Any, at: At) -> Answer:
    bitmap = column.has(value)
    return True if bitmap is None else ~bitmap[at]


_LISTS: Mapping[str, Callable[[ListColumn, Any, At], Answer]] = {
    "contains": _contains,
    "lacks": _lacks,
    "contains_any": lambda column, value, at: column.how_many(value, at) > 0,
    "contains_all": lambda column, value, at: column.how_many(value, at) == len(value),
    "subset": lambda column, value, at: column.how_many(value, at) == column.counts[at],
}


def _of_code(operator: str, column: CodeColumn, columns: Columns, on_missing: bool) -> Leaf:
    def code_of(atom: Atom) -> int:
        code = columns.codes.get(atom)
        return -2 if code is None else code  # nobody's

    def among(values: tuple[Atom, ...], at: At) -> BoolArray:
        table = np.zeros(len(columns.codes) + 1, dtype=np.bool_)  # the last place is that of ABSENT
        table[[code for code in map(code_of, values) if code >= 0]] = True
        return table[column.data[at]]

    asks: Mapping[str, Callable[[Any, At], Answer]] = {
        "eq": lambda value, at: column.data[at] == code_of(value),
        "ne": lambda value, at: column.data[at] != code_of(value),
        "in": among,
        "not_in": lambda value, at: ~among(value, at),
        "has_part": lambda value, at: column.where_text(lambda text: value in text, at),
        "part_of": lambda value, at: column.where_text(lambda text: text in value, at),
        "starts_with": lambda value, at: column.where_text(lambda text: text.startswith(value), at),
        "prefixes": lambda value, at: column.where_text(value.startswith, at),
    }
    chosen = asks[operator]

    def ask(value: Value, at: At) -> Answer:
        if value is None:
            return on_missing
        return _with_missing(chosen(value, at), column.missing[at], on_missing)

    return ask


def _with_missing(answer: Answer, missing: BoolArray, on_missing: bool) -> Answer:
    if answer is False and not on_missing:
        return False
    return answer | missing if on_missing else answer & ~missing
