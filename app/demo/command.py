"""The demo's command line: what `python demo.py` and `make demo` run."""

import asyncio
import json
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.config import BadSettings, Settings, read_settings
from app.demo.domains import DOMAINS, generate
from app.demo.log_scenario import scenario_of
from app.demo.player import DemoError, PlayedScenario, Player, Progress as Played_so_far, SendingPace
from app.demo.report import WORDS, number, show, summary
from app.demo.scenario import Scenario
from app.demo.stage import DIRECT, a_stage, kept_token
from app.eventlog import EventLogError, LogOptions, parse_mapping, read_event_log
from app.replay_report.words import Voice
from app.utils.written_dates import FORMATS

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
STOPPED = 130  # as a shell says of a command that Ctrl-C ended


@app.command()
def demo(
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="An event log (CSV, XLSX, ODS, XLS or XES, may be gzipped) instead of generated work.",
        ),
    ] = None,
    mapping: Annotated[
        str, typer.Option("--map", help="Its columns: case=COL,activity=COL,resource=COL,time=COL.")
    ] = "",
    encoding: Annotated[str, typer.Option(help="Of a log that is text; found out where left out.")] = "",
    date_format: Annotated[
        str, typer.Option(help=f"Of the log's times; found out where left out: {', '.join(FORMATS)}.")
    ] = "",
    sheet: Annotated[str, typer.Option(help="Of a log that is a spreadsheet: name or number from 1.")] = "",
    heading_row: Annotated[int, typer.Option(min=0, help="The log's row with the headings, from 1.")] = 0,
    domain: Annotated[
        str, typer.Option(help=f"One of {', '.join(DOMAINS)}; all of them where left out.")
    ] = "",
    tasks: Annotated[int, typer.Option(min=1, max=1_000_000, help="Tasks of each domain.")] = 2000,
    executors: Annotated[int, typer.Option(min=1, max=10_000, help="People of each domain.")] = 40,
    batch: Annotated[
        int, typer.Option(min=1, max=5000, help="Tasks in one request; 1: single requests.")
    ] = 500,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Tasks a second; as fast as it goes where left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same work.")] = 1,
    url: Annotated[
        str,
        typer.Option(
            envvar="EXECUTOR_BALANCER_URL",
            help="Where the API is; left out: on this machine, and where nobody answers a temporary one is started.",
        ),
    ] = "",
    token: Annotated[
        str,
        typer.Option(
            envvar="EXECUTOR_BALANCER_TOKEN",
            help="An admin's access token or API key; left out on this machine: the key that init_db.py keeps.",
        ),
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory of the running `run` that is meant, if not the usual one."),
    ] = None,
    language: Annotated[str, typer.Option("--lang", help="ru or en; by LANG where left out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Play work through the running system, or a temporary one, and report how fast and how fairly it was distributed."""
    language = language or ("en" if os.environ.get("LANG", "").startswith("en") else "ru")
    try:
        if language not in WORDS:
            raise DemoError(f"--lang {language}: use ru or en")
        reading = LogOptions(encoding, date_format, sheet, heading_row)
        if source is None:
            _check_no_log(mapping, reading)
            scenarios = _generated(domain, tasks, executors, seed, language)
        else:
            scenarios = [_of_log(source, mapping, reading, language)]
        played = _play_somewhere(
            scenarios, SendingPace(batch, rate), url, token, language, read_settings(data)
        )
    except (DemoError, BadSettings, EventLogError) as error:
        typer.echo(f"demo: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(STOPPED) from None
    if as_json:
        typer.echo(json.dumps([summary(each) for each in played], ensure_ascii=False, indent=2))
        return
    console = Console()
    for each in played:
        show(console, each, language)


def _check_no_log(mapping: str, reading: LogOptions) -> None:
    """Raise DemoError for an option that says how a log is read where none is."""
    given = {"--map": mapping} | {
        f"--{name.replace('_', '-')}": value for name, value in asdict(reading).items()
    }
    idle = [name for name, value in given.items() if value]
    if idle:
        raise DemoError(f"{', '.join(idle)}: of a log alone; name the log with --input")


def _of_log(source: Path, mapping: str, reading: LogOptions, language: str) -> Scenario:
    """A log as work to play; how it was read is said. Raises EventLogError."""
    log = read_event_log(source, parse_mapping(mapping), options=reading)
    say = Voice("en" if language == "en" else "ru").note
    for note in (*log.notes, *log.columns):
        typer.echo(say(note), err=True)
    return scenario_of(log, source, f"demo-log-{_run()}", language)


def _run() -> str:
    """Each run has pools of its own."""
    return f"{time.time_ns() // 1_000_000:x}"


def _generated(domain: str, tasks: int, executors: int, seed: int, language: str) -> list[Scenario]:
    run = _run()
    if domain and domain not in DOMAINS:
        raise DemoError(f"--domain {domain}: use one of {', '.join(DOMAINS)}")
    chosen = [DOMAINS[domain]] if domain else list(DOMAINS.values())
    return [
        generate(
            each,
            code=f"demo-{each.code}-{run}",
            people=executors,
            tasks=tasks,
            seed=seed,
            language=language,
        )
        for each in chosen
    ]


def _play_somewhere(
    scenarios: list[Scenario], pace: SendingPace, url: str, token: str, language: str, settings: Settings
) -> list[PlayedScenario]:
    console = Console(stderr=True)
    place = settings.place
    usual = (place.api_url if place else None) or f"http://127.0.0.1:{settings.port}"

    def announce(usual: str) -> None:
        console.print(WORDS[language]["own_system"].format(usual=usual), highlight=False)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what we started is stopped in order then too
    with a_stage(url or None, usual, announce) as address:
        token = token or kept_token(address, settings)
        return asyncio.run(_play_all(scenarios, pace, address, token, language))


async def _play_all(
    scenarios: list[Scenario], pace: SendingPace, url: str, token: str, language: str
) -> list[PlayedScenario]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=url, timeout=60, mounts=DIRECT, headers=headers) as client:
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bars:
            return [await _play(Player(client), scenario, pace, bars, language) for scenario in scenarios]


async def _play(
    player: Player, scenario: Scenario, pace: SendingPace, bars: Progress, language: str
) -> PlayedScenario:
    bar = bars.add_task(scenario.name, total=len(scenario.tasks), figures="")
    words = WORDS[language]
    started = time.perf_counter()

    def report(now: Played_so_far) -> None:
        done = now.assigned + now.waiting
        speed = done / max(0.001, time.perf_counter() - started)
        sent, placed, pace = (number(each, language) for each in (now.sent, now.assigned, speed))
        figures = f"{words['sent']} {sent} · {words['placed']} {placed} · {pace}/{words['second']}"
        bars.update(bar, completed=done, figures=figures)

    return await player.play(scenario, pace, report)


def main() -> None:
    """`python demo.py`."""
    app()
