"""What the OpenAPI document says of access is what the guard does: the button Authorize of /docs works by it."""

import json
import re
from typing import Any

from app.api.edge.permissions import PUBLIC, ROUTES
from app.config import Settings
from app.main import create_app
from tests.access.conftest import House
from tests.access.test_every_route import FOUND

DOCUMENT = create_app(Settings(_env_file=None)).openapi()


def operations() -> list[tuple[str, dict[str, Any]]]:
    listed = [(name, DOCUMENT["paths"].get(path, {}).get(method.lower(), {})) for name, method, path in FOUND]
    return [(name, operation) for name, operation in listed if operation]


def test_every_operation_says_whether_and_how_one_signs_in() -> None:
    assert operations()
    for name, operation in operations():
        if ROUTES[name] == PUBLIC:
            assert operation["security"] == [], name
        else:
            assert "security" not in operation, name  # the document's own
            assert {"401", "403"} <= operation["responses"].keys(), name
            assert f"`{ROUTES[name]}`" in operation["description"], name


def test_whatever_the_document_refers_to_is_in_it() -> None:
    named = set(re.findall(r"#/components/(\w+)/([\w.-]+)", json.dumps(DOCUMENT)))
    missing = [(kind, name) for kind, name in named if name not in DOCUMENT["components"].get(kind, {})]
    assert missing == []


async def test_each_scheme_of_the_document_opens_the_door_and_nothing_else_does(house: House) -> None:
    document = (await house.client.get("/openapi.json")).json()
    assert document["security"] == [{"accessToken": []}, {"apiKey": []}]
    schemes = document["components"]["securitySchemes"]
    assert (schemes["accessToken"]["type"], schemes["accessToken"]["scheme"]) == ("http", "bearer")
    assert (schemes["apiKey"]["in"], schemes["apiKey"]["name"]) == ("header", "X-API-Key")
    lead = await house.as_role("lead")
    key = await house.api_key(["pools.read"], [house.mine.pool_id])
    assert set(key) == {schemes["apiKey"]["name"]}
    assert [
        (await house.client.get("/v1/pools", headers=headers)).status_code for headers in (lead, key, {})
    ] == [200, 200, 401]


def test_where_nobody_need_sign_in_the_document_says_so() -> None:
    assert {} in DOCUMENT["security"]


async def test_the_page_of_the_documents_may_ask_the_api_and_load_its_button(house: House) -> None:
    page = await house.client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    for source in re.findall(r"https://[\w.]+/", page.text):
        assert source.rstrip("/") in policy, source
