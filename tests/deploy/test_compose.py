"""docker-compose.yaml and the Dockerfile: right in form, hardened, and every command line really starts its service."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import jsonschema
import pytest
import redis
import yaml
from redis.exceptions import ConnectionError as NotThere

from app.config import Settings
from app.local.embedded.data import free_port
from app.local.embedded.redis_server import find_redis
from tests.deploy.compose import ROOT, compose, resolved
from tests.deploy.image_files import Image, make_image, stages
from tests.deploy.stack import first_start, given
from tests.lifecycle.conftest import until

DOCUMENT = compose()
SERVICES: dict[str, Any] = DOCUMENT["services"]
OURS = {"migrate", "app", "worker", "dashboard", "ais-emulator"}
NOT_SETTINGS = {"API_URL", "ENV_FILE"}  # the dashboard's own; where the settings are
# A service whose folder is left out of a checkout is not started.
MISSING = {
    name
    for name, folder in (("dashboard", "streamlit_app"), ("ais-emulator", "ais_emulator"))
    if not (ROOT / folder).exists()
}


def test_it_has_the_form_of_a_compose_file():
    schema = json.loads((Path(__file__).parent / "compose_schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(DOCUMENT, schema)


def test_what_it_names_exists():
    for name, service in SERVICES.items():
        assert service.get("depends_on", {}).keys() <= SERVICES.keys(), name
        assert set(service.get("networks", ())) <= DOCUMENT["networks"].keys(), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            made = source == "./.secrets"  # by Docker, at the first start
            assert source in DOCUMENT["volumes"] or made or (ROOT / source).exists(), volume


def test_everything_that_was_asked_for_is_there():
    assert OURS | {"secrets", "postgres", "redis", "prometheus", "grafana"} == SERVICES.keys()
    assert SERVICES["postgres"]["image"].startswith("postgres:15")
    assert SERVICES["redis"]["image"].startswith("redis:7")
    assert (
        "container_name" not in SERVICES["worker"] and "ports" not in SERVICES["worker"]
    )  # --scale worker=3


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_runs_as_root_writes_where_it_need_not_or_is_open_to_the_world(name: str):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    if name == "secrets":  # gives files to the users of the others: root, without a network, for a second
        assert (service["network_mode"], service["restart"]) == ("none", "no")
        assert set(service["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "FOWNER"}
        return
    assert name in OURS or service["user"] not in ("root", "0")
    assert "cap_add" not in service
    assert "healthcheck" in service or name == "migrate"


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "ports" in service])
def test_ports_are_published_from_a_network_that_is_not_internal(name: str):
    """Docker publishes nothing from internal networks, and says nothing about it."""
    internal = {network for network, about in DOCUMENT["networks"].items() if about.get("internal")}
    assert set(SERVICES[name]["networks"]) - internal, name


def test_the_ports_of_the_run_book_are_published():
    wanted = {"app": 8000, "dashboard": 8501, "prometheus": 9090, "postgres": 5432, "redis": 6379}
    for name, port in wanted.items():
        assert any(each.endswith(f":-{port}}}:{port}") for each in SERVICES[name]["ports"]), name


def test_a_fresh_clone_needs_no_variable():
    """Each variable has a default, so that the first `docker-compose up -d` needs no step before it."""
    resolved(DOCUMENT, {})


def test_one_service_builds_each_image_and_all_others_of_it_wait_for_that():
    """Builders that run at once refuse two results of one name, and 1.29 pulls an image that is not built yet."""
    builders = {service["image"]: name for name, service in SERVICES.items() if "build" in service}
    assert len(builders) == sum("build" in service for service in SERVICES.values())
    for name, service in SERVICES.items():
        if service["image"] in builders and "build" not in service:
            assert builders[service["image"]] in awaited(name), name


def awaited(name: str) -> set[str]:
    """The services that a service waits for, directly or by way of others."""
    direct = SERVICES[name].get("depends_on", {}).keys()
    return set(direct).union(*(awaited(each) for each in direct))


def test_health_is_judged_late_enough_for_a_slow_machine():
    """A success within `start_period` counts at once, so that a long one delays nothing."""
    for name, service in SERVICES.items():
        if "healthcheck" in service:
            assert service["healthcheck"]["start_period"] in ("2m", "5m"), name
            assert service["healthcheck"]["timeout"] in ("10s", "15s"), name


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose on this machine")
def test_docker_compose_accepts_the_file(tmp_path: Path):
    command = ["docker-compose", "--project-directory", tmp_path, "-f", ROOT / "docker-compose.yaml"]
    done = subprocess.run(
        [*command, "config", "-q"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_variables_of_make_env_are_taken(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_env.py")], cwd=tmp_path, check=True, capture_output=True
    )
    assert b"Wrote .env" in done.stdout
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    written = given(tmp_path / ".env")
    taken = resolved(SERVICES["secrets"]["environment"], written)
    assert written.items() <= taken.items()


@pytest.mark.parametrize("name", sorted(OURS))
def test_services_are_given_settings_that_exist(name: str):
    for variable in SERVICES[name].get("environment", {}):
        assert variable.lower() in Settings.model_fields or variable in NOT_SETTINGS


async def test_postgresql_knows_the_settings_it_is_given(settings: Settings):
    connection = await asyncpg.connect(settings.dsn)
    lines = (ROOT / "deploy" / "postgres" / "postgresql.conf").read_text().splitlines()
    given = [line.split(" = ")[0] for line in lines if " = " in line and not line.startswith("#")]
    known = await connection.fetch("SELECT name FROM pg_settings WHERE name = ANY($1)", given)
    await connection.close()
    assert len(given) > 3 and {row["name"] for row in known} == set(given)


@pytest.mark.parametrize(
    "file", ["deploy/postgres/start.sh", "deploy/postgres/postgresql.conf", "Dockerfile"]
)
def test_a_checkout_on_windows_keeps_the_line_ends_that_containers_read(file: str):
    asked = ["git", "check-attr", "eol", file]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.strip().endswith("eol: lf")


def test_the_dockerfile_is_clean():
    subprocess.run([Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile"], check=True, timeout=60)


def test_the_image_holds_what_the_services_start():
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        line.split()[1:-1]
        for line in dockerfile.splitlines()
        if line.startswith("COPY") and "--from" not in line
    ]
    for source in {each for line in copied for each in line}:
        assert f"!{source.removeprefix('./')}" in ignored, source
    stages = {line.split(" AS ")[1] for line in dockerfile.splitlines() if line.startswith("FROM")}
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= stages
    assert "USER 10001" in dockerfile


def test_make_images_has_a_stand_in_for_every_base_image():
    """`make images` pulls what it can, and makes the others of Debian's packages, under these names."""
    text = (ROOT / "scripts" / "images" / "play.py").read_text()
    stand_ins = dict(re.findall(r'"([a-z/]+:[\w.-]+)": "(\w+)"', text))
    bases = {lines[0].split()[1] for lines in stages().values()} - stages().keys()
    others = {service["image"] for service in SERVICES.values() if ":" in service["image"]}
    assert stand_ins.keys() == bases | others
    for folder in stand_ins.values():
        assert (ROOT / "scripts" / "images" / folder / "Dockerfile").exists()


def addresses(settings: Settings, ports: dict[str, int]) -> dict[str, str]:
    """The names and ports inside the network of compose, and what stands for them here."""
    database = urlsplit(settings.database_url)
    return {
        "@postgres:5432/executor_balancer": f"@{database.hostname}:{database.port}{database.path}",
        "redis://redis:6379/0": settings.redis_url or "",
        "http://app:8000": f"http://127.0.0.1:{ports['8000']}",
        "http://ais-emulator:8090": f"http://127.0.0.1:{ports['8090']}",
        "0.0.0.0": "127.0.0.1",  # noqa: S104
    }


def here(value: Any, places: dict[str, str], ports: dict[str, int]) -> Any:
    """A command or environment with the addresses of this test in place of those in compose, otherwise as it is."""
    if isinstance(value, dict):
        return {key: here(each, places, ports) for key, each in value.items()}
    if isinstance(value, list):
        return [here(each, places, ports) for each in value]
    for old, new in places.items():
        value = value.replace(old, new)
    for old, port in ports.items():
        value = (
            str(port)
            if value == old
            else value.replace(f":{old}", f":{port}").replace(f", {old})", f", {port})")
        )
    return value


@contextlib.asynccontextmanager
async def started(
    command: list[str], environment: dict[str, str], cwd: Path = ROOT
) -> AsyncIterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=cwd, env=environment, start_new_session=True)  # noqa: ASYNC220
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Stack:
    """The services of our images: files, packages, settings and commands as in their containers, ports of this test."""

    def __init__(self, place: Path, settings: Settings) -> None:
        self.place = first_start(place)
        self.ports = {port: free_port() for port in ("8000", "9101", "8090", "8501")}
        self._places = addresses(settings, self.ports)
        self._owner = settings.database_url.replace("+asyncpg", "")
        app = make_image("app", place / "images")
        self._images = {"executor-balancer": app}
        if "dashboard" not in MISSING:
            self._images["executor-balancer-dashboard"] = make_image("dashboard", place / "images")

    def image(self, name: str) -> Image:
        return self._images[SERVICES[name]["image"]]

    def as_run(self, value: Any) -> Any:
        return here(resolved(value, {}), self._places, self.ports)

    def environment(self, name: str) -> dict[str, str]:
        """What compose sets, and nothing of this process's own; `/run/secrets` is the volume that it mounts there."""
        image = self.image(name)
        environment = {
            "PATH": f"{image.programs}:/usr/bin:/bin",
            "HOME": str(self.place),
            "PYTHONPATH": str(image.root),
            "METRICS_PORT": str(self.ports["9101"]),
            **self.as_run(SERVICES[name].get("environment", {})),
        }
        if "AUDIT_ANCHORS" in environment:
            environment["AUDIT_ANCHORS"] = str(self.place / "anchors.jsonl")
        for volume in SERVICES[name].get("volumes", ()):
            if "-secrets:/run/secrets" in volume:
                environment["ENV_FILE"] = str(self._settings_file(volume.split("-secrets:")[0]))
        return environment

    def _settings_file(self, volume: str) -> Path:
        """The file of a volume, with the addresses of this test. The owner is that of the test's database."""
        kept = given(self.place / "volumes" / volume / "settings.env")
        if "DATABASE_OWNER_URL" in kept:
            kept["DATABASE_OWNER_URL"] = self._owner
        file = self.place / f"{volume}.env"
        lines = [f"{name}='{value}'" for name, value in self.as_run(kept).items()]
        file.write_text("\n".join(lines))
        return file


async def test_the_images_start_the_services_and_their_health_checks_agree(
    servers: Any, settings: Settings, empty_database_url: str, tmp_path: Path
):
    """The short form of `make images`: the Dockerfile's files in fresh environments of its locks, and nothing else.

    Migrate first, then all others; each is asked by its own health check, and ends within its grace on SIGTERM.
    """
    stack = Stack(tmp_path, settings.model_copy(update={"database_url": empty_database_url}))
    migrate = await asyncio.create_subprocess_exec(
        *SERVICES["migrate"]["command"], cwd=stack.image("migrate").root, env=stack.environment("migrate")
    )
    assert await migrate.wait() == 0
    async with contextlib.AsyncExitStack() as running_services:
        running = {}
        for name in sorted(OURS - {"migrate"} - MISSING):
            command = stack.as_run(SERVICES[name]["command"])
            service = started(command, stack.environment(name), stack.image(name).root)
            running[name] = await running_services.enter_async_context(service)
        for name in running:
            check = stack.as_run(SERVICES[name]["healthcheck"]["test"])[1:]
            await until(lambda asked=check, where=name: succeeds(asked, stack.environment(where)), 240)
        await the_api_knows_the_key_of_the_host(stack)
        await nothing_runs_as_a_superuser(empty_database_url)
        await prometheus_scrapes_all(running_services, stack, tmp_path)
        for process in running.values():
            process.terminate()
        for name, process in running.items():
            code = await asyncio.to_thread(process.wait, 60)
            assert code in (0, -signal.SIGTERM), name


async def the_api_knows_the_key_of_the_host(stack: Stack) -> None:
    key = given(stack.place / "secrets" / "host.env")["API_KEY"]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.ports['8000']}") as client:
        assert (await client.get("/v1/pools")).status_code == 401
        answer = await client.get("/v1/pools", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    assert "default" in answer.text


async def nothing_runs_as_a_superuser(database_url: str) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    ours = "datname = current_database() AND pid <> pg_backend_pid()"
    query = f"SELECT DISTINCT usename FROM pg_stat_activity WHERE {ours}"
    names = [row["usename"] for row in await connection.fetch(query)]
    await connection.close()
    assert names == ["balancer_app"]


async def prometheus_scrapes_all(
    running_services: contextlib.AsyncExitStack, stack: Stack, tmp_path: Path
) -> None:
    """Its own command line and configuration, with the token that it is given; left out where it is not installed."""
    if shutil.which("prometheus") is None:
        return
    config = (ROOT / "deploy" / "prometheus.yml").read_text()
    config = config.replace("/etc/prometheus/alerts.yml", str(ROOT / "deploy" / "alerts.yml"))
    token = stack.place / "volumes" / "prometheus" / "metrics_token"
    config = config.replace("/run/secrets/metrics_token", str(token))
    document, web = yaml.safe_load(config), free_port()
    targets = {"app": stack.ports["8000"], "worker": stack.ports["9101"]}
    for job in document["scrape_configs"]:
        if found := job.pop("dns_sd_configs", None):  # names inside the network of compose
            [name] = found[0]["names"]
            assert name in SERVICES and found[0]["port"] in (8000, 9101)
            job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[name]}"]}]
        else:
            job["static_configs"] = [{"targets": [f"localhost:{web}"]}]
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(document))
    command = [each.replace("/etc/prometheus", str(tmp_path)) for each in SERVICES["prometheus"]["command"]]
    command = [each.replace("path=/prometheus", f"path={tmp_path}/data") for each in command]
    command = ["prometheus", *command, f"--web.listen-address=127.0.0.1:{web}", "--log.level=error"]
    await running_services.enter_async_context(started(command, dict(os.environ)))

    async def all_up() -> bool:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web}/api/v1") as client:
            try:
                answer = await client.get("/targets")
            except httpx.TransportError:
                return False
        if answer.status_code != 200:  # it is starting
            return False
        active = answer.json()["data"]["activeTargets"]
        return {(each["labels"]["job"], each["health"]) for each in active} == {
            ("api", "up"),
            ("worker", "up"),
            ("prometheus", "up"),
        }

    await until(all_up, 120)


async def succeeds(command: list[str], environment: dict[str, str]) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


async def test_redis_asks_for_no_password_and_keeps_to_its_memory(tmp_path: Path):
    """`redis-cli -h localhost ping` works as written; other machines do not reach the published port."""
    if (program := find_redis()) is None:
        pytest.skip("no Redis program on this machine")
    port = free_port()
    command = [str(tmp_path) if part == "/data" else part for part in SERVICES["redis"]["command"]]
    environment = {"PATH": f"{Path(program).parent}:{os.environ['PATH']}"}
    async with started([*command, "--port", str(port)], environment) as process:
        with redis.Redis(port=port) as client:
            await until(lambda: asyncio.to_thread(there, client))
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
            assert client.config_get("protected-mode") == {
                "protected-mode": "no"
            }  # containers are no loopback
            client.config_set("maxmemory", "512mb")
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0


def there(client: "redis.Redis[bytes]") -> bool:
    try:
        return bool(client.ping())
    except NotThere:
        return False


def test_alerts_reach_receivers_that_are_to_be_filled_in_the_critical_ones_another():
    alerts = yaml.safe_load((ROOT / "deploy" / "alertmanager.yml").read_text())
    [night] = alerts["route"]["routes"]
    receivers = {receiver["name"] for receiver in alerts["receivers"]}
    assert {alerts["route"]["receiver"], night["receiver"]} == receivers
    assert night["matchers"] == ["severity = critical"]
    document = yaml.safe_load((ROOT / "docker-compose.alerts.yaml").read_text())
    service = document["services"]["alertmanager"]
    assert set(service["networks"]) <= DOCUMENT["networks"].keys()
    common = ("read_only", "cap_drop", "security_opt", "restart", "logging")
    assert {name: service[name] for name in common} == {name: SERVICES["grafana"][name] for name in common}
    assert service["user"] != "root" and "healthcheck" in service
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    [found] = prometheus["alerting"]["alertmanagers"][0]["dns_sd_configs"]
    [port] = service["ports"]
    assert (
        found["names"] == ["alertmanager"]
        and port == f"127.0.0.1:${{ALERTMANAGER_PORT:-9093}}:{found['port']}"
    )
