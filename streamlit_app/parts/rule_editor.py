"""The constructor of rules without JSON. The document is the one truth: inputs are made from it and write into it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from streamlit_app.client import Json
from streamlit_app.parts import catalogue
from streamlit_app.parts.notices import plain
from streamlit_app.parts.rule_language import (
    LISTED,
    OPERATORS,
    RuleField,
    default_value,
    fresh,
    partners,
    templates,
)
from streamlit_app.words import TABLE, t

_DEEPEST = 3
"""Groups within groups that the constructor opens; deeper ones are edited as JSON."""


class Editor:
    """A document being edited. `revision` grows when its structure changes, so that inputs are made anew."""

    def __init__(self, document: Json) -> None:
        self.document: Json = copy.deepcopy(document)
        self.revision = 0
        self._base: Json = copy.deepcopy(document)

    def replace(self, document: Json) -> None:
        """Go on with another document."""
        self.document = copy.deepcopy(document)
        self.revision += 1

    def follow(self, document: Json) -> None:
        """These rules are in force now: an editor without changes goes on with them."""
        if document != self._base:
            if self.document == self._base:
                self.replace(document)
            self._base = copy.deepcopy(document)

    def key(self, path: str, what: str) -> str:
        """The key of an input."""
        return f"rule_{self.revision}_{path}_{what}"

    def changed(self) -> None:
        """The structure changed."""
        self.revision += 1


def show(editor: Editor, parameters: list[Json], fields: dict[str, RuleField]) -> None:
    """The three parts of a document."""
    _Form(editor, parameters, fields).show()


class _Form:
    def __init__(self, editor: Editor, parameters: list[Json], fields: dict[str, RuleField]) -> None:
        self._editor = editor
        self._parameters = parameters
        self._fields = fields

    def show(self) -> None:
        document = self._editor.document
        for name in ("conditions", "weights", "task_weights"):
            if not isinstance(document.get(name, []), list):
                st.warning(t("rules.part_unreadable", part=name))
                return
        self._conditions(document)
        self._weights(document, "weights")
        self._weights(document, "task_weights")

    def _conditions(self, document: Json) -> None:
        st.subheader(t("rules.conditions"))
        st.caption(t("rules.conditions_text"))
        conditions = document.setdefault("conditions", [])
        if not conditions:
            st.info(t("rules.conditions_empty"), icon=":material/info:")
        for index, condition in enumerate(conditions):
            with st.container(border=True), self._as_typed():
                self._condition(condition, f"conditions.{index}", lambda i=index: conditions.pop(i), 0)
        self._adders(conditions, "conditions", 0, suggest=True)

    @contextmanager
    def _as_typed(self) -> Iterator[None]:
        """What was typed as JSON and no input can hold stays as it is; the check says what is wrong."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError):
            st.markdown(t("rules.only_json"))

    def _weights(self, document: Json, name: str) -> None:
        st.subheader(t(f"rules.{name}"))
        st.caption(t(f"rules.{name}_text"))
        weights = document.setdefault(name, [])
        for index, each in enumerate(weights):
            if not isinstance(each, dict) or not isinstance(each.get("condition"), dict):
                st.warning(t("rules.part_unreadable", part=f"{name}[{index}]"))
                continue
            with st.container(border=True), self._as_typed():
                path = f"{name}.{index}"
                self._number(each, "weight", path, t("rules.weight"))
                self._condition(each["condition"], path, lambda i=index: weights.pop(i), 0)
        self._button(
            t("rules.add_weight"), f"{name}.add",
            lambda: weights.append({"condition": fresh(self._fields), "weight": 2.0}),
        )  # fmt: skip

    def _adders(self, conditions: list[Json], path: str, depth: int, *, suggest: bool = False) -> None:
        with st.container(horizontal=True):
            self._button(t("rules.add"), f"{path}.add", lambda: conditions.append(fresh(self._fields)))
            if depth < _DEEPEST:
                self._button(
                    t("rules.add_group"), f"{path}.group",
                    lambda: conditions.append({"operator": "or", "conditions": [fresh(self._fields)]}),
                )  # fmt: skip
            suggestions = templates(self._parameters) if suggest else []
            if suggestions:
                with st.popover(t("rules.templates"), icon=":material/auto_awesome:"):
                    st.caption(t("rules.templates_text"))
                    for number, (name, condition) in enumerate(suggestions):
                        self._button(
                            name,
                            f"{path}.template{number}",
                            lambda one=condition: conditions.append(dict(one)),
                        )

    def _button(
        self, label: str, path: str, action: Callable[[], Any], *, icon: str = "add", kind: Any = "secondary"
    ) -> None:
        def act() -> None:
            action()
            self._editor.changed()

        key = self._editor.key(path, "button")
        st.button(label, key=key, icon=f":material/{icon}:", on_click=act, type=kind)

    def _condition(self, condition: Any, path: str, remove: Callable[[], Any], depth: int) -> None:
        operator = condition.get("operator") if isinstance(condition, dict) else None
        if (
            operator in ("and", "or")
            and isinstance(condition.get("conditions", []), list)
            and depth < _DEEPEST
        ):
            self._group(condition, path, remove, depth)
        elif operator == "not" and isinstance(condition.get("condition"), dict):
            self._negation(condition, path, remove, depth)
        elif isinstance(condition, dict) and self._is_comparison(condition):
            self._comparison(condition, path, remove, depth)
        else:
            st.markdown(t("rules.only_json"))
            self._button(t("common.delete"), f"{path}.delete", remove, icon="delete")

    def _is_comparison(self, condition: Json) -> bool:
        """Whether it is one that the inputs can hold: a field that is known and an operator with a name."""
        field, operator = condition.get("field"), condition.get("operator")
        known = isinstance(field, str) and field in self._fields
        return known and isinstance(operator, str) and f"rules.op.{operator}" in TABLE

    def _group(self, group: Json, path: str, remove: Callable[[], Any], depth: int) -> None:
        self._named(group)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            self._select(
                group,
                "operator",
                path,
                t("rules.group"),
                ["and", "or"],
                lambda each: t(f"rules.group.{each}"),
            )
            with st.popover("", icon=":material/more_horiz:", help=t("rules.more"), width="content"):
                self._name(group, path)
                self._changes(group, path, remove, depth)
        inner = group.setdefault("conditions", [])
        for index, each in enumerate(inner):
            with st.container(border=True):
                self._condition(each, f"{path}.{index}", lambda i=index: inner.pop(i), depth + 1)
        self._adders(inner, path, depth + 1)

    def _negation(self, negation: Json, path: str, remove: Callable[[], Any], depth: int) -> None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{t('rules.word.not').upper()}**", width="content")
            self._button(t("rules.affirm"), f"{path}.affirm", lambda: _affirm(negation), icon="undo")
        self._condition(negation["condition"], f"{path}.not", remove, depth)  # it stands no further in

    def _comparison(self, condition: Json, path: str, remove: Callable[[], Any], depth: int) -> None:
        one = self._fields[condition["field"]]
        self._named(condition)
        # Two rows: names of fields are long, and cut short they say nothing.
        field, operator, more = st.columns([5, 4, 1.6], gap="small")
        with field:
            self._select(
                condition, "field", path, t("rules.field"), list(self._fields),
                lambda each: self._fields[each].shown, after=self._field_changed,
            )  # fmt: skip
        with operator:
            operators = list(OPERATORS[one.type])
            if condition.get("operator") not in operators:
                operators.append(condition["operator"])
            self._select(
                condition, "operator", path, t("rules.operator"), operators, lambda each: t(f"rules.op.{each}"),
                after=self._operator_changed,
            )  # fmt: skip
        with more, st.popover("", icon=":material/more_horiz:", help=t("rules.more"), width="stretch"):
            self._name(condition, path)
            self._missing(condition, path)
            self._changes(condition, path, remove, depth)
        with st.container(horizontal=True, vertical_alignment="center"):
            self._value(condition, one, path)

    def _named(self, condition: Json) -> None:
        if condition.get("name"):
            st.markdown(f"**{plain(str(condition['name']))}**")

    def _changes(self, condition: Json, path: str, remove: Callable[[], Any], depth: int) -> None:
        """Menu of a condition or a group as a whole."""
        self._button(t("rules.negate"), f"{path}.negate", lambda: _negate(condition), icon="block")
        if depth + _height(condition) < _DEEPEST:
            self._button(t("rules.wrap"), f"{path}.wrap", lambda: _wrap(condition), icon="select_all")
        self._button(t("common.delete"), f"{path}.delete", remove, icon="delete")

    def _name(self, condition: Json, path: str) -> None:
        key = self._editor.key(path, "name")

        def rename() -> None:
            text = st.session_state[key].strip()
            condition.pop("name", None)
            if text:
                condition["name"] = text

        st.text_input(
            t("rules.name_of_rule"), value=condition.get("name", ""), key=key, on_change=rename,
            help=t("rules.name_help"),
        )  # fmt: skip

    def _missing(self, condition: Json, path: str) -> None:
        missing = self._editor.key(path, "missing")

        def pass_missing() -> None:
            condition.pop("on_missing", None)
            if st.session_state[missing]:
                condition["on_missing"] = "pass"

        st.checkbox(
            t("rules.on_missing"), value=condition.get("on_missing") == "pass", key=missing, on_change=pass_missing,
            help=t("rules.on_missing_help"),
        )  # fmt: skip

    def _value(self, condition: Json, one: RuleField, path: str) -> None:
        operator, value = condition["operator"], condition.get("value")
        if operator == "is_null":
            self._select(condition, "value", path, t("rules.value"), [True, False],
                         lambda each: t("rules.word.is_null" if each else "rules.word.is_given"))  # fmt: skip
            return
        others = partners(one, operator, self._fields)
        if isinstance(value, dict):
            paths = [each.path for each in others]
            if value.get("field") not in paths:
                paths.append(value.get("field", ""))
            self._select(value, "field", path + ".value", t("rules.other_field"), paths,
                         lambda each: self._fields[each].shown if each in self._fields else each)  # fmt: skip
        else:
            self._literal(condition, one, path)
        if others:
            other = "literal" if isinstance(value, dict) else "field"
            self._button(
                t(f"rules.source.{other}"), f"{path}.source",
                lambda: self._source_changed(condition, one, others, other), icon="sync_alt", kind="tertiary",
            )  # fmt: skip

    def _literal(self, condition: Json, one: RuleField, path: str) -> None:
        operator, value = condition["operator"], condition.get("value")
        key = self._editor.key(path, "value")
        if operator == "between":
            low, high = st.columns(2)
            pair = value if isinstance(value, list) and len(value) == 2 else default_value(one, operator)
            condition["value"] = pair
            for place, column in enumerate((low, high)):
                with column:
                    self._scalar(
                        pair, place, one, f"{path}.{place}", t("rules.low" if place == 0 else "rules.high")
                    )
        elif operator in LISTED:
            parameter = {
                "type": "list",
                "options": [],
                "required": False,
                "label_ru": "",
                "label_en": "",
                "key": "",
            }
            given = catalogue.ask(
                {**parameter, **one.parameter, "type": "list", "label_ru": t("rules.values"),
                 "label_en": t("rules.values"), "required": False},
                value if isinstance(value, list) else [], key=key, bare=True,
            )  # fmt: skip
            condition["value"] = [_typed(each, one.type) for each in given]
        else:
            self._scalar(condition, "value", one, path, t("rules.value"))

    def _scalar(self, holder: Any, name: Any, one: RuleField, path: str, label: str) -> None:
        """An input for one value of the field's type; a list field's members are what its options are."""
        kind = one.type
        options = one.parameter.get("options", [])
        if kind == "list":
            kind = "enum" if options else "string"
        form = {"type": kind, "options": options, "required": True, "label_ru": label, "label_en": label,
                "key": label, "minimum": None, "maximum": None}  # fmt: skip
        given = catalogue.ask(
            form, holder[name], key=self._editor.key(path, f"scalar{name}"), optional=False, bare=True
        )
        if given is not None:
            holder[name] = int(given) if isinstance(given, float) and given.is_integer() else given

    def _number(self, holder: Json, name: str, path: str, label: str) -> None:
        given = st.number_input(
            label, value=float(holder.get(name) or 1.0), min_value=0.01, max_value=1000.0, step=0.5, format="%g",
            key=self._editor.key(path, name), width=160,
        )  # fmt: skip
        if holder.get(name) != given:  # 3 stays 3 where nobody changed it
            holder[name] = int(given) if given.is_integer() else given

    def _select(
        self,
        holder: Json,
        name: str,
        path: str,
        label: str,
        options: list[Any],
        told: Callable[[Any], str],
        after: Callable[[Json], None] | None = None,
    ) -> None:
        key = self._editor.key(path, f"select_{name}")

        def change() -> None:
            holder[name] = st.session_state[key]
            if after is not None:
                after(holder)
                self._editor.changed()

        index = options.index(holder[name]) if holder.get(name) in options else 0
        st.selectbox(label, options, index=index, key=key, format_func=told, on_change=change,
                     label_visibility="collapsed")  # fmt: skip

    def _field_changed(self, condition: Json) -> None:
        one = self._fields[condition["field"]]
        if condition["operator"] not in OPERATORS[one.type]:
            condition["operator"] = OPERATORS[one.type][0]
        condition["value"] = default_value(one, condition["operator"])

    def _operator_changed(self, condition: Json) -> None:
        one = self._fields[condition["field"]]
        value = condition.get("value")
        fits = isinstance(value, dict) and value.get("field") in {
            each.path for each in partners(one, condition["operator"], self._fields)
        }
        if not fits and (
            isinstance(value, dict) or isinstance(value, list) != (condition["operator"] in LISTED)
        ):
            condition["value"] = default_value(one, condition["operator"])

    def _source_changed(self, condition: Json, one: RuleField, others: list[RuleField], source: str) -> None:
        other_side = [each for each in others if each.owner != one.owner] or others
        condition["value"] = (
            {"field": other_side[0].path} if source == "field" else default_value(one, condition["operator"])
        )


def _typed(value: Any, kind: str) -> Any:
    if kind == "number" and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _negate(condition: Json) -> None:
    """Put the condition under a not, in its place."""
    inner = dict(condition)
    condition.clear()
    condition |= {"operator": "not", "condition": inner}


def _wrap(condition: Json) -> None:
    """Put the condition into a group, in its place."""
    inner = dict(condition)
    condition.clear()
    condition |= {"operator": "or", "conditions": [inner]}


def _height(condition: Any) -> int:
    """How many groups stand in one another here; as JSON anything may have been typed."""
    if not isinstance(condition, dict):
        return 0
    inside = condition.get("conditions")
    deepest = max(map(_height, inside), default=0) if isinstance(inside, list) else 0
    return max(_height(condition.get("condition")), (condition.get("operator") in {"and", "or"}) + deepest)


def _affirm(negation: Json) -> None:
    """Take the not away."""
    inner = negation["condition"]
    negation.clear()
    negation |= inner
