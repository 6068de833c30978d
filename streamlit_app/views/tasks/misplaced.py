"""Work that is with people who may not have it any more: said above the list, with the way to move it."""

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.parts import notices
from streamlit_app.words import t

_PATH = "/v1/distribution/misplaced"


def show() -> None:
    """A warning with the list, where there is such work; leads move it by one button."""
    if not session.may("distribution.read"):
        return
    items = session.api().get(_PATH, pool_id=session.pool_id())["items"]
    if not items:
        return
    with st.expander(t("tasks.misplaced", n=len(items)), icon=":material/warning:"):
        st.caption(t("tasks.misplaced_text"))
        st.dataframe(
            {
                t("tasks.number"): [each["task_id"] for each in items],
                t("tasks.external"): [each["external_id"] or "" for each in items],
                t("tasks.executor"): [each["executor_name"] for each in items],
                t("tasks.misplaced_why"): [_why(each) for each in items],
            },
            hide_index=True,
            alt=t("tasks.misplaced_text"),
        )
        if session.may("tasks.manage") and st.button(
            t("tasks.misplaced_move"), key="move_misplaced", type="primary"
        ):
            with notices.told():
                moved = session.api().post(f"{_PATH}/move", {"pool_id": session.pool_id()})["task_ids"]
                notices.flash(t("tasks.misplaced_moved", n=len(moved)))
                st.rerun()


def _why(item: Json) -> str:
    if item["because"] == "left":
        return t("tasks.misplaced_left")
    return t("tasks.misplaced_rule", rule=item["rule"])
