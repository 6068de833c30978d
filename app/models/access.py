"""Users, keys, sessions and the audit log."""

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import NOW, Base, Json, one_of


class User(Base):
    """A person who signs in, by a password or as `oidc_subject` of a provider. `pool_ids` null means all pools."""

    __tablename__ = "users"
    __table_args__ = (
        one_of("role", "viewer", "lead", "admin", "integration", "executor"),
        UniqueConstraint("oidc_issuer", "oidc_subject"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="viewer")
    pool_ids: Mapped[list[int] | None]
    executor_id: Mapped[int | None] = mapped_column(ForeignKey("executors.id"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    token_version: Mapped[int] = mapped_column(Integer(), server_default="1")
    failed_logins: Mapped[int] = mapped_column(Integer(), server_default="0")
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    last_login_at: Mapped[datetime | None]
    oidc_issuer: Mapped[str | None]
    oidc_subject: Mapped[str | None]


class RefreshToken(Base):
    """One link of a sign-in: works once, for the next of its `family`; a second use ends the family."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index("ix_refresh_tokens_user_id_family", "user_id", "family"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    family: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    device_hash: Mapped[bytes | None]
    """Of the secret of the device that signed in: it is known again while this row is kept."""
    ends_at: Mapped[datetime | None]
    """When the family ends, however much it is used; null: it lives as long as it is."""


class ProviderSignIn(Base):
    """A sign-in by a provider that was begun: what must come back with its answer. Good for one answer."""

    __tablename__ = "provider_sign_ins"
    __table_args__ = (Index("ix_provider_sign_ins_expires_at", "expires_at"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    state_hash: Mapped[bytes] = mapped_column(unique=True)
    challenge: Mapped[str]
    redirect_uri: Mapped[str]
    nonce: Mapped[str]
    code_verifier: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiKey(Base):
    """A key of an integration: hashed, limited to pools and actions, expiring."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    key_hash: Mapped[bytes]
    role: Mapped[str] = mapped_column(server_default="integration")
    scopes: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    pool_ids: Mapped[list[int] | None]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AuditEntry(Base):
    """An audit entry: actor, object, time, address, values before and after, and the hash of the entry before.

    Written by triggers (alembic/versions/0001_audit.sql, 0019_erasing.sql), which also refuse every change of it.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_pool_id_id", "pool_id", "id"),
        Index("ix_audit_log_entity_entity_id_id", "entity", "entity_id", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    actor: Mapped[str]
    action: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[str]
    pool_id: Mapped[int | None]
    before: Mapped[Json | None]
    after: Mapped[Json | None]
    request_id: Mapped[str | None]
    address: Mapped[str | None]
    salt: Mapped[bytes | None]
    identity_salt: Mapped[bytes | None]
    identity_hash: Mapped[bytes | None]
    content_hash: Mapped[bytes]
    previous_hash: Mapped[bytes] = mapped_column(unique=True)
    hash: Mapped[bytes]
    erased_at: Mapped[datetime | None]
