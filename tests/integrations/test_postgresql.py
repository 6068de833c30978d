"""Connections to PostgreSQL: addresses read as libpq reads them, failover, TLS, and no writes to a replaced server."""

import asyncio
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from pydantic import ValidationError

from app.config import Settings
from app.database import Database
from app.integrations.postgresql import BadAddress, NoServer, Servers, Unfit, read_address
from tests.integrations.replication import Cluster, a_cluster, freeze, port_of, thaw

ONE = (("h", 5432),)
TWO = (("h1", 5432), ("h2", 5433))


@pytest.mark.parametrize(
    ("url", "hosts", "wanted"),
    [
        ("postgresql://u:p@h/d", ONE, "any"),
        ("postgres://u:p@h:5432/d", ONE, "any"),
        ("postgresql+asyncpg://u@h1,h2:5433/d", TWO, "read-write"),
        ("postgresql://u@h1:5432,h2:5433/d?target_session_attrs=primary", TWO, "primary"),
        ("postgresql://u@/d?host=h1,h2&port=5432,5433", TWO, "read-write"),
        ("postgresql://u@/d?host=h1,h2&port=5433", (("h1", 5433), ("h2", 5433)), "read-write"),
        ("postgresql://u@[::1]:5433/d", (("::1", 5433),), "any"),
        ("postgresql://u@[::1],h/d?target_session_attrs=any", (("::1", 5432), ("h", 5432)), "any"),
        ("postgresql://u@/d?host=/var/run/postgresql", (("/var/run/postgresql", 5432),), "any"),
        ("postgresql://u@%2Fvar%2Frun%2Fpostgresql/d", (("/var/run/postgresql", 5432),), "any"),
        ("postgresql:///d", (("localhost", 5432),), "any"),
        ("postgresql://h?dbname=d&user=u", ONE, "any"),
    ],
)
def test_an_address_is_read_as_libpq_reads_it(url, hosts, wanted):
    address = read_address(url)

    assert (address.hosts, address.database, address.wanted) == (hosts, "d", wanted)


def test_what_managed_databases_hand_out_is_understood():
    address = read_address(
        "postgresql://u%40x:p%2Fq@h/d?sslmode=verify-full&sslrootcert=/ca.pem&channel_binding=prefer"
        "&application_name=mine&options=-c%20statement_timeout%3D5s&connect_timeout=7"
    )

    assert (address.user, address.password, address.connect_seconds) == ("u@x", "p/q", 7)
    assert "sslmode=verify-full" in address.dsn
    assert "p/q" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("h:5432/d", "postgresql://user:password@host:5432/database"),
        ("mysql://h/d", "postgresql://"),
        ("postgresql://h:port/d", "'port' is no port"),
        ("postgresql://h:0/d", "'0' is no port"),
        ("postgresql://h:70000/d", "'70000' is no port"),
        ("postgresql://h:५/d", "is no port"),
        ("postgresql://::1:5432/d", "[::1]:5432"),
        ("postgresql://[::1/d", "[::1]:5432"),
        ("postgresql://h1,h2,h3/d?port=1,2", "2 ports for 3 hosts"),
        ("postgresql://h/d?sslmode", "name=value"),
        ("postgresql://h/d?sslmode=require&sslmode=disable", "'sslmode' is given twice"),
        ("postgresql://h/d?channel_binding=require", "channel_binding=require"),
        ("postgresql://h/d?sslmodus=require", "'sslmodus' is not known"),
        ("postgresql://h/d?pgbouncer=true", "DATABASE_POOLER=transaction"),
        ("postgresql://h/d?target_session_attrs=standby", "target_session_attrs=standby will not do"),
        ("postgresql://h/d?connect_timeout=soon", "connect_timeout=soon"),
        ("postgresql://h/d?sslrootcert=system&sslmode=require", "sslmode=verify-full only"),
    ],
)
def test_an_address_that_cannot_be_understood_is_one_clear_line(url, says):
    with pytest.raises(BadAddress) as refused:
        read_address(url)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)

    with pytest.raises(ValidationError, match="DATABASE_URL"):
        Settings(database_url=url)


@pytest.fixture
def cluster():
    with a_cluster() as running:
        yield running


async def write(cluster: Cluster, database: Database) -> int:
    """Write through the pool of bare connections and through a session; return the port written to."""
    async with database.session() as session:
        await session.connection()
    port: int = await database.hot.fetchval("INSERT INTO written DEFAULT VALUES RETURNING inet_server_port()")
    return port


async def until_written(cluster: Cluster, database: Database) -> int:
    """Write as soon as a server takes writes; return its port."""
    while True:
        try:
            return await write(cluster, database)
        except Exception:  # noqa: BLE001 - any trouble of a failover
            await asyncio.sleep(0.05)


async def test_a_primary_that_dies_hangs_or_returns_is_left_for_the_promoted_one(cluster):
    settings = Settings(database_url=cluster.url, database_connect_seconds=1, database_timeout=5)
    database = await Database.open(settings)
    first, second = port_of(cluster.first), port_of(cluster.second)
    try:
        await database.hot.execute("CREATE TABLE written (id bigint GENERATED ALWAYS AS IDENTITY)")
        assert await write(cluster, database) == first

        freeze(cluster.first)
        await asyncio.to_thread(cluster.promote)
        async with asyncio.timeout(60):
            assert await until_written(cluster, database) == second
        assert database.servers.timeline == 2

        thaw(cluster.first)  # it still believes to be the primary
        fresh = await Database.open(settings)
        for one in (database, fresh):
            for _ in range(5):
                assert await write(cluster, one) == second
        await fresh.close()
    finally:
        thaw(cluster.first)
        await database.close()


async def test_connections_to_a_replaced_primary_are_ended_and_a_process_that_starts_asks_all_hosts(cluster):
    refused = []
    address = read_address(cluster.url)
    servers = Servers(address)
    servers.refused = lambda host, timeline, newest: refused.append((timeline, newest))
    old = await servers.connect()
    assert await old.fetchval("SELECT inet_server_port()") == port_of(cluster.first)

    await asyncio.to_thread(cluster.promote)  # both take writes now
    await servers.look()

    assert old.is_closed()
    for _ in range(2):
        connection = await servers.connect()
        assert await connection.fetchval("SELECT inet_server_port()") == port_of(cluster.second)
        await connection.close()
    assert (1, 2) in refused

    starting = Servers(address)
    connection = await starting.connect()
    assert await connection.fetchval("SELECT inet_server_port()") == port_of(cluster.second)
    await connection.close()

    only_the_old = Servers(read_address(f"{cluster.first.url}"))
    only_the_old.timeline = 2
    with pytest.raises(Unfit, match="timeline 1, which a server on timeline 2 has replaced"):
        await only_the_old.connect()


async def test_where_no_host_takes_writes_the_reason_of_each_is_given(cluster):
    cluster.first.kill()

    with pytest.raises(NoServer, match=rf"127\.0\.0\.1:{port_of(cluster.second)} is a standby"):
        await Servers(read_address(cluster.url)).connect()


def make_certificates(directory: Path) -> Path:
    """A CA of its own and a certificate of 127.0.0.1; returns the directory that holds them."""

    def openssl(line: str) -> None:
        subprocess.run(["openssl", *line.split(" ")], cwd=directory, check=True, capture_output=True)

    directory.mkdir()
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=authority")
    openssl("req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=db")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -extfile names"
    )
    return directory


SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""How a client asks for TLS (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL)."""


@asynccontextmanager
async def tls_in_front_of(port: int, certificates: Path) -> AsyncIterator[int]:
    """A door that speaks TLS only, to a server that has none: the embedded one is built without. Yields its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(8) != SSL_REQUEST:
                writer.close()
                return
            writer.write(b"S")
            await writer.start_tls(context)
            inner = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def with_port(url: str, port: int, host: str = "127.0.0.1") -> str:
    login, _, rest = url.rpartition("@")
    return f"{login}@{host}:{port}/{rest.partition('/')[2]}"


@pytest.mark.parametrize("mode", ["require", "verify-ca&sslrootcert={ca}", "verify-full&sslrootcert={ca}"])
async def test_tls_as_the_address_asks_for_it(database_url, tmp_path, mode):
    certificates = make_certificates(tmp_path / "certificates")
    async with tls_in_front_of(read_address(database_url).hosts[0][1], certificates) as port:
        mode = mode.format(ca=certificates / "ca.crt")
        database = await Database.open(
            Settings(database_url=f"{with_port(database_url, port)}?sslmode={mode}")
        )
        try:
            assert await database.hot.fetchval("SELECT count(*) FROM pools") == 0
            async with database.session() as session:
                connection = await session.connection()
                assert (await connection.exec_driver_sql("SELECT count(*) FROM pools")).scalar() == 0
        finally:
            await database.close()


async def test_a_server_that_cannot_prove_itself_is_not_talked_to(database_url, tmp_path):
    certificates = make_certificates(tmp_path / "certificates")
    others = make_certificates(tmp_path / "others")
    async with tls_in_front_of(read_address(database_url).hosts[0][1], certificates) as port:
        here = with_port(database_url, port)
        for url in (
            f"{here}?sslmode=verify-full&sslrootcert={others / 'ca.crt'}",
            f"{here}?sslrootcert=system",
            f"{with_port(database_url, port, 'localhost')}?sslmode=verify-full&sslrootcert={certificates / 'ca.crt'}",
        ):
            with pytest.raises(ssl.SSLCertVerificationError):
                await Servers(read_address(url)).connect()
        with pytest.raises(asyncpg.PostgresConnectionError):
            await Servers(read_address(f"{here}?sslmode=disable")).connect()


async def test_sessions_have_the_same_bounds_as_bare_connections(database):
    async with database.session() as session:
        connection = await session.connection()
        idle = (await connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout")).scalar()
        name = (await connection.exec_driver_sql("SHOW application_name")).scalar()
        raw = await connection.get_raw_connection()
        assert raw.driver_connection._config.command_timeout == 10

    assert (idle, name) == ("5s", "executor-balancer")
