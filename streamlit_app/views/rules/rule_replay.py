"""A past period distributed once more under a rule set that may not be in force yet: before and after."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import day, number, percent, seconds, signed
from streamlit_app.parts import charts, notices
from streamlit_app.styles import EVEN, OVER, PURPLE, UNDER
from streamlit_app.words import t, word

DAYS = (1, 7, 30)
POLICIES = ("round_robin", "longest_idle", "best_match")
_COLOURS = (OVER, EVEN, UNDER, PURPLE, "#64748b")
_MOST_PEOPLE = 40
_GOING = {"queued", "running"}


def show(pool_id: int) -> None:
    """Ask what to replay, follow it, show what it found."""
    st.markdown(t("rules.replay_text"))
    versions = session.api().get("/v1/rules", pool_id=pool_id, limit=50)["items"]
    if not versions:
        st.info(t("rules.replay_none"), icon=":material/info:")
        return
    _ask({each["rule_set_id"]: each for each in versions})
    asked = st.session_state.get("replay_asked", {})
    if asked.get("pool_id") == pool_id:
        _follow(asked["replay_id"])


def _ask(versions: dict[int, Json]) -> None:
    def name_of(rule_set_id: int) -> str:
        each = versions[rule_set_id]
        return f"{each['name']} · {each['version']} · {t('rules.state.' + each['state'])}"

    with st.form("replay"):
        first, second, third = st.columns([3, 2, 3])
        chosen = first.selectbox(t("rules.replay_set"), list(versions), format_func=name_of)
        days = second.selectbox(
            t("rules.replay_days"), DAYS, index=1, format_func=lambda each: t(f"analytics.days.{each}")
        )
        compare = third.multiselect(
            t("rules.replay_compare"),
            POLICIES,
            format_func=lambda each: t(f"common.policy.{each}"),
            placeholder="—",
        )
        sent = st.form_submit_button(
            t("rules.replay_start"), type="primary", icon=":material/history_toggle_off:"
        )
    if sent:
        since = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        st.session_state.replay_asked = session.api().post(
            f"/v1/rules/{chosen}/replay", {"since": since, "compare": compare}
        )
        st.rerun()


def _follow(replay_id: int) -> None:
    replay = session.api().get(f"/v1/replays/{replay_id}")
    if replay["state"] in _GOING:
        _progress(replay_id)
        return
    if replay["state"] != "done":
        why = notices.plain(notices.stored_reason(replay["error"] or ""))
        st.error(t(f"rules.replay_state.{replay['state']}", why=why))
        return
    _result(replay)


@st.fragment(run_every=1.0)
@notices.guarded
def _progress(replay_id: int) -> None:
    """How far it is, until it is done."""
    replay = session.api().get(f"/v1/replays/{replay_id}")
    if replay["state"] not in _GOING:
        st.rerun(scope="app")
    st.progress(replay["progress"], text=t(f"rules.replay_state.{replay['state']}"))
    if st.button(t("common.cancel"), icon=":material/stop:"):
        session.api().post(f"/v1/replays/{replay_id}/cancel")
        st.rerun(scope="app")


def _result(replay: Json) -> None:
    runs = replay["result"]["runs"]
    names = [
        word("rules.replay_run", run["name"]) if run["name"] == "actual" else _policy(run["name"])
        for run in runs
    ]
    rows = [
        (t("rules.replay_arrived"), [number(run["arrived"]) for run in runs]),
        (t("rules.replay_placed"), [number(run["placed"]) for run in runs]),
        (t("rules.replay_unplaced"), [number(sum(run["unplaced"].values())) for run in runs]),
        (t("rules.replay_moved"), [number(run["moved"]) for run in runs]),
        (t("overview.gap"), [percent(run["fairness_gap"]) for run in runs]),
        ("MAE", [number(run["mae"], 3) for run in runs]),
        (t("analytics.mae_optimum"), [number(run["mae_optimum"], 3) for run in runs]),
        (t("rules.replay_wait"), [seconds(run["waits"]["mean"]) if run["waits"] else "—" for run in runs]),
        (t("rules.replay_worst"), [_worst(run) for run in runs]),
    ]
    table: dict[str, list[Any]] = {t("rules.replay_what"): [name for name, _ in rows]}
    for place, name in enumerate(names):
        table[name if name not in table else f"{name} {place}"] = [values[place] for _, values in rows]
    st.dataframe(table, hide_index=True, height="content")
    left, right = st.columns(2)
    with left, st.container(border=True):
        _by_day(runs, names)
    with right, st.container(border=True):
        _by_person(runs, names)
    report = session.api().download(f"/v1/replays/{replay['replay_id']}/report", lang=session.language())
    st.download_button(
        t("rules.replay_report"), report, f"replay-{replay['replay_id']}.html", "text/html",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def _policy(name: str) -> str:
    return word("common.policy", name)


def _worst(run: Json) -> str:
    return f"{run['worst']['name']} {signed(run['worst']['deviation'])}" if run["worst"] else "—"


def _by_day(runs: Sequence[Json], names: Sequence[str]) -> None:
    st.subheader(t("rules.replay_gap"))
    days = [day(each["day"]) for each in runs[0]["days"]]
    made = charts.figure(
        *(
            go.Bar(x=days, y=[each["gap"] for each in run["days"]], name=name, marker_color=colour)
            for run, name, colour in zip(runs, names, _COLOURS, strict=False)
        )
    )
    made.update_layout(barmode="group")
    made.update_xaxes(type="category")
    made.update_yaxes(tickformat=".1%")
    charts.show(made, key="replay_gap", alt=t("rules.replay_alt"))
    gaps = {name: [each["gap"] for each in run["days"]] for run, name in zip(runs, names, strict=True)}
    charts.download({t("analytics.span"): days, **gaps}, key="replay_gap")


def _by_person(runs: Sequence[Json], names: Sequence[str]) -> None:
    """Received by each, as it was and as it would be; those who change most where there are many."""
    st.subheader(t("rules.replay_load"))
    received = [{each["executor_id"]: each["received"] for each in run["executors"]} for run in runs]
    called = {each["executor_id"]: each["name"] for run in runs for each in run["executors"]}
    first, second = received[0], received[min(1, len(received) - 1)]
    people = sorted(called, key=lambda each: -abs(second.get(each, 0) - first.get(each, 0)))[:_MOST_PEOPLE]
    xs = list(range(len(people)))
    made = charts.figure(
        *(
            go.Bar(x=xs, y=[had.get(each, 0) for each in people], name=name, marker_color=colour)
            for had, name, colour in zip(received, names, _COLOURS, strict=False)
        )
    )
    made.update_layout(barmode="group")
    made.update_xaxes(tickvals=xs, ticktext=[called[each] for each in people], tickangle=-45)
    charts.show(made, key="replay_load", alt=t("rules.replay_alt"))
    loads = {name: [had.get(each, 0) for each in people] for had, name in zip(received, names, strict=True)}
    charts.download({t("analytics.person"): [called[each] for each in people], **loads}, key="replay_load")
