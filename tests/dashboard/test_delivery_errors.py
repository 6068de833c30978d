"""Why a message is not delivered, in the reader's language; the receiver's own words are plainly its own."""

from collections.abc import Iterator

import pytest
import streamlit as st

from streamlit_app.parts import delivery_errors

HTTPX = (
    "{} '{}' for url 'http://ais.example/ais/assignments'\nFor more information check: https://example.org/{}"
)


@pytest.fixture(params=["ru", "en"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    st.session_state.language = request.param
    yield request.param
    del st.session_state.language


@pytest.mark.parametrize(
    ("text", "russian", "english"),
    [
        ("", "", ""),
        ("no answer in time", "Получатель не ответил вовремя.", "The receiver did not answer in time."),
        ("ReadTimeout", "Получатель не ответил вовремя.", "The receiver did not answer in time."),
        ("ConnectTimeout", "не отозвался вовремя", "did not respond in time"),
        ("All connection attempts failed", "не запущен", "is not running"),
        ("[Errno 111] Connection refused", "не запущен", "is not running"),
        ("[Errno -2] Name or service not known", "Такого сервера нет", "no such server"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", "нельзя доверять", "cannot be trusted"),
        ("Server disconnected without sending a response.", "оборвалось", "broke"),
        ("the answer is not as agreed: KeyError('results')", "не по договорённости", "agreed format"),
        ("Expecting value: line 1 column 1 (char 0)", "не по договорённости", "agreed format"),
        ("the receiver said nothing of it", "ничего не сказал", "said nothing about this"),
        ("the webhook was deleted", "Веб-хук удалён.", "The webhook was deleted."),
        (HTTPX.format("Server error", "503 Service Unavailable", 503), "Ответ 503: у получателя сбой.",
         "Answer 503: the receiver is failing."),
        (HTTPX.format("Redirect response", "301 Moved Permanently", 301), "Ответ 301: получатель отсылает",
         "Answer 301: the receiver redirects"),
        ("429 ", "Ответ 429: получатель просит подождать.", "Answer 429: the receiver asks to wait."),
        ("401 who are you?", "Ответ 401: получатель не пускает. Слова получателя: «who are you?»",
         "Answer 401: the receiver denies access. The receiver says: “who are you?”"),
        ("drift: it shows executor 7 instead of 12", "исполнителя 7 вместо 12", "executor 7 instead of 12"),
        ("drift: it shows status completed instead of in_progress", "«выполнена» вместо «в работе»",
         "“completed” instead of “in progress”"),
        ("drift: the external system does not show the task", "не показывает заявку", "does not show the task"),
        ("no such employee in branch 7", "Слова получателя: «no such employee in branch 7»",
         "The receiver says: “no such employee in branch 7”"),
        ("the job timed out\nat noon", "«the job timed out at noon»", "“the job timed out at noon”"),
    ],
)  # fmt: skip
def test_why_a_message_is_not_delivered(language: str, text: str, russian: str, english: str) -> None:
    told = delivery_errors.why(text)
    wanted = russian if language == "ru" else english
    assert wanted in told and (wanted or not told)


def test_since_when_receivers_are_left_alone_is_told_in_the_teams_zone(language: str) -> None:
    st.session_state.pools = [{"code": "far", "timezone": "Asia/Kamchatka"}]
    st.session_state.pool_code = "far"
    silent = [
        {"receiver": "ais", "count": 1, "since": "2026-01-31T21:30:00Z"},
        {"receiver": "webhook", "count": 2, "since": "2026-01-31T22:00:00Z"},
    ]
    told = delivery_errors.paused(silent)
    assert told is not None
    assert "09:30" in told and "10:00" in told and "UTC" not in told
    assert ("приостановлена" if language == "ru" else "paused") in told
    assert delivery_errors.paused([]) is None
