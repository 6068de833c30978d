"""Passwords: hashed with Argon2id, made up where nobody chose one."""

import secrets

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

_HASHES = PasswordHash((Argon2Hasher(),))


def hash_password(password: str) -> str:
    """The form in which a password is kept."""
    return _HASHES.hash(password)


def verify_password(password: str, kept: str) -> bool:
    """Whether this is the password."""
    return _HASHES.verify(password, kept)


def make_password() -> str:
    """A password nobody can guess: 96 random bits."""
    return secrets.token_urlsafe(12)
