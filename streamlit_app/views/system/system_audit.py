"""The audit log, newest first, with values before and after."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Any

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import moment, plain
from streamlit_app.parts import catalogue, notices, people
from streamlit_app.words import TABLE, t, word
from streamlit_app.words.places import PLACES

ENTITIES = (
    "executors", "executor_absences", "rule_sets", "parameters", "pools", "users", "api_keys", "webhooks",
)  # fmt: skip
_AT_ONCE = 200
_SILENT = {"id", "version", "pool_id", "executor_id", "created_at", "updated_at"}
"""Says nothing to a reader; the whole entry shows it."""


def show() -> None:
    """The log, what to see of it, and the proof that it is whole."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        entity = st.selectbox(
            t("system.entity"), ENTITIES, index=None, placeholder=t("common.all"), key="audit_entity", width=280,
            format_func=lambda each: word("system.entities", each),
        )  # fmt: skip
        ours = st.toggle(t("system.audit_ours"), key="audit_ours")
    wanted = {"entity": entity, "pool_id": session.pool_id() if ours else None}
    most = st.session_state.get("audit_pages", 1) * _AT_ONCE
    found = session.api().pages("/v1/audit", most=most + 1, **wanted)
    if not found:
        st.info(t("system.no_audit"), icon=":material/history:")
    else:
        _entries(found[:most])
    with st.container(horizontal=True):
        if len(found) > most and st.button(t("system.audit_older"), icon=":material/expand_more:"):
            st.session_state.audit_pages = most // _AT_ONCE + 1
            st.rerun()
        prove = session.is_admin() and st.button(t("system.prove"), icon=":material/verified:")
    if prove:
        _prove()


def _entries(entries: list[Json]) -> None:
    labels = _labels(entries)
    chosen = st.dataframe(
        {
            t("system.when"): [moment(each["at"], with_seconds=True) for each in entries],
            t("system.actor"): [people.actor(each["actor"]) for each in entries],
            t("system.action"): [word("system.actions", each["action"]) for each in entries],
            t("system.entity"): [_thing(each, labels) for each in entries],
            t("system.change"): [_change(each) for each in entries],
        },
        hide_index=True, on_select="rerun", selection_mode="single-row", key=f"audit_rows_{entries[0]['id']}",
        height=min(38 + 33 * len(entries), 480),
        column_config={t("system.change"): st.column_config.TextColumn(width="large")},
    )  # fmt: skip
    if not chosen.selection.rows or chosen.selection.rows[0] >= len(entries):
        st.caption(t("system.audit_hint"))
        return
    entry = entries[chosen.selection.rows[0]]
    left, right = st.columns(2)
    for place, name in ((left, "before"), (right, "after")):
        place.markdown(f"**{t(f'system.audit_{name}')}**")
        if entry[name]:
            place.json(entry[name])
        else:
            place.caption(t("system.audit_erased" if entry["erased_at"] else "common.none"))


def _prove() -> None:
    proof = session.api().get("/v1/audit/proof")
    if proof["holds"]:
        st.success(t("system.proof_holds", n=proof["entries"]), icon=":material/verified:")
        return
    reason = notices.plain(proof["reason"])
    st.error(t("system.proof_broken", at=proof["broken_at"], reason=reason), icon=":material/error:")


def _thing(entry: Json, labels: dict[str, str]) -> str:
    """Object of an entry: its kind and name; parameters by their labels."""
    name = entry["name"] or entry["entity_id"]
    if entry["entity"] == "parameters":
        name = labels.get(entry["entity_id"], name)
    return f"{word('system.entity', entry['entity'])} {name}"


def _labels(entries: list[Json]) -> dict[str, str]:
    """Labels of parameters in this language, by id, for each team that the entries name."""
    teams = {each["pool_id"] for each in entries if each["entity"] == "parameters" and each["pool_id"]}
    return {
        str(each["parameter_id"]): catalogue.label(each) for team in teams for each in catalogue.load(team)
    }


def _change(entry: Json) -> str:
    """Differences between before and after, in a line; for a new or removed object its name."""
    before, after = entry["before"], entry["after"]
    if not before or not after:
        return ""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key) and key not in _SILENT]
    return "; ".join(f"{_field(key)}: {_value(before.get(key))} → {_value(after.get(key))}" for key in keys)


def _field(key: str) -> str:
    if f"system.field.{key}" in TABLE:
        return t(f"system.field.{key}")
    return PLACES.get(key, key) if session.language() == "ru" else key.replace("_", " ")


def _value(value: Any) -> str:
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return t("common.yes" if value else "common.no")
    if isinstance(value, int | float):
        return plain(value, 3)
    if not isinstance(value, str):
        return _short(json.dumps(value, ensure_ascii=False))
    for prefix in ("rules.state", "common.availability", "common.policy", "common.window", "common.role"):
        if f"{prefix}.{value}" in TABLE:
            return t(f"{prefix}.{value}")
    if len(value) > len("2026-11-24T20:53"):
        with suppress(ValueError):
            return moment(datetime.fromisoformat(value))
    return _short(value)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
