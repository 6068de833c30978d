"""Signing in, users, keys and the audit log as the API speaks of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.access.roles import Action, Role
from app.schemas.common import Flag, Instant, Name, Reference

Username = Annotated[
    str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?$")
]
Password = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
PoolIds = Annotated[list[Reference], Field(max_length=1000)]
KeyRole = Literal["viewer", "lead", "integration"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


Device = Annotated[str, StringConstraints(min_length=22, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class Credentials(_Body):
    """Credentials of a sign-in."""

    username: Username
    password: Password
    device: Device | None = Field(
        None,
        description="A random secret that this device keeps (128 bits or more). Wrong tries of others lock a name for "
        "new devices only, not for one that signed in with it before.",
    )


class RefreshIn(_Body):
    """The refresh token of the answer before."""

    refresh_token: Secret


class Tokens(BaseModel):
    """Tokens of a sign-in; the refresh token works once."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - no password
    expires_in: int = Field(description="Seconds the access token lives.")
    refresh_token: str
    refresh_expires_in: int = Field(description="Seconds the refresh token lives.")


class Me(BaseModel):
    """The caller: name, role, pools and permitted actions."""

    name: str
    role: Role
    pool_ids: list[int] | None = Field(description="The pools you see; null: all of them.")
    executor_id: int | None
    user_id: int | None
    actions: list[Action]
    local: bool = Field(description="Nobody signed in: the administrator at this machine.")


class PasswordChange(_Body):
    """A new password of one's own; ends all sign-ins."""

    old_password: Password
    new_password: Password


Subject = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class SignInOptions(BaseModel):
    """How one may sign in here."""

    provider: str | None = Field(
        description="What people call the provider to sign in by; null: there is none."
    )


class ProviderBegin(_Body):
    """A sign-in by the provider, begun by a page."""

    challenge: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")] = Field(
        description="base64url(SHA-256(verifier)) of a secret that only this browser's page knows."
    )
    page: Annotated[str, StringConstraints(max_length=2000)] | None = Field(
        None,
        description="One of OIDC_PAGES, to which the provider sends the browser back; the first if left out.",
    )
    language: Literal["ru", "en"] | None = None


class ProviderBegun(BaseModel):
    """Where to send the browser."""

    url: str
    expires_in: int = Field(description="Seconds in which the answer must come.")


class ProviderAnswer(_Body):
    """The provider's answer to the browser, and the secret whose challenge was sent first."""

    state: Secret
    code: Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[\x20-\x7e]+$")]
    iss: Annotated[str, StringConstraints(max_length=2000)] | None = None
    verifier: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]{43,128}$")]


class ProviderTokens(Tokens):
    """Tokens of a sign-in by the provider."""

    leave_url: str | None = Field(
        description="Where to sign out of the provider too; null: it has no such place."
    )


class UserIn(_Body):
    """A new user, who signs in by a password or by the provider."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"username": "anna", "password": "correct horse battery", "role": "viewer"}]
        },
    )

    username: Username
    password: Password | None = None
    oidc_subject: Subject | None = Field(None, description="Who they are to the provider (the claim sub).")
    role: Role = "viewer"
    pool_ids: PoolIds | None = Field(None, description="The pools they see; null: all of them.")
    executor_id: Reference | None = Field(None, description="Who of the executors they are, if one.")


class UserChange(_Body):
    """Changes of a user; omitted fields stay as they are. Ends the user's sign-ins."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "viewer"}]})

    password: Password | None = None
    oidc_subject: Subject | None = None
    role: Role | None = None
    pool_ids: PoolIds | None = None
    executor_id: Reference | None = None
    active: Flag | None = None


class UserOut(BaseModel):
    """A user as they are now."""

    model_config = ConfigDict(from_attributes=True)

    user_id: int = Field(validation_alias="id")
    username: str
    role: Role
    pool_ids: list[int] | None
    executor_id: int | None
    oidc_subject: str | None
    active: bool
    locked_until: datetime | None
    created_at: datetime
    last_login_at: datetime | None


class UserPage(BaseModel):
    """Users, by id."""

    items: list[UserOut]
    next_cursor: str | None


class ApiKeyIn(_Body):
    """A new API key."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "CRM", "scopes": ["tasks.submit", "tasks.read"]}]},
    )

    name: Name
    role: KeyRole = "integration"
    scopes: Annotated[list[Action], Field(min_length=1, max_length=100)] = Field(
        description="Actions it may use, of those of its role."
    )
    pool_ids: PoolIds | None = Field(None, description="The pools it sees; null: all of them.")
    expires_at: Instant | None = Field(None, description="When it ends by itself.")


class ApiKeyOut(BaseModel):
    """An API key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    api_key_id: int = Field(validation_alias="id")
    name: str
    prefix: str = Field(description="How the key begins after ebk_: tells keys apart.")
    role: Role
    scopes: list[str]
    pool_ids: list[int] | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_by: str
    created_at: datetime


class ApiKeyMade(ApiKeyOut):
    """A fresh API key; `key` is shown this once."""

    key: str


class ApiKeyPage(BaseModel):
    """API keys, newest first."""

    items: list[ApiKeyOut]
    next_cursor: str | None


class AuditEntryOut(BaseModel):
    """Entry of the audit log: action, actor, address, values before and after."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    actor: str
    action: str
    entity: str
    entity_id: str
    pool_id: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str | None
    address: str | None
    erased_at: datetime | None = Field(description="When before and after were erased with a person's data.")


class AuditListedOut(AuditEntryOut):
    """An entry with what people call the thing it is about."""

    name: str | None = Field(
        None, description="Its name now, or when it was deleted; an absence is called by its person."
    )


class AuditPage(BaseModel):
    """Audit entries, newest first."""

    items: list[AuditListedOut]
    next_cursor: str | None


class AuditProofOut(BaseModel):
    """Whether the audit log is whole."""

    model_config = ConfigDict(from_attributes=True)

    holds: bool
    entries: int
    erased: int = Field(description="Entries whose contents were erased with a person's data.")
    head: str = Field(description="The last hash: keep it elsewhere, and a log cut short is noticed too.")
    broken_at: int | None = Field(description="The first entry that does not fit.")
    reason: str
