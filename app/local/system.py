"""The whole system on one machine: servers, schema, API, workers, dashboard.

Each is started as a user would type it. Servers are embedded unless DATABASE_URL names one. The order of
starting is the order of need; stopping goes backwards, so that no request is taken that nobody could store,
and no server goes while somebody writes.
"""

import http.client
import importlib.util
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import structlog

from app.config import Settings
from app.local.embedded import EmbeddedError, EmbeddedServers, default_data_directory
from app.local.kept import kept_secret
from app.local.places import ANCHORS, API_ADDRESS
from app.local.ports import PortTaken, must_be_free
from app.local.supervisor import Service, Supervisor

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
_LOOPBACKS = frozenset({LOOPBACK, "localhost", "::1"})
API_PATIENCE = 60.0
"""Seconds the API may take to answer for the first time."""
GLANCE = 0.5
"""Seconds between two looks at the processes."""

log = structlog.get_logger()


class StartError(RuntimeError):
    """The system cannot be started; the message says why and what to do, in one line."""


class StopRequested(BaseException):
    """SIGTERM or SIGINT came. Not an Exception, so that nothing on the way takes it for a failure."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run: services and ports."""

    host: str = LOOPBACK
    port: int = 8000
    workers: int = 1
    data: Path | None = None
    dashboard_port: int | None = 8501  # None: no dashboard
    ais_port: int | None = 8090  # None: no emulator of the external system
    logs_here: bool = False
    certificate: tuple[Path, Path] | None = None  # certificate and key of https; None: http


@dataclass(frozen=True, slots=True)
class Running:
    """Services that run, to be shown to the user. `places` are names with their addresses."""

    places: dict[str, str]
    directory: Path
    supervisor: Supervisor
    servers: EmbeddedServers | None
    notes: list[str] = field(default_factory=list)

    def watch(self) -> NoReturn:
        """Keep everything running until `StopRequested`."""
        while True:
            time.sleep(GLANCE)
            self._revive_servers()
            self.supervisor.watch()

    def _revive_servers(self) -> None:
        if self.servers is None:
            return
        try:
            for name in self.servers.revive():
                log.warning("server.revived", server=name)
        except EmbeddedError as error:  # tried again at the next look
            log.warning("server.not_revived", error=str(error))


@contextmanager
def running_system(wishes: RunOptions, settings: Settings) -> Iterator[Running]:
    """Start everything, hand it over, and stop it in order.

    Raises
    ------
    StartError, EmbeddedError
        If something cannot be started; what had been started is stopped again.
    """
    _check_safety(wishes, settings)
    _check_ports(wishes)
    directory = wishes.data.expanduser().absolute() if wishes.data else default_data_directory()
    with ExitStack() as stack:
        servers = stack.enter_context(EmbeddedServers(directory)) if _needs_servers(settings) else None
        directory.mkdir(parents=True, exist_ok=True)
        environment = _environment(wishes, settings, servers, directory)
        if settings.secret_key is None:
            environment["SECRET_KEY"] = _secret_of(directory)
        if settings.audit_anchors is None:
            environment["AUDIT_ANCHORS"] = str(directory / ANCHORS)
        notes = _prepare_database(environment)
        supervisor = Supervisor(ROOT)
        stack.callback(supervisor.stop)
        places = {}
        for service, address in _services(wishes, environment, directory):
            supervisor.start(service)
            if address:
                places[service.name] = address
            if service.name == "api":
                _await_api(wishes, supervisor, service)
                (directory / API_ADDRESS).write_text(environment["API_URL"], encoding="utf-8")
        yield Running(places, directory, supervisor, servers, notes)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Within, the first SIGTERM or SIGINT raises `StopRequested` wherever the main thread is.

    A second one ends this process at once; the keepers still end everything in order.
    """

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        for again in (signal.SIGTERM, signal.SIGINT):
            signal.signal(again, signal.SIG_DFL)
        raise StopRequested

    before = {number: signal.signal(number, request_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _needs_servers(settings: Settings) -> bool:
    return not settings.names_database


def _check_safety(wishes: RunOptions, settings: Settings) -> None:
    if settings.secret_key is None and wishes.host not in _LOOPBACKS:
        raise StartError(
            f"{wishes.host} is reached by other machines: set SECRET_KEY first (`make env` writes one into .env)"
        )
    for path in wishes.certificate or ():
        if not path.is_file():
            raise StartError(f"{path} is not there: `make cert` makes a certificate and its key")


def _secret_of(directory: Path) -> str:
    """The key of tokens on this data: made once, so that a restart signs nobody out. Raises StartError."""
    try:
        return kept_secret(directory / "secret.key")
    except (OSError, ValueError) as error:
        raise StartError(f"no key of tokens can be kept: {error}; set SECRET_KEY") from error


def _environment(
    wishes: RunOptions, settings: Settings, servers: EmbeddedServers | None, directory: Path
) -> dict[str, str]:
    """Environment of every service: addresses of the servers and the API."""
    here = LOOPBACK if wishes.host in {"0.0.0.0", "::"} else wishes.host  # noqa: S104 - compared, not bound
    scheme = "https" if wishes.certificate else "http"
    environment = {
        "HOST": wishes.host,
        "PORT": str(wishes.port),
        "API_URL": f"{scheme}://{here}:{wishes.port}",
        "SECRETS_DIR": str(directory / "secrets"),
    }
    if servers:
        environment["DATABASE_URL"] = servers.addresses.database_url
        environment["DATABASE_OWNER_URL"] = ""
        if "redis_url" not in settings.model_fields_set:
            environment["REDIS_URL"] = servers.addresses.redis_url or ""
    if settings.ais_url is None and _has_emulator(wishes):
        environment["AIS_URL"] = f"http://{LOOPBACK}:{wishes.ais_port}"
    return environment


def _prepare_database(environment: dict[str, str]) -> list[str]:
    """Create or update the schema and what a first start needs; return what the user should know."""
    result = subprocess.run(
        [sys.executable, "init_db.py"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise StartError((result.stderr or result.stdout).strip())
    return result.stdout.strip().splitlines()


def _services(
    wishes: RunOptions, environment: dict[str, str], directory: Path
) -> Iterator[tuple[Service, str | None]]:
    """Every service in the order of starting, with the address that a user opens, if any."""
    programs = Path(sys.executable).parent

    def service(name: str, *command: str, grace: float = 15.0) -> Service:
        file = None if wishes.logs_here else directory / f"{name}.log"
        return Service(name, command, environment, file, grace)

    uvicorn = str(programs / "uvicorn")
    if _has_emulator(wishes):
        port = str(wishes.ais_port)
        emulator = service("ais", uvicorn, "ais_emulator.main:app", "--host", LOOPBACK, "--port", port)
        yield emulator, f"http://{LOOPBACK}:{port}"
    for number in range(1, wishes.workers + 1):
        yield service(f"worker-{number}", sys.executable, "app/worker.py", grace=30.0), None
    served = [
        "--host",
        wishes.host,
        "--port",
        str(wishes.port),
        "--http",
        "app.api.edge.http_protocol:BoundedProtocol",
    ]
    served += ["--limit-concurrency", str(Settings().max_connections), "--no-server-header"]
    if wishes.certificate:
        certificate, key = (str(path.absolute()) for path in wishes.certificate)
        served += ["--ssl-certfile", certificate, "--ssl-keyfile", key]
    api = service("api", uvicorn, "app.main:app", *served, grace=30.0)
    yield api, environment["API_URL"]
    if _has_dashboard(wishes):
        options = {
            "--server.address": wishes.host,
            "--server.port": str(wishes.dashboard_port),
            "--server.headless": "true",
            "--browser.gatherUsageStats": "false",
        }
        streamlit = str(programs / "streamlit")
        flags = [part for option in options.items() for part in option]
        board = service("dashboard", streamlit, "run", "streamlit_app/dashboard.py", *flags, grace=5.0)
        if wishes.certificate:  # the dashboard must trust a certificate that no authority signed
            trusted = {"SSL_CERT_FILE": str(wishes.certificate[0].absolute())}
            board = replace(board, environment=environment | trusted)
        address = environment["API_URL"].replace(f":{wishes.port}", f":{wishes.dashboard_port}")
        yield board, address.replace("https:", "http:")


def _has_dashboard(wishes: RunOptions) -> bool:
    present = (ROOT / "streamlit_app" / "dashboard.py").exists() and importlib.util.find_spec("streamlit")
    return bool(wishes.dashboard_port and present)


def _has_emulator(wishes: RunOptions) -> bool:
    return bool(wishes.ais_port and (ROOT / "ais_emulator" / "main.py").exists())


def _check_ports(wishes: RunOptions) -> None:
    """Refuse in one line what would otherwise fail in the log of a service."""
    wanted = [(wishes.host, wishes.port, "--port")]
    if _has_dashboard(wishes) and wishes.dashboard_port:
        wanted.append((wishes.host, wishes.dashboard_port, "--dashboard-port"))
    if _has_emulator(wishes) and wishes.ais_port:
        wanted.append((LOOPBACK, wishes.ais_port, "--ais-port"))
    for number, (_, port, option) in enumerate(wanted):
        for _, other, name in wanted[:number]:
            if port == other:
                raise StartError(f"{name} and {option} are both {port}: choose another {option}")
    for host, port, option in wanted:
        try:
            must_be_free(host, port, option)
        except PortTaken as error:
            raise StartError(str(error)) from None


def _await_api(wishes: RunOptions, supervisor: Supervisor, service: Service) -> None:
    """Return when the API answers; an API that ends instead is not worth restarting."""
    host = LOOPBACK if wishes.host in {"0.0.0.0", "::"} else wishes.host  # noqa: S104 - compared, not bound
    deadline = time.monotonic() + API_PATIENCE
    while time.monotonic() < deadline:
        if supervisor.pid(service.name) is None:
            break
        if _answers(host, wishes):
            return
        time.sleep(0.05)
    raise StartError(f"the API did not start{_tail(service.log)}")


def _answers(host: str, wishes: RunOptions) -> bool:
    with closing(_connection(host, wishes)) as connection, suppress(OSError):
        connection.request("GET", "/v1/health/live")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def _connection(host: str, wishes: RunOptions) -> http.client.HTTPConnection:
    if wishes.certificate is None:
        return http.client.HTTPConnection(host, wishes.port, timeout=5)
    context = ssl.create_default_context(cafile=str(wishes.certificate[0]))
    context.check_hostname = False  # the very certificate is known; what it calls itself is the user's affair
    return http.client.HTTPSConnection(host, wishes.port, timeout=5, context=context)


def _tail(path: Path | None, lines: int = 15) -> str:
    if path is None or not path.exists():
        return ""
    return ":\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
