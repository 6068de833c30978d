"""An explanation in words: messages, which the caller has in Russian or English.

`sentences` tells the whole decision, `because` why one executor did not receive the task. Names of people come
from the caller; an executor who is not among them is called by their id.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from app.engine.placement.decision_log import ROUTED
from app.engine.placement.explain import Because, Contender, Explanation, WhyNot
from app.engine.types import AssignmentKind, ExecutorId, Policy, WaitReason
from app.messages.message import Message, Template, as_is, decimal, say, tell

Names: TypeAlias = Mapping[ExecutorId, str]

_SHOWN = 3

_TEMPLATES = {
    "executor": Template("executor {id}"),
    "fair": Template(
        "{name} received the task: of {able} who could take it, {name} had received least"
        " since levels were last settled ({standing})."
    ),
    "fair_liked": Template(
        "{name} received the task: of {able} who could take it, {name} had the lowest score"
        " ({standing}), preferences counted."
    ),
    "best_match": Template(
        "{name} received the task: of {able} who could take it, {name} suits it best ({standing})."
    ),
    "round_robin": Template("{name} received the task: of {able} who could take it, it was {name}'s turn."),
    "longest_idle": Template(
        "{name} received the task: of {able} who could take it, {name} had been without work longest."
    ),
    "only": Template("{name} received the task: nobody else could take it ({standing})."),
    "parent": Template("{name} received the task because the parent task is theirs."),
    "rework": Template("{name} received the task again because they worked on it before."),
    "manual": Template("{name} received the task because a person decided so."),
    "reassign": Template("The task had been taken back before and was distributed anew."),
    "instead": Template("It was meant for somebody else, but {why}."),
    "standing": Template("level {level}"),
    "standing_q": Template("level {level} at qualification {qualification}"),
    "fair_held": Template(
        "{name} received the task: of {able} who could take it, {name} had received least since levels were"
        " last settled, counting by how much a forecast holds people back ({standing})."
    ),
    "fair_kept": Template(
        "{name} received the task: of {able} who could take it, {name} had received least since levels were"
        " last settled, counting by how much people are kept back for work that only few can take ({standing})."
    ),
    "held": Template("{standing}, held back by {held}"),
    "reserve": Template(
        "People are kept back for work that only few can take: going by the mix of today so far, some of those"
        " who could take this task will end the day with more than others, so the others come first."
    ),
    "forecast": Template(
        "A forecast of the rest of the day, from the same weekdays before, was in play: it expects {name} to"
        " come to {target} of routed work today, and holds back those who are to receive more than others from work"
        " that few can do."
    ),
    "level_is": Template(
        "A level is what somebody received since levels were last settled (a day began, somebody came or"
        " went), and what they were then ahead of those who are owed most; the lowest goes first."
    ),
    "terms": Template("Preferences that counted: {terms}."),
    "runners": Template("Next would have been: {runners}."),
    "tie": Template(
        "The scores of {names} were equal: then whoever can do fewer kinds of work goes first, and then the"
        " lower number."
    ),
    "considered": Template(
        "Eligible by the rules: {eligible}. Of these absent: {absent}, at their daily limit: {at_limit},"
        " with as many open tasks as allowed: {busy}."
    ),
    "excluded": Template("Excluded by rules: {rules}."),
    "wait": Template("The task waits: {reason}."),
    "no_one_eligible": Template("nobody in the pool passes the rules"),
    "nobody_on_shift": Template("none of those who pass the rules is at work now"),
    "too_heavy": Template("it weighs more than the whole daily limit of anyone who passes the rules"),
    "all_at_limit": Template("all who pass the rules and are at work have reached their daily limit"),
    "all_busy": Template("all who pass the rules and are at work have as many open tasks as allowed"),
    "offered_again_later": Template(
        "all who pass the rules declined it or had it taken from them a short while ago; after a"
        " pause it is offered to them again"
    ),
    "held_back": Template("it is kept for those who are about to come"),
    "paused": Template("the pool is paused: nothing is given out until it goes on"),
    "set_aside": Template(
        "deciding it ended the worker several times, so it was set aside; it is tried again in an hour"
    ),
    "chosen": Template("{name} received the task"),
    "bound": Template("the task was bound to somebody else"),
    "unknown": Template("{name} was not in the pool then"),
    "left": Template("{name} was no longer active"),
    "rule": Template("the rule “{rule}” does not hold for {name}"),
    "barred": Template("the task was declined by {name}, or taken from there, a short while ago"),
    "absent": Template("{name} was not at work (break, absence or outside working hours)"),
    "limit": Template("{name} had no room in the daily limit: {used} of {limit}"),
    "busy": Template("{name} had {open} open tasks of {max_open} allowed"),
    "preference": Template("the task suits {chosen} better ({chosen_preference} against {preference})"),
    "score": Template(
        "{name} had received more since levels were last settled: {standing}, score {score} against"
        " {chosen_score} of {chosen}"
    ),
    "score_later": Template(
        "the score of {name} was higher: {score} against {chosen_score} of {chosen} (work received and"
        " preferences together)"
    ),
    "score_held": Template(
        "the score of {name} was higher: {score} against {chosen_score} of {chosen} ({standing})"
    ),
    "score_turn": Template("{chosen} had been without a new task for longer"),
    "equal": Template(
        "the scores of {name} and {chosen} were equal; then whoever can do fewer kinds of work goes first,"
        " and then the lower number"
    ),
}

_PLAIN = {
    Because.CHOSEN: Template("you received the task"),
    Because.BOUND: Template("the task was bound to somebody else"),
    Because.UNKNOWN: Template("you were not in the pool then"),
    Because.LEFT: Template("you were no longer active"),
    Because.RULE: Template("the rule “{rule}” does not hold for you"),
    Because.BARRED: Template("the task had been taken from you before"),
    Because.ABSENT: Template("you were not at work (break, absence or outside working hours)"),
    Because.LIMIT: Template("you had no room in your daily limit"),
    Because.BUSY: Template("you had as many open tasks as allowed"),
}
_OTHERS_FIRST = Template("by the pool's policy others came first")


def sentences(explanation: Explanation, names: Names) -> list[Message]:
    """The whole explanation, the answer first, one sentence an item."""
    speaker = _Speaker(explanation, names)
    told = [speaker.waits() if explanation.record.executor_id is None else speaker.chosen()]
    return [
        *told,
        *speaker.history(),
        *speaker.terms(),
        *speaker.runners(),
        *speaker.levels(),
        *speaker.counts(),
    ]


def counted(explanation: Explanation) -> list[Message]:
    """The explanation in counts and reasons alone, for people who may not know who was compared."""
    speaker = _Speaker(explanation, {})
    waits = [speaker.waits()] if explanation.record.executor_id is None else []
    return [*waits, *speaker.counts()]


def plain_reason(why: WhyNot) -> Message:
    """Why somebody did not receive the task, without names and levels."""
    return tell(_PLAIN.get(why.because, _OTHERS_FIRST), rule=why.rule or "")


def because(explanation: Explanation, executor_id: ExecutorId, names: Names) -> Message:
    """Why this executor did not receive the task: a clause without a full stop."""
    return _Speaker(explanation, names).because(explanation.why_not(executor_id))


def reason_to_wait(reason: WaitReason) -> Message:
    """Why a task waits: a clause without a full stop."""
    return tell(_TEMPLATES[reason.value])


class _Speaker:
    """One explanation."""

    def __init__(self, explanation: Explanation, names: Names) -> None:
        self._told = explanation
        self._names = names

    def _say(self, template: str, **values: Any) -> Message:
        return tell(_TEMPLATES[template], **values)

    def _name(self, executor_id: ExecutorId) -> Message:
        name = self._names.get(executor_id)
        return as_is(name) if name else self._say("executor", id=executor_id)

    def _number(self, value: float) -> Message:
        """Up to three decimals, without trailing zeros."""
        text = f"{value:.3f}".rstrip("0").rstrip(".")
        return decimal(text if text not in {"", "-0"} else "0")

    def _standing(self, one: Contender) -> Message:
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

    def chosen(self) -> Message:
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

    def waits(self) -> Message:
        reason = self._told.record.reason or WaitReason.NO_ONE_ELIGIBLE
        return self._say("wait", reason=reason_to_wait(reason))

    def history(self) -> list[Message]:
        """That it was taken back before, or could not go where it should."""
        record = self._told.record
        told = [self._say("reassign")] if record.kind is AssignmentKind.REASSIGN else []
        if record.instead_of is None:
            return told
        why = self.because(self._told.why_not(record.instead_of))
        return [*told, self._say("instead", why=why)]

    def terms(self) -> list[Message]:
        chosen = self._told.chosen
        if chosen is None or not chosen.terms or self._told.policy not in (Policy.FAIR, Policy.BEST_MATCH):
            return []
        listed = [
            say("{label} ×{weight}", label=label, weight=self._number(weight))
            for label, weight in chosen.terms
        ]
        return [self._say("terms", terms=listed)]

    def runners(self) -> list[Message]:
        told = self._told
        nexts = told.runners_up(_SHOWN)
        if told.record.kind is None or told.record.kind not in ROUTED or not nexts:
            return []
        listed = [
            say("{name} ({standing})", name=self._name(one.executor_id), standing=self._standing(one))
            for one in nexts
        ]
        ties = [one for one in nexts if told.why_not(one.executor_id).because is Because.TIE]
        said = [self._say("runners", runners=listed)]
        if ties and told.record.executor_id is not None:
            equal = [told.record.executor_id, *(one.executor_id for one in ties)]
            said.append(self._say("tie", names=[self._name(each) for each in equal]))
        return said

    def levels(self) -> list[Message]:
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

    def counts(self) -> list[Message]:
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
            listed = [f"{rule}: {count}" for rule, count in told.excluded.items()]
            said.append(self._say("excluded", rules=listed))
        return said

    def because(self, why: WhyNot) -> Message:
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

    def _compared(self, why: WhyNot, one: Contender, chosen: Contender) -> Message:
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
