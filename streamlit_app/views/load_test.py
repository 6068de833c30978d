"""Load test: a stream against a pool of its own, with what comes of it as it comes."""

import itertools

import plotly.graph_objects as go
import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import number, percent, seconds
from streamlit_app.parts import charts, figures, notices
from streamlit_app.parts.figures import Figure
from streamlit_app.parts.load_generator import POOL, LoadPlan, LoadTest, bench
from streamlit_app.styles import EVEN, OVER, PURPLE, UNDER
from streamlit_app.words import t

MIXES = ("even", "peak", "heavy")


def show() -> None:
    """The page."""
    st.title(t("load.title"))
    st.markdown(t("load.text", pool=t("load.pool_name")))
    known = any(each["code"] == POOL for each in st.session_state.pools)
    if not known and not session.may("pools.create"):
        st.info(t("load.not_allowed"), icon=":material/lock:")
        return
    if bench().test is None:
        _ask()
    else:
        _follow()


def _ask() -> None:
    with st.form("load"):
        first, second, third, fourth = st.columns([4, 4, 4, 5])
        rate = first.number_input(t("load.rate"), min_value=1, max_value=20_000, value=200, step=50)
        duration = second.number_input(t("load.duration"), min_value=5, max_value=600, value=30, step=5)
        people = third.number_input(t("load.people"), min_value=5, max_value=10_000, value=200, step=50)
        mix = fourth.selectbox(t("load.mix"), MIXES, format_func=lambda each: t(f"load.mix.{each}"))
        sent = st.form_submit_button(t("load.start"), type="primary", icon=":material/play_arrow:")
    if sent:
        name, language = t("load.pool_name"), session.language()
        bench().start(LoadPlan(float(rate), int(duration), int(people), mix, name, language), session.api())
        st.rerun()


@st.fragment(run_every=1.0)
@notices.guarded
def _follow() -> None:
    """The test as it goes; it goes on whether anybody looks or not."""
    test = bench().test
    if test is None:
        st.rerun()
    total = test.plan.total
    told = t(
        f"load.state.{test.state}",
        done=number(test.sent),
        total=number(total),
        why=notices.plain(test.why),
    )
    st.progress(min(1.0, test.assigned / total) if total else 0.0, text=told)
    with st.container(horizontal=True):
        if test.running and st.button(t("load.stop"), icon=":material/stop:", type="primary"):
            test.stopping.set()
        if not test.running and st.button(t("load.again"), icon=":material/restart_alt:", type="primary"):
            bench().clear()
            st.rerun()
        if test.pool_id and st.button(t("load.open_pool"), icon=":material/monitoring:"):
            st.session_state.pool_code = POOL
            session.go("overview")
    _figures(test)
    if len(test.samples) > 1:
        _charts(test)
    if not test.running and test.pool_id:
        figures = session.api().get("/v1/distribution/fairness", pool_id=test.pool_id, hours=False)
        st.markdown(t("load.even", gap=percent(figures["fairness_gap"], 2)))


def _figures(test: LoadTest) -> None:
    last = test.samples[-1] if test.samples else None
    speed = _speed(test)
    tiles: list[tuple[str, str, str | None]] = [
        (t("load.sent"), number(test.sent), None),
        (t("load.assigned"), number(test.assigned), None),
        (t("load.throughput"), number(speed) if speed is not None else "—", None),
        (t("load.waiting"), number(max(0, test.sent - test.assigned)), None),
        (
            t("load.chart_latency"),
            seconds(last.p50) if last else "—",
            (
                f"{percent(0.95, 0)}: {seconds(last.p95)} · {percent(0.99, 0)}: {seconds(last.p99)}"
                if last and last.p95 is not None
                else None
            ),
        ),
    ]
    figures.show([Figure(*tile) for tile in tiles])
    if test.refused:
        st.warning(t("load.refused", n=test.refused))


def _speed(test: LoadTest) -> float | None:
    """Assigned per second, over the time in which something was."""
    moved = [sample for sample in test.samples if sample.assigned < test.assigned] + [
        sample for sample in test.samples if sample.assigned == test.assigned
    ][:1]
    if len(moved) < 2 or moved[-1].second <= moved[0].second:
        return None
    return (moved[-1].assigned - moved[0].assigned) / (moved[-1].second - moved[0].second)


def _charts(test: LoadTest) -> None:
    data = _by_second(test)
    left, right = st.columns(2)
    xs = data[t("load.second")]
    with left, st.container(border=True):
        st.subheader(t("load.chart"))
        made = charts.figure(
            go.Scatter(
                x=xs, y=data[t("load.sent")], name=t("load.sent"), line={"color": UNDER, "width": 1.5}
            ),
            go.Scatter(
                x=xs, y=data[t("load.assigned")], name=t("load.assigned"), line={"color": EVEN, "width": 2.5}
            ),
        )
        made.update_yaxes(title=t("load.per_second"))
        made.update_xaxes(title=t("load.second"))
        charts.show(made, key="load_throughput", alt=t("load.chart_alt"))
    with right, st.container(border=True):
        st.subheader(t("load.chart_latency"))
        colours = {"p50": EVEN, "p95": OVER, "p99": PURPLE}
        made = charts.figure(
            *(
                go.Scatter(x=xs, y=data[name], name=percent(int(name[1:]) / 100, 0), line={"color": colour})
                for name, colour in colours.items()
            )
        )
        made.update_yaxes(title=t("load.milliseconds"))
        made.update_xaxes(title=t("load.second"))
        charts.show(made, key="load_latency", alt=t("load.latency_alt"))
    charts.download(data, key="load_test")


def _by_second(test: LoadTest) -> Json:
    """Counts of each second, from running totals."""
    samples = list(test.samples)
    pairs = list(itertools.pairwise(samples))

    def rate(name: str) -> list[float]:
        return [
            max(0.0, (getattr(after, name) - getattr(before, name)) / max(0.2, after.second - before.second))
            for before, after in pairs
        ]

    latencies = {
        name: [None if (value := getattr(after, name)) is None else value * 1000 for _, after in pairs]
        for name in ("p50", "p95", "p99")
    }
    return {
        t("load.second"): [round(after.second, 1) for _, after in pairs],
        t("load.sent"): rate("sent"),
        t("load.assigned"): rate("assigned"),
        **latencies,
    }
