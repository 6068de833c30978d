"""Where people are missing: how stretched those would be who can take a value, however the work is split."""

import math

import pytest

from streamlit_app.views.analytics.analytics_rules import stretched


def test_nobody_is_missing_where_everybody_can_take_what_most_ask_for() -> None:
    loads = stretched(
        {"ru": 0.88, "en": 0.09, "kk": 0.03}, [{"ru"}] * 8 + [{"ru", "en"}] * 5 + [{"ru", "kk"}]
    )
    assert loads == pytest.approx({"ru": 1.0, "en": 1.0, "kk": 1.0}, abs=0.01)


def test_few_who_can_take_much_are_stretched_also_where_they_could_help_others() -> None:
    loads = stretched({"network": 0.5, "access": 0.5}, [{"network", "access"}, *[{"access"}] * 3])
    assert loads == pytest.approx({"network": 2.0, "access": 2 / 3}, abs=0.05)


def test_what_nobody_can_take_is_missing_altogether() -> None:
    loads = stretched({"network": 0.9, "legal": 0.1}, [{"network"}, {"access"}, set()])
    assert loads["legal"] == math.inf and loads["network"] == pytest.approx(2.7)
