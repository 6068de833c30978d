"""Preview of a described task: nothing is changed."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import number, plain
from streamlit_app.parts import catalogue, notices, people
from streamlit_app.parts.rule_editor import Editor
from streamlit_app.views.tasks import task_card
from streamlit_app.words import t

_COLUMNS = 4


def show(editor: Editor, parameters: list[Json]) -> None:
    """Describe a task, see who would get it and why, and why not somebody."""
    st.markdown(t("rules.preview_text"))
    with st.form("preview"):
        values = _values(parameters)
        weight_in, priority_in, *_ = st.columns(_COLUMNS)
        weight = weight_in.number_input(t("tasks.weight"), value=1.0, min_value=0.001, step=1.0, format="%g")
        priority = priority_in.number_input(t("tasks.priority"), value=0, step=1)
        sent = st.form_submit_button(t("rules.preview_do"), type="primary", icon=":material/person_search:")
    if sent:
        st.session_state.preview_task = {
            "pool_id": session.pool_id(), "parameters": values, "weight": weight, "priority": priority,
        }  # fmt: skip
    task = st.session_state.get("preview_task")
    if not task or task["pool_id"] != session.pool_id():
        return
    with notices.told():
        if st.toggle(t("rules.preview_draft"), key="preview_draft"):
            _try(editor, task)
            return
        answer = session.api().post("/v1/tasks/preview", task)
        with st.container(border=True):
            st.subheader(answer["chosen"]["name"] if answer["chosen"] else t("common.status.pending"))
            st.markdown(notices.plain(answer["text"][session.language()]))
        asked = people.choose(
            t("tasks.why_not"), key="preview_why_not", placeholder=t("tasks.why_not_choose")
        )
        if asked:
            why = session.api().post("/v1/tasks/preview", task, executor_id=asked)["why_not"]
            st.info(notices.plain(why["text"][session.language()]), icon=":material/help:")
        task_card.candidates(answer)


def _values(parameters: list[Json]) -> Json:
    """Fields of the task, row by row, so that the result stays in sight below."""
    values = {}
    columns: list[DeltaGenerator] = []
    for parameter in catalogue.of_owner(parameters, "task"):
        columns = columns or list(st.columns(_COLUMNS))
        with columns.pop(0):
            given = catalogue.ask(parameter, parameter["default"], key=f"preview_{parameter['key']}")
        if given not in (None, "", []):
            values[parameter["key"]] = given
    return values


def _try(editor: Editor, task: Json) -> None:
    """Executors who could take it by the document in the constructor, saved or not."""
    body = {"pool_id": task["pool_id"], "rules": editor.document, "task": task}
    trial = session.api().post("/v1/rules/preview", body)
    funnel, candidates = trial["funnel"], trial["candidates"]
    st.markdown(t("rules.trial", eligible=number(funnel["eligible"]), all=number(funnel["executors"])))
    st.dataframe(
        {
            t("common.name"): [each["name"] for each in candidates],
            t("rules.trial_eligible"): [each["eligible"] for each in candidates],
            t("tasks.preference"): [f"×{plain(each['preference'])}" for each in candidates],
            t("rules.trial_excluded"): [each["excluded_by"] or "" for each in candidates],
        },
        hide_index=True,
        height=min(38 + 33 * len(candidates), 560),
    )
