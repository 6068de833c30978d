"""What a database needs before the first request: the default pool and somebody who may sign in."""

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import hash_password, hash_secret, make_password, split_api_key
from app.access.roles import LOCAL_PROGRAM_SCOPES
from app.config import Settings
from app.models import ApiKey, Pool, PoolState, User

# Two processes that start at once must not both find nothing. The number is any that no other advisory lock has.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(7276391405114202)")


async def prepare(session: AsyncSession, *, settings: Settings) -> list[str]:
    """Add what is missing and say so; a made-up password is in these lines and nowhere else."""
    await session.execute(ONE_AT_A_TIME)
    done = [
        *await _ensure_pool(session, settings.default_pool),
        *await _ensure_admin(session, settings),
        *await _ensure_local_key(session, settings),
    ]
    await session.commit()
    return done


async def _ensure_pool(session: AsyncSession, code: str) -> list[str]:
    if await session.scalar(select(Pool.id).where(Pool.code == code)) is not None:
        return []
    pool = Pool(code=code, name="Default pool")
    session.add(pool)
    await session.flush()
    session.add(PoolState(pool_id=pool.id))
    return [f"Made the default pool '{code}'."]


async def _ensure_admin(session: AsyncSession, settings: Settings) -> list[str]:
    if await session.scalar(select(func.count()).select_from(User)):
        return []
    chosen = settings.admin_password.get_secret_value() if settings.admin_password else None
    password = chosen or make_password()
    session.add(User(username=settings.admin_username, password_hash=hash_password(password), role="admin"))
    told = "the password of ADMIN_PASSWORD" if chosen else f"the password {password} (shown only now)"
    return [f"Made the first admin '{settings.admin_username}' with {told}."]


async def _ensure_local_key(session: AsyncSession, settings: Settings) -> list[str]:
    """Register the key of setting API_KEY, unless its prefix is known: a key that an admin revoked stays revoked."""
    parts = split_api_key(settings.api_key.get_secret_value()) if settings.api_key else None
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
    return ["Registered the API key of API_KEY for programs on this machine."]
