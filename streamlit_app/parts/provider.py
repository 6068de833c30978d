"""Signing in by the API's OpenID provider: the link out, and the answer that the browser comes back with.

The address holds a code that works once, for this browser alone: the cookie that the door gave it proves the browser,
and no script can read it. Tokens never stand in an address.
"""

import hashlib
from base64 import urlsafe_b64encode
from html import escape
from time import monotonic

import streamlit as st

from streamlit_app import door, session
from streamlit_app.client import ApiError
from streamlit_app.words import t

_ANSWER = ("state", "code", "iss", "error", "error_description", "session_state")


def verifier() -> str | None:
    """Secret of this browser and of no other; None if it keeps no cookies, and then no provider is offered."""
    return _secret_of(st.context.cookies.get(door.COOKIE, ""))


def _secret_of(cookie: str) -> str | None:
    if len(cookie) < door.LEAST_COOKIE:
        return None
    return hashlib.sha256(f"sign-in of {cookie}".encode()).hexdigest()


def link(name: str) -> None:
    """A link to the provider, good for some minutes."""
    secret = verifier()
    if secret is None:
        return
    begun = st.session_state.get("provider_begun")
    if begun is None or begun[1] < monotonic():
        challenge = urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).decode().rstrip("=")
        body = {"challenge": challenge, "language": session.language()}
        try:
            answer = session.api_before_sign_in().post("/v1/auth/provider/begin", body)
        except ApiError as error:
            _tell(name, error.detail)
            return
        begun = (answer["url"], monotonic() + answer["expires_in"] - 60)
        st.session_state.provider_begun = begun
    text = escape(t("common.sign_in_provider", name=name))
    st.markdown(
        f'<a href="{escape(begun[0])}" target="_self" rel="noreferrer">{text}</a>', unsafe_allow_html=True
    )


def take_answer(name: str) -> None:
    """Hand in what the browser came back with, once, and take it out of the address."""
    query = {key: st.query_params[key] for key in _ANSWER if key in st.query_params}
    if "state" not in query:
        return
    for key in query:
        del st.query_params[key]
    st.session_state.pop("provider_begun", None)
    secret = verifier()
    if "code" not in query or secret is None:
        reason = query.get("error_description") or query.get("error", "")
        _tell(name, t("common.sign_in_provider_refused", reason=reason[:200]))
        return
    answer = {key: query[key] for key in ("state", "code", "iss") if key in query}
    try:
        tokens = session.api_before_sign_in().post("/v1/auth/provider/finish", answer | {"verifier": secret})
    except ApiError as error:
        _tell(name, error.detail)
        return
    session.sign_in(tokens)
    st.session_state.pop("provider_left", None)
    st.session_state.provider_leave = (name, tokens["leave_url"])
    st.rerun()


def leave_link() -> None:
    """After signing out here: a link to sign out of the provider too."""
    name, url = st.session_state.get("provider_left", (None, None))
    if url:
        text = escape(t("common.sign_in_leave", name=name))
        st.markdown(f'<a href="{escape(url)}" target="_self">{text}</a>', unsafe_allow_html=True)


def _tell(name: str, reason: str) -> None:
    st.error(
        t("common.sign_in_provider_failed", name=name, reason=reason),
        icon=":material/lock:",
    )
