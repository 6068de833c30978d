"""Executors that rules exclude, and demand that no executor covers, over the latest tasks."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import percent, plain
from streamlit_app.parts import catalogue, charts, notices, people
from streamlit_app.styles import EVEN, OVER, UNDER
from streamlit_app.words import t

_TASKS = 1000
_SHORT = 1.25
"""Load over the mean from which people are missing: a quarter more than others, however the work is split."""
_ROUNDS = 60


def funnel(pool_id: int) -> None:
    """How many executors remain after each rule, on average over the latest tasks."""
    recent = session.api().post("/v1/rules/funnel", {"pool_id": pool_id})["recent"]
    if not recent["tasks"] or not recent["steps"]:
        notices.empty(t("analytics.nothing"), t("analytics.nothing_text"), "filter_alt")
        return
    steps, everybody = recent["steps"], recent["executors"]
    names = [t("analytics.funnel_rule", rule=step["label"]) for step in steps]
    left = [everybody * step["left"] for step in steps]  # the API tells shares of executors
    _funnel(names, [everybody, *left], recent["tasks"])


def _funnel(rules: list[str], left: list[float], tasks: int) -> None:
    names = [t("analytics.funnel_all"), *rules]
    with st.container(border=True):
        st.subheader(t("analytics.funnel"))
        st.caption(t("analytics.funnel_text", n=tasks))
        told = [f"{plain(each, 1)} · {percent(each / (left[0] or 1), 0)}" for each in left]
        made = charts.figure(
            go.Funnel(
                y=names, x=left, marker={"color": EVEN}, text=told, textinfo="text", hoverinfo="y+text"
            ),
            height=80 + 45 * len(names),
        )
        made.update_layout(showlegend=False, hovermode="closest")
        charts.show(made, key="analytics_funnel", alt=t("analytics.funnel_alt"))
        charts.download(
            {t("analytics.funnel"): names, t("analytics.funnel_left"): left}, key="analytics_funnel"
        )


def skills(pool_id: int) -> None:
    """Demand of tasks beside the skills of the people present."""
    parameters = catalogue.load()
    pairs = _pairs(pool_id, parameters)
    if not pairs:
        st.info(t("analytics.no_pairs"), icon=":material/info:")
        return
    tasks = session.api().get("/v1/tasks", pool_id=pool_id, limit=_TASKS)["items"]
    here = [each for each in people.load() if each["active"] and each["availability"] == "available"]
    if not tasks or not here:
        notices.empty(t("analytics.nothing"), t("analytics.nothing_text"), "group_off")
        return
    st.caption(t("analytics.skills_text", n=len(tasks)))
    for ours, theirs in pairs:
        _pair(ours, theirs, tasks, here)


def _pairs(pool_id: int, parameters: list[Json]) -> list[tuple[Json, Json]]:
    """Parameters of tasks and executors that the rules in force compare: a value with a list."""
    items = session.api().get("/v1/rules", pool_id=pool_id, state="active", limit=1)["items"]
    by_path = {f"{each['owner']}.parameters.{each['key']}": each for each in parameters}
    pairs = []
    for condition in _comparisons(items[0]["rules"].get("conditions", [])) if items else []:
        paths = [condition["field"], condition["value"]["field"]]
        found = sorted((by_path[path] for path in paths if path in by_path), key=lambda each: each["owner"])
        if len(found) == 2 and found[0]["owner"] != found[1]["owner"] and found[0]["type"] == "list":
            pairs.append((found[1], found[0]))  # executor sorts before task
    return pairs


def _comparisons(value: Any) -> list[Json]:
    """All conditions that compare two fields."""
    if isinstance(value, list):
        return [found for each in value for found in _comparisons(each)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("field"), str) and isinstance(value.get("value"), dict):
        return [value]
    return [found for each in value.values() for found in _comparisons(each)]


def stretched(demand: Mapping[Any, float], skills: Sequence[Collection[Any]]) -> dict[Any, float]:
    """How much more than the mean those must carry who can take a value, in the most even split of the work.

    `demand` is a share of the work by value, `skills` what each person can. Everybody's time goes to the values that
    they can take, and again and again more of it to those that are worst off; what nobody can take is infinitely so.
    """
    able = [[value for value in demand if value in each] for each in skills]
    pull = dict(demand)
    loads: dict[Any, float] = {}
    for _ in range(_ROUNDS):
        time = dict.fromkeys(demand, 0.0)
        for values in able:
            whole = sum(pull[value] for value in values) or 1.0
            for value in values:
                time[value] += pull[value] / whole
        loads = {v: share * len(skills) / time[v] if time[v] else math.inf for v, share in demand.items()}
        pull = {value: pull[value] * min(loads[value], 4.0) ** 0.5 for value in demand}
    return loads


def _pair(ours: Json, theirs: Json, tasks: list[Json], here: list[Json]) -> None:
    asked = Counter(
        value for task in tasks if isinstance(value := task["parameters"].get(ours["key"]), str | int | float)
    )
    if not asked:
        return
    values = [value for value, _ in asked.most_common(30)]
    names = [catalogue.option_label(ours, value) for value in values]
    demand = [asked[value] / sum(asked.values()) for value in values]
    skills = [set(person["parameters"].get(theirs["key"]) or ()) for person in here]
    able = [sum(value in each for each in skills) for value in values]
    coverage = [count / len(here) for count in able]
    loads = stretched(dict(zip(values, demand, strict=True)), skills)
    short = [name for name, value in zip(names, values, strict=True) if loads[value] > _SHORT]
    with st.container(border=True):
        st.subheader(f"{catalogue.label(ours)} ↔ {catalogue.label(theirs)}")
        if short:
            st.markdown(
                f":material/warning: {t('analytics.short_of', values=notices.plain(', '.join(short)))}"
            )
        else:
            st.markdown(f":material/check_circle: {t('analytics.enough')}")
        made = charts.figure(
            go.Bar(x=names, y=demand, name=t("analytics.demand"), marker_color=OVER,
                   text=[percent(each, 0) for each in demand]),
            go.Bar(x=names, y=coverage, name=t("analytics.coverage"), marker_color=UNDER,
                   text=[percent(each, 0) for each in coverage]),
            height=280,
        )  # fmt: skip
        made.update_layout(barmode="group")
        made.update_yaxes(tickformat=".0%")
        made.update_xaxes(type="category")
        key = f"analytics_skills_{ours['key']}_{theirs['key']}"
        charts.show(made, key=key, alt=t("analytics.skills_alt"))
        charts.download(
            {
                t("analytics.value"): names,
                t("analytics.demand"): demand,
                t("analytics.coverage"): coverage,
                t("analytics.people_have"): able,
            },
            key=key,
        )
