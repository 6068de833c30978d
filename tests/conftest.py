"""Fixtures that every test may use: real servers, a fresh database, settings for them."""

import os
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import hypothesis
import pytest
import redis as redis_client

from app.config import Settings
from app.database import Database
from app.local.embedded import temporary_directory
from app.services.common import loops
from tests.servers import OwnedServers, RunServers, with_database

# A busy machine is not a failure; benchmarks measure time.
hypothesis.settings.register_profile("real", deadline=None, print_blob=True)
hypothesis.settings.load_profile("real")

# No test may reach the system that runs on this machine, by whatever way it is found, or leave secrets in the checkout.
NOTHING_FOUND = {
    "ENV_FILE": "",
    "STACK_FILE": "",
    "DEFAULT_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/this_test_names_no_database",
    "DEFAULT_REDIS_URL": "",
}

OWNED = pytest.StashKey[OwnedServers]()
HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Forget the settings of whoever runs the tests: they must not be able to touch real data."""
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    Settings.model_config["env_file"] = None
    os.environ |= NOTHING_FOUND  # for the processes that tests start, too
    home = config.stash[HOME] = temporary_directory("executor-balancer-test-home-")
    os.environ |= {"SECRETS_DIR": str(home / "kept" / "secrets"), "XDG_DATA_HOME": str(home / "share")}


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this process started."""
    if owned := config.stash.get(OWNED, None):
        owned.stop()
    shutil.rmtree(config.stash[HOME], ignore_errors=True)


Figure = Callable[[str, float], None]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Tells what a test tried: counts (int) are summed up over all tests, of measures the largest is shown."""

    def tell(name: str, number: float) -> None:
        request.node.user_properties.append((name, number))

    return tell


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the figures: zero failures say something only together with how much was tried."""
    found: dict[str, list[float]] = defaultdict(list)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, number in report.user_properties:
                    found[name].append(number)
    if found:
        seed = config.getoption("hypothesis_seed", None)
        terminalreporter.section(f"figures (hypothesis seed {seed or 'by chance'})", "-")
    for name, numbers in sorted(found.items()):
        counted = all(isinstance(number, int) for number in numbers)
        shown = f"{sum(numbers):,}" if counted else f"{max(numbers):,.1f} at most"
        terminalreporter.write_line(f"{name}: {shown}")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With xdist the controller starts the servers and tells its workers where they are."""
    node.workerinput["servers"] = _owned(node.config).run.as_input()


def _owned(config: pytest.Config) -> OwnedServers:
    if OWNED not in config.stash:
        config.stash[OWNED] = OwnedServers()
    return config.stash[OWNED]


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> RunServers:
    """The servers of this run, started when the first test needs them."""
    workerinput = getattr(request.config, "workerinput", None)
    return RunServers.from_input(workerinput["servers"]) if workerinput else _owned(request.config).run


@pytest.fixture
def database_url(servers: RunServers) -> Iterator[str]:
    """A fresh, migrated database of this test alone."""
    with servers.new_database() as url:
        yield url


@pytest.fixture
def empty_database_url(servers: RunServers) -> Iterator[str]:
    """A fresh database without a schema."""
    with servers.new_database(migrated=False) as url:
        yield url


@pytest.fixture
def redis_url(servers: RunServers, worker_id: str) -> str:
    """An empty Redis database of this test alone."""
    if servers.redis_url is None:
        pytest.skip("no Redis program on this machine")
    number = 1 + int(worker_id.removeprefix("gw")) if worker_id != "master" else 1
    url = with_database(servers.redis_url, str(number))
    with redis_client.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    """Settings that point at this test's servers; `model_copy(update=...)` changes some."""
    return Settings(database_url=database_url, redis_url=redis_url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The application's connections to this test's database."""
    opened = await Database.open(settings)
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def no_loops_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Health names what is not well in this process, and many tests run in one: each begins with nothing."""
    monkeypatch.setattr(loops, "_ALL", WeakSet())
