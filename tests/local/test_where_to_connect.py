"""Where a command connects when nothing, or several things, name a database; and the secrets it keeps."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.config import BadSettings, Settings, read_settings
from app.database import trouble_in_words, wait_for_server
from app.local.embedded import Durability, EmbeddedServers, default_data_directory
from app.local.kept import keep, kept_secret
from app.local.own_secrets import with_secret
from tests.servers import ROOT, RunServers, with_database

STALE = "postgresql://balancer:gone@127.0.0.1:9/executor_balancer"


def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> Path:
    """What docker-compose leaves in the checkout."""
    file = tmp_path / "host.env"
    file.write_text(f"DATABASE_URL={url}\nREDIS_URL=redis://127.0.0.1:9/0\nAPI_URL=http://127.0.0.1:8000\n")
    monkeypatch.setenv("STACK_FILE", str(file))
    return file


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEFAULT_DATABASE_URL", "DEFAULT_REDIS_URL"):
        monkeypatch.delenv(name)


def test_with_nothing_set_it_is_what_the_run_book_starts(nothing_set: None):
    settings = read_settings()
    assert settings.dsn == "postgresql://postgres:postgres@localhost:5432/executor_balancer"
    assert settings.redis_url == "redis://localhost:6379/0"
    assert settings.database_source == "the default, DATABASE_URL is not set"


def test_an_empty_redis_url_means_none(nothing_set: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REDIS_URL", "")
    assert read_settings().redis_url is None


def test_the_running_stack_of_this_checkout_comes_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: RunServers
):
    file = stack(tmp_path, monkeypatch, servers.database_url)
    found = read_settings()
    assert (found.dsn, found.database_source) == (servers.database_url, str(file))
    assert found.redis_url == "redis://127.0.0.1:9/0"
    monkeypatch.setenv("DATABASE_URL", "postgresql://named/named")
    assert (read_settings().dsn, read_settings().database_source) == (
        "postgresql://named/named",
        "DATABASE_URL",
    )


def test_a_stack_that_does_not_run_or_is_another_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: RunServers
):
    other = servers.database_url.replace(servers.database_url.split(":")[2].split("@")[0], "another-password")
    for url in (STALE, other, with_database(servers.database_url, "not_there"), "nonsense"):
        stack(tmp_path, monkeypatch, url)
        assert read_settings().place is None, url


def test_a_running_embedded_system_is_found_and_data_names_another(monkeypatch: pytest.MonkeyPatch):
    usual = default_data_directory()
    with pytest.raises(BadSettings, match=r"no system runs on .*--data"):
        read_settings(usual)
    with EmbeddedServers(usual, Durability.FAST) as embedded:
        found = read_settings()
        assert (
            found.dsn == embedded.addresses.database_url and found.redis_url == embedded.addresses.redis_url
        )
        assert found.database_source == str(usual)
        monkeypatch.setenv("DATABASE_URL", "postgresql://named/named")
        assert read_settings().dsn == "postgresql://named/named"
        assert read_settings(usual).dsn == embedded.addresses.database_url  # what is typed goes first
    monkeypatch.delenv("DATABASE_URL")
    assert read_settings().place is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("DATABASE_URL", "mysql://x", "DATABASE_URL: .*postgresql://"), ("PORT", "many", "PORT: ")],
)
def test_a_wrong_setting_is_one_line(name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match=told) as refused:
        read_settings()
    assert "\n" not in str(refused.value)


def test_processes_that_start_at_once_agree_on_one_secret(tmp_path: Path):
    file = tmp_path / "kept" / "secret_key"
    program = (
        "import sys, pathlib, app.local.kept as kept; print(kept.kept_secret(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(file)]
    with ThreadPoolExecutor() as threads:
        said = list(
            threads.map(
                lambda _: (
                    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
                ),
                range(6),
            )
        )
    assert len({*said, kept_secret(file) + "\n"}) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [each.name for each in file.parent.iterdir()] == ["secret_key"]


def test_threads_that_start_at_once_agree_too(tmp_path: Path):
    for number in range(50):
        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(kept_secret, [tmp_path / str(number) / "key"] * 8))) == 1


def test_an_empty_secret_is_refused_and_another_can_be_kept(tmp_path: Path):
    file = tmp_path / "kept" / "key"
    keep(file, "")
    with pytest.raises(ValueError, match="is empty: restore it, or remove it"):
        kept_secret(file)
    keep(file, "fresh")
    assert kept_secret(file) == "fresh"


def test_a_secret_that_cannot_be_kept_leaves_the_server_to_this_machine(tmp_path: Path):
    (tmp_path / "file").touch()
    assert with_secret(Settings(secrets_dir=tmp_path / "file" / "x")).secret_key is None
    kept = with_secret(Settings(secrets_dir=tmp_path / "kept")).secret_key
    assert kept is not None and kept == with_secret(Settings(secrets_dir=tmp_path / "kept")).secret_key


async def test_it_waits_for_a_server_that_is_not_there_yet_and_says_for_what():
    said: list[str] = []
    settings = Settings(database_url="postgresql://a:hidden@127.0.0.1:9/b", database_wait_seconds=1.2)
    with pytest.raises(OSError) as refused:
        await wait_for_server(settings, said.append)
    assert said == ["Waiting up to 1.2 s for PostgreSQL at 127.0.0.1:9/b (DATABASE_URL)."]
    told = trouble_in_words(refused.value, settings)
    assert (
        told
        == "127.0.0.1:9/b (DATABASE_URL): nothing answers there. Start PostgreSQL there or correct DATABASE_URL."
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", [["-m", "alembic", "current"], ["init_db.py"]])
@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql://user:hidden@127.0.0.1:9/nowhere", "127.0.0.1:9/nowhere"),
        ("mysql://user:hidden@localhost/x", "DATABASE_URL"),
        ("postgresql://user:hidden@no-such-host.invalid/x", "no such host"),
    ],
)
def test_a_wrong_address_is_one_line_and_a_failure(command: list[str], url: str, named: str):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "DATABASE_WAIT_SECONDS": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode != 0
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert len(lines) == 1 and named in lines[0], done.stderr
    assert "hidden" not in lines[0]
