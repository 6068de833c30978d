"""What looks like SQL is a value: through every path, query and cursor of every route, nothing is executed or leaks."""

import asyncio
import re
from typing import Any
from urllib.parse import quote

import pytest

from app.config import Settings
from app.main import create_app
from tests.access.conftest import House
from tests.access.test_every_route import ENDLESS, GUARDED

DOCUMENT = create_app(Settings(_env_file=None)).openapi()
NASTY = (
    "1'; DROP TABLE pools; --",
    "' OR '1'='1",
    "1 OR pg_sleep(5)",
    "1) UNION SELECT password_hash FROM users --",
    "'||(SELECT pg_sleep(5))||'",
    "$1::text; --",
    "%27%20OR%201=1",
    "\\'; DELETE FROM users; --",
    "aWQ6MScgT1IgJzEnPScx",  # a cursor of ours that holds SQL
    "aWQ6OTk5OTk5OTk5OTk5OTk5OTk5OTk5",  # and one with a number too large
    "{1,2}",
    "\u2019 OR 1=1",
    "../../etc/passwd",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "\x00",
)
LEAKS = re.compile(
    r"syntax error|asyncpg|sqlalchemy|pg_catalog|password_hash|Traceback|SELECT .* FROM", re.IGNORECASE
)


def places(method: str, path: str) -> list[str]:
    operation = DOCUMENT["paths"][path][method.lower()]
    return [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]


async def look(house: House, method: str, url: str, headers: dict[str, str], **more: Any) -> str:
    body = {} if method in {"POST", "PUT", "PATCH"} else None
    answer = await house.client.request(method, url, headers=headers, json=body, **more)
    assert answer.status_code < 500, f"{method} {url} {more} {answer.text[:200]}"
    assert not LEAKS.search(answer.text), f"{method} {url} {more} {answer.text[:300]}"
    return answer.text


@pytest.mark.slow
async def test_nothing_is_executed_whatever_stands_in_a_path_or_query(house: House) -> None:
    lead = await house.as_role("lead")
    before = await tables(house)
    asked = 0
    for name, method, path in GUARDED:
        if name in ENDLESS or name.startswith("sign") or path not in DOCUMENT["paths"]:
            continue
        filled = re.sub(r"{(\w+)}", lambda found: str(house.mine.ids.get(found[1], 1)), path)
        for text in NASTY:
            for place in places(method, path) if method == "GET" else ():
                if place != "wait":
                    asked += bool(await look(house, method, filled, lead, params={place: text}))
            for key in re.findall(r"{(\w+)}", path):
                spoiled = path.replace(f"{{{key}}}", quote(text, safe=""))
                spoiled = re.sub(r"{(\w+)}", "1", spoiled)
                asked += bool(await look(house, method, spoiled, lead))
    assert asked > 500
    assert await tables(house) == before


async def test_texts_that_are_sql_are_kept_as_texts(house: House) -> None:
    lead = await house.as_role("lead")
    for number, text in enumerate(text for text in NASTY if "\x00" not in text):
        name = f"{text} {number}"
        made = await house.client.post(
            "/v1/executors",
            json={"name": name, "external_id": name, "parameters": {name: name}},
            headers=lead,
        )
        assert (made.status_code, made.json()["name"]) == (201, name)
        sent = await house.client.post(
            "/v1/tasks", json={"external_id": name, "parameters": {name: [name]}}, headers=lead
        )
        assert sent.status_code == 202
        found = await house.client.get("/v1/tasks", params={"external_id": name}, headers=lead)
        assert [task["external_id"] for task in found.json()["items"]] == [name]


async def test_names_and_passwords_that_are_sql_open_nothing(house: House) -> None:
    answers = await asyncio.gather(
        *(
            house.client.post("/v1/auth/token", json={"username": text, "password": text})
            for text in NASTY
            if "\x00" not in text and not text.startswith((" ", "\t"))
        )
    )
    assert {answer.status_code for answer in answers} == {401}


async def tables(house: House) -> list[tuple[str, int]]:
    names = await house.database.hot.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
    )
    counted = ("pools", "users", "rule_sets", "parameters")
    return [
        (row["relname"], await house.database.hot.fetchval(f"SELECT count(*) FROM {row['relname']}"))
        for row in names
        if row["relname"] in counted
    ]
