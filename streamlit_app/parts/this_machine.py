"""Signing in with the key that `init_db.py` keeps for programs of this machine (`.secrets/host/api_key`, mode 0600).

The key is offered to a browser of this machine alone: the dashboard must listen on loopback, and the request must come
straight from there. A page of another site, a name that was rebound to 127.0.0.1 or a proxy gets the usual form.
"""

from urllib.parse import urlsplit

import streamlit as st

from app.config import BadSettings, read_settings
from app.local.own_secrets import local_api_key

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = ("x-forwarded", "forwarded", "x-real-ip", "via", "x-client-ip", "cf-")


def key() -> str | None:
    """The key, for a browser of this machine; None for others, and where there is no key."""
    if not is_here(st.get_option("server.address"), dict(st.context.headers)):
        return None
    try:
        return local_api_key(read_settings())
    except BadSettings:
        return None


def is_here(address: str | None, headers: dict[str, str]) -> bool:
    """Whether the dashboard listens on loopback, at `address`, and such a request came straight from there."""
    given = {name.lower(): value for name, value in headers.items()}
    if address not in _LOOPBACK or any(name.startswith(_FORWARDED) for name in given):
        return False
    host = given.get("host", "")
    is_own = "origin" not in given or urlsplit(given["origin"]).netloc == host
    return is_own and urlsplit(f"//{host}").hostname in _LOOPBACK
