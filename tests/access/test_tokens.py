"""Access tokens and API keys: ours alone, unaltered, in time, not revoked; every confusion is refused."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.access.keys import ISSUER, Claims, KeyRing
from app.errors import Unauthenticated
from app.services.accounts.callers import Callers
from tests.access.conftest import SECRET, House

LIFE = timedelta(minutes=5)


def issue(ring: KeyRing, **changes: Any) -> str:
    return ring.issue(
        **({"user_id": 1, "token_version": 1, "now": datetime.now(UTC), "life": LIFE} | changes)
    )


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_rotated_keys_read_what_the_one_before_signed() -> None:
    before = KeyRing(["old secret"])
    token = issue(before)
    after = KeyRing(["new secret", "old secret"])
    assert after.read(token).user_id == 1
    assert before.read(token).user_id == 1
    with pytest.raises(Unauthenticated):
        before.read(issue(after))
    with pytest.raises(Unauthenticated):
        KeyRing(["new secret"]).read(token)


def test_every_confusion_is_refused() -> None:
    ring = KeyRing([SECRET])
    header, payload, signature = issue(ring).split(".")
    kid = jwt.get_unverified_header(f"{header}.{payload}.{signature}")["kid"]
    claims = {"iss": ISSUER, "aud": ISSUER, "sub": "1", "ver": 1, "iat": 0, "exp": 99_999_999_999}
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    typed = {"kid": kid, "typ": "at+jwt"}
    forged = [
        f"{part({'alg': 'none', **typed})}.{part(claims)}.",
        f"{part({'alg': 'none', **typed})}.{part(claims)}.{signature}",
        f"{part({'alg': 'NoNe', **typed})}.{part(claims)}.",
        f"{part({'alg': 'HS512', **typed})}.{payload}.{signature}",
        f"{part({'alg': 'RS256', **typed})}.{payload}.{signature}",
        f"{header}.{part(claims)}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{part({'alg': 'HS256', 'typ': 'at+jwt'})}.{payload}.{signature}",
        jwt.encode(claims, private, "RS256", typed),
        jwt.encode(claims, SECRET, "HS256", typed),
        jwt.encode(claims, "\0" * 64, "HS256", typed),
        *(
            jwt.encode(claims, "\0" * 64, "HS256", typed | {"kid": odd})
            for odd in ("../../dev/null", "' OR 1=1", "")
        ),
        jwt.encode(
            claims, "x" * 64, "HS256", typed | {"jku": "http://127.0.0.1/keys", "jwk": {"kty": "oct"}}
        ),
        f"{part({'alg': 'HS256', **typed, 'kid': ['list']})}.{payload}.{signature}",
        f"{part({'alg': 'HS256', **typed, 'crit': ['b64'], 'b64': False})}.{payload}.{signature}",
        pem.decode().replace("\n", ""),
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "." * 10_000,
    ]
    for token in forged:
        with pytest.raises(Unauthenticated):
            ring.read(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"sub": "one"},
        {"sub": "9" * 5000},
        {"ver": None},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": float("1e308")},
        {"iat": 99_999_999_999},
        {"iat": float("nan")},
        {"iat": "soon"},
        {"sub": None},
    ],
)
def test_claims_that_are_not_ours_are_refused_though_the_signature_is(changes: dict[str, Any]) -> None:
    from app.access import keys

    ring = KeyRing([SECRET])
    kid = jwt.get_unverified_header(issue(ring))["kid"]
    claims = {"iss": ISSUER, "aud": ISSUER, "sub": "1", "ver": 1, "iat": 0, "exp": 9_999_999_999} | changes
    key = keys._derive(SECRET)
    forged = ".".join((part({"alg": "HS256", "kid": kid, "typ": "at+jwt"}), part(claims)))
    signature = jwt.get_algorithm_by_name("HS256").sign(forged.encode(), key)
    with pytest.raises(Unauthenticated):
        ring.read(f"{forged}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}")


@pytest.mark.parametrize("seconds", [1, 25])
def test_a_host_whose_clock_is_ahead_makes_tokens_that_others_read(seconds: int) -> None:
    ring, ahead = KeyRing([SECRET]), datetime.now(UTC) + timedelta(seconds=seconds)
    assert ring.read(issue(ring, now=ahead)).user_id == 1
    with pytest.raises(Unauthenticated):
        ring.read(issue(ring, now=ahead + timedelta(seconds=60)))


def test_the_difference_of_clocks_puts_no_end_off() -> None:
    ring = KeyRing([SECRET])
    with pytest.raises(Unauthenticated, match="expired"):
        ring.read(issue(ring, now=datetime.now(UTC) - LIFE - timedelta(seconds=1)))


async def test_a_changed_version_an_old_token_and_a_gone_user_are_refused(house: House) -> None:
    user = await house.user("viewer", pools=None)
    good = house.token(user)
    assert (await house.client.get("/v1/pools", headers=good)).status_code == 200
    for changes in ({"token_version": 2}, {"now": datetime.now(UTC) - timedelta(hours=1)}):
        assert (await house.client.get("/v1/pools", headers=house.token(user, **changes))).status_code == 401
    assert (await house.client.get("/v1/pools", headers=house.token(999_999))).status_code == 401


async def test_a_token_that_was_read_before_still_ends_in_time_and_when_it_is_revoked(house: House) -> None:
    user = await house.user("viewer", pools=None)
    callers = Callers(house.database.hot, house.settings.key_ring())
    old = house.token(user, now=datetime.now(UTC) - timedelta(hours=1))["Authorization"].removeprefix(
        "Bearer "
    )
    callers._read[old] = Claims(
        user, 1, datetime.now(UTC) - timedelta(minutes=55)
    )  # as read while it was good
    with pytest.raises(Unauthenticated, match="expired"):
        await callers.find(old)
    good = house.token(user)["Authorization"].removeprefix("Bearer ")
    for _ in range(2):
        assert (await callers.find(good)).user_id == user
    await house.database.hot.execute("UPDATE users SET token_version = 2 WHERE id = $1", user)
    callers.forget()
    with pytest.raises(Unauthenticated, match="revoked"):
        await callers.find(good)


async def test_api_keys_end_when_they_expire_or_are_revoked_and_know_their_scopes(house: House) -> None:
    key = await house.api_key(["pools.read"], [house.mine.pool_id])
    assert (await house.client.get("/v1/pools", headers=key)).status_code == 200
    assert (await house.client.get("/v1/tasks", headers=key)).status_code == 403
    bearer = {"Authorization": f"Bearer {key['X-API-Key']}"}
    assert (await house.client.get("/v1/pools", headers=bearer)).status_code == 200
    assert await house.database.hot.fetchval("SELECT last_used_at IS NOT NULL FROM api_keys")
    for change in ("revoked_at = now()", "expires_at = now()"):
        await house.database.hot.execute(f"UPDATE api_keys SET {change}")
        assert await becomes(house, key, 401)  # within the second that a process remembers
        await house.database.hot.execute("UPDATE api_keys SET revoked_at = NULL, expires_at = NULL")
        assert await becomes(house, key, 200)
    other_secret = {"X-API-Key": key["X-API-Key"][:-1] + "!"}
    assert (await house.client.get("/v1/pools", headers=other_secret)).status_code == 401


async def becomes(house: House, headers: dict[str, str], status: int) -> bool:
    for _ in range(600):
        if (await house.client.get("/v1/pools", headers=headers)).status_code == status:
            return True
        await asyncio.sleep(0.1)
    return False
