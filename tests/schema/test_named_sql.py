"""Parameters of SQL by name: numbered in the order in which they come, and none is forgotten."""

import pytest

from app.utils.named_sql import Statement

ONE = Statement("SELECT :first::text, :second, :first, '12:30'::time, a[1:2] FROM t WHERE at > :second_at")


def test_names_become_numbers_in_the_order_in_which_they_come_first() -> None:
    assert ONE.sql == "SELECT $1::text, $2, $1, '12:30'::time, a[1:2] FROM t WHERE at > $3"
    assert ONE(second_at=3, second=2, first=1) == [ONE.sql, 1, 2, 3]


@pytest.mark.parametrize(
    "given", [{"first": 1, "second": 2}, {"first": 1, "second": 2, "second_at": 3, "third": 4}]
)
def test_a_missing_or_unknown_parameter_is_named(given: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"second_at|third"):
        ONE(**given)


def test_a_part_is_replaced_by_the_names_it_was_written_with() -> None:
    assert (
        ONE.replace(":first::text, ", "").sql == "SELECT $1, $2, '12:30'::time, a[1:2] FROM t WHERE at > $3"
    )
    with pytest.raises(ValueError, match="no ':third'"):
        ONE.replace(":third", "1")
