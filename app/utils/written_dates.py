"""Instants as files write them. A column has one format of a listed set; where two fit, it is refused, never guessed.

Whether 03/04 is the third of April or the fourth of March is decided by all cells of the column together. Where even
they leave it open, the answer lists the formats, of which the reader of the file names one.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

from app.messages.message import WrongInput, either, say

Reader = Callable[[str], datetime | None]

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january янв января", "feb february фев февраля", "mar march мар марта", "apr april апр апреля",
            "may мая май", "jun june июн июня", "jul july июл июля", "aug august авг августа",
            "sep sept september сен сент сентября", "oct october окт октября", "nov november ноя нояб ноября",
            "dec december дек декабря",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_TIME = (
    r"(?:[T ,]+(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?(?:\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2}))?)?"
)
_WORD = r"(?P<month>[A-Za-zА-Яа-я]{3,9})\.?"
_DATES = {
    "dd.mm.yyyy": r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})",
    "dd/mm/yyyy": r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})",
    "mm/dd/yyyy": r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})",
    "dd-mm-yyyy": r"(?P<d>\d{1,2})-(?P<m>\d{1,2})-(?P<y>\d{4})",
    "mm-dd-yyyy": r"(?P<m>\d{1,2})-(?P<d>\d{1,2})-(?P<y>\d{4})",
    "yyyy/mm/dd": r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})",
    "yyyy.mm.dd": r"(?P<y>\d{4})\.(?P<m>\d{1,2})\.(?P<d>\d{1,2})",
    "dd.mm.yy": r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{2})",
    "dd/mm/yy": r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{2})",
    "mm/dd/yy": r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{2})",
    "dd month yyyy": rf"(?:[A-Za-z]{{3}},?\s+)?(?P<d>\d{{1,2}})[ /-]{_WORD}[ /-](?P<y>\d{{4}}|\d{{2}})",
    "month dd, yyyy": rf"(?:[A-Za-z]{{3}},?\s+)?{_WORD}[ -](?P<d>\d{{1,2}}),?[ -](?P<y>\d{{4}})",
}
_PATTERNS = {name: re.compile(date + _TIME) for name, date in _DATES.items()}
_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?", re.ASCII)
_CTIME = re.compile(
    rf"[A-Za-z]{{3}} {_WORD} +(?P<d>\d{{1,2}}) (?P<h>\d{{2}}):(?P<min>\d{{2}}):(?P<s>\d{{2}})"
    r"(?: UTC| GMT)? (?P<y>\d{4})"
)
_SECONDS = re.compile(r"\d{9,10}(?:\.\d+)?", re.ASCII)
_MILLISECONDS = re.compile(r"\d{12,13}(?:\.\d+)?", re.ASCII)
_LATEST = 4_102_444_800  # 2100-01-01: beyond it digits are more likely something else


class DateFormatError(WrongInput):
    """The format of a column cannot be told, or is none of the list; the message says what to do."""


def _iso(text: str, zone: ZoneInfo) -> datetime | None:
    text = re.sub(r"\s*(UTC|GMT)$", "Z", text).replace(",", ".")
    text = re.sub(r"\s+([+-]\d{2}:?\d{2})$", r"\1", text)
    if text.isdigit() and len(text) != 8:
        return None
    try:
        return _in_zone(datetime.fromisoformat(text), zone)
    except ValueError:
        return None


def _digits(text: str, zone: ZoneInfo) -> datetime | None:
    found = _DIGITS.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        written = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the zone follows
        return _in_zone(written, zone)
    except ValueError:
        return None


def _since(pattern: re.Pattern[str], divisor: int) -> Callable[[str, ZoneInfo], datetime | None]:
    def read(text: str, _: ZoneInfo) -> datetime | None:
        seconds = float(text) / divisor if pattern.fullmatch(text) else math.inf
        return datetime.fromtimestamp(seconds, UTC) if 10**8 <= seconds < _LATEST else None

    return read


def _rfc2822(text: str, zone: ZoneInfo) -> datetime | None:
    if "," not in text or ":" not in text:
        return None
    try:
        return _in_zone(parsedate_to_datetime(text), zone)
    except ValueError:
        return None


def _written(pattern: re.Pattern[str]) -> Callable[[str, ZoneInfo], datetime | None]:
    def read(text: str, zone: ZoneInfo) -> datetime | None:
        found = pattern.fullmatch(text)
        return None if found is None else _instant({k: v for k, v in found.groupdict().items() if v}, zone)

    return read


def _instant(part: dict[str, str], zone: ZoneInfo) -> datetime | None:
    month = int(part["m"]) if "m" in part else _MONTHS.get(part["month"].casefold(), 0)
    year = int(part["y"])
    if len(part["y"]) == 2:
        year += 1900 if year > 68 else 2000
    hour = int(part.get("h", 0))
    if "half" in part:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if part["half"] in "Pp" else 0)
    microsecond = int(part.get("f", "0").ljust(6, "0")[:6])
    try:
        instant = datetime(  # noqa: DTZ001 - the zone follows
            year, month, int(part["d"]), hour, int(part.get("min", 0)), int(part.get("s", 0)), microsecond
        )
        return _in_zone(instant.replace(tzinfo=_offset(part.get("zone"))), zone)
    except ValueError:
        return None


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in ("Z", "UTC", "GMT"):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _in_zone(instant: datetime, zone: ZoneInfo) -> datetime | None:
    """In `zone` where nothing else is said; None for instants whose neighbours cannot be computed with."""
    if not 1900 <= instant.year <= 2200:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)


_READERS: dict[str, Callable[[str, ZoneInfo], datetime | None]] = {
    "iso": _iso,
    **{name: _written(pattern) for name, pattern in _PATTERNS.items()},
    "rfc2822": _rfc2822,
    "ctime": _written(_CTIME),
    "yyyymmddhhmmss": _digits,
    "seconds": _since(_SECONDS, 1),
    "milliseconds": _since(_MILLISECONDS, 1000),
}
_SAMPLE = 2_000
FORMATS = tuple(_READERS)
"""`yyyy` and the like are digits, `month` is a name or its first letters in English or Russian; a time may follow.
`iso` is ISO 8601; `seconds` and `milliseconds` are counted from 1970."""


def date_format(texts: Iterable[str], zone: ZoneInfo) -> str:
    """The one format that reads most of a column's texts, and all that any other reads. Raises DateFormatError."""
    sample = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    fitting = _fitting(sample[:: max(1, len(sample) // _SAMPLE)], zone)
    if len(fitting) == 1:
        return fitting[0]
    counts = {name: sum(_READERS[name](text, zone) is not None for text in sample) for name in fitting}
    most = max(counts.values(), default=0)
    if not most:
        shown = ", ".join(repr(text[:40]) for text in sample[:3])
        raise DateFormatError(
            say("no listed format reads {shown}", shown=shown), say("formats are {formats}", formats=FORMATS)
        )
    best = [name for name, count in counts.items() if count == most]
    first = _READERS[best[0]]
    others = [
        name for name in best[1:] if any(_READERS[name](text, zone) != first(text, zone) for text in sample)
    ]
    if others:
        text = next(text for text in sample if _READERS[others[0]](text, zone) != first(text, zone))
        raise DateFormatError(
            say("'{text}' can be read as {formats}", text=text, formats=either([best[0], *others])),
            say("name the format"),
        )
    return best[0]


def _fitting(sample: Sequence[str], zone: ZoneInfo) -> list[str]:
    """The formats that read any of these: only they are tried on all of a long column."""
    return [name for name, read in _READERS.items() if any(read(text, zone) is not None for text in sample)]


def reader_for(name: str, zone: ZoneInfo) -> Reader:
    """Reads texts in one format; None for what is not in it. Raises DateFormatError for a name that is not listed."""
    if name not in _READERS:
        raise DateFormatError(
            say("'{format}' is no listed format", format=name[:50]),
            say("formats are {formats}", formats=FORMATS),
        )
    read = _READERS[name]
    return lambda text: read(text.strip(), zone)


def column_reader(texts: Sequence[str], zone: ZoneInfo, name: str = "") -> tuple[Reader, str]:
    """How to read a column, and the name of its format: the one given, or the one that fits. Raises DateFormatError."""
    chosen = name or date_format(texts, zone)
    return reader_for(chosen, zone), chosen
