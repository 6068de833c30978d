"""The secrets of a server and of local programs that nobody set: made once, kept in SECRETS_DIR."""

import structlog
from pydantic import SecretStr

from app.config import Settings
from app.local.kept import kept_secret, read_secret, short

log = structlog.get_logger()


def with_secret(settings: Settings) -> Settings:
    """Return the settings of a server: with the SECRET_KEY kept in SECRETS_DIR where none is set.

    It is made on the first start. Where it cannot be kept, the settings stay without one: the server then serves this
    machine alone, with a key that ends with the process.
    """
    if settings.secret_key is not None:
        return settings
    file = settings.secret_key_file
    is_new = not file.exists()
    try:
        secret = kept_secret(file)
    except (OSError, ValueError) as error:
        log.warning("secret.not_kept", why=str(error), remedy="set SECRET_KEY")
        return settings
    if is_new:
        log.info("secret.made", why="SECRET_KEY is not set", kept_in=short(file))
    return settings.model_copy(update={"secret_key": SecretStr(secret)})


def local_api_key(settings: Settings) -> str | None:
    """Return the key with which local programs ask the API: API_KEY, else the kept one; None where there is none."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    try:
        return read_secret(settings.api_key_file)
    except (OSError, ValueError):
        return None
