"""Instants as logs write them: ISO 8601, the usual local forms, seconds or milliseconds since 1970.

Whether 03/04 is the third of April or the fourth of March is decided by the whole column, not line by line.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_DAY_FIRST = (
    "%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%d/%m/%Y %H:%M:%S.%f", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y",
    "%d-%m-%Y %H:%M:%S.%f", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y",
)  # fmt: skip
_MONTH_FIRST = (
    "%m/%d/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y",
    "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
)  # fmt: skip
_YEAR_FIRST = (
    "%Y/%m/%d %H:%M:%S.%f",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y%m%d%H%M%S",
    "%d-%b-%Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%b %d, %Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
)
_SECONDS = range(10**8, 10**11)
_SAMPLE = 5_000

Reader = Callable[[str], datetime | None]


def reader_for(texts: Sequence[str], zone: ZoneInfo) -> tuple[Reader, str | None]:
    """How to read this column, and a note where it can be read in two ways. Without an offset, the time is `zone`'s."""
    sample = [text for text in texts[:_SAMPLE] if text]
    families = {"iso": (), "day first": _DAY_FIRST, "month first": _MONTH_FIRST, "year first": _YEAR_FIRST}
    readers: dict[str, Reader] = {
        name: _Forms(forms, zone).read if forms else _Iso(zone).read for name, forms in families.items()
    }
    scores = {name: sum(read(text) is not None for text in sample) for name, read in readers.items()}
    best = max(scores, key=lambda name: scores[name])
    ambiguous = best == "day first" and 0 < scores["day first"] == scores["month first"]
    note = "dates can be read day first or month first: read day first" if ambiguous else None
    return readers[best], note


class _Iso:
    """ISO 8601 in all its dress, or a number of seconds or milliseconds."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def read(self, text: str) -> datetime | None:
        text = text.strip().removesuffix(" UTC").replace(",", ".")
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            return _counted(text)
        return _plausible(instant if instant.tzinfo else instant.replace(tzinfo=self._zone))


class _Forms:
    """A family of written forms; the one that fitted last is tried first."""

    def __init__(self, forms: Sequence[str], zone: ZoneInfo) -> None:
        self._forms = list(forms)
        self._zone = zone

    def read(self, text: str) -> datetime | None:
        for form in self._forms:
            try:
                instant = datetime.strptime(text.strip(), form)  # noqa: DTZ007 - the zone follows
            except ValueError:
                continue
            if form != self._forms[0]:
                self._forms.remove(form)
                self._forms.insert(0, form)
            return _plausible(instant.replace(tzinfo=self._zone))
        return None


def _counted(text: str) -> datetime | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    if number >= _SECONDS.stop:
        number /= 1000
    return datetime.fromtimestamp(number, UTC) if int(number) in _SECONDS else None


def _plausible(instant: datetime) -> datetime | None:
    """Instants whose neighbours can still be computed with."""
    return instant if 1900 <= instant.year <= 2200 else None
