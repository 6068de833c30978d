"""The narrow database role of the API and the workers, and what it may do; migrations call this.

The owner of the tables (DATABASE_OWNER_URL, by default DATABASE_URL) migrates and grants. The API and the workers sign
in as a role of their own that DATABASE_URL names: it may read and write rows, and cannot switch off a trigger, empty a
table or change an entry of the audit log. Where DATABASE_URL names a superuser, they take `executor_balancer_app`
instead, which has the same rights and no password (`app.database.take_role`). Roles belong to the whole server: other
databases may use them, so that nothing here drops one.
"""

import base64
import hashlib
import hmac
import secrets
import unicodedata
from pathlib import Path

from sqlalchemy import Connection, text

from app.config import Settings
from app.integrations.postgresql import Address, read_address

GRANTS = (Path(__file__).parent / "database_role.sql").read_text(encoding="utf-8")
"""Makes the roles where they are missing and the current user may, and grants what differs; it can be repeated."""
_NAME_LOGIN = text(
    "SELECT set_config('app.login', :name, true), set_config('app.login_verifier', :verifier, true)"
)
_STORED = text("SELECT rolpassword FROM pg_authid WHERE rolname = :name")
_ITERATIONS = 4096
_SALT_BYTES = 16


def grant_application_role(connection: Connection, settings: Settings) -> None:
    """Give the application's roles their rights on the tables that there are, in the caller's transaction.

    A login that DATABASE_URL names beside DATABASE_OWNER_URL is made where it is missing, with the password of the
    address; the password of a login made here follows the address. Raises DBAPIError where the owner may not make it.
    """
    login = separate_login(settings)
    named = {"name": "", "verifier": ""}
    if login is not None and login.user:
        stored = connection.execute(_STORED, {"name": login.user}).scalar() if _is_super(connection) else None
        same = stored is not None and bool(login.password) and fits(login.password, stored)
        verifier = "" if same or not login.password else make_verifier(login.password)
        named = {"name": login.user, "verifier": verifier}
    connection.execute(_NAME_LOGIN, named)
    connection.execute(text(GRANTS))


def separate_login(settings: Settings) -> Address | None:
    """The address of DATABASE_URL where its user is another one than the owner; None where they are the same."""
    login, owner = read_address(settings.database_url), read_address(settings.owner_url)
    return None if login.user == owner.user else login


def make_verifier(password: str, salt: bytes | None = None, iterations: int = _ITERATIONS) -> str:
    """Return what PostgreSQL stores of a password (SCRAM-SHA-256), so that no statement or log holds the password."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    normal = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", normal, salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def fits(password: str, stored: str) -> bool:
    """Whether a stored verifier is this password's; False for a form that is not SCRAM-SHA-256."""
    kind, _, rest = stored.partition("$")
    if kind != "SCRAM-SHA-256":
        return False
    iterations, _, salt = rest.partition("$")[0].partition(":")
    made = make_verifier(password, base64.b64decode(salt), int(iterations))
    return hmac.compare_digest(made, stored)


def _is_super(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")))
