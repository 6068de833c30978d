"""Sign-in, where the API asks for it."""

import streamlit as st

from streamlit_app.client import Api, ApiError
from streamlit_app.parts import notices
from streamlit_app.words import t


def show() -> None:
    """Ask for name and password."""
    _, middle, _ = st.columns([1, 2, 1])
    with middle:
        st.title(t("common.sign_in"))
        st.markdown(t("common.sign_in_text"))
        with st.form("sign_in"):
            username = st.text_input(t("common.username"), autocomplete="username")
            password = st.text_input(t("common.password"), type="password", autocomplete="current-password")
            sent = st.form_submit_button(t("common.sign_in_button"), type="primary")
        if sent:
            _sign_in(username, password)


def _sign_in(username: str, password: str) -> None:
    try:
        token = Api().form("/v1/auth/token", {"username": username, "password": password})["access_token"]
        st.session_state.token = token
        st.session_state.me = Api(token).get("/v1/auth/me")
    except ApiError as error:
        if error.status == 401:
            st.error(t("common.sign_in_wrong"), icon=":material/lock:")
        else:
            notices.tell(error)
        return
    st.rerun()


def sign_out() -> None:
    """Forget who it was."""
    st.session_state.pop("token", None)
    st.session_state.pop("me", None)
    st.rerun()
