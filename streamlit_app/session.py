"""Session of a person: language, pool, credentials. In the address too, so that a link shows the same."""

import time
from datetime import date, time as dt_time
from typing import Literal, cast
from zoneinfo import ZoneInfo

import streamlit as st

from streamlit_app.client import Api, ApiError, Json

Language = Literal["ru", "en"]
LANGUAGES: tuple[Language, ...] = ("ru", "en")

ROLES = ("viewer", "lead", "admin", "integration", "executor")
_REFRESH_BEFORE = 60.0  # seconds
_TYPED = (str, int, float, date, dt_time)
_SIGN_IN = ("token", "refresh_token", "token_until", "me")


def language() -> Language:
    """The language of this session, Russian until somebody chose."""
    return cast("Language", st.session_state.get("language", "ru"))


def api() -> Api:
    """The API on behalf of the signed-in user."""
    _refresh()
    return Api(st.session_state.get("token"), language())


def api_before_sign_in() -> Api:
    """The API on behalf of nobody yet."""
    return Api(language=language())


def remember_address() -> None:
    """Take language and pool from the address when the session begins, and keep them there."""
    state, query = st.session_state, st.query_params
    if "language" not in state:
        state.language = query.get("lang") if query.get("lang") in LANGUAGES else "ru"
    if "pool_code" not in state and query.get("pool"):
        state.pool_code = query["pool"]


def keep_address() -> None:
    """Write language and pool into the address; the address of a task or a person stays."""
    wanted = {"lang": language()} | ({"pool": st.session_state.pool_code} if pool_or_none() else {})
    for name, value in wanted.items():
        if st.query_params.get(name) != value:
            st.query_params[name] = value


def go(name: str, **query: str) -> None:
    """Open another page of the dashboard, or one thing on it."""
    keep = {"lang": language(), "pool": st.session_state.pool_code}
    st.switch_page(st.session_state.pages[name], query_params=keep | query)


def load_pools() -> list[Json]:
    """All pools that this person may see, looked up once per run; chooses one where none is chosen."""
    pools: list[Json] = api().get("/v1/pools")["items"]
    st.session_state.pools = pools
    codes = [each["code"] for each in pools]
    if st.session_state.get("pool_code") not in codes:
        st.session_state.pool_code = codes[0] if codes else None
    return pools


def pool_or_none() -> Json | None:
    """The chosen pool."""
    code = st.session_state.get("pool_code")
    return next((each for each in st.session_state.get("pools", ()) if each["code"] == code), None)


def pool() -> Json:
    """The chosen pool, which there must be."""
    chosen = pool_or_none()
    if chosen is None:
        raise ApiError(404, "no_pool", "")
    return chosen


def pool_id() -> int:
    """The chosen pool's id."""
    return int(pool()["pool_id"])


def zone() -> ZoneInfo:
    """The chosen pool's time zone, in which every time is shown."""
    chosen = pool_or_none()
    return ZoneInfo(chosen["timezone"] if chosen else "UTC")


def load_me() -> None:
    """The signed-in user and their permissions, asked once per session; without accounts the administrator."""
    if "me" not in st.session_state:
        st.session_state.me = api().get("/v1/auth/me")


def role() -> str:
    """Role of the user; without sign-in the local administrator's."""
    me = st.session_state.get("me")
    return me["role"] if me else "admin"


def may(action: str) -> bool:
    """Whether this person may do this; the API has the last word."""
    me = st.session_state.get("me")
    return me is None or action in me["actions"]


def may_change() -> bool:
    """Whether this person may change people, rules and tasks."""
    return may("executors.manage")


def is_admin() -> bool:
    """Whether this person administers the system."""
    return role() == "admin"


def sign_in(tokens: Json) -> None:
    """Continue as the user of these tokens."""
    st.session_state.token = tokens["access_token"]
    st.session_state.refresh_token = tokens.get("refresh_token")
    st.session_state.token_until = time.monotonic() + tokens.get("expires_in", 900)
    st.session_state.pop("me", None)
    if before := st.session_state.pop("ended", None):
        load_me()
        if st.session_state.me["name"] != before:
            signed = {name: st.session_state[name] for name in _SIGN_IN if name in st.session_state}
            leave()
            st.session_state.update(signed)


def forget_tokens() -> None:
    """Go on as nobody."""
    for name in _SIGN_IN:
        st.session_state.pop(name, None)


def end() -> None:
    """The API knows this sign-in no more: go on as nobody, until the same person signs in and goes on here."""
    if "token" in st.session_state:
        st.session_state.ended = (st.session_state.get("me") or {}).get("name")
    forget_tokens()


def keep_inputs() -> None:
    """Keep what was typed and chosen while its page is not shown; Streamlit forgets inputs that are not.

    Ticks go: a button has the same values, and those nobody may set.
    """
    for key, value in list(st.session_state.items()):
        parts = value if isinstance(value, list | tuple) else [value]
        if all(isinstance(part, _TYPED) and not isinstance(part, bool) for part in parts):
            st.session_state[key] = value


def leave() -> None:
    """Remove everything of this user before the next one signs in."""
    for key in list(st.session_state):
        if key not in {"language", "language_choice"}:
            del st.session_state[key]


def _refresh() -> None:
    """Change the tokens for fresh ones in good time: an access token lives minutes, a session a day."""
    refresh_token = st.session_state.get("refresh_token")
    if refresh_token and time.monotonic() > st.session_state.token_until - _REFRESH_BEFORE:
        try:
            sign_in(api_before_sign_in().post("/v1/auth/refresh", {"refresh_token": refresh_token}))
        except ApiError as error:
            if error.status == 401:
                end()
