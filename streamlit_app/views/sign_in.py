"""Sign-in, where the API asks for it."""

import streamlit as st

from streamlit_app import door, session
from streamlit_app.client import ApiError
from streamlit_app.parts import notices, provider, this_machine
from streamlit_app.words import t

_FOR_GOOD = 10 * 365 * 86_400
"""Seconds: a key does not expire, and needs no refreshing."""
_LEAST_DEVICE = 22
"""Characters of a browser's secret that the API takes."""


def show() -> None:
    """Ask for name and password."""
    _, middle, _ = st.columns([1, 2, 1])
    with middle:
        st.title(t("common.sign_in"))
        if "ended" in st.session_state:
            st.info(t("common.sign_in_again"), icon=":material/schedule:")
        else:
            st.markdown(t("common.sign_in_text"))
        _by_provider()
        with st.form("sign_in"):
            username = st.text_input(t("common.username"), autocomplete="username")
            password = st.text_input(t("common.password"), type="password", autocomplete="current-password")
            sent = st.form_submit_button(t("common.sign_in_button"), type="primary")
        if sent:
            _sign_in(username, password)
        _as_this_machine()


def _as_this_machine() -> None:
    """Offer the key of local programs to a browser of this machine."""
    kept = this_machine.key()
    if kept and st.button(
        t("common.sign_in_here"), icon=":material/key:", help=t("common.sign_in_here_help")
    ):
        session.sign_in({"access_token": kept, "expires_in": _FOR_GOOD})
        st.rerun()


def _by_provider() -> None:
    """Offer the provider, where the API has one; finish what came back from it."""
    try:
        name = session.api_before_sign_in().get("/v1/auth/options")["provider"]
    except ApiError:  # an API before this: by password alone
        return
    if name:
        provider.leave_link()
        provider.take_answer(name)
        provider.link(name)
        st.caption(t("common.sign_in_or"))


def _sign_in(username: str, password: str) -> None:
    device = st.context.cookies.get(door.COOKIE, "")
    known = {"device": device} if len(device) >= _LEAST_DEVICE else {}
    try:
        session.sign_in(
            session.api_before_sign_in().post(
                "/v1/auth/token", {"username": username, "password": password} | known
            )
        )
    except ApiError as error:
        if error.status == 401:
            st.error(t("common.sign_in_wrong"), icon=":material/lock:")
        else:
            notices.tell(error)
        return
    st.rerun()


def sign_out() -> None:
    """End the sign-in, here and in the API."""
    refresh_token = st.session_state.get("refresh_token")
    if refresh_token:
        with notices.told():
            session.api().post("/v1/auth/logout", {"refresh_token": refresh_token})
    left = st.session_state.get("provider_leave")
    session.leave()
    if left:
        st.session_state.provider_left = left
    st.rerun()
