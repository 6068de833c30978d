"""Who serves a pool: told by commits, believed for a moment, evened out between workers."""

from hypothesis import given, strategies as st

from app.engine.types import PoolId
from app.serving import HOT_SECONDS, Serving

P, Q = PoolId(1), PoolId(2)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_whoever_committed_last_serves_the_pool_for_a_moment() -> None:
    clock = Clock()
    serving = Serving(clock)
    assert serving.of(P) is None
    serving.note(P, "a")
    assert serving.of(P) == "a"
    serving.note(P, "b")
    assert serving.of(P) == "b"
    clock.now += HOT_SECONDS
    assert serving.of(P) is None, "a worker that died must not keep its pool"


def test_pools_count_as_busy_while_somebody_serves_them() -> None:
    clock = Clock()
    serving = Serving(clock)
    assert (serving.busy(), serving.workers()) == (0, 0)
    serving.note(P, "a")
    serving.note(Q, "b")
    assert (serving.busy(), serving.workers()) == (2, 2)
    serving.note(Q, "a")
    assert (serving.busy(), serving.workers()) == (2, 1), "a pool that changed hands is still one"
    clock.now += HOT_SECONDS / 2
    serving.note(P, "a")
    clock.now += HOT_SECONDS / 2
    assert serving.busy() == 1


def test_a_pool_that_nobody_serves_is_left_by_nobody() -> None:
    serving = Serving(Clock())
    assert not serving.leaves(P, "a")
    serving.note(P, "a")
    assert not serving.leaves(P, "a")
    serving.forget(P)
    assert not serving.leaves(P, "b")


def test_an_idle_worker_takes_a_pool_from_one_that_serves_several() -> None:
    serving = Serving(Clock())
    serving.note(P, "a")
    assert serving.leaves(P, "z")
    serving.note(Q, "a")
    assert not serving.leaves(P, "z")
    serving.note(P, "z")  # it took it: now each serves one, and none takes more
    assert serving.leaves(P, "a")
    assert serving.leaves(Q, "z")


@given(
    last=st.lists(st.tuples(st.integers(1, 6), st.sampled_from("abcd")), min_size=1, max_size=20),
    me=st.sampled_from("abcd"),
)
def test_two_workers_never_both_leave_a_pool_to_each_other(last: list[tuple[int, str]], me: str) -> None:
    seen_by_other, seen_by_me = Serving(Clock()), Serving(Clock())
    for pool, worker in last:
        seen_by_other.note(PoolId(pool), worker)
        seen_by_me.note(PoolId(pool), worker)
    pool_id, other = PoolId(last[-1][0]), last[-1][1]
    seen_by_other.note(
        pool_id, me
    )  # a moment earlier or later: the other heard of my commit last, I of theirs
    assert me == other or not (seen_by_me.leaves(pool_id, me) and seen_by_other.leaves(pool_id, other))


@given(pools=st.integers(1, 12), names=st.sets(st.sampled_from("abcdef"), min_size=1))
def test_pools_spread_over_the_workers_and_then_stay(pools: int, names: set[str]) -> None:
    serving = Serving(Clock())
    workers = sorted(names)
    for pool in range(pools):
        serving.note(PoolId(pool), workers[-1])
    moves = 0
    while True:  # each in turn takes what it may
        taken = [(PoolId(p), w) for w in workers for p in range(pools) if not serving.leaves(PoolId(p), w)]
        taken = [(pool_id, w) for pool_id, w in taken if serving.of(pool_id) != w]
        if not taken:
            break
        serving.note(*taken[0])
        moves += 1
        assert moves <= 4 * pools * len(workers), "pools wander"
    counts = [sum(serving.of(PoolId(p)) == w for p in range(pools)) for w in workers]
    assert max(counts) - min(counts) <= 1
