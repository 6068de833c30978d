"""An explanation in words, Russian and English, from templates.

`sentences` tells the whole decision, `because` why one executor did not receive the task. Names of people come
from the caller; an executor who is not among them is called by their id.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from app.engine.placement.decision_log import ROUTED
from app.engine.placement.explain import Because, Candidate, Explanation, WhyNot
from app.engine.types import AssignmentKind, ExecutorId, Policy, WaitReason

Language: TypeAlias = Literal["ru", "en"]
Names: TypeAlias = Mapping[ExecutorId, str]

_SHOWN = 3

_EN = {
    "executor": "executor {id}",
    "fair": "{name} received the task: of {able} who could take it, {name} had received least"
    " since levels were last settled ({standing}).",
    "fair_liked": "{name} received the task: of {able} who could take it, {name} had the lowest score"
    " ({standing}), preferences counted.",
    "best_match": "{name} received the task: of {able} who could take it, {name} suits it best ({standing}).",
    "round_robin": "{name} received the task: of {able} who could take it, it was {name}'s turn.",
    "longest_idle": "{name} received the task: of {able} who could take it, {name} had been without work longest.",
    "only": "{name} received the task: nobody else could take it ({standing}).",
    "parent": "{name} received the task because the parent task is theirs.",
    "rework": "{name} received the task again because they worked on it before.",
    "manual": "{name} received the task because a person decided so.",
    "reassign": "The task had been taken back before and was distributed anew.",
    "instead": "It was meant for somebody else, but {why}.",
    "standing": "level {level}",
    "standing_q": "level {level} at qualification {qualification}",
    "fair_held": "{name} received the task: of {able} who could take it, {name} had received least since levels were"
    " last settled, counting by how much a forecast holds people back ({standing}).",
    "fair_kept": "{name} received the task: of {able} who could take it, {name} had received least since levels were"
    " last settled, counting by how much people are kept back for work that only few can take ({standing}).",
    "held": "{standing}, held back by {held}",
    "reserve": "People are kept back for work that only few can take: going by the mix of today so far, some of those"
    " who could take this task will end the day with more than others, so the others come first.",
    "forecast": "A forecast of the rest of the day, from the same weekdays before, was in play: it expects {name} to"
    " come to {target} of routed work today, and holds back those who are to receive more than others from work that"
    " few can do.",
    "level_is": "A level is what somebody received since levels were last settled (a day began, somebody came or"
    " went), and what they were then ahead of those who are owed most; the lowest goes first.",
    "terms": "Preferences that counted: {terms}.",
    "runners": "Next would have been: {runners}.",
    "tie": "The scores of {names} were equal: then whoever can do fewer kinds of work goes first, and then the"
    " lower number.",
    "considered": "Eligible by the rules: {eligible}. Of these absent: {absent}, at their daily limit: {at_limit},"
    " with as many open tasks as allowed: {busy}.",
    "excluded": "Excluded by rules: {rules}.",
    "wait": "The task waits: {reason}.",
    "no_one_eligible": "nobody in the pool passes the rules",
    "nobody_on_shift": "none of those who pass the rules is at work now",
    "too_heavy": "it weighs more than the whole daily limit of anyone who passes the rules",
    "all_at_limit": "all who pass the rules and are at work have reached their daily limit",
    "all_busy": "all who pass the rules and are at work have as many open tasks as allowed",
    "offered_again_later": "all who pass the rules declined it or had it taken from them a short while ago; after a"
    " pause it is offered to them again",
    "held_back": "it is kept for those who are about to come",
    "paused": "the pool is paused: nothing is given out until it goes on",
    "set_aside": "deciding it ended the worker several times, so it was set aside; it is tried again in an hour",
    "chosen": "{name} received the task",
    "bound": "the task was bound to somebody else",
    "unknown": "{name} was not in the pool then",
    "left": "{name} was no longer active",
    "rule": "the rule “{rule}” does not hold for {name}",
    "barred": "the task was declined by {name}, or taken from there, a short while ago",
    "absent": "{name} was not at work (break, absence or outside working hours)",
    "limit": "{name} had no room in the daily limit: {used} of {limit}",
    "busy": "{name} had {open} open tasks of {max_open} allowed",
    "preference": "the task suits {chosen} better ({chosen_preference} against {preference})",
    "score": "{name} had received more since levels were last settled: {standing}, score {score} against"
    " {chosen_score} of {chosen}",
    "score_later": "the score of {name} was higher: {score} against {chosen_score} of {chosen} (work received and"
    " preferences together)",
    "score_held": "the score of {name} was higher: {score} against {chosen_score} of {chosen} ({standing})",
    "score_turn": "{chosen} had been without a new task for longer",
    "equal": "the scores of {name} and {chosen} were equal; then whoever can do fewer kinds of work goes first,"
    " and then the lower number",
}

_RU = {
    "executor": "исполнитель {id}",
    "fair": "Заявку получает {name}: из тех, кто мог её взять ({able}), меньше всего работы с последнего"
    " сведения счётов получено здесь ({standing}).",
    "fair_liked": "Заявку получает {name}: из тех, кто мог её взять ({able}), с учётом предпочтений оценка здесь"
    " наименьшая ({standing}).",
    "best_match": "Заявку получает {name}: из тех, кто мог её взять ({able}), подходит лучше всего ({standing}).",
    "round_robin": "Заявку получает {name}: из тех, кто мог её взять ({able}), подошла очередь.",
    "longest_idle": "Заявку получает {name}: из тех, кто мог её взять ({able}), дольше всего без работы.",
    "only": "Заявку получает {name}: больше взять её было некому ({standing}).",
    "parent": "Заявку получает {name}: здесь же родительская заявка.",
    "rework": "Заявка возвращается к прежнему исполнителю: {name}.",
    "manual": "Заявку получает {name}: так решил человек.",
    "reassign": "Раньше заявку уже снимали, она распределена заново.",
    "instead": "Заявка предназначалась другому исполнителю. {why}.",
    "standing": "уровень {level}",
    "standing_q": "уровень {level} при квалификации {qualification}",
    "fair_held": "Заявку получает {name}: из тех, кто мог её взять ({able}), меньше всего работы с последнего сведения"
    " счётов получено здесь, с учётом того, кого придерживает прогноз ({standing}).",
    "fair_kept": "Заявку получает {name}: из тех, кто мог её взять ({able}), меньше всего работы с последнего сведения"
    " счётов получено здесь, с учётом того, кого придерживают для работы, которую умеют немногие ({standing}).",
    "held": "{standing}, придержано на {held}",
    "reserve": "Людей придерживают для работы, которую умеют немногие: судя по тому, какие заявки приходят сегодня, у"
    " некоторых из тех, кто мог взять эту заявку, к концу дня выйдет больше, чем у других, поэтому другие идут раньше.",
    "forecast": "Учтён прогноз остатка дня по тем же дням недели раньше: {name} по нему получит за день {target};"
    " прогноз придерживает тех, кому ещё достанется больше других из работы, которую умеют немногие.",
    "level_is": "Уровень: сколько работы получено с последнего сведения счётов (начался день, кто-то пришёл или ушёл) и"
    " насколько человек тогда опережал того, кому должны больше всех; первым идёт тот, у кого он меньше.",
    "terms": "Учтены предпочтения: {terms}.",
    "runners": "Следующие по очереди: {runners}.",
    "tie": "Оценки равны ({names}): тогда первым идёт тот, кто умеет меньше видов работ, затем меньший номер.",
    "considered": "Подходят по правилам: {eligible}. Из них отсутствуют: {absent}, исчерпали дневной лимит:"
    " {at_limit}, заняты предельным числом открытых заявок: {busy}.",
    "excluded": "Не прошли по правилам: {rules}.",
    "wait": "Заявка ждёт: {reason}.",
    "no_one_eligible": "по правилам не подходит никто из пула",
    "nobody_on_shift": "из подходящих по правилам сейчас никто не работает",
    "too_heavy": "её вес больше всего дневного лимита любого из подходящих по правилам",
    "all_at_limit": "все подходящие, кто сейчас работает, исчерпали дневной лимит",
    "all_busy": "у всех подходящих, кто сейчас работает, предельное число открытых заявок",
    "offered_again_later": "все подходящие по правилам недавно от неё отказались или с них её сняли; после паузы её"
    " предложат им снова",
    "held_back": "её придерживают для тех, кто вот-вот придёт",
    "paused": "пул на паузе: до её конца ничего не раздаётся",
    "set_aside": "решение по ней несколько раз обрывало процесс, она отложена на час",
    "chosen": "заявку получает {name}",
    "bound": "заявка была закреплена за другим исполнителем",
    "unknown": "{name}: тогда в пуле не было",
    "left": "{name}: уже не работает в пуле",
    "rule": "{name}: не выполнено правило «{rule}»",
    "barred": "{name}: недавно был отказ от этой заявки, или её отсюда сняли",
    "absent": "{name}: не на работе (перерыв, отсутствие или нерабочее время)",
    "limit": "{name}: нет места в дневном лимите, занято {used} из {limit}",
    "busy": "{name}: открытых заявок {open} из разрешённых {max_open}",
    "preference": "заявке лучше подходит {chosen} ({chosen_preference} против {preference})",
    "score": "{name}: с последнего сведения счётов работы получено больше, {standing}, оценка {score} против"
    " {chosen_score} ({chosen})",
    "score_later": "{name}: оценка выше, {score} против {chosen_score} ({chosen}): полученная работа и предпочтения"
    " вместе",
    "score_held": "{name}: оценка выше, {score} против {chosen_score} ({chosen}); {standing}",
    "score_turn": "дольше без новой заявки: {chosen}",
    "equal": "оценки равны ({name} и {chosen}); тогда первым идёт тот, кто умеет меньше видов работ, затем меньший"
    " номер",
}

_PLAIN: Mapping[Language, Mapping[Because, str]] = {
    "en": {
        Because.CHOSEN: "you received the task",
        Because.BOUND: "the task was bound to somebody else",
        Because.UNKNOWN: "you were not in the pool then",
        Because.LEFT: "you were no longer active",
        Because.RULE: "the rule “{rule}” does not hold for you",
        Because.BARRED: "the task had been taken from you before",
        Because.ABSENT: "you were not at work (break, absence or outside working hours)",
        Because.LIMIT: "you had no room in your daily limit",
        Because.BUSY: "you had as many open tasks as allowed",
    },
    "ru": {
        Because.CHOSEN: "заявку получили вы",
        Because.BOUND: "заявка была закреплена за другим исполнителем",
        Because.UNKNOWN: "вас тогда не было в пуле",
        Because.LEFT: "вы уже не были активны",
        Because.RULE: "правило «{rule}» для вас не выполнено",
        Because.BARRED: "раньше эту заявку у вас уже снимали",
        Because.ABSENT: "вас не было на работе (перерыв, отсутствие или нерабочее время)",
        Because.LIMIT: "в вашем дневном лимите не было места",
        Because.BUSY: "у вас было предельное число открытых заявок",
    },
}
_OTHERS_FIRST = {"en": "by the pool's policy others came first", "ru": "по политике пула раньше шли другие"}

TEXTS: Mapping[Language, Mapping[str, str]] = {"ru": _RU, "en": _EN}


def sentences(explanation: Explanation, language: Language, names: Names) -> list[str]:
    """The whole explanation, the answer first, one sentence an item."""
    speaker = _Speaker(explanation, language, names)
    told = [speaker.waits() if explanation.record.executor_id is None else speaker.chosen()]
    return [
        *told,
        *speaker.history(),
        *speaker.terms(),
        *speaker.runners(),
        *speaker.levels(),
        *speaker.counts(),
    ]


def counted(explanation: Explanation, language: Language) -> list[str]:
    """The explanation in counts and reasons alone, for people who may not know who was compared."""
    speaker = _Speaker(explanation, language, {})
    waits = [speaker.waits()] if explanation.record.executor_id is None else []
    return [*waits, *speaker.counts()]


def plain_reason(why: WhyNot, language: Language) -> str:
    """Why somebody did not receive the task, without names and levels."""
    return _PLAIN[language].get(why.because, _OTHERS_FIRST[language]).format(rule=why.rule or "")


def because(explanation: Explanation, executor_id: ExecutorId, language: Language, names: Names) -> str:
    """Why this executor did not receive the task: a clause without a full stop."""
    return _Speaker(explanation, language, names).because(explanation.why_not(executor_id))


class _Speaker:
    """One explanation in one language."""

    def __init__(self, explanation: Explanation, language: Language, names: Names) -> None:
        self._told = explanation
        self._texts = TEXTS[language]
        self._names = names
        self._comma = "," if language == "ru" else "."

    def _say(self, template: str, **values: str | int) -> str:
        return self._texts[template].format(**values)

    def _name(self, executor_id: ExecutorId) -> str:
        return self._names.get(executor_id) or self._say("executor", id=executor_id)

    def _number(self, value: float) -> str:
        """Up to three decimals, without trailing zeros, with the language's comma."""
        text = f"{value:.3f}".rstrip("0").rstrip(".")
        return (text if text not in {"", "-0"} else "0").replace(".", self._comma)

    def _standing(self, one: Candidate) -> str:
        level = self._number(one.level)
        if one.qualification == 1.0:
            standing = self._say("standing", level=level)
        else:
            standing = self._say("standing_q", level=level, qualification=self._number(one.qualification))
        return standing if not one.held else self._say("held", standing=standing, held=self._number(one.held))

    @property
    def _forecast(self) -> bool:
        return any(one.target is not None for one in self._told.ranking)

    @property
    def _reserve(self) -> bool:
        """Whether the mix of the day told anybody apart here, and not a forecast."""
        held = {one.held for one in self._told.ranking}
        return len(held) > 1 and not self._forecast

    def chosen(self) -> str:
        told, record = self._told, self._told.record
        chosen = told.chosen
        if record.executor_id is None:
            return self.waits()
        name = self._name(record.executor_id)
        if record.kind is None or record.kind not in ROUTED or chosen is None:
            return self._say((record.kind or AssignmentKind.MANUAL).value, name=name)
        template = told.policy.value if len(told.ranking) > 1 else "only"
        if template == "fair" and any(one.terms for one in told.ranking):
            template = "fair_liked"
        elif template == "fair" and self._forecast:
            template = "fair_held"
        elif template == "fair" and self._reserve:
            template = "fair_kept"
        return self._say(template, name=name, able=len(told.ranking), standing=self._standing(chosen))

    def waits(self) -> str:
        reason = self._told.record.reason or WaitReason.NO_ONE_ELIGIBLE
        return self._say("wait", reason=self._say(reason.value))

    def history(self) -> list[str]:
        """That it was taken back before, or could not go where it should."""
        record = self._told.record
        told = [self._say("reassign")] if record.kind is AssignmentKind.REASSIGN else []
        if record.instead_of is None:
            return told
        why = self.because(self._told.why_not(record.instead_of))
        return [*told, self._say("instead", why=why)]

    def terms(self) -> list[str]:
        chosen = self._told.chosen
        if chosen is None or not chosen.terms or self._told.policy not in (Policy.FAIR, Policy.BEST_MATCH):
            return []
        listed = ", ".join(f"{label} ×{self._number(weight)}" for label, weight in chosen.terms)
        return [self._say("terms", terms=listed)]

    def runners(self) -> list[str]:
        told = self._told
        nexts = told.runners_up(_SHOWN)
        if told.record.kind is None or told.record.kind not in ROUTED or not nexts:
            return []
        listed = ", ".join(f"{self._name(one.executor_id)} ({self._standing(one)})" for one in nexts)
        ties = [one for one in nexts if told.why_not(one.executor_id).because is Because.TIE]
        said = [self._say("runners", runners=listed)]
        if ties and told.record.executor_id is not None:
            equal = [told.record.executor_id, *(one.executor_id for one in ties)]
            said.append(self._say("tie", names=", ".join(map(self._name, equal))))
        return said

    def levels(self) -> list[str]:
        """The sentence that says what a level is, where levels were compared."""
        levelled = self._told.policy in (Policy.FAIR, Policy.BEST_MATCH)
        said = [self._say("level_is")] if levelled and self.runners() else []
        chosen = self._told.chosen
        if self._forecast and chosen is not None and chosen.target is not None:
            name, target = self._name(chosen.executor_id), self._number(chosen.target)
            said.append(self._say("forecast", name=name, target=target))
        if self._reserve and chosen is not None:
            said.append(self._say("reserve"))
        return said

    def counts(self) -> list[str]:
        told = self._told
        said = [
            self._say(
                "considered",
                eligible=told.eligible,
                absent=told.absent,
                at_limit=told.at_limit,
                busy=told.busy,
            )
        ]
        if told.excluded:
            listed = ", ".join(f"{rule}: {count}" for rule, count in told.excluded.items())
            said.append(self._say("excluded", rules=listed))
        return said

    def because(self, why: WhyNot) -> str:
        """One reason as a clause."""
        name, chosen = self._name(why.executor_id), self._told.chosen
        if why.candidate is not None and chosen is not None and why.because is not Because.BOUND:
            return self._compared(why, why.candidate, chosen)
        return self._say(
            why.because.value,
            name=name,
            rule=why.rule or "",
            used=self._number(why.used or 0.0),
            limit=self._number(why.limit or 0.0),
            open=why.open or 0,
            max_open=why.max_open or 0,
        )

    def _compared(self, why: WhyNot, one: Candidate, chosen: Candidate) -> str:
        template = {Because.TIE: "equal"}.get(why.because, why.because.value)
        if template == "score" and self._told.policy in (Policy.ROUND_ROBIN, Policy.LONGEST_IDLE):
            template = "score_turn"
        elif template == "score" and (self._forecast or self._reserve):
            template = "score_held"
        elif template == "score" and one.level / one.qualification <= chosen.level / chosen.qualification:
            template = "score_later"
        return self._say(
            template,
            name=self._name(one.executor_id),
            chosen=self._name(chosen.executor_id),
            standing=self._standing(one),
            score=self._number(one.score),
            chosen_score=self._number(chosen.score),
            preference=self._number(one.preference),
            chosen_preference=self._number(chosen.preference),
        )
