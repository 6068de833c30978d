"""`docker-compose up` in a fresh clone: secrets are made once, each is readable by those alone who need it."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.config import Settings
from tests.deploy.compose import ROOT, compose
from tests.deploy.stack import first_start, given, make_secrets

OWNER = 12345


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A first start in a checkout of an ordinary user."""
    place = tmp_path / "checkout"
    (place / "deploy").mkdir(parents=True)
    os.chown(place / "deploy", OWNER, OWNER)
    return first_start(place)


def files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


def test_secrets_belong_to_the_owner_of_the_checkout_alone(checkout: Path):
    kept = checkout / "secrets"
    assert [path.name for path in files(kept)] == ["host.env", "stack.env"]
    for path in (kept, *files(kept)):
        about = path.stat()
        assert (about.st_uid, about.st_gid) == (OWNER, OWNER)
        assert stat.S_IMODE(about.st_mode) & 0o077 == 0, path


def test_each_service_reads_its_own_files_and_no_other(checkout: Path):
    users = {
        "app": 10001,
        "worker": 10001,
        "migrate": 10001,
        "postgres": 999,
        "prometheus": 65534,
        "grafana": 472,
    }
    for volume, user in users.items():
        found = files(checkout / "volumes" / volume)
        assert found
        for path in (checkout / "volumes" / volume, *found):
            assert (path.stat().st_uid, path.stat().st_mode & 0o077) == (user, 0), path
    secrets_of = given(checkout / "secrets" / "stack.env")
    for service in ("app", "worker"):  # neither the owner's password nor the administrator's
        text = (checkout / "volumes" / service / "settings.env").read_text()
        assert secrets_of["POSTGRES_PASSWORD"] not in text
        assert secrets_of["ADMIN_PASSWORD"] not in text


def test_a_second_start_keeps_every_secret(checkout: Path):
    before = {path: path.read_text() for path in files(checkout)}
    first_start(checkout)
    assert {path: path.read_text() for path in files(checkout)} == before


def test_commands_on_the_host_are_told_where_the_stack_is(checkout: Path):
    host, secrets_of = (given(checkout / "secrets" / name) for name in ("host.env", "stack.env"))
    settings = Settings(_env_file=checkout / "secrets" / "host.env")
    assert settings.database_url.endswith("@127.0.0.1:5432/executor_balancer")
    assert settings.database_owner_url and "postgres:" in settings.database_owner_url
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert host["API_URL"] == "http://127.0.0.1:8000"
    assert isinstance(settings.api_key, SecretStr)
    assert (
        settings.admin_password and settings.admin_password.get_secret_value() == secrets_of["ADMIN_PASSWORD"]
    )


def test_own_secrets_and_ports_are_taken(tmp_path: Path):
    own = {
        "POSTGRES_PASSWORD": "a b/c@d#e$f",
        "SECRET_KEY": "s" * 48,
        "POSTGRES_PORT": "15432",
        "API_PORT": "18000",
        "POSTGRES_SHARED_BUFFERS": "128MB",
    }
    place = first_start(tmp_path, own)
    host = given(place / "secrets" / "host.env")
    assert host["DATABASE_OWNER_URL"].endswith(":a%20b%2Fc%40d%23e%24f@127.0.0.1:15432/executor_balancer")
    assert host["API_URL"] == "http://127.0.0.1:18000"
    assert given(place / "volumes" / "app" / "settings.env")["SECRET_KEY"] == own["SECRET_KEY"]
    assert (place / "volumes" / "postgres" / "superuser_password").read_text() == own["POSTGRES_PASSWORD"]
    assert "128MB" in (place / "volumes" / "postgres" / "own.conf").read_text()
    first_start(tmp_path)  # taken away from .env, they stay
    assert given(place / "volumes" / "app" / "settings.env")["SECRET_KEY"] == own["SECRET_KEY"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("POSTGRES_PASSWORD", "it's"),
        ("ADMIN_PASSWORD", "${HOME}"),
        ("ADMIN_PASSWORD", "two\nlines"),
        ("POSTGRES_SHARED_BUFFERS", "lots"),
        ("POSTGRES_SHARED_BUFFERS", "1GB' # "),
    ],
)
def test_what_no_file_can_carry_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path, name: str, value: str
):
    with pytest.raises(make_secrets.CannotMake, match=name) as refused:
        first_start(tmp_path, {name: value})
    assert len(str(refused.value).splitlines()) == 1
    assert not files(tmp_path / "secrets") and not files(tmp_path / "volumes")


def test_a_checkout_closed_by_its_umask_is_opened_to_the_users_of_the_images(tmp_path: Path):
    first_start(tmp_path)
    for path in (tmp_path / "deploy").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    first_start(tmp_path)
    for path in (tmp_path / "deploy").rglob("*"):
        assert path.stat().st_mode & 0o004, path


def test_what_others_mount_of_the_checkout_is_opened_to_them():
    """Each bind mount of another service lies below what `_make_readable` opens."""
    mounted = [
        volume.split(":")[0]
        for name, service in compose()["services"].items()
        for volume in service.get("volumes", ())
        if volume.startswith("./") and name != "secrets"
    ]
    opened = [ROOT / "deploy" / name for name in ("prometheus.yml", "alerts.yml", "grafana", "postgres")]
    for source in mounted:
        assert any((ROOT / source).is_relative_to(path) for path in opened), source


def test_every_volume_that_secrets_fills_is_read_by_the_service_that_it_is_for():
    services = compose()["services"]
    filled = {
        volume.split(":")[0]
        for volume in services["secrets"]["volumes"]
        if not volume.startswith("./") and volume.split(":")[0] != "audit-anchors"
    }
    readers = {
        name: [each.split(":")[0] for each in service.get("volumes", ())]
        for name, service in services.items()
    }
    for volume in filled:
        others = [name for name, volumes in readers.items() if volume in volumes and name != "secrets"]
        assert others == [volume.removesuffix("-secrets")], volume
