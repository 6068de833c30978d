"""Floods: what one API process weighs, and how soon it answers others, while somebody attacks it."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx

from benchmarks.results import Result, Table
from benchmarks.system import System, running_servers

_POST = b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
Attack = Callable[[int, float], Awaitable[str]]


def run(*, short: bool) -> Result:
    """Attack an API in several ways and measure it meanwhile."""
    with running_servers() as system:
        return asyncio.run(_measure(system, short))


async def _measure(system: System, short: bool) -> Result:
    await system.fresh()
    await system.start(workers=0, SIGN_IN_FAILURES="10000")
    seconds, scale = (3.0, 10) if short else (20.0, 1)
    attacks: dict[str, tuple[Attack, int]] = {
        "nobody": (_nobody, 0),
        "heads that drip a byte a second (slowloris)": (_slow_heads, 1000 // scale),
        "heads that grow without end": (_endless_heads, 200 // scale),
        "bodies over the limit": (_large_bodies, 100 // scale),
        "bodies that drip": (_slow_bodies, 500 // scale),
        "wrong passwords": (_wrong_passwords, 200 // scale),
    }
    rows = []
    for name, (attack, connections) in attacks.items():
        before = system.memory_mb()["api"]
        answers, heaviest, end = await _watch(system, attack(connections, seconds), seconds)
        slow = statistics.quantiles(answers, n=100)[98] if len(answers) > 1 else answers[0]
        rows.append(
            [
                name,
                connections,
                round(before),
                round(heaviest),
                round(statistics.median(answers), 1),
                round(slow, 1),
                end,
            ]
        )
    columns = [
        "attack",
        "connections",
        "MB before",
        "MB at most",
        "p50 of others, ms",
        "p99 of others, ms",
        "end",
    ]
    return Result(
        name="flood",
        title="Floods and slow clients",
        about=__doc__ or "",
        tables=[Table("One API process while it is attacked; others ask /v1/health/live", columns, rows)],
        notes=[
            "A head must come within 10 s and 64 KiB, a body within 60 s and 16 MiB; two passwords at once."
        ],
    )


async def _watch(system: System, attack: Awaitable[str], seconds: float) -> tuple[list[float], float, str]:
    """Milliseconds of ordinary requests, the most memory meanwhile, and how the attack ended."""
    running = asyncio.ensure_future(_on(system.api_port, attack))
    answers, heaviest, until = [], 0.0, time.perf_counter() + seconds
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{system.api_port}", timeout=30) as client:
        while time.perf_counter() < until:
            began = time.perf_counter()
            (await client.get("/v1/health/live")).raise_for_status()
            answers.append((time.perf_counter() - began) * 1000)
            heaviest = max(heaviest, system.memory_mb()["api"])
            await asyncio.sleep(0.02)
    return answers, heaviest, await running


_port = 0


async def _on(port: int, attack: Awaitable[str]) -> str:
    global _port  # noqa: PLW0603 - one benchmark, one server
    _port = port
    return await attack


async def _nobody(_: int, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return ""


async def _drip(start: bytes, drop: bytes, every: float, until: float) -> bool:
    """Send a beginning, then drops; whether the server was first to end it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", _port)
    try:
        writer.write(start)
        while time.perf_counter() < until:
            writer.write(drop)
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    if await reader.read(1000) == b"":
                        return True
    except OSError:
        return True
    else:
        return False
    finally:
        writer.close()


async def _many(connections: int, seconds: float, start: bytes, drop: bytes, every: float) -> str:
    until = time.perf_counter() + seconds
    ended = await asyncio.gather(
        *(_drip(start, drop, every, until) for _ in range(connections)), return_exceptions=True
    )
    return f"{sum(one is not False for one in ended)} of {connections} ended by the server"


async def _slow_heads(connections: int, seconds: float) -> str:
    return await _many(connections, seconds, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a", 1.0)


async def _endless_heads(connections: int, seconds: float) -> str:
    return await _many(connections, seconds, b"GET / HTTP/1.1\r\nX-Large: ", b"a" * 16384, 0.01)


async def _slow_bodies(connections: int, seconds: float) -> str:
    return await _many(connections, seconds, _POST + b"Content-Length: 1000000\r\n\r\n", b" ", 1.0)


async def _large_bodies(connections: int, seconds: float) -> str:
    head = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    return await _many(connections, seconds, head, piece, 0.01)


async def _wrong_passwords(connections: int, seconds: float) -> str:
    counted: dict[int, int] = {}
    until = time.perf_counter() + seconds

    async def guess(client: httpx.AsyncClient) -> None:
        while time.perf_counter() < until:
            answer = await client.post("/v1/auth/token", json={"username": "admin", "password": "guess"})
            counted[answer.status_code] = counted.get(answer.status_code, 0) + 1

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{_port}", timeout=120) as client:
        await asyncio.gather(*(guess(client) for _ in range(connections)))
    return ", ".join(f"{status}: {count}" for status, count in sorted(counted.items()))
