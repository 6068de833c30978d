"""Overview: how the work flows right now, what waits and why, and how even the load is."""

import time
from collections import Counter
from html import escape
from typing import Any, TypeAlias

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from streamlit_app import session
from streamlit_app.client import Api, Json
from streamlit_app.formatting import ago, instant, moment, number, percent, plain, seconds
from streamlit_app.parts import charts, deviation, figures, live, notices
from streamlit_app.parts.figures import Figure
from streamlit_app.styles import EVEN, OVER, UNDER
from streamlit_app.words import t, word

PERIODS = (15, 60, 240, 1440)
MOST_PEOPLE = 30
"""Rows of the table of deviations: a screen. The page of executors shows all."""
_FURTHEST = 24
_ALARMS_SECONDS = 10.0
_ALERTS_AT_ONCE = 3

_ICONS = {"critical": "error", "warning": "warning", "info": "info"}


def show() -> None:
    """The page."""
    session.pool()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.title(t("overview.title"), width="content")
        period = st.segmented_control(
            t("overview.period"),
            options=PERIODS,
            format_func=lambda minutes: t(f"overview.period.{minutes}"),
            default=60,
            required=True,
            key="overview_period",
            label_visibility="collapsed",
        )
    _now(period or 60)
    _load()


@st.fragment(run_every=1.0)
@notices.guarded
def _now(period: int) -> None:
    """Everything that moves by the second."""
    look = _look(period)
    _pulse(look)
    alerts = st.container()  # their place; asked for after what is seen first
    tiles = st.empty()
    _tiles(tiles, look, st.session_state.get("fairness_seen", {}).get(session.pool_id()))
    flow, waiting = st.columns([3, 2])
    with flow, st.container(border=True, height="stretch"):
        _flow(look)
    with waiting, st.container(border=True, height="stretch" if look["waiting"] else "content"):
        _waiting(look)
    with alerts:
        _alerts(look)
    today = fairness()
    _tiles(tiles, look, today)
    st.session_state["fairness_seen"] = {session.pool_id(): today}  # shown until the next is there


@st.fragment(run_every=2.0)
@notices.guarded
def _load() -> None:
    """Load of each executor."""
    with st.container(border=True):
        st.subheader(t("overview.load"))
        st.caption(t("overview.load_text"))
        rows = deviation.rows_of(fairness())
        if not any(row.fair or row.received for row in rows):
            notices.empty(t("overview.no_work"), t("overview.no_work_text"), "hourglass_empty")
            return
        notable = sum(row.notable for row in rows)
        st.markdown(
            f":material/check_circle: {t('overview.all_even')}"
            if not notable
            else f":material/balance: {t('overview.some_uneven', n=notable)}"
        )
        if len(rows) <= MOST_PEOPLE:
            deviation.show(sorted(rows, key=lambda row: -row.deviation))
            return
        table, spread = st.columns([3, 2])
        with table:
            furthest = rows[:_FURTHEST]
            deviation.show(sorted(furthest, key=lambda row: -row.deviation))
            st.caption(t("overview.most_of", shown=len(furthest), total=number(len(rows))))
        with spread:
            _spread(rows)


def _look(period: int) -> Json:
    revision, pulse, connected = live.revision(session.pool_id())
    query = (("pool_id", session.pool_id()), ("period", period))
    look: Json = _ask("/v1/distribution/overview", query, revision, pulse)
    return look | {"connected": connected}


def fairness() -> Json:
    """Today's fair shares, asked for again when something moved."""
    revision, pulse, _ = live.revision(session.pool_id())
    query = (("pool_id", session.pool_id()), ("hours", False))
    fair: Json = _ask("/v1/distribution/fairness", query, revision, pulse)
    return fair


_Query: TypeAlias = tuple[tuple[str, Any], ...]


def _ask(path: str, query: _Query, revision: int, pulse: int) -> Any:
    """Ask the API once for all sessions of a person that look at the same, until something moved."""
    api = session.api()
    return _answer(api, api.token, path, query, revision, pulse)


@st.cache_data(ttl=10, max_entries=200, show_spinner=False)
def _answer(_api: Api, token: str | None, path: str, query: _Query, revision: int, pulse: int) -> Any:
    return _api.get(path, **dict(query))


def _pulse(look: Json) -> None:
    dot = "live-dot" if look["connected"] else "live-dot off"
    state = t("common.live") if look["connected"] else t("overview.offline_stream")
    updated = t("common.updated", time=moment(look["now"], with_seconds=True))
    st.html(
        f"<div class='muted' role='status'><span class='{dot}'></span>{escape(state)} · {escape(updated)}</div>"
    )


def _alerts(look: Json) -> None:
    alerts = [(alert["severity"], _sentence(alert)) for alert in look["alerts"]]
    uneven = [("warning", text) for text in _uneven()]
    if not alerts and not uneven:
        st.success(t("overview.all_well"), icon=":material/check_circle:")
    # One of those on fairness stands for all: there is one for each person, and the figures shall stay in sight.
    alerts = sorted([*alerts, *uneven[:1]], key=lambda alert: list(_ICONS).index(alert[0]))
    folded = alerts[_ALERTS_AT_ONCE:] + uneven[1:]
    for alert in alerts[:_ALERTS_AT_ONCE]:
        _alert(*alert)
    if folded:
        with st.expander(t("overview.more_alerts", n=len(folded)), icon=":material/warning:"):
            for alert in folded:
                _alert(*alert)


def _alert(severity: str, text: str) -> None:
    kind = {"critical": st.error, "warning": st.warning, "info": st.info}[severity]
    kind(text, icon=f":material/{_ICONS[severity]}:")


def _sentence(alert: Json) -> str:
    values: dict[str, Any] = dict(alert["values"])
    if "seconds" in values:
        values["seconds"] = seconds(values["seconds"])
    if "tasks" in values:
        values["tasks"] = t("common.tasks_n", n=values["tasks"])
    key = f"overview.alert.{alert['code']}"
    return t(key, **values)


def _uneven() -> list[str]:
    """Bounds of fairness that are passed, as the API tells them; looked for a few times a minute."""
    seldom = int(time.monotonic() / _ALARMS_SECONDS)
    passed = _ask("/v1/distribution/alerts", (("pool_id", session.pool_id()),), 0, seldom)
    return [notices.plain(alert["text"][session.language()]) for alert in passed["alerts"]]


def _tiles(place: DeltaGenerator, look: Json, today: Json | None) -> None:
    """The key figures; those of fairness have to be solved for, and may come a moment later."""
    waiting = sum(each["count"] for each in look["waiting"])
    flow = t(
        "overview.in_out",
        received=plain(look["received_per_minute"], 1),
        assigned=plain(look["assigned_per_minute"], 1),
    )
    of_all = t("overview.of_received", n=look["received"])
    shown = [
        Figure(t("overview.per_minute"), flow, help=t("overview.in_out_help")),
        Figure(t("overview.assigned"), number(look["assigned"]), of_all),
        Figure(t("overview.waiting"), number(waiting), _oldest(look), t("overview.waiting_help")),
        _latency(look["latency"]),
        _gap(today),
    ]
    figures.show(shown, place)


def _latency(latency: Json | None) -> Figure:
    if latency is None:
        return Figure(t("overview.latency"), "—")
    return Figure(
        t("overview.latency"),
        seconds(latency["p50"]),
        f"{percent(0.95, 0)}: {seconds(latency['p95'])} · {percent(0.99, 0)}: {seconds(latency['p99'])}",
        t("overview.latency_help", n=latency["sample"]),
    )


def _gap(today: Json | None) -> Figure:
    meaning = f"{t('overview.gap_help')} MAE — {t('overview.mae_help')}"
    if today is None:
        return Figure(t("overview.gap"), "…", " ", meaning)
    if today["mae_optimum"] is None:  # nobody, or nothing, to compare
        return Figure(t("overview.gap"), percent(today["fairness_gap"]), help=meaning)
    maes = t("overview.mae", value=number(today["mae"], 2), optimum=number(today["mae_optimum"], 2))
    return Figure(t("overview.gap"), percent(today["fairness_gap"]), maes, meaning)


def _oldest(look: Json) -> str | None:
    since = [each["oldest"] for each in look["waiting"] if each["oldest"]]
    if since:
        return t("overview.oldest", time=ago(min(since)))
    return t("overview.undecided", n=look["undecided"]) if look["undecided"] else None


def _flow(look: Json) -> None:
    steps = look["steps"]
    st.subheader(t("overview.flow"))
    st.caption(t("overview.flow_unit", n=look["step_minutes"]))
    times = [instant(step["at"]).replace(tzinfo=None) for step in steps]
    received = [step["received"] for step in steps]
    assigned = [step["assigned"] for step in steps]
    closed = [step["closed"] for step in steps]
    traces = [
        go.Bar(x=times, y=received, name=t("overview.received"), marker_color=UNDER, opacity=0.55),
        go.Scatter(
            x=times,
            y=assigned,
            name=t("overview.assigned_line"),
            mode="lines",
            line={"color": EVEN, "width": 2.5},
        ),
    ]
    if any(closed):
        line = {"color": OVER, "width": 1.5, "dash": "dot"}
        traces.append(go.Scatter(x=times, y=closed, name=t("overview.closed"), mode="lines", line=line))
    made = charts.figure(*traces, height=270)
    made.update_xaxes(tickformat="%H:%M")
    charts.show_soon(made, key="flow", alt=t("overview.flow_alt"))
    charts.download(
        {
            t("overview.time"): [at.isoformat(sep=" ", timespec="minutes") for at in times],
            t("overview.received"): received,
            t("overview.assigned_line"): assigned,
            t("overview.closed"): closed,
        },
        key="flow",
    )


def _waiting(look: Json) -> None:
    st.subheader(t("overview.why_waiting"))
    if not look["waiting"]:
        st.markdown(f":material/check_circle: {t('overview.nothing_waits')}")
        return
    most = max(each["count"] for each in look["waiting"])
    rows = "".join(
        f"<div>{escape(word('common.wait', each['reason']))}<br><span class='muted'>"
        f"{escape(t('overview.oldest', time=ago(each['oldest'])))}</span></div>"
        f"<div class='track'><div class='fill' style='width:{100 * each['count'] / most:.1f}%'></div></div>"
        f"<div><b>{number(each['count'])}</b></div>"
        for each in look["waiting"]
    )
    st.html(f"<div class='why'>{rows}</div>")
    if st.button(t("overview.show_waiting"), icon=":material/arrow_forward:", type="tertiary"):
        st.session_state.task_filter = "waiting"
        session.go("tasks")


def _spread(rows: list[deviation.Row]) -> None:
    counts = Counter(round(row.deviation) for row in rows)
    xs = list(range(min(counts), max(counts) + 1))
    colours = [OVER if x > 0 else UNDER if x < 0 else EVEN for x in xs]
    st.markdown(f"**{t('overview.spread')}**")
    made = charts.figure(
        go.Bar(x=xs, y=[counts[x] for x in xs], marker_color=colours, name=t("overview.people_count")),
        height=340,
    )
    made.update_layout(showlegend=False)
    made.update_xaxes(title=t("overview.deviation_tasks"))
    made.update_yaxes(title=t("overview.people_count"))
    charts.show_soon(made, key="spread", alt=t("overview.spread_alt"))
    charts.download(
        {
            t("overview.person"): [row.name for row in rows],
            t("overview.received_load"): [row.received for row in rows],
            t("overview.fair"): [row.fair for row in rows],
            t("overview.deviation"): [row.deviation for row in rows],
        },
        key="deviations",
    )
