"""Starter rule sets: taken with the parameters that they read, as a draft to be changed."""

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.parts import notices
from streamlit_app.parts.rule_editor import Editor
from streamlit_app.parts.rule_language import fields_of, in_words
from streamlit_app.words import t

_PARTS: Json = {"conditions": [], "weights": [], "task_weights": []}


def show(pool_id: int, editor: Editor) -> None:
    """The starters, a card each."""
    st.markdown(t("rules.starters_text"))
    items = session.api().get("/v1/rules/templates", lang=session.language())["items"]
    columns = st.columns(2)
    for place, item in enumerate(items):
        with columns[place % 2], st.container(border=True, height="stretch"):
            st.markdown(f"**{notices.plain(item['name_ru' if session.language() == 'ru' else 'name_en'])}**")
            st.markdown(in_words(item["file"]["rules"], fields_of(item["file"]["parameters"])))
            if st.button(
                t("rules.starter_take"), key=f"starter_{item['code']}", icon=":material/content_copy:"
            ):
                with notices.told():
                    _take(pool_id, item, editor)


def _take(pool_id: int, item: Json, editor: Editor) -> None:
    body = {"pool_id": pool_id, "add_parameters": True, "file": item["file"]}
    made = session.api().post("/v1/rules/import", body)
    editor.replace(_PARTS | made["rules"])
    notices.flash(t("rules.starter_taken", name=made["name"]))
    st.rerun()
