"""A statement that breaks, however it breaks, leaves nothing in any log that people or secrets could be known by."""

import itertools
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.access.roles import Caller
from app.api.edge.access_log import AccessLog
from app.local.supervisor import Service, Supervisor
from app.services.audit.archive import Files
from app.telemetry.logs import configure_logging
from tests.access.conftest import House
from tests.conftest import Figure
from tests.servers import RunServers, owner_of

MARK = "4142-9a7f"
SECRETS = (f"Вермишелева-{MARK}", f"+7 900 {MARK}", f"hunter2-{MARK}", f"two\nlines-{MARK}")
BREAKS = {
    "a constraint": "ALTER TABLE {table} ADD CONSTRAINT planted CHECK (false) NOT VALID",
    "a backend that ends": (
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NEW; END';"
        "CREATE TRIGGER planted BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION die()"
    ),
    "read-only": (
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE read_only_sql_transaction USING MESSAGE = ''read-only'', DETAIL = NEW::text; END';"
        "CREATE TRIGGER planted BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION die()"
    ),
    "a value that is refused": (
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM (NEW::text)::bigint; RETURN NEW; END';"
        "CREATE TRIGGER planted BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION die()"
    ),
}


def requests_of(house: House) -> dict[str, tuple[str, str, dict[str, object]]]:
    """By table: a request that writes secrets into it."""
    name, phone, password, lines = SECRETS
    person = {"name": name, "parameters": {"phone": phone, "note": lines}}
    hook = {"pool_id": house.mine.pool_id, "url": f"https://1.1.1.1/hook-{MARK}"}
    return {
        "users": ("POST", "/v1/users", {"username": f"u {MARK}", "password": password, "role": "viewer"}),
        "executors": ("PATCH", f"/v1/executors/{house.mine.ids['executor_id']}", person),
        "webhooks": ("POST", "/v1/webhooks", hook),
        "api_keys": (
            "POST",
            "/v1/api-keys",
            {"name": name, "role": "integration", "scopes": ["tasks.create"]},
        ),
        "tasks": ("POST", "/v1/tasks", {"pool_id": house.mine.pool_id, "parameters": person}),
        "audit_log": ("PATCH", f"/v1/executors/{house.mine.ids['executor_id']}", person),
    }


async def test_broken_statements_leave_no_secret_in_any_log(
    capfd: pytest.CaptureFixture[str], house: House, servers: RunServers, figure: Figure
) -> None:
    configure_logging(house.settings)  # to the stream that is captured here
    for kind in BREAKS:  # one after the other: the log is the server's, not the database's
        await breaks_and_tells_nothing(kind, capfd, house, servers)
        figure("statements broken", len(requests_of(house)))


async def breaks_and_tells_nothing(
    kind: str, capfd: pytest.CaptureFixture[str], house: House, servers: RunServers
) -> None:
    admin = await house.as_role("admin")
    own_log = Path(servers.directory) / "data" / "postgres.log"
    begins = own_log.stat().st_size if own_log.exists() else 0
    for table, (method, path, body) in requests_of(house).items():
        async with owner_of(house.settings) as owner:
            await owner.execute(BREAKS[kind].format(table=table))
            answer = await house.client.request(method, path, json=body, headers=admin)
            assert answer.status_code >= 400, (table, answer.text)
            assert "hunter2" not in answer.text
            if kind == "a constraint":
                await owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT planted")
            else:
                await owner.execute("DROP FUNCTION die() CASCADE")
    said = capfd.readouterr().err
    assert "request.failed" in said or "request.crashed" in said
    failed = next(line for line in said.splitlines() if "request.failed" in line or "request.crashed" in line)
    for word in ("route", "caller", "address"):
        assert word in failed
    logs = {"ours": said}
    # A value that PostgreSQL itself refuses stands in its own message, which no setting shortens (SECURITY.md).
    if own_log.exists() and kind != "a value that is refused":
        with own_log.open(errors="replace") as file:
            file.seek(begins)
            logs["PostgreSQL's"] = file.read()
    for (name, text), secret in itertools.product(logs.items(), (MARK, "argon2", "Вермишелева")):
        assert secret not in text, (name, kind, [line for line in text.splitlines() if secret in line][:2])


def test_log_and_archive_files_are_their_owners_alone(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("of an earlier version\n")
    log.chmod(0o644)
    supervisor = Supervisor(tmp_path)
    supervisor.start(Service("api", ["true"], {}, log))
    supervisor.stop()
    files = Files(tmp_path / "archive")
    files.finish(datetime(2026, 1, 1, tzinfo=UTC))
    modes = {
        path: stat.S_IMODE(path.stat().st_mode) for path in (log, tmp_path / "archive" / "manifest.json")
    }
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE((tmp_path / "archive").stat().st_mode) == 0o700


async def test_a_failed_sign_in_stands_in_the_audit_log(house: House) -> None:
    admin = await house.as_role("admin")
    user = {"username": "anna", "password": "a password nobody has", "role": "viewer"}
    assert (await house.client.post("/v1/users", json=user, headers=admin)).status_code == 201
    for name in ("anna", "hunter2-typed-into-the-wrong-field"):
        body = {"username": name, "password": "wrong"}
        assert (await house.client.post("/v1/auth/token", json=body)).status_code == 401
    noted = await house.database.hot.fetch(
        "SELECT * FROM audit_log WHERE action = 'sign_in_refused' ORDER BY id"
    )
    assert [(row["actor"], row["entity_id"] != "") for row in noted] == [("anna", True), ("anonymous", False)]
    assert all(row["address"] for row in noted)
    assert "hunter2" not in str([dict(row) for row in noted])


async def test_the_access_log_has_one_whole_line_a_request(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog(in_json=True)
    scope = {
        "method": "GET", "path": "/v1/tasks/1\nforged: line" + "x" * 500, "client": ("192.0.2.7", 1),
        "caller": Caller("anna\n", "viewer", frozenset(), frozenset()), "request_id": "r-1",
    }  # fmt: skip
    log.note(scope, 404, 0.25)
    log.note({**scope, "path": "/v1/health/live"}, 200, 0.1)
    log.write()
    [line] = capfd.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["status"], told["caller"], told["address"]) == (
        "request.answered", 404, "anna\n", "192.0.2.7",
    )  # fmt: skip
    assert len(told["path"]) < 250
    AccessLog(in_json=False).note(scope, 200, 0.1)
