"""docker-compose.yaml and the Dockerfile: right in form, hardened, and every command line really starts its service."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import jsonschema
import pytest
import redis
import yaml
from redis.exceptions import AuthenticationError, ConnectionError as NotThere

from app.config import Settings
from app.local.embedded.data import free_port
from app.local.embedded.redis_server import find_redis
from tests.deploy.compose import ROOT, compose, resolved, variables
from tests.lifecycle.conftest import until

DOCUMENT = compose()
SERVICES: dict[str, Any] = DOCUMENT["services"]
OURS = {"migrate", "app", "worker", "dashboard", "ais-emulator"}
NOT_SETTINGS = {"API_URL"}  # the dashboard's own
# A service whose folder is left out of a checkout is not started.
MISSING = {
    name
    for name, folder in (("dashboard", "streamlit_app"), ("ais-emulator", "ais_emulator"))
    if not (ROOT / folder).exists()
}
SECRETS = {
    "POSTGRES_PASSWORD": "for postgres",
    "REDIS_PASSWORD": "for-redis",
    "SECRET_KEY": "s" * 48,
    "METRICS_TOKEN": "let me see",
    "GRAFANA_PASSWORD": "for grafana",
    "ADMIN_PASSWORD": "for the administrator",
}


def test_it_has_the_form_of_a_compose_file():
    schema = json.loads((Path(__file__).parent / "compose_schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(DOCUMENT, schema)


def test_what_it_names_exists():
    for name, service in SERVICES.items():
        assert service.get("depends_on", {}).keys() <= SERVICES.keys(), name
        assert set(service.get("networks", ())) <= DOCUMENT["networks"].keys(), name
        assert set(service.get("secrets", ())) <= DOCUMENT["secrets"].keys(), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in DOCUMENT["volumes"] or (ROOT / source).exists(), volume


def test_everything_that_was_asked_for_is_there():
    assert OURS | {"postgres", "redis", "prometheus", "grafana"} == SERVICES.keys()
    assert SERVICES["postgres"]["image"].startswith("postgres:15")
    assert SERVICES["redis"]["image"].startswith("redis:7")
    assert (
        "container_name" not in SERVICES["worker"] and "ports" not in SERVICES["worker"]
    )  # --scale worker=3


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_runs_as_root_writes_where_it_need_not_or_is_open_to_the_world(name: str):
    service = SERVICES[name]
    assert name in OURS or service["user"] not in ("root", "0")
    assert service["read_only"] is True or name == "prometheus"
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "healthcheck" in service or name == "migrate"


def test_make_env_gives_every_secret(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_env.py")], cwd=tmp_path, check=True, capture_output=True
    )
    assert b"Wrote .env" in done.stdout
    lines = (tmp_path / ".env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert variables(None) <= given.keys()
    assert {secret["environment"] for secret in DOCUMENT["secrets"].values()} <= given.keys()
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    resolved(DOCUMENT, given)


@pytest.mark.parametrize("name", sorted(OURS))
def test_services_are_given_settings_that_exist(name: str):
    for variable in SERVICES[name].get("environment", {}):
        assert variable.lower() in Settings.model_fields or variable in NOT_SETTINGS


async def test_postgresql_knows_the_settings_it_is_given(settings: Settings):
    connection = await asyncpg.connect(settings.dsn)
    given = [each[2:].split("=")[0] for each in SERVICES["postgres"]["command"] if each.startswith("-c")]
    known = await connection.fetch("SELECT name FROM pg_settings WHERE name = ANY($1)", given)
    await connection.close()
    assert len(given) > 3 and {row["name"] for row in known} == set(given)


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
    assert {SERVICES[name]["build"]["target"] for name in OURS} <= stages
    assert "USER 10001" in dockerfile


def addresses(settings: Settings, ports: dict[str, int]) -> dict[str, str]:
    """The names and ports inside the network of compose, and what stands for them here."""
    redis_server = (settings.redis_url or "").removeprefix("redis://")
    return {
        SECRETS_URL: settings.database_url,
        f"redis://:{SECRETS['REDIS_PASSWORD']}@redis:6379/0": f"redis://{redis_server}",
        "http://app:8000": f"http://127.0.0.1:{ports['8000']}",
        "http://ais-emulator:8090": f"http://127.0.0.1:{ports['8090']}",
        "0.0.0.0": "127.0.0.1",  # noqa: S104
    }


SECRETS_URL = f"postgresql://balancer:{SECRETS['POSTGRES_PASSWORD']}@postgres:5432/executor_balancer"


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
async def started(command: list[str], environment: dict[str, str]) -> AsyncIterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)  # noqa: ASYNC220
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def environment_of(name: str, given: dict[str, str], tmp_path: Path) -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": programs, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "METRICS_PORT": "9101", **given}


async def test_the_command_lines_start_the_services_and_their_health_checks_agree(
    servers: Any, settings: Settings, empty_database_url: str, tmp_path: Path
):
    """Migrate first, then all others; each is asked by its own health check, and ends within its grace on SIGTERM."""
    settings = settings.model_copy(update={"database_url": empty_database_url})
    ports = {port: free_port() for port in ("8000", "9101", "8090", "8501")}
    places = addresses(settings, ports)

    def as_run(name: str, value: Any) -> Any:
        return here(resolved(value, SECRETS), places, ports)

    def environment(name: str) -> dict[str, str]:
        given = as_run(name, SERVICES[name].get("environment", {}))
        return environment_of(name, given, tmp_path) | {"METRICS_PORT": str(ports["9101"])}

    migrate = await asyncio.create_subprocess_exec(
        *as_run("migrate", SERVICES["migrate"]["command"]), cwd=ROOT, env=environment("migrate")
    )
    assert await migrate.wait() == 0
    async with contextlib.AsyncExitStack() as stack:
        running = {}
        for name in sorted(OURS - {"migrate"} - MISSING):
            command = as_run(name, SERVICES[name]["command"])
            running[name] = await stack.enter_async_context(started(command, environment(name)))
        for name in running:
            check = as_run(name, SERVICES[name]["healthcheck"]["test"])[1:]
            await until(lambda asked=check, where=name: succeeds(asked, environment(where)), 120)
        await prometheus_scrapes_all(stack, ports, tmp_path)
        for process in running.values():
            process.terminate()
        for name, process in running.items():
            code = await asyncio.to_thread(process.wait, 60)
            assert code in (0, -signal.SIGTERM), name


async def prometheus_scrapes_all(
    stack: contextlib.AsyncExitStack, ports: dict[str, int], tmp_path: Path
) -> None:
    """Its own command line and configuration, with the token of `.env`; left out where it is not installed."""
    if shutil.which("prometheus") is None:
        return
    config = (ROOT / "deploy" / "prometheus.yml").read_text()
    config = config.replace("/etc/prometheus/alerts.yml", str(ROOT / "deploy" / "alerts.yml"))
    config = config.replace("/run/secrets/metrics_token", str(tmp_path / "metrics_token"))
    document, web = yaml.safe_load(config), free_port()
    [secret] = SERVICES["prometheus"]["secrets"]
    assert secret == "metrics_token"  # which compose puts to /run/secrets/metrics_token
    (tmp_path / secret).write_text(SECRETS[DOCUMENT["secrets"][secret]["environment"]])
    targets = {"app": ports["8000"], "worker": ports["9101"]}
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
    await stack.enter_async_context(started(command, dict(os.environ)))

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


async def test_redis_takes_its_password_from_the_environment_and_nobody_without(tmp_path: Path):
    if (program := find_redis()) is None:
        pytest.skip("no Redis program on this machine")
    port = free_port()
    command = resolved(SERVICES["redis"]["command"], SECRETS)
    command = [each.replace("--dir /data", f"--dir {tmp_path} --port {port}") for each in command]
    environment = {"PATH": f"{Path(program).parent}:{os.environ['PATH']}", "REDIS_PASSWORD": "for-redis"}
    async with started(command, environment) as process:
        with redis.Redis(port=port) as nobody, redis.Redis(port=port, password="for-redis") as us:
            await until(lambda: asyncio.to_thread(there, us))
            with pytest.raises(AuthenticationError):
                nobody.ping()
            assert us.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
        assert "for-redis" not in " ".join(Path(f"/proc/{process.pid}/cmdline").read_text().split("\0"))
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0


def there(client: "redis.Redis[bytes]") -> bool:
    try:
        return bool(client.ping())
    except NotThere:
        return False
