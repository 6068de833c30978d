"""A small OpenID provider in a process of its own, strict as it should be, and wrong in one way where a test says so.

`python -m tests.access.provider PORT [PAGE]`. It signs in whoever `/told` named last, without asking, and answers
`POST /told` by doing from then on what the plan says (see `Plan`).
"""

import base64
import hashlib
import json
import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

import jwt
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, CLIENT_SECRET = "the balancer", "a secret: with a colon & more"
PAGE = "http://127.0.0.1:9/page"


@dataclass
class Plan:
    """What the provider does; everything beyond `user` is wrong."""

    user: dict[str, Any] = field(default_factory=lambda: {"sub": "1", "preferred_username": "anna"})
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token that are other than they should be; null: left out."""
    header: dict[str, Any] = field(default_factory=dict)
    sign: str = "rsa"
    metadata: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    """What the browser comes back with, other than it should be."""
    user_info: dict[str, Any] | None = None
    status: int = 200
    raw: str | None = None


class State:
    """The provider's memory."""

    def __init__(self, port: int, page: str = PAGE) -> None:
        self.page = page
        self.issuer = f"http://127.0.0.1:{port}"
        self.plan = Plan()
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.rotate()

    def rotate(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.kid = secrets.token_hex(4)


def routes(state: State) -> list[Route]:
    async def metadata(_: Request) -> Response:
        named = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "keys",
            "userinfo_endpoint": "me",
            "end_session_endpoint": "leave",
        }
        document = {name: f"{state.issuer}/{path}" for name, path in named.items()}
        return JSONResponse(
            {"issuer": state.issuer, "authorization_response_iss_parameter_supported": True}
            | document
            | state.plan.metadata
        )

    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        right = {
            "client_id": CLIENT,
            "redirect_uri": state.page,
            "code_challenge_method": "S256",
            "response_type": "code",
        }
        if any(asked.get(name) != value for name, value in right.items()) or "nonce" not in asked:
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(16)
        state.codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": state.issuer} | state.plan.answer
        back = {name: value for name, value in back.items() if value is not None}
        return RedirectResponse(f"{state.page}?{urlencode(back)}", 302)

    async def token(request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        if state.plan.raw is not None:
            return Response(state.plan.raw, state.plan.status, media_type="application/json")
        asked = state.codes.pop(form.get("code", ""), None)
        if not _is_client(request) or asked is None or not _is_asker(asked, form):
            return JSONResponse({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(16)
        state.tokens[access] = state.plan.user
        return JSONResponse(
            {"access_token": access, "token_type": "Bearer", "id_token": _id_token(state, asked, access)},
            state.plan.status,
        )

    async def keys(_: Request) -> Response:
        listed = [
            jwt.algorithms.RSAAlgorithm.to_jwk(state.rsa.public_key(), as_dict=True) | {"kid": state.kid},
            jwt.algorithms.ECAlgorithm.to_jwk(state.ec.public_key(), as_dict=True)
            | {"kid": f"{state.kid}-ec"},
            {"kty": "oct", "kid": "shared", "k": "AAAA"},
        ]
        return JSONResponse({"keys": listed})

    async def me(request: Request) -> Response:
        user = state.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        told = state.plan.user_info if state.plan.user_info is not None else user
        return JSONResponse(told or {}, 200 if user else 401)

    async def told(request: Request) -> Response:
        body = await request.json()
        if body.pop("rotate", False):
            state.rotate()
        state.plan = Plan(**body)
        return JSONResponse({})

    return [
        Route("/.well-known/openid-configuration", metadata),
        Route("/authorize", authorize),
        Route("/token", token, methods=["POST"]),
        Route("/keys", keys),
        Route("/me", me),
        Route("/told", told, methods=["POST"]),
    ]


def _is_client(request: Request) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind != "Basic":
        return False
    name, _, secret = base64.b64decode(given).decode().partition(":")
    return (unquote(name), unquote(secret)) == (CLIENT, CLIENT_SECRET)


def _is_asker(asked: dict[str, str], form: dict[str, str]) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    shown = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return shown == asked["code_challenge"] and form.get("redirect_uri") == asked["redirect_uri"]


def _id_token(state: State, asked: dict[str, str], access: str) -> str:
    plan, now = state.plan, int(time.time())
    half = hashlib.sha256(access.encode()).digest()[:16]
    claims = {
        "iss": state.issuer,
        "aud": CLIENT,
        "iat": now,
        "exp": now + 300,
        "nonce": asked["nonce"],
        "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
    } | plan.user
    claims = {name: value for name, value in (claims | plan.claims).items() if value is not None}
    return _signed(state, claims)


def _signed(state: State, claims: dict[str, Any]) -> str:
    header, sign = {"kid": state.kid} | state.plan.header, state.plan.sign
    if sign == "none":
        return jwt.encode(claims, None, "none", header)
    if sign == "another key":
        return jwt.encode(
            claims, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256", header
        )
    if sign == "elliptic":
        return jwt.encode(claims, state.ec, "ES256", header | {"kid": f"{state.kid}-ec"})
    if sign == "public key as secret":
        pem = state.rsa.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return _by_hand({"alg": "HS256", "typ": "JWT", **header}, claims, pem)
    if sign == "client secret":
        return _by_hand({"alg": "HS256", "typ": "JWT", **header}, claims, CLIENT_SECRET.encode())
    if sign == "shared":
        return _by_hand({"alg": "HS256", "typ": "JWT", "kid": "shared"}, claims, b"\0\0\0")
    return jwt.encode(claims, state.rsa, "RS256", header)


def _by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token with a shared secret that no library would sign with."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    body = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return f"{body}.{part(jwt.get_algorithm_by_name('HS256').sign(body.encode(), secret))}"


if __name__ == "__main__":
    number = int(sys.argv[1])
    uvicorn.run(
        Starlette(routes=routes(State(number, *sys.argv[2:]))),
        host="127.0.0.1",
        port=number,
        log_level="error",
    )
