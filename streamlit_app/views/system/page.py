"""System: whether every part works, what was delivered, who did what, who may sign in, settings."""

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import ago, moment
from streamlit_app.parts import delivery_errors, live, notices
from streamlit_app.views.system import system_audit, system_people, system_settings
from streamlit_app.words import t, word

STATES = ("dead", "failing", "waiting", "delivered")


def show() -> None:
    """The page."""
    st.title(t("system.title"))
    sections = {"health": _health, "deliveries": _deliveries}
    if session.may("audit.read"):
        sections["audit"] = system_audit.show
    if session.may("users.manage"):
        sections["users"] = system_people.users
    sections["settings"] = system_settings.show
    tabs = st.tabs([t(f"system.{name}") for name in sections])
    for tab, part in zip(tabs, sections.values(), strict=True):
        with tab:
            notices.guarded(part)()


@st.fragment(run_every=3.0)
@notices.guarded
def _health() -> None:
    """Each part, with what it means when it is down."""
    health = session.api().get("/v1/health")
    if health["status"] == "ok":
        st.success(t("system.all_up", version=health["version"]), icon=":material/check_circle:")
    else:
        st.warning(t("system.some_down", version=health["version"]), icon=":material/warning:")
    cards = [
        (word("system.part", name), part["status"] == "up", _detail(part))
        for name, part in health["parts"].items()
    ]
    if session.pool_or_none():
        cards += [_deciding(), _stream()]
    for column, (name, up, detail) in zip(st.columns(len(cards)), cards, strict=True):
        with column, st.container(border=True, height="stretch"):
            icon = ":green[:material/check_circle:]" if up else ":orange[:material/error:]"
            st.markdown(f"{icon} **{name}**")
            st.markdown(t("system.up" if up else "system.down"))
            if detail:
                st.caption(detail)


def _detail(part: Json) -> str:
    if told := delivery_errors.paused(part["silent"]):
        return told
    extra = "" if part["needed"] or part["status"] == "up" else f" · {t('system.unneeded')}"
    return notices.plain(part["detail"]) + extra


def _deciding() -> tuple[str, bool, str]:
    look = session.api().get("/v1/distribution/overview", pool_id=session.pool_id(), period=15)
    stuck = any(alert["code"] == "undecided" for alert in look["alerts"])
    detail = t("system.lag_none")
    if look["undecided"]:
        tasks = t("common.tasks_n", n=look["undecided"])
        detail = t("system.lag", tasks=tasks, time=ago(look["undecided_since"]))
    return t("system.part.worker"), not stuck, detail


def _stream() -> tuple[str, bool, str]:
    _, _, connected = live.revision(session.pool_id())
    return t("system.part.stream"), connected, t("system.stream_on" if connected else "system.stream_off")


def _deliveries() -> None:
    st.markdown(t("system.deliveries_text"))
    state = st.segmented_control(
        t("system.delivery_state"), STATES, default="dead", required=True, key="delivery_state",
        format_func=lambda each: t(f"system.delivery.{each}"), label_visibility="collapsed",
    )  # fmt: skip
    items = session.api().get("/v1/deliveries", pool_id=session.pool_id(), state=state, limit=200)["items"]
    if not items:
        st.info(t("system.no_deliveries"), icon=":material/check:")
        return
    # Another list is another table: what was ticked in the one before is not ticked here.
    listed = hash(tuple(each["delivery_id"] for each in items))
    chosen = st.dataframe(
        {
            t("system.task"): [each["task_id"] for each in items],
            t("system.to"): [_receiver(each["destination"]) for each in items],
            t("system.event"): [_event(each["event"]) for each in items],
            t("system.attempts"): [each["attempts"] for each in items],
            t("system.when"): [moment(each["created_at"], with_seconds=True) for each in items],
            t("system.error"): [delivery_errors.why(each["last_error"]) for each in items],
        },
        hide_index=True, on_select="rerun", selection_mode="multi-row", key=f"deliveries_{state}_{listed}",
        column_config={
            t("system.task"): st.column_config.NumberColumn(format="%d"),
            t("system.error"): st.column_config.TextColumn(width="large"),
        },
    )  # fmt: skip
    st.caption(t("system.deliveries_hint"))
    rows = chosen.selection.rows
    if state not in {"dead", "failing"} or not session.may_change():
        return
    if st.button(t("system.replay"), icon=":material/replay:", disabled=not rows):
        for row in rows:
            session.api().post(f"/v1/deliveries/{items[row]['delivery_id']}/replay")
        notices.flash(t("system.replayed", n=len(rows)))
        st.rerun()


def _receiver(destination: str) -> str:
    kind, _, number = destination.partition(":")
    return f"{word('system.receivers', kind)} {number}".strip()


def _event(name: str) -> str:
    return word("common.status", name) if name == "assigned" else word("tasks.event", name)
