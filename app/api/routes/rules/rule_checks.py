"""Rules before they are saved, and while they work: checked, looked at with real people and work, tried out."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from app.api.deps import DirectoryDep, LanguageDep, NowDep, SessionDep
from app.api.problems import problems
from app.api.strict import RuleRoute
from app.engine.types import PoolId, Task, TaskId
from app.messages.catalogue import Language, all_told
from app.schemas.common import Identifier
from app.schemas.rule_document import document_schema
from app.schemas.rules import (
    ActiveVerdict,
    FunnelOut,
    RulesFunnelIn,
    RulesFunnelOut,
    RulesIn,
    RulesTemplates,
    RulesTrial,
    RulesTrialIn,
    RulesVerdict,
    TriedExecutorOut,
)
from app.schemas.tasks import TaskIn
from app.services.rules import rule_checks
from app.services.rules.rule_checks import RuleVerdict
from app.services.rules.rule_templates import TEMPLATES, in_language

router = APIRouter(prefix="/v1/rules", tags=["rules"], route_class=RuleRoute)

MOST_CANDIDATES = 500


@router.get("/schema")
async def get_rules_schema() -> dict[str, Any]:
    """The JSON Schema of a rule document, for editors."""
    return document_schema()


@router.get("/templates", responses=problems(422))
async def list_rules_templates(
    lang: Annotated[Literal["ru", "en"], Query(description="Of the names of conditions and tests.")] = "en",
) -> RulesTemplates:
    """Starter rule sets of four domains, each a file for POST /v1/rules/import."""
    return RulesTemplates.model_validate({"items": in_language(TEMPLATES, lang)})


@router.get("/lint", responses=problems(404, 422))
async def lint_rules(
    session: SessionDep,
    directory: DirectoryDep,
    now: NowDep,
    language: LanguageDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
) -> ActiveVerdict:
    """The active rules on the live stream: what excludes everyone, which tasks found no one, what nobody fills."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    rule_set_id, verdict = await rule_checks.lint_active(session, pool_id=pool.id, now=now)
    return ActiveVerdict.model_validate({**_verdict(verdict, language), "rule_set_id": rule_set_id})


@router.post("/validate", responses=problems(404, 413, 422))
async def validate_rules(
    body: RulesIn, session: SessionDep, directory: DirectoryDep, now: NowDep, language: LanguageDep
) -> RulesVerdict:
    """Check a document without saving it, run its tests, and look at it with the pool's people and recent tasks."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    verdict = await rule_checks.judge(session, pool_id=pool.id, document=body.rules, now=now)
    return RulesVerdict.model_validate(_verdict(verdict, language))


@router.post("/preview", responses=problems(404, 413, 422))
async def preview_rules(body: RulesTrialIn, session: SessionDep, directory: DirectoryDep) -> RulesTrial:
    """Who could take this task under a document that need not be saved; availability and limits do not count here."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    candidates, funnel = await rule_checks.who_could(
        session, pool_id=pool.id, document=body.rules, task=_task(body.task)
    )
    return RulesTrial(
        funnel=FunnelOut.model_validate(asdict(funnel)),
        candidates=[TriedExecutorOut.model_validate(asdict(each)) for each in candidates[:MOST_CANDIDATES]],
    )


@router.post("/funnel", responses=problems(404, 413, 422))
async def get_rules_funnel(
    body: RulesFunnelIn, session: SessionDep, directory: DirectoryDep, now: NowDep
) -> RulesFunnelOut:
    """How many executors each condition excludes: for one task, or over the pool's recent ones."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    if body.task is not None:
        _, funnel = await rule_checks.who_could(
            session, pool_id=pool.id, document=body.rules, task=_task(body.task)
        )
        return RulesFunnelOut.model_validate({"task": asdict(funnel)})
    recent, classes = await rule_checks.recent_funnel(session, pool_id=pool.id, document=body.rules, now=now)
    return RulesFunnelOut.model_validate(
        {"recent": {**asdict(recent), "classes": [asdict(each) for each in classes]}}
    )


def _verdict(verdict: RuleVerdict, language: Language) -> dict[str, Any]:
    told = all_told(asdict(verdict), language)
    return {
        "valid": not verdict.faults,
        "errors": told["faults"],
        "failed_tests": told["surprises"],
        "warnings": told["findings"],
        **{name: told[name] for name in ("executors", "tasks", "tasks_without_anyone", "classes")},
    }


def _task(given: TaskIn) -> Task:
    return Task(
        id=TaskId(0),
        parameters=given.parameters,
        external_id=given.external_id or "",
        weight=given.weight,
        priority=given.priority,
        deadline=given.deadline,
    )
