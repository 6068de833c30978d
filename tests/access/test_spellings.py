"""One way to spell an id: no other spelling, in no place of a request, shows or changes another pool's things.

The whole matrix runs in `make fuzz` (FUZZ_EXAMPLES is set), a seeded sample of it in `make test`.
"""

import json
import os
import random
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from asgi_lifespan import LifespanManager

from app.api.edge.permissions import PUBLIC, QUERY_IDS, ROUTES, THINGS
from app.config import Settings
from app.main import create_app
from app.schemas.common import LARGEST_ID, read_id
from tests.access.conftest import House
from tests.access.spellings import (
    BODIES,
    MARK,
    Answer,
    as_cursors,
    ask,
    in_headers,
    in_json,
    in_text,
    operations,
    plant,
    rows_of_all_tables,
)
from tests.conftest import Figure

DOCUMENT = create_app(Settings(_env_file=None)).openapi()
OPERATIONS = [each for each in operations(DOCUMENT) if ROUTES.get(each[0], PUBLIC) != PUBLIC]
WHOLE = "FUZZ_EXAMPLES" in os.environ
SAMPLE = 700
SEED = 16
ENDLESS = {"watch_events"}
CHANGES: dict[str, dict[str, Any]] = {
    "change_task": {"priority": 7},
    "reject_task": {"reason": "x"},
    "return_task": {"reason": "x"},
    "cancel_task": {"reason": "x"},
    "change_executor": {"name": "B"},
    "replace_executor": {"name": "B"},
    "add_absence": {"starts_at": "2030-07-01T00:00:00Z", "ends_at": "2030-07-02T00:00:00Z"},
    "hand_over": {"reason": "x"},
    "change_pool": {"name": "B"},
    "change_parameter": {"label_ru": "B"},
    "add_parameter_option": {"value": "b"},
    "change_user": {"role": "lead"},
}
"""Bodies with which a request would change something if the id in its path were let through."""


@dataclass(frozen=True, slots=True)
class Request:
    place: str
    caller: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None
    plain: bool = False
    """Whether the id stands there as it is, so that nothing but its owner speaks against it."""


def filled(path: str, ids: dict[str, int], **spelled: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: spelled.get(found[1], str(ids.get(found[1], 999_999_999))), path)


def is_id(schema: dict[str, Any]) -> bool:
    return float(schema.get("maximum", 0)) == float(LARGEST_ID)


def query_ids(operation: dict[str, Any]) -> list[str]:
    """The names of an operation's query parameters that are ids."""
    found = []
    for each in operation.get("parameters", ()):
        forms = [each["schema"], *each["schema"].get("anyOf", ())]
        if each["in"] == "query" and any(map(is_id, forms)):
            found.append(each["name"])
    return found


def body_of(name: str, method: str) -> bytes | None:
    return json.dumps(CHANGES.get(name, {})).encode() if method in {"POST", "PUT", "PATCH"} else None


def every_request(house: House, callers: dict[str, dict[str, str]]) -> Iterator[Request]:
    """Every route x every caller x every place x every spelling of what belongs to the other pool."""
    for caller, headers in callers.items():
        for name, method, path, operation in OPERATIONS:
            body = body_of(name, method)
            yield from in_paths(house, caller, headers, method, path, body)
            yield from in_queries(house, caller, headers, method, path, operation, body)
            yield from in_bodies(house, caller, headers, name, method, path)
            if any(each["name"] == "cursor" for each in operation.get("parameters", ())):
                for cursor in as_cursors(house.other.ids["task_id"]):
                    target = f"{filled(path, house.mine.ids)}?cursor={cursor}"
                    yield Request("cursor", caller, method, target, headers, body)
            if method == "GET" and name not in ENDLESS:
                for spelled in in_text(house.other.pool_id):
                    more = in_headers(house.other.ids["task_id"], spelled)
                    target = filled(path, house.mine.ids)
                    yield Request("header", caller, method, target, {**more, **headers}, None)


def in_paths(
    house: House, caller: str, headers: dict[str, str], method: str, path: str, body: bytes | None
) -> Iterator[Request]:
    other, mine = house.other.ids, house.mine.ids
    for key in re.findall(r"{(\w+)}", path):
        for spelled in in_text(other.get(key, 1)):
            plain = spelled == str(other.get(key, 1))
            target = filled(path, other, **{key: spelled})
            yield Request("path", caller, method, target, headers, body, plain)
        yield Request(
            "path", caller, method, filled(path, mine, **{key: str(other.get(key, 1))}), headers, body
        )
        whole = filled(path, other)
        slashes = (f"{whole}/", f"/{whole}", whole.replace("/", "//"))
        for odd in (whole.upper(), whole.replace("/v1/", "/V1/"), *slashes):
            yield Request("path", caller, method, odd, headers, body)


def in_queries(
    house: House,
    caller: str,
    headers: dict[str, str],
    method: str,
    path: str,
    operation: dict[str, Any],
    body: bytes | None,
) -> Iterator[Request]:
    for key in query_ids(operation):
        thing, plain = QUERY_IDS[key], filled(path, house.mine.ids)
        for spelled in in_text(house.other.ids[thing]):
            as_it_is = spelled == str(house.other.ids[thing])
            yield Request("query", caller, method, f"{plain}?{key}={spelled}", headers, body, as_it_is)
        mine, other = house.mine.ids[thing], house.other.ids[thing]
        for odd in (
            f"{key}={mine}&{key}={other}",
            f"{key}={other}&{key}={mine}",
            f"%{ord(key[0]):x}{key[1:]}={other}",
            f"{key}={mine}%26{key}={other}",
            f"{key}={mine};{key}={other}",
            f"&&{key}={other}",
        ):
            yield Request("query", caller, method, f"{plain}?{odd}", headers, body)
        for odd in (f"{key}[]", f"{key.upper()}", f"{key}%20", f"%20{key}", f"{key}%00", f"x.{key}"):
            yield Request("name", caller, method, f"{plain}?{odd}={other}", headers, body)


def in_bodies(
    house: House, caller: str, headers: dict[str, str], name: str, method: str, path: str
) -> Iterator[Request]:
    other, target = house.other.ids, filled(path, house.mine.ids)
    for each in BODIES:
        if each.operation != name:
            continue
        text = each.text.replace("@mine", str(house.mine.pool_id))
        sign, number = next(
            (sign, other[key])
            for sign, key in (("@p", "task_id"), ("@e", "executor_id"), ("@", "pool_id"))
            if sign in text
        )
        for spelled in in_json(number):
            raw = text.replace(sign, spelled).encode()
            yield Request("body", caller, method, target, headers, raw, spelled == str(number))


@pytest.fixture
async def gate(settings: Settings, house: House) -> AsyncIterator[Any]:
    async with LifespanManager(create_app(house.settings)) as manager:
        yield manager.app


async def callers_of(house: House) -> dict[str, dict[str, str]]:
    """Everybody who may do something, and none of it in the other pool."""
    known = {role: await house.as_role(role) for role in ("viewer", "lead", "executor", "integration")}
    return known | {"no pool": house.token(await house.user("lead", pools=[]))}


def sample(requests: list[Request]) -> list[Request]:
    """Each plain foreign id once for each caller, and some of everything else."""
    plain = [each for each in requests if each.plain]
    return plain + random.Random(SEED).sample(requests, SAMPLE)


def spelled_plainly(asked: Request, ids: dict[str, int]) -> bool:
    """Whether path, query or body holds a foreign id in its one spelling."""
    text = asked.target + (asked.body or b"").decode()
    return asked.place in {"path", "query", "body"} and any(
        re.search(rf"(?<![\w.%+-]){number}(?![\w.%;,-])", text) for number in ids.values()
    )


def let_in(asked: Request, answer: Answer) -> bool:
    """Whether a request that names the other pool's thing was served; a stream tells of refused lines in its answer."""
    if answer.status == 202 and '"task_ids":[null]' in answer.text and '"problems":[{' in answer.text:
        return False
    return asked.place in {"path", "query", "body"} and answer.status < 300


@pytest.mark.slow
async def test_no_spelling_of_an_id_opens_another_pool(gate: Any, house: House, figure: Figure) -> None:
    await plant(house.database, house.mine, "of mine")
    await plant(house.database, house.other, MARK)
    callers = await callers_of(house)
    requests = list(every_request(house, callers))
    spelled = {
        place: len({each.target for each in requests if each.place == place}) for place in ("path", "query")
    }
    assert (
        min(spelled.values()) > 1000 and len(in_text(1)) >= 40 and len(in_json(1)) + len(as_cursors(1)) >= 40
    )
    assert sum(spelled_plainly(each, house.other.ids) for each in requests) >= 2375
    chosen = requests if WHOLE else sample(requests)
    assert sum(each.plain for each in chosen) >= 485, "each plain foreign id, by each caller, each time"
    for headers in callers.values():  # the first use of a key is noted
        await ask(gate, "GET", "/v1/auth/me", headers, None)
    before = await rows_of_all_tables(house.database)
    open_doors = []
    for each in chosen:
        answer = await ask(gate, each.method, each.target, each.headers, each.body)
        if answer.status >= 500 or answer.status == 0 or MARK in answer.text or let_in(each, answer):
            open_doors.append((each.place, each.caller, each.method, each.target, each.body, answer.status))
    figure("requests that spell another pool's ids, all refused", len(chosen))
    after = await rows_of_all_tables(house.database)
    assert not open_doors, f"{len(open_doors)} of {len(chosen)}: {open_doors[:20]}"
    assert {table for table in before if before[table] != after[table]} == set()


async def test_the_plain_spelling_opens_what_is_ones_own(gate: Any, house: House) -> None:
    await plant(house.database, house.mine, "of mine")
    headers = await house.as_role("lead")
    opened = 0
    for name, method, path, operation in OPERATIONS:
        if method != "GET" or ROUTES[name] in {
            "users.manage",
            "privacy.manage",
            "admin.manage",
            "keys.manage",
        }:
            continue
        for key in re.findall(r"{(\w+)}", path):
            opened += 1
            answer = await ask(gate, method, filled(path, house.mine.ids), headers, None)
            assert answer.status in {200, 409}, (path, key, answer)
            for odd in in_text(house.mine.ids[key])[1:]:
                answer = await ask(gate, method, filled(path, house.mine.ids, **{key: odd}), headers, None)
                percent = read_id(re.sub(r"%3(\d)", r"\1", odd)) == house.mine.ids[key]
                assert percent or answer.status == 404, (path, odd, answer)
        for key in query_ids(operation):
            if name in ENDLESS or QUERY_IDS[key] not in house.mine.ids:
                continue
            plain = f"{filled(path, house.mine.ids)}?{key}="
            answer = await ask(gate, method, f"{plain}{house.mine.ids[QUERY_IDS[key]]}", headers, None)
            assert answer.status in {200, 409}, (path, key, answer)
            assert (
                await ask(gate, method, f"{plain}%2B{house.mine.ids[QUERY_IDS[key]]}", headers, None)
            ).status == 404
    assert opened > 10


def test_every_id_in_a_query_is_known_to_the_guard() -> None:
    found = {key for *_, operation in OPERATIONS for key in query_ids(operation)}
    assert found == QUERY_IDS.keys()
    assert set(QUERY_IDS.values()) <= THINGS.keys()


def test_every_id_in_a_body_is_tried() -> None:
    """A body with a new id needs a line in BODIES, or in the list below of what only admins may send."""
    tried = {each.operation for each in BODIES}
    only_admins = {"create_user", "change_user", "create_api_key", "erase_task_by_external_id"}
    with_ids = set()
    for name, _, _, operation in OPERATIONS:
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if any(has_id(content["schema"], set())):
                with_ids.add(name)
    assert with_ids - tried - only_admins == set()


def has_id(schema: dict[str, Any], seen: set[str]) -> Iterator[bool]:
    """Whether a JSON schema has an id anywhere."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name and name not in seen:
        seen.add(name)
        yield from has_id(DOCUMENT["components"]["schemas"][name], seen)
    yield is_id(schema)
    inside = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    inside += [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else ())]
    for each in inside:
        yield from has_id(each, seen)
