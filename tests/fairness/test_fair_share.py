"""The fair share against a second solver, and what must hold of it whatever the pool."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import LinearConstraint, minimize

from app.engine.fairness.fair import fair_share, fairness_gap, mean_absolute_deviation, utilisations
from app.engine.types import BoolArray, FloatArray


@st.composite
def pools(
    draw: st.DrawFn, *, limited: bool = False
) -> tuple[BoolArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    n, k = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    eligible = random.random((k, n)) < draw(st.sampled_from([0.2, 0.5, 0.9]))
    weights = np.round(random.integers(0, 40, k) * random.choice([0.5, 1.0]), 3)
    qualifications = random.choice([0.5, 1.0, 2.0, 3.0], n)
    fixed = np.where(random.random(n) < 0.3, random.integers(0, 20, n), 0).astype(float)
    limits = random.integers(0, 25, n).astype(float) if limited else np.full(n, np.inf)
    return eligible, weights, qualifications, fixed, limits


def by_convex_programming(
    eligible: BoolArray,
    weights: FloatArray,
    qualifications: FloatArray,
    fixed: FloatArray,
    limits: FloatArray,
) -> FloatArray:
    """The same problem by SLSQP over all flows x[c, i]: slow, general, and written in another way."""
    which, who = np.nonzero(eligible)
    m = len(which)
    to_person = np.zeros((len(qualifications), m))
    to_person[who, np.arange(m)] = 1
    of_class = np.zeros((len(weights), m))
    of_class[which, np.arange(m)] = 1

    def cost(x: FloatArray) -> float:
        return float((((fixed + to_person @ x) ** 2) / qualifications).sum())

    def slope(x: FloatArray) -> FloatArray:
        return to_person.T @ (2 * (fixed + to_person @ x) / qualifications)

    reachable = eligible.any(axis=1)
    constraints = [LinearConstraint(of_class[reachable], weights[reachable], weights[reachable])]
    bound = np.isfinite(limits)
    if bound.any():
        constraints.append(LinearConstraint(to_person[bound], -np.inf, limits[bound]))
    start = weights[which] / np.maximum(eligible.sum(axis=1)[which], 1)
    found = minimize(
        cost,
        start,
        jac=slope,
        bounds=[(0, None)] * m,
        constraints=constraints,
        method="trust-constr",
        options={"maxiter": 3000, "gtol": 1e-9, "xtol": 1e-11},
    )
    return fixed + to_person @ found.x


@settings(max_examples=25, deadline=None)
@given(pool=pools())
@pytest.mark.filterwarnings("ignore")
def test_fair_share_agrees_with_convex_programming(
    pool: tuple[BoolArray, FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    eligible, weights, qualifications, fixed, limits = pool
    if not (eligible.any(axis=1) & (weights > 0)).any():
        return
    expected = by_convex_programming(eligible, weights, qualifications, fixed, limits)
    assert np.allclose(fair_share(*pool).shares, expected, atol=2e-2)


@settings(max_examples=200, deadline=None)
@given(pool=pools(limited=True))
def test_work_is_conserved_within_limits(
    pool: tuple[BoolArray, FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    eligible, weights, _, fixed, limits = pool
    share = fair_share(*pool)
    assert (
        (share.routed <= limits + 1e-6).all()
        and (share.routed >= 0).all()
        and (share.unplaced >= -1e-9).all()
    )
    assert np.isclose(share.routed.sum() + share.unplaced.sum(), weights.sum(), atol=1e-4)
    assert np.allclose(share.shares, fixed + share.routed)
    assert not share.routed[~eligible.any(axis=0)].any()


@settings(max_examples=200, deadline=None)
@given(pool=pools(limited=True), factor=st.sampled_from([0.5, 2.0, 10.0]))
def test_scaling_all_qualifications_changes_nothing(
    pool: tuple[BoolArray, FloatArray, FloatArray, FloatArray, FloatArray], factor: float
) -> None:
    eligible, weights, qualifications, fixed, limits = pool
    scaled = fair_share(eligible, weights, qualifications * factor, fixed, limits)
    assert np.allclose(scaled.shares, fair_share(*pool).shares, atol=1e-4)


def test_everybody_eligible_shares_by_qualification() -> None:
    share = fair_share(np.ones((1, 3), dtype=bool), np.array([60.0]), np.array([1.0, 2.0, 3.0]))
    assert np.allclose(share.shares, [10, 20, 30], atol=1e-5)


def test_a_specialist_leaves_common_work_to_the_others() -> None:
    eligible = np.array([[True, False, False], [True, True, True]])
    share = fair_share(eligible, np.array([50.0, 40.0]), np.ones(3))
    assert np.allclose(share.shares, [50, 20, 20], atol=1e-5)


def test_fixed_load_counts_as_received() -> None:
    share = fair_share(np.ones((1, 2), dtype=bool), np.array([10.0]), np.ones(2), fixed=np.array([4.0, 0.0]))
    assert np.allclose(share.shares, [7, 7], atol=1e-5)


def test_what_the_limits_leave_over_is_unplaced_and_not_an_error() -> None:
    share = fair_share(np.ones((1, 2), dtype=bool), np.array([10.0]), np.ones(2), limits=np.array([2.0, 3.0]))
    assert np.allclose(share.shares, [2, 3], atol=1e-5)
    assert np.allclose(share.unplaced, [5], atol=1e-4)


def test_work_that_nobody_may_take_is_unplaced() -> None:
    share = fair_share(np.zeros((1, 2), dtype=bool), np.array([10.0]), np.ones(2))
    assert share.shares.tolist() == [0, 0] and share.unplaced.tolist() == [10]


def test_gap_and_deviation_of_the_fair_share_are_zero() -> None:
    fair = np.array([10.0, 20.0])
    assert fairness_gap(fair, fair) == 0
    assert fairness_gap(np.array([12.0, 18.0]), fair) == pytest.approx(4 / 30)
    assert mean_absolute_deviation(utilisations(fair, np.array([1.0, 2.0]))) == pytest.approx(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": np.array([-1.0])},
        {"weights": np.array([1.0, 1.0])},
        {"qualifications": np.array([0.0, 1.0])},
    ],
)
def test_values_that_make_no_sense_are_refused(wrong: dict[str, FloatArray]) -> None:
    good = {"eligible": np.ones((1, 2), dtype=bool), "weights": np.array([1.0]), "qualifications": np.ones(2)}
    with pytest.raises(ValueError):
        fair_share(**(good | wrong))  # type: ignore[arg-type]
