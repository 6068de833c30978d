"""Places of wrong values by the names that pages give them."""

import pytest

from streamlit_app.words.places import place_in_russian


@pytest.mark.parametrize(
    ("field", "russian"),
    [
        ("line 3, daily_limit", "строка 3, дневной предел"),
        ("executors[0].parameters.grade", "исполнители[0] · параметры · grade"),
        ("body", "запрос"),
    ],
)
def test_a_place_is_named_as_pages_name_it(field: str, russian: str) -> None:
    assert place_in_russian(field) == russian
