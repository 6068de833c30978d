"""Why a message is not delivered: what we found in the reader's language, the rest plainly as the receiver's words."""

import re
from collections.abc import Sequence

from streamlit_app.client import Json
from streamlit_app.formatting import moment
from streamlit_app.words import t, word

_OURS = (
    ("deadline", r"no answer in time|(?:Read|Write|Pool)Timeout|timed out"),
    ("connect_deadline", r"ConnectTimeout"),
    ("connection", r"All connection attempts failed|ConnectError|\[Errno \d+\].*(?:refused|unreachable|failed).*"),
    ("name", r"\[Errno -\d+\].*|.*(?:Name or service not known|getaddrinfo failed).*"),
    ("certificate", r"\[SSL.*|.*CERTIFICATE_VERIFY_FAILED.*"),
    ("broken", r"Server disconnected.*|peer closed connection.*|\w+ProtocolError|(?:Read|Write)Error|\[Errno 104\].*"),
    ("not_agreed", r"the answer is not as agreed.*|Expecting .*\(char \d+\)|Extra data: .*\(char \d+\)"),
    ("silent", r"the receiver said nothing of it"),
    ("webhook_gone", r"the webhook was deleted"),
    ("drift_missing", r"drift: the external system does not show the task"),
)  # fmt: skip
"""Error texts of app/services/delivery and app/integrations/ais.py, matched as a whole."""
_DRIFT = re.compile(r"drift: it shows (message|executor|status) (\S+) instead of (\S+)")
_HTTPX = re.compile(r"\w+ (?:error|response) '(\d{3})[^']*' for url .*", re.DOTALL)
_STATUS = re.compile(r"([1-5]\d\d)(?: (.*))?", re.DOTALL)
_MEANING = {
    401: "credentials",
    403: "credentials",
    404: "address",
    410: "address",
    408: "later",
    425: "later",
    429: "later",
}
_CLASS = {"3": "elsewhere", "4": "message", "5": "failing"}


def why(text: str | None) -> str:
    """Words for `last_error` of a delivery."""
    text = (text or "").strip()
    if not text:
        return ""
    if found := _HTTPX.fullmatch(text):
        return _status(int(found[1]), "")
    if found := _STATUS.fullmatch(text):
        return _status(int(found[1]), found[2] or "")
    if found := _DRIFT.fullmatch(text):
        shown, told = (_value(found[1], each) for each in (found[2], found[3]))
        return t(f"system.why.drift_{found[1]}", shown=shown, told=told)
    for name, pattern in _OURS:
        if re.fullmatch(pattern, text, re.DOTALL):
            return t(f"system.why.{name}")
    return _quoted(text)


def paused(silent: Sequence[Json]) -> str | None:
    """Sentence about receivers that are left alone for a while, with times in the team's zone; else None."""
    told = [
        t(
            "system.paused" if each["receiver"] == "ais" else "system.paused_webhooks",
            since=moment(each["since"]),
            count=each["count"],
        )
        for each in silent
    ]
    return " ".join([*told, t("system.paused_more")]) if told else None


def _status(code: int, said: str) -> str:
    meaning = _MEANING.get(code) or _CLASS.get(str(code)[0], "message")
    told = t("system.why.status", code=code, meaning=t(f"system.why.status_{meaning}"))
    return f"{told} {_quoted(said.strip())}" if said.strip() else told


def _value(what: str, value: str) -> str:
    if value == "None":
        return "—"
    return word("common.status", value) if what == "status" else value


def _quoted(text: str) -> str:
    return t("system.why.said", text=" ".join(text.split()))
