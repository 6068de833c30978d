"""Why a task was, or would be, decided as it is."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.access.roles import Caller
from app.api.deps import CallerDep, DatabaseDep, DirectoryDep, PreviewerDep, SessionDep
from app.api.problems import problems
from app.api.routes.work.tasks import new_task
from app.api.strict import StrictRoute
from app.engine.placement.explain import Contender, Explanation
from app.engine.placement.words import because, counted, plain_reason, sentences
from app.engine.types import AssignmentKind, ExecutorId, PoolId, Task, TaskId
from app.errors import Forbidden
from app.messages.message import say
from app.schemas.common import Identifier
from app.schemas.explanations import ContenderOut, ExplanationOut, Term, WhyNotOut, in_both
from app.schemas.tasks import TaskIn
from app.services.tasks.explanations import Explained, explain_task, parents_executor

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=StrictRoute)

WhyNotParam = Annotated[Identifier | None, Query(description="Ask about this executor: why not them?")]


@router.post("/preview", responses=problems(404, 422))
async def preview_task(
    body: TaskIn,
    directory: DirectoryDep,
    previewer: PreviewerDep,
    database: DatabaseDep,
    executor_id: WhyNotParam = None,
) -> ExplanationOut:
    """Who would get this task now, and why; changes nothing."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    new, _ = new_task(pool, body, None)
    forced = None if new.parent_id is None else await parents_executor(database.hot, pool.id, new.parent_id)
    task = Task(
        id=TaskId(0),
        parameters=new.parameters,
        external_id=new.external_id or "",
        weight=new.weight,
        priority=new.priority,
        deadline=new.deadline,
        forced_executor=forced,
        forced_kind=AssignmentKind.PARENT if forced else None,
    )
    preview = await previewer.preview(pool.id, task)
    return explanation_out(preview.explained, executor_id)


@router.get("/{task_id}/explanation", responses=problems(404, 409, 422))
async def get_explanation(
    task_id: Annotated[Identifier, Path(description="The task's id.")],
    session: SessionDep,
    caller: CallerDep,
    executor_id: WhyNotParam = None,
) -> ExplanationOut:
    """Why the task went to whom it went, or why it waits; computed from what was stored then.

    An executor is told counts and reasons: no colleague, no level, no qualification.
    """
    explained = await explain_task(session, task_id=TaskId(task_id))
    if not caller.sees(explained.pool_id):
        raise Forbidden(say("This was decided in another pool: why is told to the people of that pool."))
    if caller.own_work_only:
        return _counts_out(explained, executor_id, caller)
    return explanation_out(explained, executor_id)


def explanation_out(explained: Explained, asked: int | None) -> ExplanationOut:
    """The API's form of an explanation."""
    explanation, names = explained.explanation, explained.names
    record = explanation.record
    chosen = explanation.chosen
    return ExplanationOut(
        outcome="waiting" if record.executor_id is None else "assigned",
        policy=explanation.policy,
        kind=record.kind,
        wait_reason=record.reason,
        weight=record.weight,
        executor_id=record.executor_id,
        chosen=None if chosen is None else _candidate(chosen, explained),
        runners_up=[_candidate(one, explained) for one in explanation.runners_up()],
        eligible=explanation.eligible,
        absent=explanation.absent,
        at_limit=explanation.at_limit,
        busy=explanation.busy,
        excluded=dict(explanation.excluded),
        text=in_both(*sentences(explanation, names)),
        why_not=None if asked is None else _why_not(explained, ExecutorId(asked)),
    )


def _counts_out(explained: Explained, asked: int | None, caller: Caller) -> ExplanationOut:
    """The explanation as an executor sees it. Raises Forbidden where they ask about somebody else."""
    if asked not in (None, caller.executor_id):
        raise Forbidden(say("executor_id: ask about yourself only."))
    whole = explanation_out(explained, None)
    explanation = explained.explanation
    own = whole.executor_id == caller.executor_id
    text = in_both(*counted(explanation))
    return whole.model_copy(
        update={
            "executor_id": whole.executor_id if own else None,
            "chosen": None,
            "runners_up": [],
            "text": text,
            "why_not": None if asked is None else _plain_why_not(explanation, ExecutorId(asked)),
        }
    )


def _plain_why_not(explanation: Explanation, asked: ExecutorId) -> WhyNotOut:
    reason = explanation.why_not(asked)
    text = in_both(plain_reason(reason))
    return WhyNotOut(executor_id=asked, because=reason.because, rule=reason.rule, text=text)


def _why_not(explained: Explained, asked: ExecutorId) -> WhyNotOut:
    explanation, names = explained.explanation, explained.names
    reason = explanation.why_not(asked)
    return WhyNotOut(
        executor_id=asked,
        because=reason.because,
        rule=reason.rule,
        text=in_both(because(explanation, asked, names)),
    )


def _candidate(one: Contender, explained: Explained) -> ContenderOut:
    return ContenderOut(
        executor_id=one.executor_id,
        name=explained.names.get(one.executor_id, ""),
        level=one.level,
        qualification=one.qualification,
        score=one.score,
        preference=one.preference,
        terms=[Term(name=name, weight=weight) for name, weight in one.terms],
        open=one.open,
        used=one.used,
        held=one.held,
        target=one.target,
    )
