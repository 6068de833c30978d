"""Secrets: passwords (Argon2id), access tokens (JWT), refresh tokens and API keys (random, kept as hashes).

Access tokens are signed with HMAC-SHA-256 and name their key; while keys rotate, tokens of the key before are still
read, so nobody is signed out. The algorithm is ours to say, never the token's.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.errors import Unauthenticated
from app.messages.message import say

_HASHES = PasswordHash((Argon2Hasher(),))

ISSUER = "executor-balancer"
ALGORITHM = "HS256"
KEY_MARK = "ebk"
"""How an API key begins, so that people and scanners of leaked secrets know one when they see it."""
CLOCKS_APART = 30
"""Seconds that the clock of the host which issued a token may be ahead; a token's end is not put off by them."""
LEAST_SECRET = 32
"""Characters a SECRET_KEY must have at least."""


def hash_password(password: str) -> str:
    """The form in which a password is kept."""
    return _HASHES.hash(password)


def verify_password(password: str, kept: str) -> bool:
    """Whether this is the password."""
    return _HASHES.verify(password, kept)


def make_password() -> str:
    """A password nobody can guess: 96 random bits."""
    return secrets.token_urlsafe(12)


def make_secret() -> str:
    """A refresh token: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """The form in which a random secret is kept: it has bits enough that a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).digest()


def same_secret(secret: str, kept: bytes) -> bool:
    """Whether this is the secret, in constant time."""
    return hmac.compare_digest(hash_secret(secret), kept)


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key as it is shown once: `whole` is what the program sends, `prefix` finds it, `hash` is kept."""

    whole: str
    prefix: str
    hash: bytes


def make_api_key() -> NewKey:
    """A fresh API key: `ebk_PREFIX_SECRET`."""
    prefix, secret = secrets.token_hex(5), secrets.token_hex(24)
    return NewKey(f"{KEY_MARK}_{prefix}_{secret}", prefix, hash_secret(secret))


def split_api_key(whole: str) -> tuple[str, str] | None:
    """Prefix and secret of an API key; None where it is none."""
    parts = whole.split("_")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == KEY_MARK else None


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of an access token: the user and the version of their credentials."""

    user_id: int
    token_version: int
    expires_at: datetime


class KeyRing:
    """Signs with the first key, reads with all of them."""

    def __init__(self, secrets_: Sequence[str]) -> None:
        derived = [_derive(secret) for secret in secrets_]
        self._keys = {_name(key): key for key in derived}
        self._seals = [_derive(secret, b"executor-balancer seals") for secret in secrets_]
        self._current = _name(derived[0])

    def issue(self, *, user_id: int, token_version: int, now: datetime, life: timedelta) -> str:
        """An access token."""
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": str(user_id),
            "ver": token_version,
            "iat": now,
            "exp": now + life,
            "jti": secrets.token_hex(8),
        }
        headers = {"kid": self._current, "typ": "at+jwt"}
        return jwt.encode(claims, self._keys[self._current], ALGORITHM, headers)

    def seal(self, said: str) -> str:
        """Signature made with the SECRET_KEY."""
        return hmac.digest(self._seals[0], said.encode(), "sha256").hex()

    def sealed(self, said: str, seal: str) -> bool:
        """Whether this was sealed with the key, or one before."""
        seals = [hmac.digest(key, said.encode(), "sha256").hex() for key in self._seals]
        return any(hmac.compare_digest(each.encode(), str(seal).encode()) for each in seals)

    def read(self, token: str, now: datetime | None = None) -> Claims:
        """Read a token made here, as of `now` (None: by this host's clock).

        Raises Unauthenticated for any other and for an expired one.
        """
        now = now or datetime.now(UTC)
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys[header["kid"]]
            if header.get("typ") != "at+jwt":
                raise Unauthenticated(NOT_VALID)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=ISSUER,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss", "ver"],
                    "verify_iat": False,
                    "verify_exp": False,
                },
            )
            if not float(claims["iat"]) <= now.timestamp() + CLOCKS_APART:
                raise Unauthenticated(NOT_VALID)
            if int(claims["exp"]) <= now.timestamp():
                raise jwt.ExpiredSignatureError
            return Claims(int(claims["sub"]), int(claims["ver"]), datetime.fromtimestamp(claims["exp"], UTC))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(
                say("The access token has expired: get another by POST /v1/auth/refresh.")
            ) from None
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError):
            raise Unauthenticated(NOT_VALID) from None


NOT_VALID = say("Authorization: not a valid access token or API key; sign in by POST /v1/auth/token.")


def _derive(secret: str, use: bytes = b"executor-balancer access tokens") -> bytes:
    """A key of a SECRET_KEY; each use of the same secret gets another key."""
    return hmac.digest(secret.encode(), use, "sha256")


def _name(key: bytes) -> str:
    """A key's name: tells keys apart, and nothing about them."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"name of " + key).digest()[:6]).decode()
