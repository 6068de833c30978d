"""Business days, fairness windows and working hours: the pool's zone on one side, instants on the other.

Working hours are `{"days": {"mon": [["09:00", "18:00"]], ...}, "days_off": ["2026-01-01", ...]}` in the zone of the
pool (or in `"timezone"`, for somebody elsewhere). A span that ends at or before its start runs over midnight.
None means always.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HORIZON_DAYS = 8


def business_day(now: datetime, zone: ZoneInfo) -> date:
    """The date in the pool's zone at this instant."""
    return now.astimezone(zone).date()


def next_midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the next business day begins, right across changes of the clock."""
    tomorrow = business_day(now, zone) + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, zone)


def window_start(day: date, window: str) -> date:
    """The first day of the fairness window (`day`, `week` from Monday, or `month`) that contains `day`."""
    if window == "week":
        return day - timedelta(days=day.weekday())
    if window == "month":
        return day.replace(day=1)
    return day


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """When somebody works, in their zone; spans are (start, end) per weekday 0..6."""

    zone: ZoneInfo
    spans: Mapping[int, Sequence[tuple[time, time]]]
    days_off: frozenset[date] = field(default_factory=frozenset)

    @classmethod
    def parse(cls, document: Mapping[str, Any], zone: ZoneInfo) -> "WorkingHours":
        """Read the stored form. Raises ValueError that names the place and the remedy."""
        days = document.get("days", {})
        unknown = sorted(set(days) - set(DAYS))
        if unknown:
            raise ValueError(f"working_hours.days.{unknown[0]}: unknown day; use {', '.join(DAYS)}")
        spans = {DAYS.index(day): [_span(day, span) for span in listed] for day, listed in days.items()}
        own_zone = document.get("timezone")
        try:
            where = ZoneInfo(own_zone) if own_zone else zone
            off = frozenset(date.fromisoformat(day) for day in document.get("days_off", ()))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"working_hours: {error}; use an IANA zone and dates as YYYY-MM-DD") from error
        return cls(where, spans, off)

    def working(self, now: datetime) -> bool:
        """Whether this instant lies within a span."""
        return any(start <= now < end for start, end in self._intervals(now))

    def next_change(self, now: datetime) -> datetime | None:
        """The next instant at which `working` may turn; None when not within eight days."""
        edges = (edge for interval in self._intervals(now) for edge in interval)
        return min((edge for edge in edges if edge > now), default=None)

    def _intervals(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        today = now.astimezone(self.zone).date()
        for offset in range(-1, _HORIZON_DAYS):
            day = today + timedelta(days=offset)
            if day in self.days_off:
                continue
            for start, end in self.spans.get(day.weekday(), ()):
                last = day if end > start else day + timedelta(days=1)
                yield datetime.combine(day, start, self.zone), datetime.combine(last, end, self.zone)


def _span(day: str, span: Any) -> tuple[time, time]:
    try:
        start, end = span
        return time.fromisoformat(start), time.min if end == "24:00" else time.fromisoformat(end)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'working_hours.days.{day}: {span!r} is not a span; use ["09:00", "18:00"]'
        ) from error


def next_of(instants: Iterable[datetime | None]) -> datetime | None:
    """The earliest of these instants; None when there is none."""
    return min((instant for instant in instants if instant is not None), default=None)
