"""Clients that ask the API without pause, and what they were told: shared by the faults that break what it needs."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field

from app.local.embedded import free_port
from benchmarks.bare_http import BareClient, encoded
from benchmarks.chaos.stage import Play, Report
from benchmarks.chaos.zygote import Child

PATIENCE = 60.0
"""Seconds after which a client takes an answer for one that never comes."""
ACCEPTED = frozenset({200, 201, 202})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: when its request was begun, how long it took; status 0 where there was none."""

    method: str
    began: float
    seconds: float
    status: int
    retry_after: bool

    @property
    def ended(self) -> float:
        """When it was there."""
        return self.began + self.seconds

    @property
    def good(self) -> bool:
        """Whether it was answered as on a good day."""
        return self.status in ACCEPTED


@dataclass(slots=True)
class Load:
    """So many clients; each name that was answered with 2xx is remembered by its task's id."""

    port: int
    prefix: str
    answers: list[Answer] = field(default_factory=list)
    accepted: dict[str, int] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    reopened: int = 0
    refused: int = 0
    pause: float = 0.002
    _stopping: bool = False
    _names: int = 0
    _clients: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, clients: int) -> None:
        """Begin to ask."""
        self._clients = [asyncio.create_task(self._ask_forever()) for _ in range(clients)]

    async def stop(self) -> None:
        """Let each client have its answer."""
        self._stopping = True
        await asyncio.gather(*self._clients)

    async def _ask_forever(self) -> None:
        """What was cut off is asked again, by the same names, on a new connection."""
        names: list[str] = []
        while names or not self._stopping:
            try:
                client = await BareClient("127.0.0.1", self.port).__aenter__()
            except OSError:
                self.refused += 1
                await asyncio.sleep(0.005)
                continue
            try:
                while names or not self._stopping:
                    names = names or self._next_names()
                    await self._ask(client, names)
                    names = []
                    await asyncio.sleep(self.pause)
            except (OSError, EOFError):
                self.reopened += 1
            finally:
                await client.__aexit__()

    def _next_names(self) -> list[str]:
        """A new task; every fifth time a small batch."""
        self._names += 1
        name = f"{self.prefix}-{self._names}"
        return [name] if self._names % 5 else [f"{name}-{place}" for place in range(4)]

    async def _ask(self, client: BareClient, names: list[str]) -> None:
        """Send what is new; now and then ask what became of it, by the ordinary way of reading."""
        tasks = [{"external_id": one} for one in names]
        many = len(names) > 1
        said = await self._request(
            client,
            "POST",
            "/v1/tasks/batch" if many else "/v1/tasks",
            encoded({"tasks": tasks}) if many else encoded(tasks[0]),
        )
        if said is None:
            return
        items = said["items"] if many else [said]
        self.accepted |= {one: int(item["task_id"]) for one, item in zip(names, items, strict=True)}
        if self._names % 3 == 0:
            await self._request(client, "GET", f"/v1/tasks/{items[0]['task_id']}")
            if self.answers[-1].status == 404:
                self.forgotten.append(names[0])

    async def _request(self, client: BareClient, method: str, path: str, body: bytes = b"") -> dict | None:  # type: ignore[type-arg]
        began = time.monotonic()
        status, content, retry_after = 0, b"", False
        try:
            async with asyncio.timeout(PATIENCE):
                status, content = await client.request(method, path, body)
            retry_after = b"\r\nretry-after:" in client.head.lower()
        finally:
            self.answers.append(Answer(method, began, time.monotonic() - began, status, retry_after))
        return json.loads(content) if status in ACCEPTED else None

    def judge(self, report: Report, *, deadline: float, cut_off: bool = False) -> None:
        """What no answer may be, whatever was broken; `cut_off`: connections may end before the answer."""
        allowed = {*ACCEPTED, 503, 429, *([0] if cut_off else [])}
        wrong = sorted({one.status for one in self.answers if one.status not in allowed})
        hung = sum(one.seconds > deadline for one in self.answers)
        bare = sum(one.status in {503, 429} and not one.retry_after for one in self.answers)
        if wrong:
            report.violations.append(f"answers of status {wrong}")
        if hung:
            report.violations.append(f"{hung} requests waited longer than {deadline:g} s")
        if bare:
            report.violations.append(f"{bare} answers do not say when to come back")
        if self.forgotten:
            report.violations.append(f"{len(self.forgotten)} tasks were answered with 2xx and then unknown")

    async def lost(self, play: Play, report: Report) -> int:
        """How many of the accepted tasks are there; a violation where one is not."""
        async with play.database.hot.acquire() as connection:
            found = await connection.fetchval(
                "SELECT count(*) FROM tasks WHERE (external_id, id) IN "
                "(SELECT * FROM unnest($1::text[], $2::bigint[]))",
                list(self.accepted),
                list(self.accepted.values()),
            )
        if found != len(self.accepted):
            report.violations.append(f"{len(self.accepted) - found} tasks that were accepted are lost")
        return int(found)


async def start_api(play: Play, **settings: str) -> tuple[Child, int]:
    """An API of its own on a free port, once it is ready."""
    port = free_port()
    child = play.stage.start("api", HOST="127.0.0.1", PORT=str(port), **settings)
    await play.until(lambda: is_ready(port))
    return child, port


async def is_ready(port: int) -> bool:
    """What the readiness route says; silence is a no."""
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(PATIENCE), BareClient("127.0.0.1", port) as client:
            return (await client.request("GET", "/v1/health/ready"))[0] == 200
    return False
