"""Who serves a pool: told by commits, kept together while one has time for all, relieved where that is too much."""

from collections import Counter
from pathlib import Path
from random import Random

from hypothesis import given, strategies as st

from app.doorbell.balancing import CoreShare, Machine, Sharing
from app.doorbell.pool_owners import HOT_SECONDS, Serving, WorkerReport
from app.engine.types import PoolId

P, Q, R = PoolId(1), PoolId(2), PoolId(3)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_whoever_committed_last_is_left_alone_for_a_moment_and_remembered_for_good() -> None:
    clock = Clock()
    serving = Serving(clock)
    assert serving.of(P) is None
    serving.note(P, WorkerReport("a"))
    assert serving.of(P) == "a"
    serving.note(P, WorkerReport("b"))
    assert serving.of(P) == "b"
    assert serving.leaves(P, "a")
    clock.now += HOT_SECONDS
    assert not serving.leaves(P, "a"), "a worker that died must not keep its pool"
    assert serving.of(P) == "b", "whoever knows the pool is rung first"


def test_a_pool_that_nobody_serves_is_left_by_nobody() -> None:
    serving = Serving(Clock())
    assert not serving.leaves(P, "a")
    serving.note(P, WorkerReport("a"))
    assert not serving.leaves(P, "a")
    serving.forget(P)
    assert not serving.leaves(P, "b")


def test_a_worker_repeats_itself_only_after_a_moment() -> None:
    clock = Clock()
    serving = Serving(clock)
    assert not serving.knows(P, "a")
    serving.heard({"pool": P, "by": "a", "share": 0.1, "late": False})
    serving.heard({"pool": P, "watched": 0.1})
    assert serving.knows(P, "a")
    assert not serving.knows(P, "b")
    clock.now += HOT_SECONDS / 2
    assert not serving.knows(P, "a"), "the others would take it for gone before it speaks again"
    assert serving.leaves(P, "b")


def test_a_worker_that_hangs_is_not_kept_alive_by_those_who_give_to_it() -> None:
    clock = Clock()
    serving = Serving(clock)
    serving.note(P, WorkerReport("hung", 0.1))
    clock.now += HOT_SECONDS / 2
    serving.pass_to(Q, "hung")
    assert serving.leaves(Q, "me")
    clock.now += HOT_SECONDS / 2
    assert not serving.leaves(Q, "me")
    assert serving.heir("me", 0.0) is None
    serving.pass_to(R, "unknown")
    assert not serving.leaves(R, "me")


def test_who_receives_a_pool_says_so_with_its_first_batch() -> None:
    serving = Serving(Clock())
    serving.note(P, WorkerReport("a", 0.1))
    serving.receive(Q, "a")
    assert serving.of(Q) == "a"
    assert not serving.knows(Q, "a")


def test_who_has_just_come_to_a_pool_is_new_there_until_it_has_served_it() -> None:
    clock = Clock()
    serving = Serving(clock)
    serving.note(P, WorkerReport("gone"))
    mine = _idle(serving, "me")
    assert mine.news(P) == WorkerReport("me", is_new=True)
    serving.heard({"pool": P, "by": "me", "share": 0.0, "late": False})
    clock.now += HOT_SECONDS
    assert mine.news(P) == WorkerReport("me")
    serving.receive(Q, "me")
    assert mine.news(Q) == WorkerReport("me", is_new=True), "what waited there waited for who gave it"


def test_two_workers_with_time_to_spare_become_one() -> None:
    serving = Serving(Clock())
    for pool_id, worker in ((P, "a"), (Q, "b"), (R, "b")):
        serving.note(pool_id, WorkerReport(worker, share=0.1))
    assert serving.heir("a", 0.1) == "b"
    assert serving.heir("b", 0.1) is None
    assert serving.heir("a", 0.6) is None, "together they would have too much to do"
    assert serving.heir("new", 0.0) == "b", "who has nothing yet joins who has most"


def test_nobody_gives_to_who_is_late_unless_late_too() -> None:
    serving = Serving(Clock())
    serving.note(P, WorkerReport("a", 0.1))
    serving.note(Q, WorkerReport("b", 0.1, is_late=True))
    serving.note(R, WorkerReport("b", 0.1, is_late=True))
    assert serving.heir("a", 0.1) is None
    serving.note(P, WorkerReport("a", 0.1, is_late=True))
    assert serving.heir("a", 0.1) == "b"


def test_who_has_too_much_to_do_is_relieved_by_who_has_time() -> None:
    serving = Serving(Clock())
    serving.note(P, WorkerReport("a", 0.9))
    assert serving.to_relieve("b", 0.0) == set(), "one pool is as heavy elsewhere"
    serving.note(Q, WorkerReport("a", 0.9))
    assert serving.to_relieve("b", 0.0) == {P, Q}
    assert serving.to_relieve("b", 0.6) == set(), "who is busy relieves nobody"
    assert serving.to_relieve("a", 0.0) == set()
    serving.note(Q, WorkerReport("a", 0.2))
    assert serving.to_relieve("b", 0.0) == set()
    serving.note(Q, WorkerReport("a", 0.2, is_late=True))
    assert serving.to_relieve("b", 0.0) == {P, Q}


def test_only_what_waits_is_relieved_one_pool_at_a_look_and_kept() -> None:
    clock = Clock()
    serving = Serving(clock)
    for pool_id in (P, Q, R):
        serving.note(pool_id, WorkerReport("a", 0.9))
    mine = _idle(serving, "b", clock)
    assert mine.look({Q, R}) == set(), "once is no trouble yet"
    clock.now += 0.95
    [taken] = mine.look({Q, R})
    [other] = {Q, R} - {taken}
    assert not mine.leaves(taken)
    assert mine.leaves(other)
    for _ in range(60):
        clock.now += 1.0
        serving.note(taken, WorkerReport("b", 0.1))
        for pool_id in (P, other):
            serving.note(pool_id, WorkerReport("a", 0.1))
        assert mine.look(set()) == set()
        assert mine.heir(taken, rung=True) is None, "together they had too much to do a moment ago"
    clock.now += 1.5
    serving.note(P, WorkerReport("a", 0.1))
    mine.look(set())
    assert mine.heir(taken, rung=True) == "a", "a minute later they try again"


def test_work_that_was_not_rung_for_is_looked_at_by_who_knows_the_pool_and_then_by_anybody() -> None:
    clock = Clock()
    serving = Serving(clock)
    serving.note(P, WorkerReport("a"))
    clock.now += HOT_SECONDS
    assert _idle(serving, "a").look({P}) == {P}
    assert _idle(serving, "a").look({Q}) == {Q}
    other = _idle(serving, "b")
    assert other.look({P}) == set()
    assert other.look({P}) == {P}, "who knew it did not come"


def test_a_pool_that_one_was_not_rung_for_is_not_handed_over() -> None:
    serving = Serving(Clock())
    serving.note(P, WorkerReport("b", 0.1))
    new = _idle(serving, "new")
    new.look(set())
    assert new.heir(Q, rung=True) == "b"
    assert new.heir(Q, rung=False) is None, "a first look at a team is this worker's own"


def _idle(serving: Serving, me: str, clock: Clock | None = None) -> Sharing:
    """A worker that uses nothing, on a machine with processors to spare."""
    share, machine = CoreShare(used=lambda: 0.0), Machine(0.5, Path("nowhere"))
    return Sharing(serving, me, share=share, machine=machine, clock=clock or Clock())


@given(
    loads=st.lists(st.floats(0.0, 0.6), min_size=1, max_size=12),
    names=st.sets(st.sampled_from("abcdef"), min_size=1),
    order=st.randoms(use_true_random=False),
)
def test_pools_come_to_rest_wherever_they_began(loads: list[float], names: set[str], order: Random) -> None:
    workers = sorted(names)
    of = {PoolId(number): order.choice(workers) for number in range(len(loads))}
    relieving: set[str] = set()

    def share(worker: str) -> float:
        return min(1.0, sum(load for load, pool_id in zip(loads, of, strict=True) if of[pool_id] == worker))

    def told() -> Serving:
        serving = Serving(Clock())
        for pool_id, worker in of.items():
            serving.note(pool_id, WorkerReport(worker, share(worker)))
        return serving

    for _ in range(4 * len(loads) * len(workers) + 1):
        before = dict(of)
        for me in order.sample(workers, len(workers)):
            serving = told()
            if taken := serving.to_relieve(me, share(me)):
                of[min(taken)] = me
                relieving.add(me)
            elif me not in relieving and (heir := serving.heir(me, share(me))):
                of.update({pool_id: heir for pool_id, worker in of.items() if worker == me})
        if of == before:
            break
    else:
        raise AssertionError(f"pools wander: {of}")
    counts = Counter(of.values())
    for strained in workers:
        if share(strained) > 0.7:
            helpers = [w for w in workers if share(w) <= 0.5 and counts[strained] > counts[w] + 1]
            assert not helpers, "a worker with time does not help"


def test_a_share_is_processor_time_by_time_that_passed() -> None:
    clock, used = Clock(), Clock()
    share = CoreShare(clock, used)
    assert share.now() == 0.0
    for _ in range(20):
        clock.now += 1.0
        used.now += 0.4
        share.now()
    assert abs(share.now() - 0.4) < 0.01


def test_a_machine_has_time_while_half_a_core_is_idle(tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  100 0 100 1000 0 0 0 0 0 0\ncpu0 1 2 3\n")
    machine, reckless = Machine(0.5, file, cores=2), Machine(0, file, cores=2)
    file.write_text("cpu  200 0 190 1010 0 0 0 0 0 0\n")
    assert not machine.has_time()
    assert reckless.has_time(), "who needs none to be idle goes ahead"
    file.write_text("cpu  250 0 220 1100 20 0 0 0 0 0\n")
    assert machine.has_time()
    assert Machine(0.5, tmp_path / "nothing").has_time(), "where nobody can tell"
