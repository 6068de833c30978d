"""`executor-balancer replay`: past work distributed once more, beside what really happened."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from sqlalchemy.exc import SQLAlchemyError

from app.config import BadSettings, Settings, read_settings
from app.database import TROUBLE, Database, trouble_in_words
from app.engine.calendar import zone_of
from app.engine.placement.state import PoolSettings
from app.engine.replay import Window, recount, replay as play
from app.engine.types import Policy
from app.errors import DomainError
from app.eventlog import EventLog, EventLogError, LogOptions, parse_mapping, read_event_log
from app.replay_report.comparison import ACTUAL, FORECAST, Run, RunComparison, Source, as_json, moved
from app.replay_report.from_log import PreparedLog, Presence, prepare
from app.replay_report.page import page
from app.replay_report.terminal import show
from app.replay_report.words import TEXTS, Language, Voice
from app.rule_engine import RuleSetInvalid
from app.services.replays.history import TooMuchHistory
from app.services.replays.replays import Wish, play_history
from app.utils.written_dates import FORMATS


class _Refused(Exception):
    """A wish that cannot be met; the message is one line."""


@dataclass(frozen=True, slots=True)
class _Wishes:
    policies: list[Policy]
    theta: float
    rules: Mapping[str, Any] | None
    rules_name: str
    forecast: bool


def replay(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    source: Annotated[
        Path,
        typer.Argument(
            help="An event log (CSV or XES, may be gzipped), or `history`: what this system did itself."
        ),
    ],
    mapping: Annotated[
        str,
        typer.Option(
            "--map",
            help="Its columns: case=COL,activity=COL,resource=COL,time=COL,start=COL,lifecycle=COL,weight=COL.",
        ),
    ] = "",
    rules: Annotated[
        Path | None,
        typer.Option(help="A rule set (JSON); without it whoever has ever done an activity may do it."),
    ] = None,
    policy: Annotated[Policy, typer.Option(help="How work is distributed.")] = Policy.FAIR,
    theta: Annotated[
        float, typer.Option(min=0, help="Day loads that one point of preference is worth.")
    ] = 0.05,
    compare: Annotated[
        str, typer.Option(help="Other policies beside it: round_robin,longest_idle,best_match or all.")
    ] = "",
    presence: Annotated[
        str, typer.Option(help="Who is there: day (on days on which they did something) or always.")
    ] = "day",
    window: Annotated[str, typer.Option(help="The fairness window: day, week, month or all.")] = "day",
    limit: Annotated[float | None, typer.Option(min=0, help="A daily limit for everybody.")] = None,
    max_open: Annotated[
        int | None, typer.Option(min=0, help="Most open tasks at once for everybody.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(help="Where days begin, and what times without an offset mean.")
    ] = "UTC",
    encoding: Annotated[str, typer.Option(help="Of a text file; found out where left out.")] = "",
    date_format: Annotated[
        str, typer.Option(help=f"Of its times; found out where left out: {', '.join(FORMATS)}.")
    ] = "",
    sheet: Annotated[str, typer.Option(help="Of a spreadsheet: name or number from 1.")] = "",
    heading_row: Annotated[int, typer.Option(min=0, help="Row with the headings, from 1.")] = 0,
    preview: Annotated[bool, typer.Option(help="Only show how each column of the log is read.")] = False,
    forecast: Annotated[
        bool, typer.Option(help="Also play it leaving room for what the same weekdays before brought.")
    ] = False,
    pool: Annotated[str, typer.Option(help="Whose history; the default pool where left out.")] = "",
    days: Annotated[int, typer.Option(min=1, max=92, help="How many days of history, up to now.")] = 7,
    data: Annotated[
        Path | None, typer.Option(help="Data directory of the running `run` whose history is meant.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
    language: Annotated[str, typer.Option("--lang", help="ru or en; by LANG where left out.")] = "",
) -> None:
    """Play an event log through the engine: what really happened beside what would have, and how fair each is."""
    try:
        spoken = _language(language)
        zone = _zone(timezone)
        document = _rules(rules)
        wishes = _Wishes(_policies(policy, compare), theta, document, rules.name if rules else "", forecast)
        if str(source) == "history":
            until = datetime.now(UTC)
            wanted = [*wishes.policies, *([Policy.FAIR] if forecast else [])]
            wanted = list(dict.fromkeys(wanted))
            wish = Wish(until - timedelta(days=days), until, wanted, theta, limit, max_open, forecast)
            result = asyncio.run(_of_history(read_settings(data), pool, wish, wishes))
        else:
            options = LogOptions(encoding, date_format, sheet, heading_row)
            log = read_event_log(source, parse_mapping(mapping), zone, options)
            if preview:
                _show_reading(log, Voice(spoken))
                return
            prepared = prepare(
                log,
                presence=_one_of(presence, "--presence", get_args(Presence)),
                window=_one_of(window, "--window", get_args(Window)),
                zone=zone,
                daily_limit=limit,
                max_open=max_open,
            )
            result = _compare(prepared, wishes, source.name, presence)
        if html:
            html.write_text(page(result, spoken), encoding="utf-8")
    except (
        _Refused,
        BadSettings,
        EventLogError,
        TooMuchHistory,
        DomainError,
        SQLAlchemyError,
        OSError,
    ) as error:
        typer.echo(f"replay: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json_:
        typer.echo(json.dumps(as_json(result), ensure_ascii=False, indent=2))
        return
    console = Console()
    show(console, result, spoken)
    if html:
        console.print(f"→ {html}", highlight=False)


def _show_reading(log: EventLog, voice: Voice) -> None:
    for line in [*log.notes, *log.columns]:
        typer.echo(voice.note(line))
    if log.dropped:
        typer.echo(voice.say("dropped", listed=voice.counts(log.dropped)))
    for item in log.items[:3]:
        at = "no time" if item.at is None else item.at.isoformat()
        typer.echo(f"{at}  {item.activity}  {item.resource}  case {item.case}  weight {item.weight:g}")


async def _of_history(settings: Settings, pool: str, wish: Wish, wishes: _Wishes) -> RunComparison:
    database = await Database.open(settings)
    try:
        return await play_history(
            database,
            pool_code=pool or settings.default_pool,
            wish=wish,
            document=wishes.rules,
            name=wishes.rules_name,
        )
    except RuleSetInvalid as error:
        issue = error.issues[0]
        raise _Refused(
            f"--rules {wishes.rules_name}: {issue.path}: {issue.reason}; {issue.remedy}"
        ) from error
    except TROUBLE as error:
        raise _Refused(trouble_in_words(error, settings)) from error
    finally:
        await database.close()


def _compare(prepared: PreparedLog, wishes: _Wishes, name: str, presence: str) -> RunComparison:
    total = len(prepared.log.items)
    try:
        actual = recount(prepared.state(prepared.rules(wishes.rules), PoolSettings()), prepared.stream)
    except RuleSetInvalid as error:
        issue = error.issues[0]
        raise _Refused(
            f"--rules {wishes.rules_name}: {issue.path}: {issue.reason}; {issue.remedy}"
        ) from error
    runs = [Run(ACTUAL, actual.figures())]
    with Progress(console=Console(stderr=True), transient=True) as bars:
        for policy in wishes.policies:
            bar = bars.add_task(policy.value, total=total)
            settings = PoolSettings(policy, wishes.theta, prepared.day_load())
            state = prepared.state(prepared.rules(wishes.rules), settings)
            played = play(state, prepared.stream, partial(_move, bars, bar))
            runs.append(Run(policy.value, played.figures(), moved(actual, played)))
        if wishes.forecast:
            settings = PoolSettings(Policy.FAIR, wishes.theta, prepared.day_load())
            ahead = replace(prepared.stream, forecasts=True)
            played = play(prepared.state(prepared.rules(wishes.rules), settings), ahead)
            runs.append(Run(FORECAST, played.figures(), moved(actual, played)))
    return RunComparison(_source(prepared, wishes, name, presence), runs, prepared.names)


def _move(bars: Progress, bar: TaskID, done: int) -> None:
    bars.update(bar, completed=done)


def _source(prepared: PreparedLog, wishes: _Wishes, name: str, presence: str) -> Source:
    log: EventLog = prepared.log
    times = [item.at for item in log.items if item.at]
    one = prepared.people[0]
    return Source(
        name=name,
        items=len(log.items),
        people=len(prepared.people),
        activities=len({item.activity for item in log.items}),
        first=min(times, default=None),
        last=max(times, default=None),
        timezone=prepared.stream.zone.key,
        dropped=dict(log.dropped),
        notes=log.notes,
        settings={
            "presence": presence if prepared.stream.turns else "always",
            "window": prepared.stream.window,
            "rules": wishes.rules_name or None,
            "theta": wishes.theta,
            "daily_limit": one.daily_limit,
            "max_open": one.max_open,
        },
    )


def _policies(policy: Policy, compare: str) -> list[Policy]:
    listed = (
        list(Policy)
        if compare == "all"
        else [_policy(each.strip()) for each in compare.split(",") if each.strip()]
    )
    return [policy, *(each for each in dict.fromkeys(listed) if each is not policy)]


def _policy(name: str) -> Policy:
    return Policy(_one_of(name, "--compare", [each.value for each in Policy]))


def _one_of(value: str, option: str, known: Any) -> Any:
    if value not in known:
        raise _Refused(f"{option} {value}: use one of {', '.join(known)}")
    return value


def _language(wanted: str) -> Language:
    language = wanted or ("en" if os.environ.get("LANG", "").startswith("en") else "ru")
    spoken: Language = _one_of(language, "--lang", list(TEXTS))
    return spoken


def _zone(name: str) -> ZoneInfo:
    try:
        return zone_of(name)
    except ValueError as error:
        raise _Refused(f"--timezone {name}: not an IANA time zone; use one such as Europe/Moscow") from error


def _rules(path: Path | None) -> Mapping[str, Any] | None:
    if path is None:
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _Refused(f"--rules {path}: {error}") from error
    inner = document.get("rules", document) if isinstance(document, dict) else document
    if not isinstance(inner, dict):
        raise _Refused(f'--rules {path}: not a rule set; it is an object with "conditions"')
    return inner
