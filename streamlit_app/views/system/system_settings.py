"""Settings of the team: how it chooses, what fairness is counted over, its time zone; and new teams."""

import streamlit as st

from app.engine.calendar import zone_names
from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.parts import notices
from streamlit_app.views.system import system_flow
from streamlit_app.words import t

POLICIES = ("fair", "round_robin", "longest_idle", "best_match")
WINDOWS = ("day", "week", "month")


def show() -> None:
    """The settings of the chosen team, and a new team for administrators."""
    pool = session.pool_or_none()
    if pool is not None:
        _change(pool)
        system_flow.show(pool)
    if session.is_admin():
        with st.expander(t("system.pool_add"), icon=":material/group_add:", expanded=pool is None):
            _add()


def _change(pool: Json) -> None:
    if not session.may_change():
        st.info(t("system.settings_read"), icon=":material/visibility:")
    with st.form("pool"):
        values = _fields(pool)
        values["active"] = st.checkbox(t("system.pool_active"), value=pool["active"])
        sent = st.form_submit_button(t("common.save"), type="primary", disabled=not session.may_change())
    if sent:
        with notices.told():
            session.api().patch(f"/v1/pools/{pool['pool_id']}", values)
            notices.flash(t("system.pool_saved"))
            st.rerun()
    _forecast(pool)


def _forecast(pool: Json) -> None:
    """A switch with the verdict: what a forecast would have done on past days, and whether to rely on it."""
    path = f"/v1/pools/{pool['pool_id']}"
    with notices.told(), st.container(border=True):
        told = session.api().get(f"{path}/forecast")
        st.markdown(f"**{t('system.forecast')}**", help=t("system.forecast_help"))
        st.caption(told["text"][session.language()])
        buttons = st.container(horizontal=True)
        frozen = not session.may_change()
        if buttons.button(t("system.forecast_measure"), disabled=frozen):
            session.api().post(f"{path}/forecast", {})
            notices.flash(t("system.forecast_measuring"))
            st.rerun()
        word = "system.forecast_off" if told["on"] else "system.forecast_on"
        refused = not told["on"] and told["effect"] not in ("helps", "neutral")
        if buttons.button(t(word), disabled=frozen or refused):
            session.api().patch(path, {"fairness": {"forecast": not told["on"]}})
            notices.flash(t("system.pool_saved"))
            st.rerun()


def _add() -> None:
    with st.form("new_pool", border=False):
        code = st.text_input(t("system.pool_code") + " *", placeholder="support")
        values = _fields({"name": "", "timezone": "Europe/Moscow", "policy": "fair", "fairness_window": "day",
                          "theta": 0.05})  # fmt: skip
        sent = st.form_submit_button(t("common.add"), type="primary")
    if sent:
        with notices.told():
            made = session.api().post("/v1/pools", {"code": code} | values)
            st.session_state.pool_code = made["code"]
            notices.flash(t("system.pool_added"))
            st.rerun()


def _fields(pool: Json) -> Json:
    left, right = st.columns(2)
    zones = sorted(zone_names())
    return {
        "name": left.text_input(t("system.pool_name") + " *", value=pool["name"]),
        "timezone": right.selectbox(
            t("system.pool_zone"), zones, index=zones.index(pool["timezone"]) if pool["timezone"] in zones else None,
            help=t("system.pool_zone_help"),
        ),
        "policy": left.selectbox(
            t("system.pool_policy"), POLICIES, index=POLICIES.index(pool["policy"]),
            format_func=lambda each: t(f"common.policy.{each}"),
        ),
        "fairness_window": right.selectbox(
            t("system.pool_window"), WINDOWS, index=WINDOWS.index(pool["fairness_window"]),
            format_func=lambda each: t(f"common.window.{each}"),
        ),
        "theta": left.number_input(
            t("system.pool_theta"), value=float(pool["theta"]), min_value=0.0, max_value=100.0, step=0.01,
            format="%g", help=t("system.pool_theta_help"),
        ),
    }  # fmt: skip
