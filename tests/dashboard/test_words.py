"""Every text of the dashboard is there in both languages, says the same, and is used."""

import re
from pathlib import Path

import pytest
import streamlit as st

from app.engine.types import WaitReason
from streamlit_app import formatting, words
from streamlit_app.words import TABLE

SOURCES = sorted((Path(__file__).parents[2] / "streamlit_app").rglob("*.py"))
CALL = re.compile(r"\b(?:t|word)\(\s*f?[\"']([a-z_.]+?)[\"'{]")


@pytest.fixture(params=["ru", "en"])
def language(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(formatting, "language", lambda: request.param)
    monkeypatch.setattr(words, "language", lambda: request.param)
    return request.param


@pytest.mark.parametrize("key", sorted(TABLE))
def test_both_languages_fill_in_the_same_values(key: str) -> None:
    russian, english = TABLE[key]
    assert russian.strip() and english.strip()
    places = [set(re.findall(r"{(\w+)}", text)) for text in (russian, english)]
    assert places[0] == places[1]
    assert russian.count("|") in {0, 2}, "Russian has three forms"
    assert english.count("|") in {0, 1}, "English has two forms"


@pytest.mark.parametrize("reason", WaitReason)
def test_every_reason_to_wait_is_said_in_words(reason: WaitReason) -> None:
    assert f"common.wait.{reason}" in TABLE


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_text_that_is_asked_for_exists(source: Path) -> None:
    asked = CALL.findall(source.read_text())
    known = [key for key in asked if key in TABLE or any(each.startswith(key) for each in TABLE)]
    assert sorted(set(asked) - set(known)) == []


@pytest.mark.parametrize(
    ("count", "russian", "english"),
    [(0, "0 заявок", "0 tasks"), (1, "1 заявка", "1 task"), (3, "3 заявки", "3 tasks"), (5, "5 заявок", "5 tasks"),
     (11, "11 заявок", "11 tasks"), (21, "21 заявка", "21 tasks"), (1234, "1\u202f234 заявки", "1,234 tasks")],
)  # fmt: skip
def test_counts_take_their_form(language: str, count: int, russian: str, english: str) -> None:
    assert words.t("common.tasks_n", n=count) == (russian if language == "ru" else english)


@pytest.mark.parametrize(
    ("value", "russian", "english"),
    [(0.0123, "12 мс", "12 ms"), (2.5, "2,5 с", "2.5 s"), (300, "5 мин", "5 min"), (7200, "2,0 ч", "2.0 h")],
)
def test_durations_take_the_unit_that_fits(language: str, value: float, russian: str, english: str) -> None:
    assert formatting.seconds(value) == (russian if language == "ru" else english).replace(" ", "\u00a0")


def test_numbers_are_written_as_the_language_writes_them(language: str) -> None:
    if language == "ru":
        assert formatting.number(-1234.5, 1) == "−1\u202f234,5"
        assert formatting.percent(0.123) == "12,3\u00a0%"
    else:
        assert formatting.number(-1234.5, 1) == "−1,234.5"
        assert formatting.percent(0.123) == "12.3%"
    assert formatting.signed(-0.01) == formatting.number(0, 1), "no minus zero"


def test_times_are_those_of_the_pool(language: str) -> None:
    st.session_state.pools = [{"code": "far", "timezone": "Asia/Kamchatka"}]
    st.session_state.pool_code = "far"
    shown = formatting.moment("2026-01-31T21:30:00Z")
    assert shown == ("01.02.2026 09:30" if language == "ru" else "1 Feb 2026 09:30")
