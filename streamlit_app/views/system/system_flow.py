"""How work flows in the team: offers that must be accepted in time, and what happens to what waits too long."""

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.parts import notices
from streamlit_app.words import t

MOST_STEPS = 5


def show(pool: Json) -> None:
    """Offers and the steps of escalation, in one form; a step without minutes is none."""
    flow = pool["settings"].get("flow") or {}
    steps = list(flow.get("escalation", ()))
    conditions, teams = _conditions(pool), _others(pool)
    with st.form("flow"):
        st.subheader(t("system.flow"))
        st.markdown(t("system.flow_text"))
        offer = st.number_input(
            t("system.flow_offer"), value=flow.get("offer_seconds"), min_value=5, max_value=86_400, step=5,
            help=t("system.flow_offer_help"), key="flow_offer",
        )  # fmt: skip
        rows = [
            _step(number, steps[number] if number < len(steps) else {}, conditions, teams)
            for number in range(min(len(steps) + 1, MOST_STEPS))
        ]
        sent = st.form_submit_button(t("common.save"), type="primary", disabled=not session.may_change())
    if sent:
        wanted = {"offer_seconds": offer, "escalation": [row for row in rows if row is not None]}
        with notices.told():
            session.api().patch(f"/v1/pools/{pool['pool_id']}", {"flow": wanted})
            notices.flash(t("system.pool_saved"))
            st.rerun()


def _step(number: int, step: Json, conditions: list[str], teams: dict[int, str]) -> Json | None:
    minutes_in, relax_in, team_in = st.columns([1, 2, 2])
    minutes = minutes_in.number_input(
        t("system.flow_minutes", n=number + 1), value=step.get("after_minutes"), min_value=0.1, step=5.0,
        format="%g", key=f"flow_minutes_{number}",
    )  # fmt: skip
    known = [*conditions, *(name for name in step.get("relax", ()) if name not in conditions)]
    relax = relax_in.multiselect(
        t("system.flow_relax"), known, default=step.get("relax", []), key=f"flow_relax_{number}",
        placeholder=t("system.flow_relax_none"),
    )  # fmt: skip
    if (gone := step.get("to_pool")) is not None and gone not in teams:
        teams = {**teams, gone: f"№ {gone}"}
    team = team_in.selectbox(
        t("system.flow_team"), list(teams), index=list(teams).index(gone) if gone else None,
        format_func=lambda each: teams[each], key=f"flow_team_{number}", placeholder=t("system.flow_team_none"),
        help=t("system.flow_team_help"),
    )  # fmt: skip
    if minutes is None:
        return None
    wanted: Json = {"after_minutes": float(minutes)}
    if relax:
        wanted["relax"] = relax
    if team is not None:
        wanted["to_pool"] = team
    return wanted


def _conditions(pool: Json) -> list[str]:
    """Names of the conditions of the rules in force."""
    active = session.api().get("/v1/rules", pool_id=pool["pool_id"], state="active", limit=1)["items"]
    found = active[0]["rules"].get("conditions", ()) if active else ()
    return [condition.get("name") or f"conditions[{number}]" for number, condition in enumerate(found)]


def _others(pool: Json) -> dict[int, str]:
    """The other teams that this person sees, by id."""
    teams = session.load_pools()
    return {each["pool_id"]: each["name"] for each in teams if each["pool_id"] != pool["pool_id"]}
