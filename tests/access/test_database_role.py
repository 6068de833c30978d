"""The API and the workers have a narrow role in the database: they cannot switch off what the audit log rests on."""

import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url, text

from app.commands.doctor import newest_schema
from app.config import Settings
from app.database import APPLICATION_ROLE, Database, connect
from app.services.audit.doctor import State, examine
from app.services.setup.database_role import fits
from app.services.tasks.housekeeping import end_hung
from tests.servers import RunServers, in_own_loop, owner_of

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = (
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "ALTER TABLE users DISABLE TRIGGER users_audited",
    "DROP TRIGGER audit_log_append_only ON audit_log",
    "DROP TABLE audit_log",
    "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE mine (id int)",
    "CREATE RULE quiet AS ON INSERT TO audit_log DO INSTEAD NOTHING",
    "CREATE TRIGGER mine BEFORE INSERT ON audit_log EXECUTE FUNCTION audit_refuse()",
    "SET session_replication_role = replica",
    "TRUNCATE audit_log",
    "TRUNCATE task_events CASCADE",
    "DELETE FROM audit_log",
    "UPDATE audit_log SET actor = 'nobody'",
    "UPDATE audit_log SET hash = hash",
    "SELECT setval('audit_log_id_seq', 1)",
    "UPDATE alembic_version SET version_num = '0001'",
    "DELETE FROM alembic_version",
    "COPY audit_log TO PROGRAM 'cat'",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE ROLE another LOGIN",
)
ROLE = "SELECT session_user, current_user, rolsuper FROM pg_roles WHERE rolname = current_user"


UNREACHABLE = """
SELECT string_agg(relname, ', ') FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT has_table_privilege(oid, 'SELECT')
"""


def run(program: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *program],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def as_role(url: str, name: str, password: str) -> str:
    return (
        make_url(url)
        .set(drivername="postgresql", username=name, password=password)
        .render_as_string(hide_password=False)
    )


def migrated(url: str, *steps: str) -> None:
    """Run alembic for each step (`upgrade head`, `downgrade base`), all in one process: starting one costs most."""
    program = "import sys; from alembic.config import main; [main(step.split()) for step in sys.argv[1:]]"
    done = run(["-c", program, *steps], DATABASE_URL=url)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def roles(servers: RunServers) -> Iterator[list[str]]:
    """Names for roles of this test; they are dropped after its databases."""
    names = [f"role_{uuid.uuid4().hex[:10]}" for _ in range(2)]
    yield names
    for name in names:
        servers.execute(f'DROP ROLE IF EXISTS "{name}"')


@pytest.fixture(scope="module")
def login(servers: RunServers) -> Iterator[str]:
    """The name of a login; it is dropped after its database."""
    name = f"role_{uuid.uuid4().hex[:10]}"
    yield name
    servers.execute(f'DROP ROLE IF EXISTS "{name}"')


PASSWORD = "it's 100% secret"


@pytest.fixture(scope="module")
def own_login(servers: RunServers, login: str) -> Iterator[Settings]:
    """A database made by its owner for a login of the application's own, as compose does it; tests leave it so."""
    with servers.new_database(migrated=False) as owner:
        url = as_role(owner, login, PASSWORD)
        done = run(["init_db.py"], DATABASE_OWNER_URL=owner, DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
        yield Settings(database_url=url, database_owner_url=owner)
        in_own_loop(execute(owner, f'DROP OWNED BY "{login}"'))


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def own_database(own_login: Settings) -> AsyncIterator[Database]:
    opened = await Database.open(own_login)
    yield opened
    await opened.close()


async def refused(database: Database) -> None:
    async with database.hot.acquire() as connection:
        for statement in FORBIDDEN:
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)):
                await connection.execute(statement)


async def test_every_connection_of_a_superuser_takes_the_narrow_role(
    database: Database, settings: Settings
) -> None:
    async with database.hot.acquire() as connection:
        hot = await connection.fetchrow(ROLE)
    async with database.session() as session:
        cold = (await session.execute(text(ROLE))).one()
    bare = await connect(settings.dsn)
    try:
        alone = await bare.fetchrow(ROLE)
    finally:
        await bare.close()
    for found in (hot, cold, alone):
        assert found is not None
        assert tuple(found)[1:] == (APPLICATION_ROLE, False)


async def test_role_stays_after_a_rollback_and_a_return_to_the_pool(database: Database) -> None:
    for _ in range(2):
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
            await session.rollback()
            assert (await session.execute(text("SELECT current_user"))).scalar() == APPLICATION_ROLE
        async with database.hot.acquire() as connection, connection.transaction():
            assert await connection.fetchval("SELECT current_user") == APPLICATION_ROLE


async def test_narrow_role_cannot_touch_what_the_audit_log_rests_on(database: Database) -> None:
    await refused(database)


async def test_login_of_its_own_cannot_either(own_database: Database, login: str) -> None:
    async with own_database.hot.acquire() as connection:
        assert tuple(await connection.fetchrow(ROLE)) == (login, login, False)
    await refused(own_database)


async def test_login_follows_the_password_of_its_address(own_login: Settings, login: str) -> None:
    owner = own_login.owner_url.replace("+asyncpg", "")
    changed = as_role(owner, login, "another one")
    done = run(["init_db.py"], DATABASE_OWNER_URL=owner, DATABASE_URL=changed)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    connection = await asyncpg.connect(changed)
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(own_login.dsn)
    quoted = PASSWORD.replace("'", "''")
    await execute(owner, f"ALTER ROLE \"{login}\" PASSWORD '{quoted}'")


async def test_tables_of_later_migrations_are_granted_whoever_migrates(
    own_login: Settings, own_database: Database
) -> None:
    owner = own_login.owner_url.replace("+asyncpg", "")
    await execute(owner, "CREATE TABLE added_later (id int)")
    migrated(owner, "downgrade 0009", "upgrade head")  # without naming the login
    async with own_database.hot.acquire() as connection:
        await connection.execute("INSERT INTO added_later VALUES (1)")
        assert await connection.fetchval(UNREACHABLE) is None, "tables made anew by the migrations"
    await execute(owner, "DROP TABLE added_later")


async def test_a_plain_owner_migrates_up_and_down_and_doctor_says_that_it_owns(
    servers: RunServers, roles: list[str], redis_url: str
) -> None:
    owner = roles[1]
    servers.execute(f"CREATE ROLE \"{owner}\" LOGIN PASSWORD 'plain'")
    with servers.new_database(migrated=False) as url:
        servers.execute(f'ALTER DATABASE "{make_url(url).database}" OWNER TO "{owner}"')
        plain = as_role(url, owner, "plain")
        migrated(plain, "upgrade head", "downgrade base")
        done = run(["init_db.py"], DATABASE_URL=plain)
        assert done.returncode == 0, done.stderr
        state, found, remedy = await doctor_on(Settings(database_url=plain), redis_url)
        assert (state, "owns the tables" in found) == (State.WORTH_KNOWING, True)
        assert "DATABASE_OWNER_URL" in remedy


def test_an_owner_who_may_make_no_login_is_told_what_to_run(servers: RunServers, roles: list[str]) -> None:
    login, owner = roles
    servers.execute(f"CREATE ROLE \"{owner}\" LOGIN PASSWORD 'plain'")
    with servers.new_database(migrated=False) as url:
        servers.execute(f'ALTER DATABASE "{make_url(url).database}" OWNER TO "{owner}"')
        done = run(
            ["init_db.py"],
            DATABASE_OWNER_URL=as_role(url, owner, "plain"),
            DATABASE_URL=as_role(url, login, "hidden-word"),
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"CREATE ROLE {login} LOGIN" in done.stderr
    assert "hidden-word" not in done.stderr


async def test_a_superuser_migrates_down_and_another_database_keeps_the_role(
    servers: RunServers, database: Database
) -> None:
    with servers.new_database() as url:
        migrated(url, "downgrade base", "upgrade head", "downgrade base")
    async with database.hot.acquire() as connection:
        assert await connection.fetchval("SELECT current_user") == APPLICATION_ROLE
        assert await connection.fetchval("SELECT count(*) FROM tasks") == 0


async def test_doctor_names_the_role(own_login: Settings, settings: Settings, redis_url: str) -> None:
    state, found, _ = await doctor_on(own_login, redis_url)
    assert (state, "owns nothing" in found) == (State.WELL, True)
    state, found, remedy = await doctor_on(settings, redis_url)
    assert (state, f"works as {APPLICATION_ROLE}" in found) == (State.WELL, True)
    assert "superuser" in found
    assert "DATABASE_OWNER_URL" in remedy
    in_own_loop(execute(settings.database_url, f"REVOKE ALL ON audit_log FROM {APPLICATION_ROLE}"))
    state, found, remedy = await doctor_on(settings, redis_url)
    assert (state, "works as one" in found) == (State.BROKEN, True)
    assert run(["init_db.py"], DATABASE_URL=settings.dsn).returncode == 0
    assert (await doctor_on(settings, redis_url))[0] is State.WELL


async def doctor_on(settings: Settings, redis_url: str) -> tuple[State, str, str]:
    database = await Database.open(settings)
    try:
        symptoms = await examine(database.hot, redis_url, schema=newest_schema(), repair=False)
    finally:
        await database.close()
    [role] = [symptom for symptom in symptoms if symptom.name == "Database role"]
    return role.state, role.found, role.remedy


async def test_hung_sessions_are_looked_for_as_the_login(database: Database) -> None:
    await end_hung(database.hot)
    async with database.hot.acquire() as connection:
        assert await connection.fetchval("SELECT current_user") == APPLICATION_ROLE


async def test_verifier_is_the_one_that_postgresql_makes(settings: Settings, roles: list[str]) -> None:
    async with owner_of(settings) as connection:
        await connection.execute(f"CREATE ROLE \"{roles[0]}\" PASSWORD 'pencil ½'")
        stored = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", roles[0])
    assert fits("pencil ½", stored)
    assert not fits("pencil", stored)
    assert not fits("pencil ½", "md5" + "0" * 32)
