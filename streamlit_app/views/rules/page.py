"""Rules: composed without JSON, checked as they change, tried on a task, put in force, compared, rolled back."""

import difflib
import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Api, Json
from streamlit_app.formatting import moment, number
from streamlit_app.parts import catalogue, notices, people, rule_editor
from streamlit_app.parts.rule_editor import Editor
from streamlit_app.parts.rule_language import RuleField, fields_of, in_words
from streamlit_app.views.rules import rule_preview, rule_replay, rule_templates
from streamlit_app.words import t
from streamlit_app.words.rules import json_fault

_MOST_FINDINGS = 5
EMPTY: Json = {"conditions": [], "weights": [], "task_weights": []}


def show() -> None:
    """The page."""
    pool_id = session.pool_id()
    st.title(t("rules.title"))
    parameters = catalogue.load()
    fields = fields_of(parameters)
    active = _active(pool_id)
    if active:
        since = moment(active["activated_at"])
        st.markdown(
            t("rules.in_force", name=notices.plain(active["name"]), version=active["version"], since=since)
        )
    else:
        st.info(t("rules.none_in_force"), icon=":material/info:")
    editor = _editor(pool_id, active)
    sections: dict[str, Callable[[], None]] = {
        "editor": lambda: _compose(editor, active, parameters, fields),
        "preview": lambda: rule_preview.show(editor, parameters),
        "versions": lambda: _versions(editor, active),
        "replay": lambda: rule_replay.show(pool_id),
    }
    if session.may_change():
        sections["templates"] = lambda: rule_templates.show(pool_id, editor)
    for tab, part in zip(
        st.tabs([t(f"rules.tab.{name}") for name in sections]), sections.values(), strict=True
    ):
        with tab, notices.told():
            part()


def _active(pool_id: int) -> Json | None:
    items = session.api().get("/v1/rules", pool_id=pool_id, state="active", limit=1)["items"]
    return items[0] if items else None


def _editor(pool_id: int, active: Json | None) -> Editor:
    """The session's document for a pool; it begins as the rules in force."""
    editors: dict[int, Editor] = st.session_state.setdefault("rule_editors", {})
    in_force = EMPTY | (active["rules"] if active else {})
    editors.setdefault(pool_id, Editor(in_force)).follow(in_force)
    return editors[pool_id]


def _compose(
    editor: Editor, active: Json | None, parameters: list[Json], fields: dict[str, RuleField]
) -> None:
    if not session.may_change():
        st.info(t("rules.viewer"), icon=":material/visibility:")
    left, right = st.columns([3, 2], gap="large")
    with left:
        rule_editor.show(editor, parameters, fields)
    with right:
        faults = _check(editor)
        if session.may_change():
            _save(editor, active, allowed=not faults)
        _words(editor.document, fields)
        _as_json(editor)


def _check(editor: Editor) -> list[Json]:
    """Faults of the document, found with every change."""
    verdict = _verdict(
        session.api(),
        session.api().token,
        session.language(),
        session.pool_id(),
        to_json(_tidy(editor.document)),
    )
    faults: list[Json] = verdict["errors"]
    if not faults:
        st.success(t("rules.right"), icon=":material/check_circle:")
    else:
        lines = [f"**{t('rules.faults', n=len(faults))}**", *map(_fault, faults[:10])]
        st.error("\n\n".join(lines), icon=":material/error:")
    _findings(verdict)
    return faults


@st.cache_data(ttl=30, max_entries=100, show_spinner=False)
def _verdict(_api: Api, token: str | None, language: str, pool_id: int, document: str) -> Json:
    """The same document is judged again only after a while: it is looked at with the recent tasks."""
    verdict: Json = _api.post("/v1/rules/validate", {"pool_id": pool_id, "rules": json.loads(document)})
    return verdict


def _findings(verdict: Json) -> None:
    """Findings from real people and recent tasks, and results of the document's own tests."""
    for surprise in verdict.get("failed_tests", ()):
        told_test = t("rules.test_failed", name=notices.plain(surprise["label"]), found=surprise["found"])
        st.warning(told_test, icon=":material/science:")
    findings = verdict.get("warnings", ())
    for finding in findings[:_MOST_FINDINGS]:
        if finding.get("severity") == "note":
            st.caption(f":material/lightbulb: {_fault(finding)}")
        else:
            st.warning(_fault(finding), icon=":material/lightbulb:")
    if verdict.get("tasks"):
        st.caption(t("rules.looked_at", n=verdict["tasks"], alone=number(verdict["tasks_without_anyone"])))


def _fault(fault: Json) -> str:
    """A fault or a finding in the session's language, with its place."""
    said = fault["message"] if "code" in fault else fault["reason"]
    remedy = fault.get("remedy") or ""
    path = fault.get("path", "")
    place = f"`{path}` " if path != "$.tests" else ""  # that there are none has no place
    return f"{place}{notices.plain(said)}" + (f" — *{notices.plain(remedy)}*" if remedy else "")


_ORDER = ("conditions", "weights", "task_weights")
_FIRST = ("name", "operator", "field", "value", "on_missing", "condition", "conditions", "weight")


def _tidy(document: Json) -> Json:
    """The document without its empty parts, keys in the order in which a person reads them."""
    kept = {key: value for key, value in document.items() if value != [] or key == "conditions"}
    parts = sorted(kept, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER))
    return {key: _ordered(kept[key]) for key in parts}


def _ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: _FIRST.index(key) if key in _FIRST else len(_FIRST))
    return {key: _ordered(value[key]) for key in keys}


def _save(editor: Editor, active: Json | None, *, allowed: bool) -> None:
    document = _tidy(editor.document)
    same = document == _tidy(active["rules"] if active else EMPTY)
    if active:
        st.caption(t("rules.unchanged" if same else "rules.changed"))
    name = st.text_input(
        t("rules.set_name"), value=active["name"] if active else t("rules.default_name"), key="rules_name"
    )
    with st.container(horizontal=True):
        save = st.button(t("rules.save"), icon=":material/save:", disabled=not allowed or same)
        activate = st.button(
            t("rules.save_and_activate"), icon=":material/bolt:", type="primary", disabled=not allowed or same
        )
        if st.button(t("rules.reset"), icon=":material/undo:", disabled=same):
            editor.replace(active["rules"] if active else EMPTY)
            st.rerun()
    if save or activate:
        if not name.strip():
            st.warning(t("rules.name_missing"))
            return
        with notices.told():
            _store(name, document, activate=activate)


def _store(name: str, document: Json, *, activate: bool) -> None:
    body = {"pool_id": session.pool_id(), "name": name.strip(), "rules": document}
    made = session.api().post("/v1/rules", body)
    st.session_state.version_choice = made["rule_set_id"]  # the list of versions opens at it
    if activate:
        _activate(made["rule_set_id"])
    notices.flash(t("rules.saved", version=made["version"]))
    st.rerun()


def _activate(rule_set_id: int) -> None:
    made = session.api().post(f"/v1/rules/{rule_set_id}/activate")
    notices.flash(t("rules.activated", name=made["name"], version=made["version"]), ":material/bolt:")
    st.rerun()


def _words(document: Json, fields: dict[str, RuleField]) -> None:
    with st.expander(t("rules.in_words"), icon=":material/notes:"):
        st.markdown(in_words(document, fields))


def _as_json(editor: Editor) -> None:
    """The same document as text; what is typed here goes into the constructor."""
    text = to_json(_tidy(editor.document))
    key = f"rules_json_{editor.revision}_{hash(text)}"

    def take() -> None:
        st.session_state.pop("rules_json_wrong", None)
        try:
            document = json.loads(st.session_state[key])
            if not isinstance(document, dict):
                raise TypeError
            editor.replace(EMPTY | document)
        except json.JSONDecodeError as error:
            st.session_state.rules_json_wrong = (st.session_state[key], error.msg, error.lineno)
        except TypeError:
            st.session_state.rules_json_wrong = (st.session_state[key], "{...}", 1)

    st.markdown(f"**{t('rules.json')}**")
    st.caption(t("rules.json_text"))
    wrong = st.session_state.get("rules_json_wrong")
    if wrong:
        why = json_fault(wrong[1]) if session.language() == "ru" else wrong[1]
        st.error(t("rules.json_wrong", why=why, line=wrong[2]), icon=":material/data_object:")
    st.text_area(
        t("rules.json"), value=wrong[0] if wrong else text, key=key, height=420, on_change=take,
        label_visibility="collapsed",
    )  # fmt: skip


def to_json(document: Any) -> str:
    """A document as it is shown and compared."""
    return json.dumps(document, ensure_ascii=False, indent=2)


def _versions(editor: Editor, active: Json | None) -> None:
    versions = session.api().get("/v1/rules", pool_id=session.pool_id(), limit=100)["items"]
    if not versions:
        st.caption(t("rules.no_versions"))
        return
    st.dataframe(
        {
            t("rules.set_name"): [each["name"] for each in versions],
            t("rules.version"): [each["version"] for each in versions],
            t("rules.state"): [t(f"rules.state.{each['state']}") for each in versions],
            t("rules.author"): [people.actor(each["author"]) for each in versions],
            t("rules.created"): [moment(each["created_at"]) for each in versions],
            t("rules.since"): [moment(each["activated_at"]) for each in versions],
        },
        hide_index=True,
        height=min(38 + 33 * len(versions), 320),
    )
    by_id = {each["rule_set_id"]: each for each in versions}

    def name_of(rule_set_id: int) -> str:
        each = by_id[rule_set_id]
        return f"{each['name']} · {each['version']} · {t('rules.state.' + each['state'])}"

    chosen = by_id[
        st.selectbox(t("rules.choose_version"), list(by_id), format_func=name_of, key="version_choice")
    ]
    _version(chosen, editor, active)


def _version(chosen: Json, editor: Editor, active: Json | None) -> None:
    with st.container(horizontal=True):
        if st.button(t("rules.open_in_editor"), icon=":material/edit:"):
            editor.replace(EMPTY | chosen["rules"])
            st.rerun()
        if (
            session.may_change()
            and chosen["state"] == "draft"
            and st.button(t("rules.activate"), icon=":material/bolt:", type="primary")
        ):
            with notices.told():
                _activate(chosen["rule_set_id"])
        if session.may_change() and chosen["state"] == "archived":
            with st.popover(
                t("rules.roll_back"),
                icon=":material/history:",
                key=f"roll_back_under_{active and active['version']}",
            ):  # another one once it is done, so that this one closes
                st.markdown(t("rules.roll_back_text"))
                if st.button(t("common.confirm"), type="primary", key="roll_back"):
                    with notices.told():
                        _roll_back(chosen)
    st.markdown(f"**{t('rules.diff')}**")
    difference = diff(active["rules"] if active else EMPTY, chosen["rules"])
    if difference:
        st.code(difference, language="diff")
    else:
        st.caption(t("rules.no_diff"))


def _roll_back(chosen: Json) -> None:
    """A new version with the document of an old one, in force at once."""
    made = session.api().post(f"/v1/rules/{chosen['rule_set_id']}/rollback")
    notices.flash(t("rules.activated", name=made["name"], version=made["version"]), ":material/history:")
    st.rerun()


def diff(before: Json, after: Json) -> str:
    """Differences between two documents, line by line."""
    lines = difflib.unified_diff(
        to_json(_tidy(before)).splitlines(), to_json(_tidy(after)).splitlines(), lineterm="", n=2
    )
    return "\n".join(list(lines)[2:])
