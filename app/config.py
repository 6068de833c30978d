"""Settings, read from the environment and `.env`; every one of them is documented here.

Where DATABASE_URL names no database, `read_settings` looks for the system that runs on this machine: first the stack
that docker-compose started from this checkout (`.secrets/host.env`), then the embedded one, then the default address.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.access.keys import LEAST_SECRET, KeyRing, make_secret, split_api_key
from app.integrations.postgresql import BadAddress, read_address
from app.integrations.public_addresses import Network, parse_networks
from app.integrations.redis_address import read_redis
from app.local.places import RunningSystem, embedded_system, find_place

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_DATABASE_URL = "postgresql://postgres:postgres@localhost:5432/executor_balancer"
DEFAULT_REDIS_URL = "redis://localhost:6379/0"


class BadSettings(RuntimeError):
    """The settings cannot be used; the message names each wrong one and the remedy, in one line."""


class ProviderGrant(BaseModel):
    """What people of a group of the provider may do here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["viewer", "lead", "admin", "executor"]
    pools: tuple[str, ...] | None = None
    """Codes of the pools they see; none: all of them."""


class Settings(BaseSettings):
    """Names in the environment are these in capitals, for instance `DATABASE_URL`.

    `ENV_FILE` names another file than `.env`; empty, none is read. `DEFAULT_DATABASE_URL` and `DEFAULT_REDIS_URL`
    replace the default addresses: tests set them, so that they never reach a server that happens to run.
    """

    model_config = SettingsConfigDict(
        env_file=os.environ.get("ENV_FILE", ".env"), extra="ignore", frozen=True
    )

    database_url: str = Field(
        default_factory=lambda: os.environ.get("DEFAULT_DATABASE_URL", DEFAULT_DATABASE_URL),
        validate_default=True,
        description="PostgreSQL 15 or later; the only truth.",
    )
    database_owner_url: str | None = Field(
        None,
        description="Owner of the tables, migrates and grants; DATABASE_URL then names a login with few rights.",
    )
    database_direct_url: str | None = Field(
        None,
        description="The same database past a pooler: for LISTEN, notes of workers, and migrations.",
    )
    database_pooler: Literal["none", "session", "transaction"] = Field(
        "none",
        description="Mode of the pooler (PgBouncer) that DATABASE_URL names; transaction needs DATABASE_DIRECT_URL.",
    )
    redis_url: str | None = Field(
        default_factory=lambda: os.environ.get("DEFAULT_REDIS_URL", DEFAULT_REDIS_URL),
        validate_default=True,
        description="Redis 6.2 or later, or sentinels, or a cluster; empty: none. Without it workers sweep PostgreSQL.",
    )
    stack_file: Path | None = Field(
        ROOT / ".secrets" / "host.env",
        description="Where docker-compose tells commands on this machine how to reach the stack; empty: nowhere.",
    )
    secrets_dir: Path = Field(
        ROOT / ".secrets" / "host",
        description="Directory of the secrets that this program makes where none are set; closed to other users.",
    )
    database_pool_size: int = Field(
        8, ge=1, le=200, description="Connections a process keeps for ordinary requests."
    )
    hot_pool_size: int = Field(
        4, ge=1, le=100, description="Connections a process keeps for intake and decisions."
    )
    database_connect_seconds: float = Field(
        2.0,
        gt=0,
        description="Seconds each host of DATABASE_URL may take to be connected to, before the next is tried.",
    )
    database_timeout: float = Field(
        10.0, gt=0, description="Seconds a statement or a connection attempt may take."
    )
    database_wait_seconds: float = Field(
        60.0,
        ge=0,
        description="Seconds that init_db.py and alembic wait for a PostgreSQL that is not there yet.",
    )

    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the API listens on.")
    default_pool: str = Field(
        "default", description="Code of the pool that a request means when it names none."
    )

    intake_batch: int = Field(500, ge=1, le=5000, description="Most single POSTs written by one statement.")
    intake_queue: int = Field(
        10_000, ge=1, description="Single POSTs that may wait to be written; more get 429."
    )
    batch_limit: int = Field(5000, ge=1, le=50_000, description="Most tasks in one batch request.")
    wait_limit: float = Field(30.0, ge=0, le=300, description="Most seconds that ?wait= may hold a request.")
    max_body_bytes: int = Field(
        16 * 1024 * 1024, ge=1024, description="Largest request body taken, in bytes."
    )

    worker_batch: int = Field(
        1000, ge=1, le=10_000, description="Most tasks a worker decides in one transaction."
    )
    worker_batch_seconds: float = Field(
        0.25, gt=0, description="Longest a batch should hold its pool: batches grow and shrink to keep to it."
    )
    worker_sweep_seconds: float = Field(1.0, gt=0, description="How often to look for work nobody rang for.")
    worker_sweep_seconds_no_redis: float = Field(0.2, gt=0, description="The same where there is no Redis.")
    fairness_seconds: float = Field(
        5.0, ge=0, description="How often a worker measures the fairness of pools that moved; 0: never."
    )
    worker_claim_seconds: float = Field(
        5.0, gt=0, description="Idle time after which a dead worker's message moves."
    )
    worker_transaction_seconds: float = Field(
        2.0,
        gt=0,
        description="A transaction idle this long loses its lock, so that a hung worker blocks nobody.",
    )
    worker_spare_cores: float = Field(
        0.5,
        ge=0,
        description="Idle cores of a worker's machine at which it relieves one that is late; 0: even where none is.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address on which a worker gives its metrics.")
    metrics_port: int = Field(
        9101, ge=0, le=65535, description="First port tried for a worker's metrics; 0: none."
    )
    metrics_token: SecretStr | None = Field(
        None, description="A bearer token that opens /metrics and nothing else."
    )

    ais_url: str | None = Field(
        None, description="Base address of the external system; none: nothing is delivered."
    )
    ais_timeout: float = Field(20.0, gt=0, le=300, description="Seconds that the external system may take.")
    ais_sync_seconds: float = Field(
        300.0, ge=0, description="How often people are pulled from the external system; 0: only on request."
    )
    delivery_batch: int = Field(500, ge=1, le=1000, description="Most messages in one request.")
    delivery_parallel: int = Field(8, ge=1, le=64, description="Requests to one receiver at once.")
    delivery_lease_seconds: float = Field(
        60.0, gt=0, description="Time after which a message that a sender took is another's to send."
    )
    delivery_attempts: int = Field(
        8, ge=1, description="Answers that refuse one message before it is set aside as dead."
    )
    reconcile_seconds: float = Field(
        30.0, ge=0, description="How often the external system is compared with us; 0: never."
    )
    reconcile_settle_seconds: float = Field(
        15.0, ge=0, description="Time the external system has to show what it was told."
    )

    outbound_allow: str = Field(
        "", description="Inside addresses that webhooks may reach: networks by commas; none where empty."
    )

    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of proxies, by commas: their X-Forwarded-For and -Proto are believed.",
    )
    cors_origins: str = Field(
        "", description="Origins of pages that may call the API, by commas; none where empty."
    )
    ssl_certfile: Path | None = Field(None, description="Certificate of https (make cert); none: http.")
    ssl_keyfile: Path | None = Field(None, description="The certificate's key.")
    request_seconds: float = Field(
        30.0, gt=0, le=3600, description="Seconds after which a request without an answer gets 503."
    )
    body_seconds: float = Field(60.0, gt=0, le=3600, description="Seconds in which a body must have come.")
    max_connections: int = Field(
        2000, ge=10, description="Connections `run` lets the API hold at once; more get 503."
    )

    event_streams_per_caller: int = Field(
        20, ge=1, le=500, description="Streams of /v1/events that one user or key may have open in a process."
    )
    event_streams_per_address: int = Field(
        250, ge=1, le=500, description="The same of one address; a dashboard opens its people's from its own."
    )

    auth_required: bool = Field(False, description="Refuse requests without credentials on loopback too.")
    secret_key: SecretStr | None = Field(
        None, description="Signs tokens; made on the first start and kept in SECRETS_DIR where it is not set."
    )
    secret_key_previous: SecretStr | None = Field(
        None, description="The SECRET_KEY before, several by commas: its tokens are read, none are signed."
    )
    audit_anchors: Path | None = Field(
        None, description="A file outside of the database, to which the audit log's sealed head is appended."
    )
    access_token_minutes: int = Field(15, ge=1, le=1440, description="Life of an access token.")
    refresh_token_days: int = Field(14, ge=1, le=365, description="Life of a sign-in that nobody uses.")
    sign_in_failures: int = Field(
        30, ge=1, le=10_000, description="Failed sign-ins taken from an address in a minute."
    )
    oidc_issuer: str | None = Field(
        None, description="Address of the OpenID provider by which people sign in; none: by password alone."
    )
    oidc_client_id: str = Field("", description="Our name at the provider.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="Our secret at the provider; none: a public client, by PKCE alone."
    )
    oidc_pages: str = Field(
        "", description="Addresses to which the provider sends people back, by commas: the dashboard's first."
    )
    oidc_name: str = Field("", description="What people call the provider; its host where empty.")
    oidc_scopes: str = Field("openid profile email", description="What the provider is asked to tell.")
    oidc_users: Literal["known", "create"] = Field(
        "known", description="known: an admin made them before; create: made when they first sign in."
    )
    oidc_name_claim: str = Field("preferred_username", description="The claim that names a new user.")
    oidc_role_claim: str = Field(
        "groups", description="The claim that OIDC_ROLES reads; dots lead into objects: realm_access.roles."
    )
    oidc_roles: dict[str, ProviderGrant] = Field(
        {},
        description="JSON: what a value of that claim grants, {value: {role, pools}}; where set, it decides alone.",
    )
    oidc_session_hours: int = Field(
        12, ge=1, le=720, description="Hours after which the provider is asked again who somebody is."
    )
    admin_username: str = Field("admin", description="The first admin's name, used by init_db.py.")
    admin_password: SecretStr | None = Field(
        None, description="The first admin's password; made up where absent."
    )
    api_key: SecretStr | None = Field(
        None,
        description="API key (ebk_PREFIX_SECRET) of programs on this machine (demo.py); init_db.py registers it.",
    )

    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console in a terminal.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe event logged."
    )
    tracing: bool = Field(
        False, description="Traces to OTEL_EXPORTER_OTLP_ENDPOINT; needs the extra `tracing`."
    )

    @field_validator("database_url", "database_owner_url", "database_direct_url", mode="after")
    @classmethod
    def _async_driver(cls, url: str | None, info: ValidationInfo) -> str | None:
        """Accept the addresses that other tools print: the driver is ours to choose."""
        if not url and info.field_name != "database_url":
            return None
        for prefix in ("postgresql+asyncpg://", "postgresql+psycopg2://", "postgresql://", "postgres://"):
            if url and url.startswith(prefix):
                url = "postgresql+asyncpg://" + url.removeprefix(prefix)
                try:
                    read_address(url)
                except BadAddress as error:
                    raise ValueError(f"{str(info.field_name).upper()}: {error}") from None
                return url
        raise ValueError(
            f"{str(info.field_name).upper()} must begin with postgresql:// (PostgreSQL is the only database supported)"
        )

    @field_validator("redis_url", mode="after")
    @classmethod
    def _redis(cls, url: str | None) -> str | None:
        if url:
            read_redis(url)
        return url

    _place: RunningSystem | None = PrivateAttr(None)

    @field_validator("redis_url", "ais_url", "oidc_issuer", "stack_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    def key_ring(self) -> KeyRing:
        """The keys of tokens; where there is no SECRET_KEY, one that ends with this process."""
        current = self.secret_key.get_secret_value() if self.secret_key else make_secret()
        before = self.secret_key_previous.get_secret_value() if self.secret_key_previous else ""
        return KeyRing([current, *(key.strip() for key in before.split(",") if key.strip())])

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        for origin in filter(None, (part.strip() for part in text.split(","))):
            parts = urlsplit(origin)
            if (
                parts.scheme not in {"http", "https"}
                or not parts.netloc
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError(f"'{origin}' is no origin; send https://host without path, and never *")
        return text

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < LEAST_SECRET:
            raise ValueError(f"shorter than {LEAST_SECRET} characters; `make env` writes a good one")
        return secret

    @field_validator("api_key")
    @classmethod
    def _form_of_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and split_api_key(key.get_secret_value()) is None:
            raise ValueError(
                "not of the form ebk_PREFIX_SECRET; remove it, and one is made where it is needed"
            )
        return key

    @model_validator(mode="after")
    def _direct(self) -> "Settings":
        """A pooler in transaction mode has no session to hear notifications in."""
        if self.database_pooler == "transaction" and not self.database_direct_url:
            raise ValueError(
                "DATABASE_POOLER=transaction needs DATABASE_DIRECT_URL, the same database past the pooler"
            )
        return self

    @model_validator(mode="after")
    def _provider(self) -> "Settings":
        """A sign-in by a provider is configured whole, or not at all."""
        if self.oidc_issuer is None:
            return self
        for address in (self.oidc_issuer, *self.oidc_page_list):
            parts = urlsplit(address)
            local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
            if not parts.netloc or parts.fragment or not (parts.scheme == "https" or local):
                raise ValueError(
                    f"'{address}': OIDC_ISSUER and OIDC_PAGES need https:// (http:// on this machine)"
                )
        if not self.oidc_client_id or not self.oidc_page_list:
            raise ValueError("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_PAGES")
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("OIDC_SCOPES needs openid")
        if self.oidc_users == "create" and not self.oidc_roles:
            raise ValueError("OIDC_USERS=create needs OIDC_ROLES: nobody is let in without a role")
        return self

    @property
    def oidc_label(self) -> str | None:
        """What people call the provider; None where there is none."""
        return (self.oidc_name or urlsplit(self.oidc_issuer).hostname) if self.oidc_issuer else None

    @property
    def oidc_page_list(self) -> list[str]:
        """The addresses of `oidc_pages`."""
        return [part.strip() for part in self.oidc_pages.split(",") if part.strip()]

    @property
    def cors_list(self) -> list[str]:
        """The origins of `cors_origins`."""
        return [part.strip() for part in self.cors_origins.split(",") if part.strip()]

    @field_validator("outbound_allow", "trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        parse_networks(text)
        return text

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The networks of `trusted_proxies`."""
        return parse_networks(self.trusted_proxies)

    @property
    def owner_url(self) -> str:
        """The address for migrations: DATABASE_OWNER_URL, else DATABASE_DIRECT_URL, else DATABASE_URL."""
        return self.database_owner_url or self.database_direct_url or self.database_url

    @property
    def direct_dsn(self) -> str:
        """The database's address past a pooler, for what needs a session of its own."""
        return (self.database_direct_url or self.database_url).replace(
            "postgresql+asyncpg://", "postgresql://", 1
        )

    @property
    def dsn(self) -> str:
        """The database address as the bare driver wants it."""
        return self.database_url.replace("postgresql+asyncpg://", "postgresql://", 1)

    @property
    def secret_key_file(self) -> Path:
        """Where the SECRET_KEY that was made on the first start is kept."""
        return self.secrets_dir / "secret_key"

    @property
    def admin_password_file(self) -> Path:
        """Where the first admin's password is kept where init_db.py made it up."""
        return self.secrets_dir / "admin_password"

    @property
    def api_key_file(self) -> Path:
        """Where the key of local programs is kept where API_KEY is not set."""
        return self.secrets_dir / "api_key"

    @property
    def names_database(self) -> bool:
        """Whether DATABASE_URL is set."""
        return "database_url" in self.model_fields_set and self._place is None

    @property
    def place(self) -> RunningSystem | None:
        """The system of this machine to which these settings lead; None where DATABASE_URL or the default does."""
        return self._place

    @property
    def database_source(self) -> str:
        """What named the database, for error messages."""
        if self._place is not None:
            return self._place.name
        return "DATABASE_URL" if self.names_database else "the default, DATABASE_URL is not set"


def read_settings(data: Path | None = None, **changes: Any) -> Settings:
    """Read the settings of a command, and find the system that it means.

    Parameters
    ----------
    data
        Data directory of the embedded system that is meant, whatever DATABASE_URL says; None: look for one.
    changes
        Settings to be replaced, by field name.

    Raises
    ------
    BadSettings
        If a setting is wrong, or no system runs on `data`.
    """
    try:
        given = Settings()
        place = _place_of(given, data)
        if place is None:
            return Settings(**changes) if changes else given
        named = given.model_dump(exclude_unset=True)
        if data is not None:  # what was named on the command line goes before what the environment says
            named = {name: value for name, value in named.items() if name not in place.settings}
        values: dict[str, Any] = {**place.settings, **named, **changes}
        found = Settings(**values)
    except ValidationError as error:
        raise BadSettings(
            "; ".join(f"{_name(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        ) from None
    found._place = place
    return found


def _place_of(settings: Settings, data: Path | None) -> RunningSystem | None:
    if data is not None:
        place = embedded_system(data)
        if place is None:
            raise BadSettings(
                f"no system runs on {data}: start one with `make run`, leave --data out, or set DATABASE_URL"
            )
        return place
    if settings.names_database:
        return None
    try:
        return find_place(settings.stack_file)
    except PermissionError as error:
        raise BadSettings(
            f"{error.filename} cannot be read: run this as its owner, or set DATABASE_URL"
        ) from None


def _name(location: tuple[int | str, ...]) -> str:
    """The name of a setting as it stands in the environment."""
    return ".".join(str(part) for part in location).upper()


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once. Raises BadSettings."""
    return read_settings()
