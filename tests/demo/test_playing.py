"""Work played over HTTP: all of it arrives once, goes to whom the rules allow, and is accounted for."""

import httpx
import pytest

from app.config import Settings
from app.database import Database
from app.demo.domains import DOMAINS, Domain, generate
from app.demo.log_scenario import scenario_of
from app.demo.player import DemoError, PlayedScenario, Player, Progress, SendingPace
from app.demo.report import gap_in_log, summary
from app.demo.scenario import Scenario
from app.eventlog import read_event_log
from app.services.audit.invariants import find_violations
from tests.api.conftest import serving
from tests.demo.logs import DOERS, real_log, write_log

WHO_DID_WHAT = """
SELECT person.name, task.parameters ->> 'activity' AS activity
FROM assignments one JOIN executors person ON person.id = one.executor_id JOIN tasks task ON task.id = one.task_id
"""


async def play(
    address: str, scenario: Scenario, pace: SendingPace | None = None
) -> tuple[PlayedScenario, list[Progress]]:
    told: list[Progress] = []
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        played = await Player(client).play(scenario, pace or SendingPace(), told.append)
    return played, told


async def hold_all(database: Database) -> None:
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


async def test_log_goes_to_those_who_have_ever_done_the_activity(stage, database, tmp_path) -> None:
    log = read_event_log(write_log(tmp_path / "log.csv", 210))
    _, told = await play(stage, scenario_of(log, tmp_path / "log.csv", "log"), SendingPace(batch=50))
    assert (told[-1].sent, told[-1].assigned, told[-1].waiting) == (210, 210, 0)
    async with database.hot.acquire() as connection:
        rows = await connection.fetch(WHO_DID_WHAT)
    assert len(rows) == 210
    assert [row for row in rows if row["name"] not in DOERS[row["activity"]]] == []
    await hold_all(database)


async def test_log_is_spread_more_evenly_than_it_really_was(stage, tmp_path) -> None:
    log = read_event_log(write_log(tmp_path / "log.csv", 210))
    played, _ = await play(stage, scenario_of(log, tmp_path / "log.csv", "log"))
    figures = summary(played)
    assert figures["fairness_gap"] < 0.1 < figures["fairness_gap_in_log"]
    assert sum(figures["load"].values()) == 210
    assert figures["tasks_per_second"] > 0
    assert 0 < figures["latency_p50_seconds"] <= figures["latency_p99_seconds"]


@pytest.mark.slow
@pytest.mark.skipif(real_log() is None, reason="the log of real work is not beside the project")
async def test_the_log_of_real_work_streams_to_its_people(stage, database) -> None:
    path = real_log()
    assert path is not None
    log = read_event_log(path)
    played, told = await play(stage, scenario_of(log, path, "receipt"))
    assert (len(log.items), told[-1].assigned, len(played.scenario.executors)) == (8577, 8577, 48)
    doers = log.doers()
    async with database.hot.acquire() as connection:
        rows = await connection.fetch(WHO_DID_WHAT)
    assert sum(row["name"] in doers[row["activity"]] for row in rows) == 8577
    assert played.fairness["fairness_gap"] < 0.01 < (gap_in_log(played) or 0)
    await hold_all(database)


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
async def test_every_domain_plays_to_its_end(stage, database, domain: Domain) -> None:
    scenario = generate(domain, code=domain.code, people=15, tasks=60, seed=3)
    owners = [parameter["owner"] for parameter in scenario.parameters]
    assert owners.count("executor") > 20
    assert owners.count("task") > 15
    assert len({person["name"] for person in scenario.executors}) == 15
    played, _ = await play(stage, scenario)
    assert (len(played.latencies), played.waiting) == (60, {})
    assert played.example is not None
    assert played.example["text"]["ru"]
    assert played.example["text"]["en"]
    await hold_all(database)


def test_the_same_seed_makes_the_same_work() -> None:
    first, second, other = (generate(DOMAINS["it"], code="x", people=9, tasks=30, seed=s) for s in (5, 5, 6))
    assert first == second
    assert first.tasks != other.tasks


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_the_same_work_has_names_that_its_readers_can_read(domain: Domain) -> None:
    russian, english = (
        generate(domain, code="x", people=150, tasks=9, seed=1, language=language)
        for language in ("ru", "en")
    )
    assert russian.tasks == english.tasks
    names = [each["name"] for each in english.executors]
    assert len(set(names)) == 150
    assert all(name.isascii() for name in names)
    assert not any(each["name"].isascii() for each in russian.executors)


async def test_a_crowded_intake_is_asked_again_and_nothing_is_doubled(
    stage, settings: Settings, database: Database
) -> None:
    scenario = generate(DOMAINS["it"], code="crowd", people=5, tasks=80, seed=1)
    with serving(settings.model_copy(update={"intake_queue": 1, "intake_batch": 1})) as crowded:
        played, _ = await play(crowded, scenario, SendingPace(batch=1))
    assert len(played.latencies) == 80
    async with database.hot.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tasks") == 80


async def test_work_that_nobody_may_take_is_counted_with_its_reason(stage) -> None:
    scenario = generate(DOMAINS["it"], code="nobody", people=3, tasks=20, seed=1)
    nobody = [{**person, "availability": "offline"} for person in scenario.executors]
    idle = Scenario("idle", "idle", scenario.parameters, nobody, scenario.rules, scenario.tasks)
    played, told = await play(stage, idle)
    assert told[-1].waiting == 20
    assert set(played.waiting) <= {"nobody_on_shift", "no_one_eligible"}
    assert sum(played.waiting.values()) == 20
    assert played.example is None


async def test_a_refusal_is_told_with_what_was_asked_and_why(stage) -> None:
    broken = Scenario("Not A Code", "x", [], [], {}, [])
    with pytest.raises(DemoError, match=r"POST /v1/pools: 422 .*code"):
        await play(stage, broken)


class LosesFirstAnswers(httpx.AsyncHTTPTransport):
    """Each kind of request is done, and its first answer does not come through."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[str, str, bytes]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        asked = (request.method, request.url.path, request.content)
        if request.method == "POST" and asked not in self._seen:
            self._seen.add(asked)
            await answer.aclose()
            raise httpx.ReadTimeout("lost", request=request)
        return answer


async def test_what_was_made_though_its_answer_was_lost_is_not_made_again(stage, database) -> None:
    scenario = generate(DOMAINS["it"], code="lossy", people=5, tasks=20, seed=3)
    async with httpx.AsyncClient(base_url=stage, timeout=60, transport=LosesFirstAnswers()) as client:
        played = await Player(client).play(scenario, SendingPace(batch=10), lambda _: None)
    async with database.hot.acquire() as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM tasks WHERE pool_id = $1", played.pool_id) == 20
        )
        assert (
            await connection.fetchval("SELECT count(*) FROM executors WHERE pool_id = $1", played.pool_id)
            == 5
        )
    await hold_all(database)


async def test_many_parcels_that_fail_at_once_are_told_as_one(stage) -> None:
    scenario = generate(DOMAINS["it"], code="bad", people=5, tasks=200, seed=3)
    for task in scenario.tasks:
        task["priority"] = "urgent"
    async with httpx.AsyncClient(base_url=stage, timeout=60) as client:
        with pytest.raises(DemoError, match="422"):
            await Player(client).play(scenario, SendingPace(batch=10), lambda _: None)
