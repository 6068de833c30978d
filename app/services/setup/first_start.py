"""What a database needs before the first request: the default pool and somebody who may sign in."""

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import hash_password, hash_secret, make_api_key, make_password, split_api_key
from app.access.roles import LOCAL_PROGRAM_SCOPES
from app.config import Settings
from app.local.kept import keep, kept_secret, short
from app.models import ApiKey, Pool, PoolStateRow, User

# Two processes that start at once must not both find nothing. The number is any that no other advisory lock has.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(7276391405114202)")
_USERS = select(func.count()).select_from(User)


@dataclass(frozen=True, slots=True)
class _FirstAdmin:
    """The password of the first admin and its hash, which takes long to make."""

    password: str
    hash: str


async def prepare(session: AsyncSession, *, settings: Settings) -> list[str]:
    """Add what is missing and say so; a made-up password stands in these lines, and in SECRETS_DIR.

    Hashes are made between two transactions: PostgreSQL ends one that waits for a busy processor.
    """
    has_users = await session.scalar(_USERS)
    await session.rollback()
    admin = None if has_users else _first_admin(settings)
    local_key = split_api_key(_local_key(settings) or "")
    await session.execute(ONE_AT_A_TIME)
    done = [
        *await _ensure_pool(session, settings.default_pool),
        *await _ensure_admin(session, settings, admin),
        *await _ensure_local_key(session, settings, local_key),
    ]
    await session.commit()
    return done


def _first_admin(settings: Settings) -> _FirstAdmin:
    chosen = settings.admin_password.get_secret_value() if settings.admin_password else None
    password = chosen or make_password()
    return _FirstAdmin(password, hash_password(password))


async def _ensure_pool(session: AsyncSession, code: str) -> list[str]:
    if await session.scalar(select(Pool.id).where(Pool.code == code)) is not None:
        return []
    pool = Pool(code=code, name="Default pool")
    session.add(pool)
    await session.flush()
    session.add(PoolStateRow(pool_id=pool.id))
    return [f"Made the default pool '{code}'."]


async def _ensure_admin(session: AsyncSession, settings: Settings, admin: _FirstAdmin | None) -> list[str]:
    """Add the first admin, unless there was a user before, or another process was quicker."""
    if admin is None or await session.scalar(_USERS):
        return []
    session.add(User(username=settings.admin_username, password_hash=admin.hash, role="admin"))
    told = (
        "the password of ADMIN_PASSWORD"
        if settings.admin_password
        else f"the password {admin.password} ({_kept(settings, admin.password)})"
    )
    return [f"Made the first admin '{settings.admin_username}' with {told}."]


def _kept(settings: Settings, password: str) -> str:
    """Keep a made-up password in a file that only its owner can read; say where, or that it is shown only now."""
    file = settings.admin_password_file
    try:
        keep(file, password)
    except OSError:
        return "shown only now"
    return f"kept in {short(file)}"


async def _ensure_local_key(
    session: AsyncSession, settings: Settings, parts: tuple[str, str] | None
) -> list[str]:
    """Register the key of local programs, unless its prefix is known: a key that an admin revoked stays revoked.

    It is that of setting API_KEY, else the one that is made here and kept in SECRETS_DIR, of which nothing is said.
    """
    if parts is None:
        return []
    prefix, secret = parts
    if await session.scalar(select(ApiKey.id).where(ApiKey.prefix == prefix)) is not None:
        return []
    key = ApiKey(
        name="local programs",
        prefix=prefix,
        key_hash=hash_secret(secret),
        role="admin",
        scopes=sorted(LOCAL_PROGRAM_SCOPES),
        created_by="init_db.py",
    )
    session.add(key)
    return ["Registered the API key of API_KEY for programs on this machine."] if settings.api_key else []


def _local_key(settings: Settings) -> str | None:
    """The key of local programs; None where no directory can keep one."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    try:
        return kept_secret(settings.api_key_file, lambda: make_api_key().whole)
    except (OSError, ValueError):
        return None
