"""An executor's own tasks: all that this role sees, and what it may do with them."""

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import ago, plain
from streamlit_app.parts import catalogue, notices
from streamlit_app.views.tasks import task_card
from streamlit_app.words import t, word

_OPEN = ("in_progress", "assigned", "returned")
_MOST = 50


def show() -> None:
    """The page; it looks again by itself."""
    st.title(t("tasks.mine"))
    _list()


@st.fragment(run_every=5.0)
@notices.guarded
def _list() -> None:
    """Open tasks: those begun first, then the oldest."""
    tasks: list[Json] = []
    for status in _OPEN:
        found = session.api().get("/v1/tasks", status=status, limit=_MOST)["items"]
        tasks += sorted(found, key=lambda each: each["created_at"])
    if not tasks:
        notices.empty(t("tasks.mine_empty"), t("tasks.mine_empty_text"), "task_alt")
        return
    st.caption(t("common.tasks_n", n=len(tasks)))
    for task in tasks[:_MOST]:
        with st.container(border=True):
            _task(task)


def _task(task: Json) -> None:
    name = f" · {task['external_id']}" if task["external_id"] else ""
    waited = t("tasks.mine_since", time=ago(task["created_at"]))
    st.markdown(
        f"**№ {task['task_id']}{notices.plain(name)}** · {word('common.status', task['status'])} · {waited}"
    )
    told = [f"{t('tasks.weight')} {plain(task['weight'])}"]
    told += [  # by their keys: the catalogue with the labels is not for this role
        f"{key.replace('_', ' ')}: {catalogue.shown(value)}"
        for key, value in task["parameters"].items()
        if value not in (None, "", [], False)
    ]
    st.caption(notices.plain(" · ".join(told)))
    task_card.actions(task)
