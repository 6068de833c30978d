"""The card of a task: its way in time, what it says, why it went where it went, and what can be done with it."""

from html import escape
from typing import Literal

import streamlit as st

from streamlit_app import session
from streamlit_app.client import ApiError, Json
from streamlit_app.formatting import moment, number, plain, seconds
from streamlit_app.parts import catalogue, notices, people
from streamlit_app.words import TABLE, t, word

_EXPLAINED = ("score", "level", "held")
_WITH_REASON = {"reject", "return", "reassign"}
_DROPS = {"reject", "cancel", "reassign", "return"}
_OF_LEADS = {"cancel", "reassign"}
_ICONS = {
    "start": "play_arrow", "complete": "done_all", "reject": "block", "return": "reply", "resume": "redo",
    "cancel": "close", "reassign": "swap_horiz",
}  # fmt: skip


def show(task_id: str) -> None:
    """The card of one task."""
    if st.button(t("common.back"), icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["task"]
        st.rerun()
    task = session.api().get(f"/v1/tasks/{task_id}")
    _head(task)
    if session.may_change():
        actions(task)
    left, right = st.columns([2, 3])
    with left:
        _way(task)
        _values(task)
    with right:
        _why(task)


def _head(task: Json) -> None:
    name = f" · {task['external_id']}" if task["external_id"] else ""
    st.title(t("tasks.card", id=f"{task['task_id']}{name}"))
    parts = [f"**{word('common.status', task['status'])}**"]
    if task["wait_reason"]:
        parts.append(word("common.wait", task["wait_reason"]))
    if task["executor_id"] and task["assignment"]:
        parts.append(f":material/person: {task['assignment']['executor_name']}")
        parts.append(
            f"{t('tasks.delivery')}: {word('common.delivery', task['assignment']['delivery_state'])}"
        )
    parts.append(f"{t('tasks.weight')} {plain(task['weight'])}")
    parts.append(f"{t('tasks.priority')} {task['priority']}")
    if task["deadline"]:
        parts.append(f"{t('tasks.deadline')} {moment(task['deadline'])}")
    if task["home_pool_id"]:
        parts.append(_elsewhere(task))
    st.markdown(" · ".join(parts))


def _elsewhere(task: Json) -> str:
    """From which team it came, or to which it went, as the chosen one sees it."""
    teams = {each["pool_id"]: each["name"] for each in st.session_state.get("pools", ())}
    came = task["pool_id"] == session.pool_id()
    other = task["home_pool_id"] if came else task["pool_id"]
    return t("tasks.moved_from" if came else "tasks.moved_to", team=teams.get(other, f"№ {other}"))


def actions(task: Json) -> None:
    """Moves that the user may make."""
    allowed = _ICONS if session.may("tasks.manage") else _ICONS.keys() - _OF_LEADS
    moves = [move for move in task.get("allowed_moves", ()) if move in allowed]
    with st.container(horizontal=True):
        for move in moves:
            name, icon = t(f"tasks.move.{move}"), f":material/{_ICONS[move]}:"
            if move not in _DROPS:
                kind: Literal["primary", "secondary"] = (
                    "primary" if move in {"start", "resume"} else "secondary"
                )
                if st.button(name, icon=icon, type=kind, key=f"{move}_{task['task_id']}"):
                    _move(task, move, {"reason": ""})
                continue
            with st.popover(name, icon=icon, key=f"ask_{move}_{task['task_id']}"):
                _ask_move(task, move)


def _ask_move(task: Json, move: str) -> None:
    to = None
    if move == "reassign":
        to = people.choose(
            t("tasks.move_to"),
            key="move_to",
            placeholder=t("tasks.move_to_engine"),
            without=task["executor_id"],
        )
    reason = st.text_input(t("tasks.move_reason"), key=f"reason_{move}_{task['task_id']}")
    if st.button(t(f"tasks.move.{move}"), key=f"do_{move}_{task['task_id']}", type="primary"):
        if move in _WITH_REASON and not reason.strip():
            st.warning(t("tasks.move_reason_missing"))
            return
        _move(task, move, {"reason": reason} | ({"executor_id": to} if to else {}))


def _move(task: Json, move: str, body: Json) -> None:
    wait = {"wait": 2} if move in {"resume", "reassign"} else {}
    with notices.told():
        session.api().post(f"/v1/tasks/{task['task_id']}/{move}", body, **wait)
        notices.flash(t("tasks.moved", move=t(f"tasks.move.{move}").lower()))
        st.rerun()


def _way(task: Json) -> None:
    with st.container(border=True):
        st.subheader(t("tasks.way"))
        names = {each["executor_id"]: each["name"] for each in people.load()}
        items = session.api().get(f"/v1/tasks/{task['task_id']}/history")["items"]
        st.html(f"<ol class='steps'>{''.join(_step(item, names) for item in items)}</ol>")


def _step(item: Json, names: dict[int, str]) -> str:
    who = names.get(item["executor_id"], "—")
    key = f"tasks.event.{item['event']}"
    event = t(key, who=who) if key in TABLE else item["event"].replace("_", " ")
    reason = (
        word("common.kind", item["reason"])
        if item["event"] == "assigned"
        else notices.stored_reason(item["reason"] or "")
    )
    actor = t("tasks.engine") if item["actor"] == "engine" else item["actor"] and people.actor(item["actor"])
    details = [
        moment(item["at"], with_seconds=True),
        *([t("tasks.by", actor=actor)] if actor else []),
        *([reason] if reason else []),
    ]
    kind = " class='drop'" if item["to_status"] in {"rejected", "cancelled", "returned"} else ""
    return (
        f"<li{kind}><b>{escape(event)}</b><br><span class='muted'>{escape(' · '.join(details))}</span></li>"
    )


def _values(task: Json) -> None:
    with st.container(border=True):
        st.subheader(t("tasks.parameters"))
        rows = catalogue.table(task["parameters"], catalogue.load(), "task")
        if not rows:
            st.caption(t("common.none"))
            return
        body = "".join(
            f"<tr><td>{escape(name)}</td><td class='n'>{escape(value)}</td></tr>" for name, value in rows
        )
        st.html(f"<table class='dev'>{body}</table>")


def _why(task: Json) -> None:
    try:
        explanation = session.api().get(f"/v1/tasks/{task['task_id']}/explanation")
    except ApiError as error:
        if error.status not in {403, 409}:
            raise
        elsewhere = error.status == 403
        with st.container(border=True):
            st.info(
                t("tasks.why_elsewhere" if elsewhere else "tasks.why_later"),
                icon=f":material/{'lock' if elsewhere else 'hourglass_top'}:",
            )
        return
    with st.container(border=True):
        st.subheader(t("tasks.why" if explanation["outcome"] == "assigned" else "tasks.why_waits"))
        st.markdown(notices.plain(explanation["text"][session.language()]))
        if task["assignment"]:
            passed = _between(task["created_at"], task["assignment"]["decided_at"])
            st.caption(f"{t('overview.latency')}: {seconds(passed)}")
    with st.container(border=True):
        _why_not(task)
    candidates(explanation)


def _between(began: str, ended: str) -> float:
    from datetime import datetime

    return max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds())


def _why_not(task: Json) -> None:
    st.subheader(t("tasks.why_not"))
    asked = people.choose(
        t("tasks.why_not"),
        key="why_not",
        placeholder=t("tasks.why_not_choose"),
        without=task["executor_id"],
        titled=True,
    )
    if asked:
        answer = session.api().get(f"/v1/tasks/{task['task_id']}/explanation", executor_id=asked)
        st.info(notices.plain(answer["why_not"]["text"][session.language()]), icon=":material/help:")


def candidates(explanation: Json) -> None:
    """Executors compared, and those who could not take the task, with reasons."""
    compared = [*([explanation["chosen"]] if explanation["chosen"] else []), *explanation["runners_up"]]
    if compared:
        with st.container(border=True):
            st.subheader(t("tasks.candidates"))
            st.dataframe(
                {
                    t("common.name"): [
                        one["name"]
                        + (
                            f" — {t('tasks.chosen')}"
                            if one["executor_id"] == explanation["executor_id"]
                            else ""
                        )
                        for one in compared
                    ],
                    t("tasks.score"): [number(one["score"], 3) for one in compared],
                    t("tasks.level"): [plain(one["level"]) for one in compared],
                    **_held(compared),
                    t("tasks.qualification"): [plain(one["qualification"]) for one in compared],
                    t("tasks.preference"): [f"×{plain(one['preference'])}" for one in compared],
                    t("tasks.open_now"): [number(one["open"]) for one in compared],
                },
                hide_index=True,
                column_config={
                    t(f"tasks.{name}"): st.column_config.TextColumn(
                        help=t(f"tasks.{name}_help") if name in _EXPLAINED else None, alignment="right"
                    )
                    for name in (*_EXPLAINED, "qualification", "preference", "open_now")
                },
            )
    _excluded(explanation)


def _held(compared: list[Json]) -> dict[str, list[str]]:
    """A column of its own where somebody was held back: the level alone would not tell the score."""
    if not any(one["held"] for one in compared):
        return {}
    return {t("tasks.held"): [plain(one["held"]) for one in compared]}


def _excluded(explanation: Json) -> None:
    counts = [(t("tasks.excluded_rule", rule=rule), count) for rule, count in explanation["excluded"].items()]
    counts += [(t(f"tasks.{name}"), explanation[name]) for name in ("absent", "at_limit", "busy")]
    counts = [(name, count) for name, count in counts if count]
    if not counts:
        return
    most = max(count for _, count in counts)
    rows = "".join(
        f"<div>{escape(name)}</div><div class='track'><div class='fill calm' style='width:{100 * count / most:.0f}%'>"
        f"</div></div><div>{number(count)}</div>"
        for name, count in counts
    )
    with st.container(border=True):
        st.subheader(t("tasks.excluded"))
        st.html(f"<div class='why'>{rows}</div>")
