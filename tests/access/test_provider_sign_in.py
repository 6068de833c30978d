"""Signing in by an OpenID provider: a real one in its own process, and one that is wrong in every way there is."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from pydantic import ValidationError

from app.config import Settings
from app.database import Database
from app.local.embedded.data import free_port
from tests.access.conftest import House, a_team
from tests.access.hall import Hall, running, with_provider
from tests.access.provider import CLIENT, CLIENT_SECRET, PAGE
from tests.api.conftest import client_of
from tests.conftest import Figure

ROLES = {
    "admins": {"role": "admin"},
    "leads of mine": {"role": "lead", "pools": ["mine"]},
    "leads of other": {"role": "lead", "pools": ["other"]},
    "readers": {"role": "viewer"},
    "workers": {"role": "executor"},
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    port = free_port()
    with running(
        sys.executable, "-m", "tests.access.provider", str(port), address=f"http://127.0.0.1:{port}"
    ) as it:
        yield it


@pytest.fixture
async def open_hall(settings: Settings, database: Database, issuer: str) -> AsyncIterator[Any]:
    """Opens a hall with the settings a test wants."""
    opened: list[Any] = []

    async def opens(**more: Any) -> Hall:
        context = client_of(with_provider(settings, issuer, **more))
        opened.append(context)
        hall = Hall(issuer, await context.__aenter__(), database)
        await hall.told()
        return hall

    for code in ("mine", "other"):
        await a_team(database, code)
    yield opens
    for context in opened:
        await context.__aexit__()


async def test_whoever_an_admin_made_comes_in_by_the_provider_as_what_they_were_made(open_hall: Any) -> None:
    hall = await open_hall()
    await hall.add_user("anna of here", "lead")
    tokens = (await hall.sign_in()).json()
    me = await hall.me(tokens)
    assert (me["name"], me["role"], me["local"]) == ("anna of here", "lead", False)
    again = await hall.client.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert (await hall.me(again.json()))["name"] == "anna of here"
    noted = await hall.database.hot.fetchrow("SELECT actor, after FROM audit_log WHERE action = 'signed_in'")
    assert (noted["actor"], noted["after"]) == ("anna of here", {"provider": hall.issuer})


async def test_the_page_learns_the_providers_name_and_where_to_leave_it(open_hall: Any) -> None:
    hall = await open_hall()
    await hall.add_user()
    assert (await hall.client.get("/v1/auth/options")).json() == {"provider": "the house"}
    leave = (await hall.sign_in()).json()["leave_url"]
    assert leave.startswith(f"{hall.issuer}/leave?")
    assert dict(parse_qsl(urlsplit(leave).query)) == {"client_id": CLIENT, "post_logout_redirect_uri": PAGE}


async def test_the_address_holds_no_secret_and_asks_for_what_was_configured(open_hall: Any) -> None:
    hall = await open_hall()
    url = (await hall.begin(language="ru")).json()["url"]
    query = dict(parse_qsl(urlsplit(url).query))
    assert query["response_type"] == "code" and query["code_challenge_method"] == "S256"
    assert query["scope"] == "openid profile email" and query["ui_locales"] == "ru"
    kept = await hall.database.hot.fetchrow("SELECT * FROM provider_sign_ins")
    assert kept["code_verifier"] not in url and hall.verifier not in url and CLIENT_SECRET not in url
    assert query["state"].encode() not in kept["state_hash"]


async def test_without_a_provider_nothing_of_it_is_there(house: House) -> None:
    client = house.client
    assert (await client.get("/v1/auth/options")).json() == {"provider": None}
    answer = {"state": "s", "code": "c", "verifier": "v" * 43}
    for path, body in (("begin", {"challenge": "c" * 43}), ("finish", answer)):
        assert (await client.post(f"/v1/auth/provider/{path}", json=body)).status_code == 404


async def test_a_stranger_is_refused_and_their_name_is_nobodys(open_hall: Any) -> None:
    hall = await open_hall()
    await hall.add_user("anna", "admin", subject=None)
    refused = await hall.sign_in()  # the provider's anna is not ours
    assert refused.status_code == 403
    await hall.database.hot.execute("UPDATE users SET oidc_issuer = 'https://foreign', oidc_subject = '1'")
    assert (await hall.sign_in()).status_code == 403


async def test_newcomers_are_made_with_what_their_groups_grant(open_hall: Any) -> None:
    hall = await open_hall(oidc_users="create", oidc_roles=ROLES, oidc_role_claim="realm.groups")
    groups = ["unknown", "readers", "leads of mine", "leads of other"]
    await hall.told(user={"sub": "7", "preferred_username": "boris", "realm": {"groups": groups}})
    me = await hall.me((await hall.sign_in()).json())
    assert (me["name"], me["role"], len(me["pool_ids"])) == ("boris", "lead", 2)
    made = await hall.database.hot.fetchrow(
        "SELECT actor, after FROM audit_log WHERE action = 'created' AND entity = 'users'"
    )
    assert (made["actor"], made["after"]["password_hash"]) == ("provider 127.0.0.1", "hidden")
    by_password = {"username": "boris", "password": "a password of nobody"}
    assert (await hall.client.post("/v1/auth/token", json=by_password)).status_code == 401


async def test_a_newcomer_never_takes_a_name_that_somebody_has(open_hall: Any) -> None:
    hall = await open_hall(oidc_users="create", oidc_roles=ROLES)
    await hall.add_user("anna", "admin", subject=None)
    await hall.told(user={"sub": "8", "preferred_username": "anna", "groups": "admins"})
    refused = await hall.sign_in()
    assert refused.status_code == 403 and "another user's" in refused.json()["detail"]
    assert await hall.database.hot.fetchval("SELECT oidc_subject FROM users") is None


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 300, 7, None, "\x00"])
async def test_a_name_that_is_none_is_replaced_by_the_subject(open_hall: Any, name: object) -> None:
    hall = await open_hall(oidc_users="create", oidc_roles=ROLES)
    await hall.told(user={"sub": "9", "preferred_username": name, "groups": ["readers"]})
    assert (await hall.me((await hall.sign_in()).json()))["name"] == "subject 9"


async def test_a_changed_group_counts_at_the_next_sign_in_and_ends_the_others(open_hall: Any) -> None:
    hall = await open_hall(oidc_users="create", oidc_roles=ROLES)
    user = {"sub": "1", "preferred_username": "anna"}
    await hall.told(user=user | {"groups": ["admins"]})
    first = (await hall.sign_in()).json()
    assert (await hall.me(first))["role"] == "admin"
    await hall.add_user("another admin", "admin", subject=None)
    await hall.told(user=user | {"groups": ["readers"]})
    second = (await hall.sign_in()).json()
    assert (await hall.me(second))["role"] == "viewer"
    assert await hall.me(first) == {}
    await hall.told(user=user | {"groups": []})
    assert (await hall.sign_in()).status_code == 403


async def test_the_last_admin_stays_whatever_the_provider_says(open_hall: Any) -> None:
    hall = await open_hall(oidc_users="create", oidc_roles=ROLES)
    await hall.told(user={"sub": "1", "preferred_username": "anna", "groups": ["admins"]})
    assert (await hall.sign_in()).status_code == 200
    await hall.told(user={"sub": "1", "preferred_username": "anna", "groups": ["readers"]})
    assert (await hall.sign_in()).status_code == 409
    assert await hall.database.hot.fetchval("SELECT role FROM users") == "admin"


async def test_an_executor_needs_somebody_who_said_which_one(open_hall: Any) -> None:
    hall = await open_hall(oidc_users="create", oidc_roles=ROLES)
    await hall.told(user={"sub": "1", "preferred_username": "anna", "groups": ["workers"]})
    assert (await hall.sign_in()).status_code == 403
    user_id = await hall.add_user()
    assert (await hall.sign_in()).status_code == 422
    executor_id = await hall.database.hot.fetchval("SELECT min(id) FROM executors")
    await hall.database.hot.execute("UPDATE users SET executor_id = $1 WHERE id = $2", executor_id, user_id)
    assert (await hall.me((await hall.sign_in()).json()))["executor_id"] == executor_id


async def test_who_was_switched_off_stays_out(open_hall: Any) -> None:
    hall = await open_hall()
    await hall.add_user()
    await hall.database.hot.execute("UPDATE users SET active = false")
    assert (await hall.sign_in()).status_code == 403


async def test_a_sign_in_by_the_provider_ends_for_good_after_its_hours(open_hall: Any) -> None:
    hall = await open_hall(oidc_session_hours=1)
    await hall.add_user()
    tokens = (await hall.sign_in()).json()
    assert 3500 < tokens["refresh_expires_in"] <= 3600
    await hall.database.hot.execute("UPDATE refresh_tokens SET ends_at = now() + interval '5 minutes'")
    again = await hall.client.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert again.json()["refresh_expires_in"] <= 300 and again.json()["expires_in"] <= 300
    await hall.database.hot.execute("UPDATE refresh_tokens SET expires_at = now() - interval '1 second'")
    late = await hall.client.post("/v1/auth/refresh", json={"refresh_token": again.json()["refresh_token"]})
    assert late.status_code == 401


async def test_keys_may_rotate_and_be_of_another_kind(open_hall: Any) -> None:
    hall = await open_hall()
    await hall.add_user()
    assert (await hall.sign_in()).status_code == 200
    await hall.told(rotate=True)
    assert (await hall.sign_in()).status_code == 200
    await hall.told(rotate=True, sign="elliptic")
    assert (await hall.sign_in()).status_code == 200


ATTACKS: dict[str, dict[str, Any]] = {
    "another nonce": {"claims": {"nonce": "another"}},
    "no nonce": {"claims": {"nonce": None}},
    "a nonce that is no text": {"claims": {"nonce": ["x"]}},
    "no signature": {"sign": "none"},
    "alg none, and a signature": {"sign": "client secret", "header": {"alg": "none"}},
    "signed by a stranger": {"sign": "another key"},
    "RS/HS: the public key as secret": {"sign": "public key as secret"},
    "the client's secret": {"sign": "client secret"},
    "a shared key of the key set": {"sign": "shared"},
    "an unknown key": {"header": {"kid": "unknown"}},
    "a key that is no text": {"header": {"kid": "../../dev/null"}},
    "an access token for an id token": {"header": {"typ": "at+jwt"}},
    "foreign issuer": {"claims": {"iss": "https://foreign.example"}},
    "issuer with a slash more": {"claims": {"iss": "http://127.0.0.1/"}},
    "foreign audience": {"claims": {"aud": "another client"}},
    "no audience": {"claims": {"aud": None}},
    "several audiences without azp": {"claims": {"aud": [CLIENT, "another"]}},
    "several audiences, another's azp": {"claims": {"aud": [CLIENT, "another"], "azp": "another"}},
    "another's azp": {"claims": {"azp": "another"}},
    "expired": {"claims": {"exp": 1_600_000_000}},
    "never expires": {"claims": {"exp": None}},
    "expires at no time": {"claims": {"exp": "tomorrow"}},
    "not yet": {"claims": {"nbf": 9_999_999_999}},
    "from the future": {"claims": {"iat": 9_999_999_999}},
    "of no time": {"claims": {"iat": None}},
    "of nobody": {"claims": {"sub": None}},
    "of an empty name": {"claims": {"sub": ""}},
    "of a number": {"claims": {"sub": 7}},
    "of a very long name": {"claims": {"sub": "x" * 5000}},
    "another access token's hash": {"claims": {"at_hash": "another"}},
    "another issuer in the address": {"answer": {"iss": "https://foreign.example"}},
    "no issuer in the address": {"answer": {"iss": None}},
    "user info of another person": {
        "user": {"sub": "1"},
        "user_info": {"sub": "2", "preferred_username": "a"},
    },
    "another code": {"answer": {"code": "guessed"}},
    "no id token": {"raw": '{"access_token": "a"}'},
    "an id token that is none": {"raw": '{"id_token": "a.b.c"}'},
    "an id token that is no text": {"raw": '{"id_token": {"sub": "1"}}'},
    "refused": {"raw": '{"error": "invalid_grant"}', "status": 400},
}
OUTAGES: dict[str, dict[str, Any]] = {
    "down": {"raw": "", "status": 503},
    "no JSON": {"raw": "<html>"},
    "no object": {"raw": "[1]"},
    "very deep": {"raw": "[" * 100_000},
    "very large": {"raw": '{"a": "' + "x" * 1_000_000 + '"}'},
}


async def test_whatever_does_not_fit_is_refused_and_lets_nobody_in(open_hall: Any, figure: Figure) -> None:
    hall = await open_hall()
    await hall.add_user()
    for name, plan in ATTACKS.items():
        await hall.told(**plan)
        refused = await hall.sign_in()
        assert refused.status_code == 401, f"{name}: {refused.status_code} {refused.text}"
        assert "access_token" not in refused.json(), name
    for name, plan in OUTAGES.items():
        await hall.told(**plan)
        failed = await hall.sign_in()
        assert failed.status_code == 503 and "retry-after" in failed.headers, f"{name}: {failed.text}"
    await hall.told()
    assert (await hall.sign_in()).status_code == 200
    assert await hall.database.hot.fetchval("SELECT count(*) FROM refresh_tokens") == 1
    figure("answers of a lying sign-in provider, all refused", len(ATTACKS) + len(OUTAGES))


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://foreign.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "ftp://127.0.0.1/token"},
        {"jwks_uri": 7},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "/leave"},
    ],
)
async def test_a_configuration_that_is_not_the_providers_own_is_not_taken(
    open_hall: Any, metadata: dict[str, Any]
) -> None:
    hall = await open_hall()
    await hall.told(metadata=metadata)
    assert (await hall.begin()).status_code == 503
    await hall.told()
    assert (await hall.begin()).status_code == 200  # nothing wrong was kept


async def test_a_state_works_once_for_its_own_browser_and_in_time(open_hall: Any) -> None:
    hall = await open_hall()
    await hall.add_user()
    answer = await hall.go()
    assert (await hall.finish(answer)).status_code == 200
    assert (await hall.finish(answer)).status_code == 401  # state and code come again
    fresh = await hall.go()
    assert (await hall.finish(fresh | {"state": answer["state"]})).status_code == 401  # the state alone again
    assert (await hall.finish(fresh | {"state": "guessed"})).status_code == 401
    assert (await hall.finish(fresh, verifier="x" * 43)).status_code == 401  # a link sent to somebody else
    assert (await hall.finish(fresh)).status_code == 401  # spent by the try
    late = await hall.go()
    await hall.database.hot.execute("UPDATE provider_sign_ins SET expires_at = now() - interval '1 second'")
    assert (await hall.finish(late)).status_code == 401
    first, second = await hall.go(), await hall.go()
    swapped = first | {
        "code": second["code"]
    }  # another sign-in's code: its PKCE verifier and nonce do not fit
    assert (await hall.finish(swapped)).status_code == 401


async def test_one_answer_handed_in_by_many_at_once_lets_one_in(open_hall: Any, figure: Figure) -> None:
    hall = await open_hall()
    await hall.add_user()
    rounds, at_once = 5, 8
    for _ in range(rounds):
        answer = await hall.go()
        answers = await asyncio.gather(*(hall.finish(answer) for _ in range(at_once)))
        assert sorted(each.status_code for each in answers) == [200] + [401] * (at_once - 1)
    figure("one provider's answer handed in at once", rounds * at_once)


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example/",
        f"{PAGE}/../evil",
        f"{PAGE}?next=https://evil.example",
        f"{PAGE}@evil.example",
        f"{PAGE}#evil",
        "//evil.example",
        "javascript:alert(1)",
        "",
        PAGE.upper(),
    ],
)
async def test_the_browser_is_sent_back_to_our_pages_alone(open_hall: Any, page: str) -> None:
    hall = await open_hall()
    refused = await hall.begin(page=page)
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "page"
    assert (await hall.begin(page="https://another.example/page")).status_code == 200


async def test_what_was_begun_is_forgotten_in_time_and_bounded_by_address(open_hall: Any) -> None:
    hall = await open_hall()
    answers = [(await hall.begin()).status_code for _ in range(299)]
    assert answers == [200] * 299
    await hall.database.hot.execute("UPDATE provider_sign_ins SET expires_at = now() - interval '1 second'")
    assert (await hall.begin()).status_code == 200
    assert await hall.database.hot.fetchval("SELECT count(*) FROM provider_sign_ins") == 1
    for _ in range(3000):  # the bucket fills again while a slow machine works
        if (refused := await hall.begin()).status_code == 429:
            break
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1


async def test_an_admin_makes_users_of_the_provider_without_a_password(open_hall: Any) -> None:
    hall = await open_hall()
    await hall.add_user("root", "admin", subject="root")
    await hall.told(user={"sub": "root", "preferred_username": "root"})
    tokens = (await hall.sign_in()).json()
    admin = {"Authorization": f"Bearer {tokens['access_token']}"}
    post, patch = hall.client.post, hall.client.patch
    made = await post("/v1/users", json={"username": "vera", "oidc_subject": "55"}, headers=admin)
    assert (made.status_code, made.json()["oidc_subject"]) == (201, "55")
    assert (await post("/v1/users", json={"username": "nobody"}, headers=admin)).status_code == 422
    taken = {"username": "vera 2", "oidc_subject": "55"}
    assert (await post("/v1/users", json=taken, headers=admin)).status_code == 409
    await hall.told(user={"sub": "55"})
    vera = (await hall.sign_in()).json()
    assert (await hall.me(vera))["name"] == "vera"
    cut = await patch(f"/v1/users/{made.json()['user_id']}", json={"oidc_subject": None}, headers=admin)
    assert cut.json()["oidc_subject"] is None
    assert await hall.me(vera) == {}
    assert (await hall.sign_in()).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "http://provider.example"},
        {"oidc_issuer": "provider.example"},
        {"oidc_client_id": ""},
        {"oidc_pages": ""},
        {"oidc_pages": "http://dashboard.example/"},
        {"oidc_scopes": "profile"},
        {"oidc_users": "create"},
        {"oidc_roles": {"group": {"role": "integration"}}},
        {"oidc_roles": {"group": {"role": "lead", "pool": ["a"]}}},
    ],
)
def test_half_a_configuration_does_not_start(wrong: dict[str, Any]) -> None:
    right = {"oidc_issuer": "https://p.example", "oidc_client_id": "c", "oidc_pages": "https://d.example/"}
    assert Settings(_env_file=None, **right).oidc_label == "p.example"
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **(right | wrong))


async def test_another_makers_provider_lets_people_in_too(settings: Settings, database: Database) -> None:
    port = free_port()
    program = shutil.which("oidc-provider-mock", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("oidc-provider-mock is not installed: make setup")
    with running(
        program, "--port", str(port), "--require-nonce", "true", address=f"http://127.0.0.1:{port}"
    ) as issuer:
        async with client_of(with_provider(settings, issuer)) as client, httpx.AsyncClient() as browser:
            hall = Hall(issuer, client, database)
            await hall.add_user("vera", subject="vera@house.example")
            url = (await hall.begin()).json()["url"]
            back = await browser.post(url, data={"sub": "vera@house.example"})
            answer = dict(parse_qsl(urlsplit(back.headers["location"]).query))
            tokens = await hall.finish(answer)
            assert tokens.status_code == 200, tokens.text
            assert (await hall.me(tokens.json()))["name"] == "vera"
