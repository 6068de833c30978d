"""Business days, fairness windows and working hours: the pool's zone on one side, instants on the other.

Working hours are `{"days": {"mon": [["09:00", "18:00"]], ...}, "days_off": ["2026-01-01", ...]}` in the zone of the
pool (or in `"timezone"`, for a person elsewhere). A span that ends at or before its start runs over midnight.
None means always.

Where the clock is put forward, times that it skips are the instant of the change: a shift that lies wholly within them
does not exist on that day. Where it is put back, a time that comes twice is the first one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from app.messages.message import Message, WrongInput, say

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MOST_SPANS = 24
"""Spans that one day of working hours may have: each is looked at for every person whenever a shift may turn."""
MOST_DAYS_OFF = 1_000
_KEYS = ("days", "days_off", "timezone")
_NO_ZONES = frozenset({"localtime", "Factory", "posixrules"})
"""Listed beside the zones, and none: they mean another thing on each machine, or nothing."""
_HORIZON_DAYS = 8


@cache
def zone_names() -> frozenset[str]:
    """All IANA zones that this machine knows."""
    return frozenset(available_timezones() - _NO_ZONES)


def zone_of(name: object) -> ZoneInfo:
    """Return the IANA zone of this name. Raises ValueError, also for what is a folder of zones (`Europe`)."""
    if not isinstance(name, str) or name not in zone_names():
        raise WrongInput(
            say("{zone} is not an IANA time zone", zone=_shown(name)), say("use one such as Europe/Moscow")
        )
    return ZoneInfo(name)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def business_day(now: datetime, zone: ZoneInfo) -> date:
    """The date in the pool's zone at this instant."""
    return now.astimezone(zone).date()


def next_midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the next business day begins, right across changes of the clock."""
    tomorrow = business_day(now, zone) + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, zone)


@dataclass(frozen=True, slots=True)
class KeptDay:
    """The business day on which a pool's zone was changed: its first and last instant, and the zone before it."""

    day: date
    begins: datetime
    ends: datetime
    zone_before: ZoneInfo


@dataclass(frozen=True, slots=True)
class BusinessDays:
    """The days of a pool: those of its zone, but for the day on which that was changed.

    A day that has begun is never begun anew, or each person would have its limits twice. It goes on until
    it would have ended in the zone before, or until its date is over in the new one.
    """

    zone: ZoneInfo
    kept: KeptDay | None = None

    def day_of(self, instant: datetime) -> date:
        """The business day at this instant."""
        kept = self.kept
        if kept is None or instant >= kept.ends:
            return business_day(instant, self.zone)
        return kept.day if instant >= kept.begins else business_day(instant, kept.zone_before)

    def span(self, day: date) -> tuple[datetime, datetime]:
        """When a day begins, and when it ends. A date that a change of zone leaves out ends before it begins."""
        kept = self.kept
        if kept is not None and day == kept.day:
            return kept.begins, kept.ends
        zone = kept.zone_before if kept is not None and day < kept.day else self.zone
        begins, ends = (datetime.combine(each, time.min, zone) for each in (day, day + timedelta(days=1)))
        if kept is None:
            return begins, ends
        if day > kept.day:
            return max(begins, kept.ends), ends
        return begins, kept.begins if day == kept.day - timedelta(days=1) else min(ends, kept.begins)

    def ends(self, instant: datetime) -> datetime:
        """When the business day of this instant ends."""
        return self.span(self.day_of(instant))[1]

    def moved_to(self, zone: ZoneInfo, now: datetime) -> "BusinessDays":
        """The same days, in another zone from now on."""
        day, in_zone = self.day_of(now), business_day(now, zone)
        begins, ends = self.span(day)
        if in_zone <= day:
            ends = datetime.combine(day + timedelta(days=1), time.min, zone)
        before = self.kept.zone_before if self.kept is not None and self.kept.day == day else self.zone
        return BusinessDays(zone, KeptDay(day, begins, _next_full_hour(ends, zone), before))


def _next_full_hour(instant: datetime, zone: ZoneInfo) -> datetime:
    """Figures are kept by the full hour of the pool's clock: a day must not end amid one."""
    local = instant.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return instant if not past else instant + timedelta(hours=1) - past


def window_start(day: date, window: str) -> date:
    """The first day of the fairness window (`day`, `week` from Monday, or `month`) that contains `day`."""
    if window == "week":
        return day - timedelta(days=day.weekday())
    if window == "month":
        return day.replace(day=1)
    return day


class UnreadableHours(WrongInput):
    """Working hours that cannot be read: `place` is the field, `reason` what is wrong, `remedy` what to send."""

    def __init__(self, place: str, reason: Message, remedy: Message) -> None:
        super().__init__(reason, remedy)
        self.args = (say("{place}: {reason}; {remedy}", place=place, reason=reason, remedy=remedy),)
        self.place = place


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """When a person works, in their zone; spans are (start, end) per weekday 0..6."""

    zone: ZoneInfo
    spans: Mapping[int, Sequence[tuple[time, time]]]
    days_off: frozenset[date] = field(default_factory=frozenset)

    @classmethod
    def parse(cls, document: object, zone: ZoneInfo) -> "WorkingHours":
        """Read what is sent, whole: what is not understood is refused. Raises UnreadableHours."""
        _check_keys(document)
        return cls.stored(document, zone)

    @classmethod
    def stored(cls, document: object, zone: ZoneInfo) -> "WorkingHours":
        """Read what was kept, perhaps by an older version: keys that never meant anything are passed over.

        Days that are not named are days without work. Raises UnreadableHours.
        """
        if not isinstance(document, Mapping):
            raise UnreadableHours(
                "working_hours", say("{value} is no object", value=_shown(document)), _REMEDY
            )
        own_zone = document.get("timezone")
        try:
            where = zone if own_zone is None or own_zone == "" else zone_of(own_zone)
        except WrongInput as error:
            raise UnreadableHours("working_hours.timezone", error.reason, error.remedy) from error
        days = document.get("days", {})
        if not isinstance(days, Mapping):
            raise UnreadableHours(
                "working_hours.days", say("{value} is no object", value=_shown(days)), _REMEDY
            )
        spans = {_weekday(day): _spans(day, listed) for day, listed in days.items()}
        return cls(where, spans, _days_off(document.get("days_off", [])))

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
                yield _instant(day, start, self.zone), _instant(last, end, self.zone)


def _instant(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """When a clock of the zone shows this time; for one that it skips, the instant at which it is put forward."""
    first = datetime.combine(day, wall, zone)
    second = first.replace(fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    if before is None or after is None or before >= after:
        return first.astimezone(UTC)
    earlier, later = (
        second.astimezone(UTC),
        first.astimezone(UTC),
    )  # the change lies after the one, up to the other
    while later - earlier > timedelta(seconds=1):
        middle = (earlier + (later - earlier) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            earlier = middle
        else:
            later = middle
    return later


_REMEDY = say('send {"days": {"mon": [["09:00", "18:00"]]}}')


def _check_keys(document: object) -> None:
    """Refuse what would be passed over, and hours without days: they would mean that the person never works."""
    if not isinstance(document, Mapping):
        return
    for key in document:
        if key not in _KEYS:
            raise UnreadableHours(
                f"working_hours.{str(key)[:60]}", say("unknown"), say("use {known}", known=_KEYS)
            )
    if "days" not in document:
        raise UnreadableHours(
            "working_hours.days", say("missing: without it nobody would work on any day"), _REMEDY
        )


def _weekday(day: str) -> int:
    if day not in DAYS:
        raise UnreadableHours(
            f"working_hours.days.{day[:60]}", say("unknown day"), say("use {known}", known=DAYS)
        )
    return DAYS.index(day)


def _spans(day: str, listed: object) -> list[tuple[time, time]]:
    if not isinstance(listed, (list, tuple)):
        remedy = say('send a list of spans, such as [["09:00", "18:00"]]')
        raise UnreadableHours(
            f"working_hours.days.{day}", say("{value} is no list", value=_shown(listed)), remedy
        )
    if len(listed) > MOST_SPANS:
        reason = say("{count} spans are too many", count=len(listed))
        raise UnreadableHours(
            f"working_hours.days.{day}", reason, say("send up to {most} a day", most=MOST_SPANS)
        )
    return [_span(day, span) for span in listed]


def _span(day: str, span: object) -> tuple[time, time]:
    try:
        if not isinstance(span, (list, tuple)):
            raise TypeError("not a pair")
        start, end = span
        return _time(start), time.min if end == "24:00" else _time(end)
    except (TypeError, ValueError) as error:
        reason = say("{value} is not a span", value=_shown(span))
        raise UnreadableHours(f"working_hours.days.{day}", reason, say('use ["09:00", "18:00"]')) from error


def _time(text: str) -> time:
    """A time on the wall of the calendar's zone. Raises ValueError, TypeError."""
    read = time.fromisoformat(text)
    if read.tzinfo is not None:
        raise ValueError("hours carry no zone")
    return read


def _days_off(listed: object) -> frozenset[date]:
    place = "working_hours.days_off"
    if not isinstance(listed, (list, tuple)):
        raise UnreadableHours(
            place, say("{value} is no list", value=_shown(listed)), say('send dates, such as ["2026-01-01"]')
        )
    if len(listed) > MOST_DAYS_OFF:
        raise UnreadableHours(
            place,
            say("{count} days are too many", count=len(listed)),
            say("send up to {most}", most=MOST_DAYS_OFF),
        )
    days = set()
    for day in listed:
        try:
            days.add(date.fromisoformat(day))
        except (TypeError, ValueError) as error:
            raise UnreadableHours(
                place, say("{value} is no date", value=_shown(day)), say("send dates as YYYY-MM-DD")
            ) from error
    return frozenset(days)


def next_of(instants: Iterable[datetime | None]) -> datetime | None:
    """The earliest of these instants; None when there is none."""
    return min((instant for instant in instants if instant is not None), default=None)
