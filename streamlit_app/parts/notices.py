"""Errors and empty places in words, with what to do."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import streamlit as st

from streamlit_app import session
from streamlit_app.client import ApiError, ApiFault, api_url
from streamlit_app.words import TABLE, t
from streamlit_app.words.places import place_in_russian
from streamlit_app.words.stored_reasons import reason_in_russian

P = ParamSpec("P")

log = logging.getLogger(__name__)


def tell(error: ApiError) -> None:
    """An error of the API in words."""
    if error.unreachable:
        st.error(t("common.error.unreachable", url=api_url()), icon=":material/cloud_off:")
        return
    if error.code == "no_pool":
        st.info(t("common.error.no_pool"), icon=":material/group_add:")
        return
    key = f"common.error.{error.status}"
    lines = [t(key if key in TABLE else "common.error.other")]
    if error.faults:
        lines += [_fault(fault) for fault in error.faults[:10]]
    elif detail := error.detail:
        lines.append("\n" + t("common.error.said", detail=plain(detail)))
    st.error("\n".join(lines), icon=":material/error:")


def _fault(fault: ApiFault) -> str:
    place = fault.field if session.language() == "en" else place_in_russian(fault.field)
    remedy = f" — *{plain(fault.remedy)}*" if fault.remedy else ""
    return f"- **{plain(place)}**: {plain(fault.reason)}{remedy}"


def stored_reason(text: str) -> str:
    """A reason of a task's history or a replay in the session's language, a person's words as they are."""
    return text if session.language() == "en" else reason_in_russian(text)


def plain(text: str) -> str:
    """Text that shall not be taken for formatting."""
    for character in "\\`*_[]$<>~":
        text = text.replace(character, "\\" + character)
    return text


@contextmanager
def told() -> Iterator[None]:
    """Within, errors of the API are told where they happen instead of ending the page."""
    try:
        yield
    except ApiError as error:
        if error.status == 401:
            session.end()
            if error.by_hand:
                st.rerun()  # to the sign-in, which says so; what was typed is kept
        tell(error)


def guarded(part: Callable[P, None]) -> Callable[P, None]:
    """A part of a page whose failure is told in its place; the rest of the page goes on."""

    @functools.wraps(part)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with told():
                part(*args, **kwargs)
        except Exception as error:
            if type(error).__module__.startswith("streamlit."):  # its own way to stop and to run again
                raise
            log.exception("part.failed %s", part.__qualname__)
            st.error(t("common.error.defect", what=f"{type(error).__name__}, {part.__qualname__}"))

    return run


def empty(title: str, text: str, icon: str = "inbox") -> None:
    """An empty place that says what to do next."""
    with st.container(border=True, horizontal_alignment="center"):
        st.markdown(f"#### :material/{icon}: {title}", width="content")
        st.markdown(text, width="content")


def flash(text: str, icon: str = ":material/check:") -> None:
    """A short message that outlives the rerun which follows."""
    st.session_state.setdefault("flashes", []).append((text, icon))


def show_flashes() -> None:
    """Show what was to be said before the rerun."""
    for text, icon in st.session_state.pop("flashes", ()):
        st.toast(text, icon=icon)
