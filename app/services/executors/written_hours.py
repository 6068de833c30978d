"""Working hours and availability as tables write them: `Mon-Fri 9:00-18:00; Sat 10:00-14:00`, `пн-пт 9-18`."""

import json
import re
from typing import Any

from app.messages.message import WrongInput, say

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = {
    name: day
    for day, names in zip(
        _DAYS,
        (
            "mon monday пн понедельник", "tue tuesday вт вторник", "wed wednesday ср среда", "thu thursday чт четверг",
            "fri friday пт пятница", "sat saturday сб суббота", "sun sunday вс воскресенье",
        ),
        strict=True,
    )
    for name in names.split()
}  # fmt: skip
_EVERY = frozenset({"daily", "ежедневно"})
_PART = re.compile(r"(?P<days>[^\d]*?)\s*(?P<spans>\d[\d:.,\s-]*)")
_SPAN = re.compile(r"(?P<a>\d{1,2})(?:[:.](?P<am>\d{2}))?-(?P<b>\d{1,2})(?:[:.](?P<bm>\d{2}))?")
_AVAILABILITY = {
    "available": "available", "доступен": "available", "доступна": "available", "на месте": "available",
    "break": "break", "перерыв": "break", "на перерыве": "break",
    "offline": "offline", "не в сети": "offline", "недоступен": "offline", "недоступна": "offline",
}  # fmt: skip


def availability_of(cell: object) -> str:
    """Whether a person is here. Raises ValueError, listing the words."""
    word = str(cell).strip().casefold()
    if word not in _AVAILABILITY:
        raise WrongInput(
            say("'{word}' is no availability", word=word[:50]), say("write available, break or offline")
        )
    return _AVAILABILITY[word]


def hours_of(cell: object) -> dict[str, Any]:
    """Working hours of a cell in the form of the API. Raises ValueError; the calendar checks the hours themselves."""
    text = str(cell).strip()
    if text.startswith("{"):
        try:
            document: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise WrongInput(say("no JSON: {error}", error=error), say("write Mon-Fri 09:00-18:00")) from None
        return document
    days: dict[str, list[list[str]]] = {}
    for part in filter(None, (each.strip() for each in re.split(r"[;\n]", re.sub("[–—−]", "-", text)))):
        found = _PART.fullmatch(part)
        if found is None:
            raise WrongInput(
                say("'{part}' is no working time", part=part[:50]), say("write Mon-Fri 09:00-18:00")
            )
        spans = [_span(each.strip()) for each in re.sub(r"\s*-\s*", "-", found["spans"]).split(",")]
        for day in _days(found["days"].strip(" :,")):
            if day in days:
                raise WrongInput(say("'{day}' stands twice", day=day), say("write each day once"))
            days[day] = spans
    return {"days": days}


def _span(text: str) -> list[str]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise WrongInput(say("'{text}' is no span of time", text=text[:50]), say("write 09:00-18:00"))
    return [f"{int(found['a']):02}:{found['am'] or '00'}", f"{int(found['b']):02}:{found['bm'] or '00'}"]


def _days(text: str) -> list[str]:
    if not text or text.casefold() in _EVERY:
        return list(_DAYS)
    days: list[str] = []
    for part in re.split(r"[,\s]+(?!-)", re.sub(r"\s*-\s*", "-", text.casefold())):
        first, separator, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if separator else begin
        if end < begin:
            raise WrongInput(
                say("'{part}' ends before it begins", part=part[:50]), say("write the days from Monday on")
            )
        days += _DAYS[begin : end + 1]
    return days


def _day(name: str) -> int:
    day = _NAMES.get(name.strip("."))
    if day is None:
        raise WrongInput(say("'{name}' is no day of the week", name=name[:50]), say("write Mon-Fri or пн-пт"))
    return _DAYS.index(day)
