"""The frame around the pages: language, team, navigation, sign-in."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from streamlit_app import session, styles
from streamlit_app.client import ApiError
from streamlit_app.parts import notices, own_labels
from streamlit_app.views import load_test, overview, parameters, sign_in
from streamlit_app.views.analytics import page as analytics
from streamlit_app.views.executors import page as executors
from streamlit_app.views.rules import page as rules
from streamlit_app.views.system import page as system
from streamlit_app.views.tasks import my_tasks, page as tasks
from streamlit_app.words import t

LOGO = str(Path(__file__).parent / "static" / "logo.svg")
_LANGUAGE_NAMES = {"ru": "Русский", "en": "English"}


def run() -> None:
    """One run of the page."""
    session.remember_address()
    st.set_page_config(page_title=t("common.product"), page_icon=LOGO, layout="wide")
    st.logo(LOGO, size="large")
    styles.apply()
    own_labels.apply()
    ready = _ready()
    page = st.navigation(_own_page() if session.role() == "executor" else pages(), expanded=True)
    if not ready:
        return
    with st.sidebar:
        _sidebar()
    session.keep_address()
    notices.show_flashes()
    page.run()


def pages() -> dict[str, list[st.Page]]:
    """The pages by section, in the order of a lead's day."""

    def page(show: Callable[[], None], name: str, icon: str, *, default: bool = False) -> st.Page:
        return st.Page(
            notices.guarded(show),
            title=t(f"common.page.{name}"),
            icon=f":material/{icon}:",
            url_path=name,
            default=default,
        )

    sections = {
        "work": [
            page(overview.show, "overview", "monitoring", default=True),
            page(tasks.show, "tasks", "assignment"),
            page(executors.show, "executors", "groups"),
            page(analytics.show, "analytics", "bar_chart"),
        ],
        "setup": [page(rules.show, "rules", "rule"), page(parameters.show, "parameters", "tune")],
        "service": [page(load_test.show, "load", "speed"), page(system.show, "system", "settings")],
    }
    st.session_state.pages = {
        each.url_path or "overview": each for pages in sections.values() for each in pages
    }
    return {t(f"common.section.{name}"): pages for name, pages in sections.items()}


def _own_page() -> list[st.Page]:
    """All that an executor sees, whichever address they opened."""
    title = t("tasks.mine")
    return [st.Page(notices.guarded(my_tasks.show), title=title, icon=":material/assignment:", default=True)]


def _ready() -> bool:
    """Whether the API answers this person; tells what is missing, or asks them to sign in."""
    try:
        session.load_me()
        if session.role() != "executor":  # who sees their own tasks alone
            session.load_pools()
    except ApiError as error:
        if error.status == 401:
            session.end()
            session.keep_inputs()
            _language()
            sign_in.show()
        else:
            _language()
            notices.tell(error)
            _wait_for_the_api()
        return False
    return True


@st.fragment(run_every=3)
def _wait_for_the_api() -> None:
    """Look again by itself, so that the page comes back with the service."""
    try:
        session.load_pools()
    except ApiError:
        return
    st.rerun()


def _sidebar() -> None:
    pools = st.session_state.get("pools", [])
    if pools:
        names = {each["code"]: each["name"] for each in pools}
        st.selectbox(
            t("common.pool"),
            options=list(names),
            format_func=lambda code: names.get(code, code),
            index=list(names).index(st.session_state.pool_code),
            key="pool_choice",
            on_change=_choose_pool,
            help=t("common.pool_help", zone=session.zone().key),
        )
    _language(wide=True)
    me = st.session_state.get("me")
    if me and not me["local"]:
        st.caption(f":material/person: {me['name']} · {t('common.role.' + me['role'])}")
        if st.button(t("common.sign_out"), icon=":material/logout:", type="tertiary"):
            sign_in.sign_out()


def _choose_pool() -> None:
    st.session_state.pool_code = st.session_state.pool_choice
    for name in ("task", "executor", "rule_set"):
        st.query_params.pop(name, None)


def _language(*, wide: bool = False) -> None:
    st.segmented_control(
        t("common.language"),
        options=session.LANGUAGES,
        format_func=_LANGUAGE_NAMES.__getitem__,
        default=session.language(),
        required=True,
        key="language_choice",
        on_change=_choose_language,
        label_visibility="collapsed",
        width="stretch" if wide else "content",
    )


def _choose_language() -> None:
    st.session_state.language = st.session_state.language_choice or session.language()
