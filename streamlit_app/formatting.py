"""Numbers, times and durations as people of a language write them, in the pool's time zone."""

from datetime import date, datetime, timedelta

from streamlit_app.session import language, zone

_THIN = "\u202f"  # between thousands in Russian; it does not break over lines
_MISSING = "—"


def number(value: float | None, digits: int = 0) -> str:
    """`1 234,5` in Russian, `1,234.5` in English; a dash for nothing."""
    if value is None:
        return _MISSING
    text = f"{value:,.{digits}f}"
    if text.startswith("-") and not any(digit in text for digit in "123456789"):
        text = text[1:]  # no minus zero
    if language() == "ru":
        text = text.replace(",", _THIN).replace(".", ",")
    return text.replace("-", "−")


def plain(value: float | None, digits: int = 2) -> str:
    """A number with as many digits as it needs, `digits` at most."""
    if value is None:
        return _MISSING
    rounded = round(value, digits)
    needed = len(f"{rounded:.{digits}f}".rstrip("0").rpartition(".")[2]) if rounded % 1 else 0
    return number(rounded, needed)


def signed(value: float | None, digits: int = 1) -> str:
    """With its sign, zero without."""
    if value is None:
        return _MISSING
    rounded = round(value, digits)
    return f"+{number(rounded, digits)}" if rounded > 0 else number(rounded, digits)


def percent(value: float | None, digits: int = 1) -> str:
    """0.123 is `12,3 %` in Russian and `12.3%` in English."""
    if value is None:
        return _MISSING
    return number(value * 100, digits) + ("\u00a0%" if language() == "ru" else "%")


def signed_percent(value: float) -> str:
    """A change: +12 %, −3 %, 0 %."""
    return ("+" if round(value * 100) > 0 else "") + percent(value, 0)


def seconds(value: float | None) -> str:
    """A duration with the unit that fits: milliseconds to days."""
    if value is None:
        return _MISSING
    russian = language() == "ru"
    if value < 1:
        return f"{number(value * 1000)}\u00a0{'мс' if russian else 'ms'}"
    for limit, size, digits, unit_ru, unit_en in (
        (60, 1, 1, "с", "s"),
        (5400, 60, 0, "мин", "min"),
        (172800, 3600, 1, "ч", "h"),
    ):
        if value < limit:
            return f"{number(value / size, digits)}\u00a0{unit_ru if russian else unit_en}"
    return f"{number(value / 86400, 1)}\u00a0{'дн.' if russian else 'days'}"


def instant(text: str | datetime | None) -> datetime | None:
    """An instant of the API in the pool's zone."""
    if text is None:
        return None
    return (datetime.fromisoformat(text) if isinstance(text, str) else text).astimezone(zone())


def moment(text: str | datetime | None, *, with_seconds: bool = False) -> str:
    """Date and time in the pool's zone; today's is a time alone."""
    at = instant(text)
    if at is None:
        return _MISSING
    clock = at.strftime("%H:%M:%S" if with_seconds else "%H:%M")
    if at.date() == datetime.now(zone()).date():
        return clock
    return f"{day(at.date())} {clock}"


def day(value: date | str | None) -> str:
    """`24.11.2026` in Russian, `24 Nov 2026` in English."""
    if value is None:
        return _MISSING
    value = date.fromisoformat(value) if isinstance(value, str) else value
    return value.strftime("%d.%m.%Y") if language() == "ru" else f"{value.day} {value:%b %Y}"


def ago(text: str | None) -> str:
    """How long it has been."""
    at = instant(text)
    return _MISSING if at is None else seconds(max(0.0, (datetime.now(zone()) - at) / timedelta(seconds=1)))
