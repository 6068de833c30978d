"""Choosing a person of the pool."""

from collections.abc import Callable

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Api, Json
from streamlit_app.words import TABLE, t


@st.cache_data(ttl=5, max_entries=50, show_spinner=False)
def _all(_api: Api, token: str | None, pool_id: int) -> list[Json]:
    return _api.pages("/v1/executors", pool_id=pool_id)


def load() -> list[Json]:
    """All people of the pool; the same list for a few seconds, unless something was changed here."""
    return _all(session.api(), session.api().token, session.pool_id())


def forget() -> None:
    """Forget cached executors after a change."""
    _all.clear()


def actor(name: str) -> str:
    """Actor of an entry: a user's name as it is, the rest in words."""
    return t(f"system.actors.{name}") if f"system.actors.{name}" in TABLE else name or "—"


def choose(
    label: str,
    *,
    key: str,
    on_change: Callable[[], None] | None = None,
    placeholder: str | None = None,
    without: int | None = None,
    titled: bool = False,
) -> int | None:
    """Ask for one of the active people; None where nobody is chosen. Typing searches.

    `titled`: a heading above says the label already, so that only a screen reader is told it.
    """
    names = {
        each["executor_id"]: each["name"]
        for each in sorted(load(), key=lambda each: each["name"])
        if each["active"] and each["executor_id"] != without
    }
    chosen: int | None = st.selectbox(
        label,
        options=list(names),
        format_func=lambda executor_id: names.get(executor_id, str(executor_id)),
        index=None,
        placeholder=placeholder or t("common.any"),
        key=key,
        on_change=on_change,
        label_visibility="collapsed" if titled else "visible",
    )
    return chosen
