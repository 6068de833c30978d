"""Redis as operators have it: TLS, sentinels, a cluster, users with few rights, a socket; and wrong addresses."""

import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis as redis_client
from redis.crc import key_slot
from redis.exceptions import RedisError

from app.config import BadSettings, Settings, read_settings
from app.doorbell.doorbell import STREAM, RedisDoorbell
from app.engine.types import PoolId
from app.integrations.redis_address import BadRedis, read_redis
from app.local.embedded.data import free_port
from app.services.audit.doctor import State, _doorbell
from tests.api.conftest import client_of
from tests.integrations.test_postgresql import make_certificates
from tests.lifecycle.conftest import until

REDIS = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(
    REDIS is None, reason="no redis-server on this machine: apt-get install redis-server"
)


@contextlib.contextmanager
def a_redis(
    directory: Path, *options: object, sentinel: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server of Redis with these options, or a sentinel with this configuration."""
    directory.mkdir(exist_ok=True)
    command = [str(REDIS)]
    if sentinel is not None:
        (directory / "sentinel.conf").write_text(sentinel)
        command += [str(directory / "sentinel.conf"), "--sentinel"]
    else:
        command += [*map(str, options), "--dir", str(directory), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def heard(doorbell: RedisDoorbell, seconds: float = 60) -> bool:
    """Ring until it is heard."""
    async with asyncio.timeout(seconds):
        while True:
            doorbell.ring(PoolId(7))
            rings = await doorbell.listen("one", 0.2)
            if rings:
                await doorbell.acknowledge(rings)
                return {ring.pool_id for ring in rings} == {7}


async def own_heard(doorbell: RedisDoorbell, seconds: float = 60) -> bool:
    """Hand a pool over to a worker until the worker hears it: PUBLISH and SUBSCRIBE meet at one server."""
    async with asyncio.timeout(seconds):
        while True:
            await doorbell.hand_over(PoolId(7), "one")
            rings = await doorbell.listen_to_own("one", 0.2)
            if rings:
                return {ring.pool_id for ring in rings} == {7}


def ask(port: int, *command: object) -> object:
    """Send a command to a server that may still be starting."""
    for attempt in range(600):
        try:
            with redis_client.Redis(port=port, socket_timeout=5) as client:
                return client.execute_command(*map(str, command))
        except (redis_client.ConnectionError, redis_client.BusyLoadingError):
            if attempt == 599:
                raise
            time.sleep(0.05)
    raise AssertionError


def is_whole(port: int) -> bool:
    """Whether a node knows a whole cluster."""
    return "cluster_state:ok" in str(ask(port, "CLUSTER", "INFO"))


async def asked(answer: Callable[[], object]) -> None:
    """Ask until the answer is a true one."""

    async def ask_once() -> object:
        return answer()

    await until(ask_once)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("redis://:p%40ss@h", ("server", (("h", 6379),), {"password": "p@ss"})),
        (
            "redis://u:p@[::1]:6380/2",
            ("server", (("::1", 6380),), {"username": "u", "password": "p", "db": 2}),
        ),
        (
            "rediss://h/0?ssl_ca_certs=/ca.pem",
            ("server", (("h", 6379),), {"ssl_ca_certs": "/ca.pem", "db": 0}),
        ),
        ("unix:///run/redis.sock?db=1", ("socket", (), {"db": 1})),
        ("redis+sentinel://a,b:1/m/3", ("sentinel", (("a", 26379), ("b", 1)), {"db": 3})),
        ("rediss+cluster://a:1,b:2", ("cluster", (("a", 1), ("b", 2)), {})),
    ],
)
def test_an_address_is_read(url: str, read: object) -> None:
    address = read_redis(url)
    assert (address.kind, address.places, address.options) == read


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h", "redis://host:6379/0"),
        ("h:6379", "redis://host:6379/0"),
        ("redis://h:99999", "'99999' is no port"),
        ("redis://h:x/0", "the port is a number"),
        ("redis://h/one", "the database is a number"),
        ("redis://h/1?db=2", "given twice"),
        ("redis://h?decode_responses=true", "'decode_responses' is not known"),
        ("redis://h?ssl_ca_certs=/x", "rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "none, optional, required"),
        ("redis://a,b", "several hosts"),
        ("redis://", "names no host"),
        ("redis+sentinel://a,b", "the master's name"),
        ("redis+cluster://a/1", "database 0 only"),
        ("unix://redis.sock", "unix:///directory"),
    ],
)
def test_an_address_that_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch, url: str, said: str) -> None:
    with pytest.raises(BadRedis, match=said):
        read_redis(url)
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(BadSettings, match="REDIS_URL") as told:
        read_settings()
    assert "\n" not in str(told.value)


async def test_a_socket_that_is_not_there_is_down(settings: Settings, tmp_path: Path) -> None:
    quiet = settings.model_copy(update={"redis_url": f"unix://{tmp_path}/none.sock"})
    async with client_of(quiet) as client:
        ready = await client.get("/v1/health/ready")
        assert (ready.status_code, ready.json()["parts"]["doorbell"]["status"]) == (200, "down")
    assert "does not answer" in (await _doorbell(quiet.redis_url)).found


@needs_redis
async def test_tls_is_spoken_and_a_stranger_refused(tmp_path: Path) -> None:
    port = free_port()
    mine, others = make_certificates(tmp_path / "certificates"), make_certificates(tmp_path / "others")
    tls = ["--tls-port", port, "--tls-cert-file", mine / "server.crt", "--tls-key-file", mine / "server.key"]
    tls += ["--tls-ca-cert-file", mine / "ca.crt", "--tls-auth-clients", "no"]
    with a_redis(tmp_path / "redis", "--port", 0, *tls):
        url = f"rediss://127.0.0.1:{port}/0"
        doorbell = RedisDoorbell(f"{url}?ssl_ca_certs={mine / 'ca.crt'}")
        assert await heard(doorbell) and await own_heard(doorbell) and await doorbell.healthy()
        await doorbell.close()
        assert (await _doorbell(f"{url}?ssl_ca_certs={mine / 'ca.crt'}")).found.startswith("Redis ")
        for stranger in (url, f"{url}?ssl_ca_certs={others / 'ca.crt'}", f"redis://127.0.0.1:{port}/0"):
            doorbell = RedisDoorbell(stranger)
            assert not await doorbell.healthy()
            assert "does not answer" in (await _doorbell(stranger)).found
            await doorbell.close()


@needs_redis
async def test_the_master_is_found_by_a_sentinel_and_again_after_a_failover(tmp_path: Path) -> None:
    first, second, watch = free_port(), free_port(), free_port()
    with (
        a_redis(tmp_path / "first", "--port", first) as master,
        a_redis(tmp_path / "second", "--port", second, "--replicaof", "127.0.0.1", first),
    ):
        ask(first, "PING")
        conf = f"port {watch}\nsentinel monitor mine 127.0.0.1 {first} 1\n"
        conf += "sentinel down-after-milliseconds mine 300\nsentinel failover-timeout mine 2000\n"
        with a_redis(tmp_path / "watch", sentinel=conf):
            ask(watch, "PING")
            doorbell = RedisDoorbell(f"redis+sentinel://127.0.0.1:9,127.0.0.1:{watch}/mine")
            assert await heard(doorbell) and await own_heard(doorbell)
            await asked(lambda: ask(watch, "SENTINEL", "REPLICAS", "mine"))
            master.kill()
            assert await heard(doorbell) and await own_heard(doorbell)
            assert ask(second, "XLEN", STREAM) is not None
            await doorbell.close()
            unknown = await _doorbell(f"redis+sentinel://127.0.0.1:{watch}/theirs")
            assert "not known there" in unknown.found


@needs_redis
async def test_the_node_of_a_cluster_that_has_the_key_is_found_and_again_when_it_moves(
    tmp_path: Path,
) -> None:
    ports = [free_port(), free_port()]
    slot = key_slot(STREAM.encode())
    with contextlib.ExitStack() as running:
        for port in ports:
            cluster = ["--cluster-enabled", "yes", "--cluster-port", free_port()]
            running.enter_context(a_redis(tmp_path / str(port), "--port", port, *cluster))
        other, owner = ports
        mover = ask(other, "CLUSTER", "MYID")
        assert isinstance(mover, bytes)
        bus = str(ask(other, "CONFIG", "GET", "cluster-port"))
        bus_port = "".join(filter(str.isdigit, bus))
        ask(owner, "CLUSTER", "MEET", "127.0.0.1", other, bus_port)
        ask(owner, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        for port in ports:
            await asked(partial(is_whole, port))
        doorbell = RedisDoorbell(f"redis+cluster://127.0.0.1:{other}")
        assert await heard(doorbell) and await own_heard(doorbell)
        ask(owner, "DEL", STREAM)
        for port in ports:
            ask(port, "CLUSTER", "SETSLOT", slot, "NODE", mover.decode())
        assert await heard(doorbell) and await own_heard(doorbell)
        with contextlib.suppress(RedisError):
            assert ask(owner, "XLEN", STREAM) is None, "it has moved"
        await doorbell.close()


KEYS = "~executor-balancer:* &executor-balancer:*"
RIGHTS = f"{KEYS} +@stream +publish +subscribe +unsubscribe +pubsub|numsub +ping +select"


@needs_redis
async def test_a_user_with_few_rights_is_enough_and_one_who_may_not_ring_is_told(tmp_path: Path) -> None:
    port = free_port()
    with a_redis(tmp_path / "redis", "--port", port):
        ask(port, "ACL", "SETUSER", "few", "on", ">secret", *RIGHTS.split())
        ask(port, "ACL", "SETUSER", "fewer", "on", ">secret", *RIGHTS.split(), "-xadd")
        few = RedisDoorbell(f"redis://few:secret@127.0.0.1:{port}/0")
        assert await heard(few) and await own_heard(few) and await few.healthy()
        await few.close()
        told = await _doorbell(f"redis://few:secret@127.0.0.1:{port}/0")
        assert (told.state, told.found[:7]) == (State.WELL, "answers")
        fewer = RedisDoorbell(f"redis://fewer:secret@127.0.0.1:{port}/0")
        assert await fewer.healthy()
        fewer.ring(PoolId(7))

        async def is_refused() -> bool:
            return not await fewer.healthy()

        await until(is_refused)
        await fewer.close()
