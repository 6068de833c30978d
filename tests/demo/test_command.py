"""`python demo.py` as its user types it."""

import asyncio
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from app.demo.command import _of_log, app
from app.eventlog import LogOptions
from app.local.embedded import free_port, temporary_directory
from app.local.embedded.data import process_arguments
from app.services.setup.first_start import prepare
from tests.api.conftest import serving
from tests.demo.logs import DOERS, HEADER, write_log
from tests.servers import ROOT

runner = CliRunner()
OTHER = ("канал", "дело", "срок", "номер", "что", "переход", "группа", "кто", "когда")


def demo(*arguments: object, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "demo.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"LANG": "en_US.UTF-8", "COLUMNS": "300", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said_by(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


async def on(
    stage: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run the demo on a system that works in this process."""
    return await asyncio.to_thread(lambda: said_by(demo("--url", stage, *arguments, environment=environment)))


async def test_columns_are_found_and_the_report_is_shown_in_russian(stage, tmp_path) -> None:
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(write_log(tmp_path / "log.csv", 70).read_bytes()))
    code, out, err = await on(stage, "--input", packed, "--lang", "ru")
    assert code == 0, err
    assert "распределено 70 из 70" in out
    assert "Почему так" in out
    assert "отправлено 70" in err


async def test_named_columns_are_taken_and_the_report_is_json(stage, tmp_path) -> None:
    log = write_log(tmp_path / "log.csv", 70, header=OTHER, delimiter=";")
    named = "activity=что,resource=кто,time=когда,case=дело"
    code, out, err = await on(stage, "--input", log, "--map", named, "--json", "--batch", 1)
    assert code == 0, err
    [figures] = json.loads(out)
    assert (figures["placed"], figures["executors"]) == (
        70,
        len({who for each in DOERS.values() for who in each}),
    )


async def test_a_system_that_asks_who_calls_is_played_with_an_admins_token(
    stage, settings, database, tmp_path
) -> None:
    stranger = {"SECRETS_DIR": str(tmp_path / "no key is kept here")}
    admin = {"username": "admin", "password": "correct horse battery"}
    secrets = {"secret_key": SecretStr("s" * 40), "admin_password": SecretStr(admin["password"])}
    strict = settings.model_copy(update={"auth_required": True, **secrets})
    async with database.session() as session:
        await prepare(session, settings=strict)
    with serving(strict) as address:
        refused = await on(address, "--domain", "it", "--tasks", 5, environment=stranger)
        async with httpx.AsyncClient(base_url=address) as client:
            token = (await client.post("/v1/auth/token", json=admin)).json()["access_token"]
        played = await on(address, "--domain", "it", "--tasks", 5, "--token", token, environment=stranger)
    assert (refused[0], "with --token" in refused[2]) == (1, True)
    assert played[0] == 0, played[2]


@pytest.mark.parametrize(
    ("language", "said"), [("ru", "время: прочитано как mm/dd/yyyy"), ("en", "time read as mm/dd/yyyy")]
)
def test_a_log_is_read_as_asked_and_how_is_said(tmp_path, capsys, language, said) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes("отчёт\ncase;activity;resource;time\n7;Приём;Анна;02/03/2026\n".encode("koi8_r"))
    reading = LogOptions("koi8_r", "mm/dd/yyyy", heading_row=2)
    scenario = _of_log(log, "", reading, language)
    assert [each["name"] for each in scenario.executors] == ["Анна"]
    told = capsys.readouterr().err
    assert said in told
    assert ("столбец «time»" in told) is (language == "ru") and ("column 'time'" in told) is (
        language == "en"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--input", "nothing.csv"], "nothing.csv: No such file"),
        (["--input", "LOG", "--map", "activity=x"], "no column 'x' for activity; columns are case:channel"),
        (["--input", "LOG", "--map", "colour=x"], "ROLE=COLUMN"),
        (["--input", "HALF"], "name it with --map resource=COLUMN"),
        (["--encoding", "cp1251", "--heading-row", "2"], "--encoding, --heading-row: of a log alone"),
        (["--input", "LOG", "--sheet", "1"], "a text file has no sheets"),
        (["--input", "LOG", "--date-format", "us"], "formats are iso"),
        (["--input", "LOG", "--encoding", "utf-16"], "no column"),
        (["--domain", "space"], "--domain space: use one of it, construction, insurance, consulting"),
        (["--lang", "fr"], "--lang fr: use ru or en"),
        (["--url", "http://127.0.0.1:9"], "no Executor Balancer answers at http://127.0.0.1:9"),
        (["--url", "nonsense"], "no Executor Balancer answers at nonsense"),
    ],
)
def test_what_cannot_be_played_is_told_in_one_line(tmp_path, arguments, told) -> None:
    log, half = write_log(tmp_path / "log.csv", 3), write_log(tmp_path / "half.csv", 3, header=HEADER[:5])
    given = [{"LOG": str(log), "HALF": str(half)}.get(word, word) for word in arguments]
    said = runner.invoke(app, given)
    assert (said.exit_code, said.stdout) == (1, "")
    assert told in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.xdist_group("standalone")
def test_where_nobody_answers_it_starts_a_system_and_leaves_nothing_of_it(temporary: Path) -> None:
    elsewhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/x", "AUTH_REQUIRED": "true"}
    settings = {"PORT": str(free_port()), "TMPDIR": str(temporary), **elsewhere}
    code, out, err = said_by(demo("--domain", "it", "--tasks", 40, "--executors", 5, environment=settings))
    assert code == 0, err
    assert "40 of 40 placed" in out
    assert f"Nobody answers at http://127.0.0.1:{settings['PORT']}" in err
    assert not directories(temporary)


@pytest.mark.slow
@pytest.mark.xdist_group("standalone")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_stops_the_system_that_it_started(number: signal.Signals, temporary: Path) -> None:
    playing = demo("--rate", 1, environment={"PORT": str(free_port()), "TMPDIR": str(temporary)})
    deadline = time.monotonic() + 120
    while not (mine := set(directories(temporary))) or not users_of(mine):
        assert playing.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)

    playing.send_signal(number)

    code, out, err = said_by(playing)
    assert (code, out) == (130, ""), err
    assert "Traceback" not in err
    assert not directories(temporary)
    assert not users_of(mine)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where this test's demo puts its temporary files, so that nobody else's are taken for them."""
    place = temporary_directory("executor-balancer-test-")
    yield place
    shutil.rmtree(place)


def directories(base: Path) -> list[Path]:
    return list(base.glob("executor-balancer-demo-*"))


def users_of(places: set[Path]) -> list[str]:
    """The processes that use these directories."""
    arguments = [process_arguments(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")]
    return [words for words in arguments if any(str(place) in words for place in places)]
