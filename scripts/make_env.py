"""Writes a `.env` with fresh secrets for those who want to choose them; never over an existing one.

Nothing needs it: docker-compose and the API make secrets on their first start.
"""

import os
import secrets
import sys
from pathlib import Path

TEMPLATE = """\
# Secrets of this installation, made by `make env`. Readable by its owner alone; never committed.
# Every other setting is described in app/config.py and may be added here.
SECRET_KEY={secret_key}
ADMIN_USERNAME=admin
ADMIN_PASSWORD={admin_password}
POSTGRES_PASSWORD={postgres_password}
METRICS_TOKEN={metrics_token}
GRAFANA_PASSWORD={grafana_password}
"""


def write_env(path: Path) -> None:
    """Write the file for its owner alone.

    Raises
    ------
    FileExistsError
        If there is one: its secrets may be in use.
    """
    text = TEMPLATE.format(
        secret_key=secrets.token_urlsafe(48),
        admin_password=secrets.token_urlsafe(15),
        postgres_password=secrets.token_hex(24),
        metrics_token=secrets.token_hex(24),
        grafana_password=secrets.token_urlsafe(15),
    )
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)


def main() -> int:
    """Write `.env` in the current folder; returns the exit code."""
    path = Path(".env")
    try:
        write_env(path)
    except FileExistsError:
        print(".env exists and stays as it is; remove it first if you want fresh secrets.")
        return 0
    print("Wrote .env with fresh secrets; the administrator's password is in it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
