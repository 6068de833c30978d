"""Everything that a request may say instead of an id, and a pool full of marked things that nobody else may see."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from app.database import Database
from tests.access.conftest import Team

MARK = "of other"
"""Stands in every text of the other pool; an answer that carries it gave something away."""
_BIT_64 = 2**64


def in_text(number: int) -> list[str]:
    """Spellings of an id in a path, percent-encoded where they must be; the first is the plain one."""
    d = str(number)
    arabic = "".join(f"%D9%{0xA0 + int(each):X}" for each in d)
    wide = "".join(f"%EF%BC%{0x90 + int(each):X}" for each in d)
    encoded = "".join(f"%3{each}" for each in d)
    return [
        d,
        f"{d}.0",
        f"{d}.",
        f"{d}.00000000000000001",
        f"%2B{d}",
        f"+{d}",
        f"%20{d}",
        f"{d}%20",
        f"%09{d}",
        f"{d}%0A",
        f"{d}%0D%0A",
        f"%0B{d}",
        f"%C2%A0{d}",
        f"%E2%80%8B{d}",
        f"%EF%BB%BF{d}",
        f"{d[0]}_{d[1:] or 0}",
        f"{d}_0",
        f"{d}e0",
        f"{d}E0",
        f"0{d}",
        f"00{d}",
        f"{'0' * 40}{d}",
        f"-{d}",
        "-1",
        "0",
        str(10**30),
        str(number + _BIT_64),
        str(number + 2 * _BIT_64),
        str(number + 2**32 * 10**6),
        f"0x{number:x}",
        f"0o{number:o}",
        f"0b{number:b}",
        f"{d}n",
        f"{d}L",
        arabic,
        wide,
        encoded,
        encoded.replace("%", "%25"),
        f"{d}%00",
        f"%00{d}",
        f"{d};x",
        f"{d};x=1",
        f"{d},{d}",
        f"{d}%2C{number + 1}",
        f"%5B{d}%5D",
        f"%22{d}%22",
        f"'{d}'",
        f"({d})",
        f"{d}%23",
        f"{d}%3F",
        f"{d}%2F",
        f"%2F{d}",
        f"./{d}",
        f"{d}/.",
        f"x/../{d}",
        f"x%2F..%2F{d}",
        f"{d}/",
        f"/{d}",
        f"{d}%FF",
        f"%C0%B{d[0]}",
        f"%E2%81%B{d[-1]}",
        "true",
        "null",
        "NaN",
        "1e400",
        "%E2%85%A4",
        "*",
        "",
    ]


def in_json(number: int) -> list[str]:
    """Spellings of an id as raw JSON, or what looks like it; the first is the plain one."""
    d = str(number)
    return [
        d,
        f"{d}.0",
        f"{d}e0",
        f"{d}E+0",
        f"{d}0e-1",
        f"{d}.00000000000000000001",
        f"+{d}",
        f"0{d}",
        f"-{d}",
        f"0x{number:x}",
        f"{d}_0",
        str(10**30),
        str(number + _BIT_64),
        f'"{d}"',
        f'" {d}"',
        f'"{d}.0"',
        f'"+{d}"',
        f'"0{d}"',
        f'"{d}\\u0000"',
        f'"{d}\\n"',
        f'"{"".join(chr(0x660 + int(each)) for each in d)}"',
        f'"{"".join(chr(0xFF10 + int(each)) for each in d)}"',
        f"[{d}]",
        f'{{"id": {d}}}',
        f"/**/{d}",
        f"{d},",
        "true",
        "NaN",
        "-1",
        "1e400",
        '""',
    ]


def as_cursors(number: int) -> list[str]:
    """Cursors that name a position in ways that ours never do, and the plain one."""

    def packed(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    plain = packed(f"id:{number}")
    texts = [
        f"id:{each}" for each in (f"+{number}", f" {number}", f"{number}.0", f"0{number}", f"{number}_0")
    ]
    texts += [
        f"id:{10**30}",
        f"id:-{number}",
        f"id:{number}\n",
        f"{number}",
        f"ID:{number}",
        f"id:{number}:x",
    ]
    texts += ["id:0", "id:", "id:true", f"id:{chr(0x665)}", f"task:{number}", f"id:id:{number}", '{"id":1}']
    spelled = [plain, f"{plain}=", f"{plain}==", f" {plain}", f"{plain}%0A", f"{plain}.", plain.swapcase()]
    return [*spelled, *map(packed, texts), str(number), "%00", "*", "..", "null", "a" * 200]


def in_headers(number: int, spelled: str) -> dict[str, str]:
    """Headers by which other systems let a request name something."""
    return {
        "X-Pool-ID": spelled,
        "Idempotency-Key": f"{spelled} ",
        "Last-Event-ID": spelled,
        "X-Request-ID": spelled,
        "X-Original-URL": f"/v1/tasks/{number}",
        "X-Rewrite-URL": f"/v1/tasks/{number}",
        "X-HTTP-Method-Override": "DELETE",
        "X-User-ID": spelled,
        "X-Forwarded-User": "admin",
        "Cookie": f"pool_id={spelled}",
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    text: str


async def ask(app: ASGIApp, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Answer:
    """Send a request as it stands: a client library would tidy the path up first."""
    path, _, query = target.partition("?")
    fields = {
        "host": "127.0.0.1",
        **({"content-type": "application/json"} if body is not None else {}),
        **headers,
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent = [{"type": "http.request", "body": body or b"", "more_body": False}]
    status, parts = 0, []

    async def receive() -> Message:
        return sent.pop() if sent else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))
        parts.extend(value for _, value in message.get("headers", ()))

    await app(scope, receive, send)
    return Answer(status, b"".join(parts).decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class Body:
    """A right body of a route with one id in it: `@` stands for that id."""

    operation: str
    text: str


BODIES = [
    Body("submit_task", '{"pool_id": @, "parameters": {}}'),
    Body("submit_task", '{"parent_id": @p, "pool_id": @mine}'),
    Body("submit_tasks", '{"pool_id": @, "tasks": [{}]}'),
    Body("submit_tasks", '{"tasks": [{"pool_id": @}]}'),
    Body("submit_tasks", '{"pool_id": @mine, "tasks": [{"parent_id": @p}]}'),
    Body("stream_tasks", '{"pool_id": @}\n'),
    Body("stream_tasks", '{"pool_id": @mine, "parent_id": @p}\n'),
    Body("preview_task", '{"pool_id": @}'),
    Body("move_misplaced_tasks", '{"pool_id": @}'),
    Body("create_webhook", '{"pool_id": @, "url": "https://hook.example/"}'),
    Body("create_executor", '{"pool_id": @, "name": "A"}'),
    Body("put_executors", '{"pool_id": @, "executors": [{"name": "A", "external_id": "A"}]}'),
    Body("create_parameter", '{"pool_id": @, "owner": "task", "key": "z", "type": "string"}'),
    Body("create_rule_set", '{"pool_id": @, "name": "r", "rules": {}}'),
    Body("import_rule_set", '{"pool_id": @, "name": "r", "rules": {}}'),
    Body("validate_rules", '{"pool_id": @, "rules": {}}'),
    Body("preview_rules", '{"pool_id": @, "rules": {}, "task": {}}'),
    Body("get_rules_funnel", '{"pool_id": @, "rules": {}}'),
    Body("reassign_task", '{"executor_id": @e, "reason": "x"}'),
    Body("change_pool", '{"flow": {"escalation": [{"after_minutes": 5, "to_pool": @}]}}'),
]


async def plant(database: Database, team: Team, mark: str) -> None:
    """One more of everything that a path can name, marked; their ids join those of the team."""
    fetch, ids = database.hot.fetchval, team.ids
    ids["absence_id"] = await fetch(
        "INSERT INTO executor_absences (executor_id, starts_at, ends_at, reason)"
        " VALUES ($1, now() + interval '1 day', now() + interval '2 days', $2) RETURNING id",
        ids["executor_id"],
        mark,
    )
    ids["delivery_id"] = await fetch(
        "INSERT INTO outbox (pool_id, task_id, sequence, event, payload, dead_at, last_error)"
        " VALUES ($1, $2, 1, 'assigned', jsonb_build_object('actor', $3::text), now(), $3) RETURNING id",
        team.pool_id,
        ids["task_id"],
        mark,
    )
    ids["webhook_id"] = await fetch(
        "INSERT INTO webhooks (pool_id, url, secret, created_by) VALUES ($1, $2, $3, $3) RETURNING id",
        team.pool_id,
        f"https://hook.example/{mark}",
        mark,
    )
    ids["replay_id"] = await fetch(
        "INSERT INTO replays (pool_id, rule_set_id, state, created_by, request, result, finished_at)"
        " VALUES ($1, $2, 'done', $3, '{}',"
        " jsonb_build_object('comparison', jsonb_build_object('x', $3::text),"
        " 'pages', jsonb_build_object('ru', $3::text, 'en', $3::text)), now()) RETURNING id",
        team.pool_id,
        ids["rule_set_id"],
        mark,
    )
    await database.hot.execute(
        "INSERT INTO task_events (task_id, pool_id, event, from_status, to_status, executor_id, actor, reason)"
        " VALUES ($1, $2, 'start', 'assigned', 'in_progress', $3, $4, $4)",
        ids["task_id"],
        team.pool_id,
        ids["executor_id"],
        mark,
    )
    await database.hot.execute(
        "INSERT INTO idempotency_keys (pool_id, key, fingerprint, task_id) VALUES ($1, 'key', 'f', $2)",
        team.pool_id,
        ids["task_id"],
    )


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Every operation of an OpenAPI document: its function's name, method, path and description."""
    for path, found in document["paths"].items():
        for method, operation in found.items():
            yield operation["operationId"].split("_v1_")[0], method.upper(), path, operation


async def rows_of_all_tables(database: Database) -> dict[str, str]:
    """What each table of the catalogue holds, as a hash; when a key was last used is no change."""
    tables = await database.hot.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    return {
        row["relname"]: await database.hot.fetchval(
            "SELECT md5(coalesce(string_agg((to_jsonb(t) - 'last_used_at')::text, ',' ORDER BY t::text), ''))"
            f" FROM {row['relname']} t"
        )
        for row in tables
    }
