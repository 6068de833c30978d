"""Analytics: flow, fairness, what rules exclude, where people are missing; every chart with its data."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from streamlit_app import session
from streamlit_app.client import Api, Json
from streamlit_app.formatting import day, instant, number, percent, signed_percent
from streamlit_app.parts import charts, figures, notices
from streamlit_app.parts.figures import Figure
from streamlit_app.styles import EVEN, OVER, PURPLE, UNDER
from streamlit_app.views.analytics import analytics_rules
from streamlit_app.words import t

DAYS = (1, 7, 30)
_MOST_PEOPLE = 40


def show() -> None:
    """The page."""
    pool_id = session.pool_id()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.title(t("analytics.title"), width="content")
        days = st.segmented_control(
            t("analytics.days"), DAYS, default=1, required=True, key="analytics_days", label_visibility="collapsed",
            format_func=lambda each: t(f"analytics.days.{each}"),
        )  # fmt: skip
    sections: dict[str, Callable[[], None]] = {
        "flow": lambda: _flow(pool_id, days),
        "fairness": lambda: _fairness(pool_id, days),
        "rules": lambda: analytics_rules.funnel(pool_id),
        "skills": lambda: analytics_rules.skills(pool_id),
    }
    for tab, part in zip(
        st.tabs([t(f"analytics.tab.{name}") for name in sections]), sections.values(), strict=True
    ):
        with tab, notices.told():
            part()


@st.cache_data(ttl=20, max_entries=100, show_spinner=False)
def _ask(_api: Api, token: str | None, path: str, query: tuple[tuple[str, Any], ...]) -> Any:
    return _api.get(path, **dict(query))


def ask(path: str, **query: Any) -> Any:
    """Ask the API, or take what it said within the last seconds."""
    return _ask(session.api(), session.api().token, path, tuple(sorted(query.items())))


def _flow(pool_id: int, days: int) -> None:
    spans = _spans(pool_id, days)
    if not any(each["received"] or each["assigned"] for each in spans):
        notices.empty(t("analytics.nothing"), t("analytics.nothing_text"), "query_stats")
        return
    _compare(pool_id, days)
    _excel(pool_id, days)
    xs = [each["at"] for each in spans]
    names = ("received", "assigned", "completed")
    _chart(
        "throughput", xs,
        {t(f"analytics.{name}"): [each[name] for each in spans] for name in names},
        colours=(UNDER, EVEN, OVER), unit=t("analytics.tasks"), bars=1,
    )  # fmt: skip
    left, right = st.columns(2)
    with left:
        _latency(xs, spans)
    with right:
        _chart(
            "waits", xs, {t("analytics.parked"): [each["parked"] for each in spans]}, colours=(OVER,),
            unit=t("analytics.tasks"), bars=1,
        )  # fmt: skip


def _latency(xs: Sequence[Any], spans: list[Json]) -> None:
    """Percentiles of the time to assignment, in the unit that fits them."""
    lines = {
        percent(int(name[1:]) / 100, 0): [span[f"latency_{name}"] for span in spans]
        for name in ("p50", "p95", "p99")
    }
    short = max((each for line in lines.values() for each in line if each), default=0.0) < 1
    if short:
        lines = {
            name: [None if each is None else each * 1000 for each in line] for name, line in lines.items()
        }
    _chart(
        "latency", xs, lines, colours=(EVEN, OVER, PURPLE), text=t("analytics.latency_text"),
        unit=t("analytics.milliseconds" if short else "analytics.seconds"),
    )  # fmt: skip


def _spans(pool_id: int, days: int) -> list[Json]:
    """Hours for a day, days for longer, each with `at` as a chart shows it; quiet hours too."""
    if days > 1:
        found = ask("/v1/kpi", pool_id=pool_id, days=days, by="day")["days"]
        return [each | {"at": day(each["business_day"])} for each in found]
    hours = {
        _hour(each["hour"]): each for each in ask("/v1/kpi", pool_id=pool_id, days=1, by="hour")["hours"]
    }
    return [_QUIET | hours.get(name, {}) | {"at": name} for name in _hours_until_now()]


_QUIET: Json = {
    "received": 0, "assigned": 0, "completed": 0, "parked": 0, "latency_p50": None, "latency_p95": None,
    "latency_p99": None,
}  # fmt: skip


def _hour(text: str) -> str:
    at = instant(text)
    return "" if at is None else at.strftime("%H:00")


def _hours_until_now() -> list[str]:
    return [f"{hour:02}:00" for hour in range(datetime.now(session.zone()).hour + 1)]


def _compare(pool_id: int, days: int) -> None:
    """The period beside the one before."""
    if days > 1:
        both = ask("/v1/kpi", pool_id=pool_id, days=2 * days, by="day")["days"]
        now, before = both[-days:], both[:-days]
    else:
        now, before = _today_and_yesterday(pool_id)
    st.subheader(t("analytics.compare" if days > 1 else "analytics.compare_day"))
    shown = []
    for name in ("received", "assigned", "completed", "parked"):
        this, last = (sum(each[name] for each in span) for span in (now, before))
        note = t("analytics.before", value=number(last))
        if last:
            note = f"{signed_percent(this / last - 1)} · {note}"
        shown.append(Figure(t(f"analytics.{name}").capitalize(), number(this), note))
    figures.show(shown)


def _today_and_yesterday(pool_id: int) -> tuple[list[Json], list[Json]]:
    """The hours of today, and those of yesterday up to this hour: a morning is not held against a whole day."""
    today = datetime.now(session.zone())
    by_day: dict[date, list[Json]] = {}
    for each in ask("/v1/kpi", pool_id=pool_id, days=2, by="hour")["hours"]:
        at = instant(each["hour"])
        if at is not None and at.hour <= today.hour:
            by_day.setdefault(at.date(), []).append(each)
    return by_day.get(today.date(), []), by_day.get(today.date() - timedelta(days=1), [])


def _excel(pool_id: int, days: int) -> None:
    key = ("excel", pool_id, days, session.language())
    if st.session_state.get("excel_key") != key:
        if st.button(t("analytics.excel_make"), icon=":material/table_view:"):
            st.session_state.excel = session.api().download(
                "/v1/exports/kpi", pool_id=pool_id, days=days, format="excel", lang=session.language()
            )
            st.session_state.excel_key = key
            st.rerun()
        return
    st.download_button(
        t("analytics.excel"), st.session_state.excel, f"kpi-{session.pool()['code']}-{days}.xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", icon=":material/download:",
        type="primary", on_click="ignore",
    )  # fmt: skip


def _chart(
    name: str,
    xs: Sequence[Any],
    lines: dict[str, list[Any]],
    *,
    colours: Sequence[str],
    unit: str,
    bars: int = 0,
    text: str = "",
    tickformat: str | None = None,
) -> None:
    """A card with a chart of lines (the first `bars` of them bars), and its data."""
    with st.container(border=True):
        st.subheader(t(f"analytics.{name}"))
        if text:
            st.caption(text)
        traces = [
            (
                go.Bar(x=list(xs), y=ys, name=label, marker_color=colour, opacity=0.6)
                if place < bars
                else go.Scatter(
                    x=list(xs), y=ys, name=label, mode="lines+markers", line={"color": colour, "width": 2}
                )
            )
            for place, ((label, ys), colour) in enumerate(zip(lines.items(), colours, strict=False))
        ]
        made = charts.figure(*traces, height=290)
        made.update_yaxes(title=unit, tickformat=tickformat)
        if bars and not any(value for values in lines.values() for value in values):
            made.update_yaxes(range=[0, 5], dtick=1)  # not fractions of tasks where there were none
        made.update_xaxes(type="category", nticks=9, tickangle=0)  # hours that stand upright can be read
        charts.show(made, key=f"analytics_{name}", alt=t(_ALTS[name]))
        charts.download({t("analytics.span"): [str(x) for x in xs], **lines}, key=f"analytics_{name}")


_ALTS = {
    "throughput": "analytics.throughput_alt", "latency": "analytics.latency_alt", "waits": "analytics.waits_alt",
    "gap_by_day": "analytics.gap_alt", "gap_by_hour": "analytics.gap_alt", "mae_title": "analytics.gap_alt",
}  # fmt: skip


def _fairness(pool_id: int, days: int) -> None:
    period = {1: "day", 7: "week", 30: "month"}[days]
    report = ask("/v1/distribution/fairness", pool_id=pool_id, period=period, hours=days == 1)
    hours = report.get("hours", [])
    if hours:
        xs = [_hour(each["hour"]) for each in hours]
        left, right = st.columns(2)
        with left:
            _chart(
                "gap_by_hour", xs, {t("analytics.gap"): [each["fairness_gap"] for each in hours]}, colours=(EVEN,),
                unit="", text=t("analytics.gap_text"), tickformat=".1%",
            )  # fmt: skip
        with right:
            lines = {t("analytics.mae"): [each["mae"] for each in hours],
                     t("analytics.mae_optimum"): [each["mae_optimum"] for each in hours]}  # fmt: skip
            _chart("mae_title", xs, lines, colours=(OVER, EVEN), unit="", text=t("analytics.mae_text"))
    elif report.get("days"):
        _chart(
            "gap_by_day", [day(each["business_day"]) for each in report["days"]],
            {t("analytics.gap"): [each["fairness_gap"] for each in report["days"]]}, colours=(EVEN,), unit="",
            text=t("overview.gap_help"), tickformat=".1%",
        )  # fmt: skip
    _people(report)


def _people(report: Json) -> None:
    """Received beside fair share, person by person; the furthest off where there are many."""
    people = sorted(report["executors"], key=lambda each: -abs(each["deviation"]))[:_MOST_PEOPLE]
    people = sorted(people, key=lambda each: -each["fair_share"])
    if not any(each["received"] for each in people):
        notices.empty(t("analytics.nothing"), t("analytics.nothing_text"), "balance")
        return
    names = [each["name"] for each in people]
    received, fair = [each["received"] for each in people], [each["fair_share"] for each in people]
    with st.container(border=True):
        st.subheader(t("analytics.who"))
        st.caption(f"{t('overview.gap')}: {percent(report['fairness_gap'])}")
        xs = list(range(len(people)))  # two people may share a name
        made = charts.figure(
            go.Bar(x=xs, y=received, name=t("overview.received_load"), marker_color=UNDER, opacity=0.6),
            go.Scatter(
                x=xs, y=fair, name=t("analytics.fair"), mode="markers",
                marker={"symbol": "line-ew-open", "size": 16, "color": OVER, "line": {"width": 3}},
            ),
            height=360,
        )  # fmt: skip
        made.update_xaxes(tickvals=xs, ticktext=names, tickangle=-45)
        charts.show(made, key="analytics_people", alt=t("analytics.who_alt"))
        everybody = report["executors"]
        charts.download(
            {
                t("analytics.person"): [each["name"] for each in everybody],
                t("overview.received_load"): [each["received"] for each in everybody],
                t("analytics.fair"): [each["fair_share"] for each in everybody],
                t("overview.deviation"): [each["deviation"] for each in everybody],
            },
            key="analytics_people",
        )
