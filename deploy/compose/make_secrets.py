"""The service `secrets` of docker-compose.yaml: makes the stack's secrets on its first start and hands them out.

A secret is, in this order: the variable of the same name (from `.env`), the one kept in `.secrets/stack.env`, a fresh
one. Each service gets only what it needs, in a volume that its own user alone can read; commands on the host read
`.secrets/host.env`. Run again it keeps all secrets. It runs as root without a network, because it gives files to other
users. Standard library only.
"""

import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

DATABASE = "executor_balancer"
SUPERUSER = "postgres"
LOGIN = "balancer_app"
"""The role of the API and the workers; migrations make it and grant it rows (app/services/database_role.py)."""

SERVICE_USER, POSTGRES_USER, PROMETHEUS_USER, GRAFANA_USER = 10001, 999, 65534, 472
"""Users of the images: Dockerfile, and the published images of PostgreSQL, Prometheus (nobody) and Grafana."""

_SIZE = re.compile(r"[1-9][0-9]{0,8}(kB|MB|GB)")
_MADE: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(15),
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(24),
    "APP_DATABASE_PASSWORD": lambda: secrets.token_hex(24),
    "METRICS_TOKEN": lambda: secrets.token_hex(24),
    "GRAFANA_PASSWORD": lambda: secrets.token_urlsafe(15),
    "API_KEY": lambda: f"ebk_{secrets.token_hex(5)}_{secrets.token_hex(24)}",
}
_LEAST_KEY = 32
_FORBIDDEN = ("\n", "\r", "\0", "'", "\\", "${")


class CannotMake(Exception):
    """One line: what is wrong, and the remedy."""


@dataclass(frozen=True)
class Places:
    """Directories of this service: `.secrets` and `deploy` of the checkout, and the volumes of the others."""

    kept: Path = Path("/secrets")
    deploy: Path = Path("/deploy")
    volumes: Path = Path("/volumes")


def make_secrets(places: Places, environment: Mapping[str, str]) -> str:
    """Write all files and return the line to log.

    Raises
    ------
    CannotMake
        If a variable cannot be used.
    OSError
        If a file cannot be written.
    """
    _check(environment)
    owner = places.deploy.stat()
    kept = _read(places.kept / "stack.env")
    known = {name: environment.get(name) or kept.get(name) or make() for name, make in _MADE.items()}
    _prepare(places.kept, owner.st_uid, owner.st_gid)
    _write(places.kept / "stack.env", _dotenv(known, _KEPT_NOTE), owner.st_uid, owner.st_gid)
    _write(
        places.kept / "host.env",
        _dotenv(_of_host(known, environment), _HOST_NOTE),
        owner.st_uid,
        owner.st_gid,
    )
    for volume, (user, files) in _of_services(known, environment).items():
        _prepare(places.volumes / volume, user, user)
        for name, text in files.items():
            _write(places.volumes / volume / name, text, user, user)
    _prepare(places.volumes / "anchors", SERVICE_USER, SERVICE_USER)
    for path in ("prometheus.yml", "alerts.yml", "grafana", "postgres"):
        _make_readable(places.deploy / path)
    made = "kept" if kept else "made"
    return f"Secrets {made} in .secrets; the administrator's password is in .secrets/stack.env."


_KEPT_NOTE = (
    "Secrets of the stack that docker-compose starts here. A variable of the same name in .env replaces one."
)
_HOST_NOTE = "Where commands on this machine reach the stack. Written anew at each start."


def _check(environment: Mapping[str, str]) -> None:
    """Raise CannotMake for a variable that no file of ours can carry, or that PostgreSQL or the API would refuse."""
    for name in (*_MADE, "ADMIN_USERNAME"):
        if bad := [part for part in _FORBIDDEN if part in environment.get(name, "")]:
            raise CannotMake(f"{name} must not contain {bad[0]!r}: choose another one in .env")
    if 0 < len(environment.get("SECRET_KEY", "")) < _LEAST_KEY:
        raise CannotMake(f"SECRET_KEY is shorter than {_LEAST_KEY} characters: make env writes a good one")
    size = environment.get("POSTGRES_SHARED_BUFFERS", "")
    if size and not _SIZE.fullmatch(size):
        raise CannotMake(
            f"POSTGRES_SHARED_BUFFERS={size}: write a whole number and kB, MB or GB, for instance 512MB"
        )


def _of_host(known: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Settings of commands on the host, by the published ports."""
    database = f"127.0.0.1:{environment.get('POSTGRES_PORT') or 5432}"
    return {
        "DATABASE_URL": _database_url(LOGIN, known["APP_DATABASE_PASSWORD"], database),
        "DATABASE_OWNER_URL": _database_url(SUPERUSER, known["POSTGRES_PASSWORD"], database),
        "REDIS_URL": f"redis://127.0.0.1:{environment.get('REDIS_PORT') or 6379}/0",
        "API_URL": f"http://127.0.0.1:{environment.get('API_PORT') or 8000}",
        "API_KEY": known["API_KEY"],
        **_admin(known, environment),
    }


def _admin(known: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The first administrator, whom init_db.py makes: by the service `migrate`, or on the host."""
    name = environment.get("ADMIN_USERNAME") or "admin"
    return {"ADMIN_USERNAME": name, "ADMIN_PASSWORD": known["ADMIN_PASSWORD"]}


def _of_services(
    known: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, tuple[int, dict[str, str]]]:
    """Per volume: the user who may read it, and its files."""
    place = "postgres:5432"
    app = {
        "DATABASE_URL": _database_url(LOGIN, known["APP_DATABASE_PASSWORD"], place),
        "SECRET_KEY": known["SECRET_KEY"],
    }
    migrate = {
        "DATABASE_URL": app["DATABASE_URL"],
        "DATABASE_OWNER_URL": _database_url(SUPERUSER, known["POSTGRES_PASSWORD"], place),
        **_admin(known, environment),
        "API_KEY": known["API_KEY"],
    }
    size = environment.get("POSTGRES_SHARED_BUFFERS", "")
    postgres = {
        "superuser_password": known["POSTGRES_PASSWORD"],
        "superuser.sql": _superuser_statements(known["POSTGRES_PASSWORD"]),
        "own.conf": f"shared_buffers = '{size}'\n" if size else "",
    }
    return {
        "app": (SERVICE_USER, {"settings.env": _dotenv({**app, "METRICS_TOKEN": known["METRICS_TOKEN"]})}),
        "worker": (SERVICE_USER, {"settings.env": _dotenv(app)}),
        "migrate": (SERVICE_USER, {"settings.env": _dotenv(migrate)}),
        "postgres": (POSTGRES_USER, postgres),
        "prometheus": (PROMETHEUS_USER, {"metrics_token": known["METRICS_TOKEN"]}),
        "grafana": (GRAFANA_USER, {"admin_password": known["GRAFANA_PASSWORD"]}),
    }


def _superuser_statements(password: str) -> str:
    """Make the superuser in a data directory that has none, and give it the password; each statement is one line."""
    return (
        f"DO $$ BEGIN IF to_regrole('{SUPERUSER}') IS NULL THEN CREATE ROLE {SUPERUSER}; END IF; END $$;\n"
        f"ALTER ROLE {SUPERUSER} SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS LOGIN PASSWORD '{password}';\n"
    )


def _database_url(user: str, password: str, place: str) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@{place}/{DATABASE}"


def _dotenv(settings: Mapping[str, str], note: str = "") -> str:
    lines = [f"# {note}"] if note else []
    return "\n".join([*lines, *(f"{name}='{value}'" for name, value in settings.items()), ""])


def _read(path: Path) -> dict[str, str]:
    """Return what an earlier start wrote; nothing where there is no file."""
    if not path.exists():
        return {}
    pairs = (
        line.split("=", 1) for line in path.read_text().splitlines() if line and not line.startswith("#")
    )
    return {name: value.strip("'") for name, value in pairs}


def _prepare(directory: Path, user: int, group: int) -> None:
    directory.mkdir(exist_ok=True)
    os.chown(directory, user, group)
    directory.chmod(0o700)


def _write(path: Path, text: str, user: int, group: int) -> None:
    """Replace a file at once by one that is closed to others from its first moment."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with open(unfinished, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        os.fchown(file.fileno(), user, group)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _make_readable(top: Path) -> None:
    """Let the users of the images read what is mounted for them: a clone under umask 077 closes it to them."""
    for path in (top, *top.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | (0o055 if path.is_dir() else 0o044)
        if wanted != mode:
            path.chmod(wanted)


def main() -> int:
    """Make the secrets of the directories that compose mounts; returns the exit code."""
    try:
        print(make_secrets(Places(), os.environ))
    except (CannotMake, OSError) as error:
        print(f"The stack's secrets cannot be made: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
