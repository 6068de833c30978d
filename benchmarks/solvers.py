"""The fair share by two general solvers, to hold ours against: Clarabel (interior point) and HiGHS (active set).

    minimise  sum (fixed_i + y_i)^2 / q_i   over flows x[c, i] >= 0 within `eligible`,
    y_i = sum_c x[c, i] <= limit_i,  sum_i x[c, i] = work of c

Both know nothing of how ours works; the work given to them must fit under the limits.
"""

from typing import Any, TypeAlias

import clarabel
import highspy
import numpy as np
from scipy import sparse

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Bools: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"


class Model:
    """The program in variables (x over the pairs of `eligible`, then y)."""

    def __init__(self, eligible: Bools, weights: Floats, q: Floats, fixed: Floats, limits: Floats) -> None:
        self.which, self.who = np.nonzero(eligible)
        self.pairs, (self.k, self.n) = len(self.which), eligible.shape
        self.weights, self.q, self.fixed, self.limits = weights, q, fixed, limits
        x = np.arange(self.pairs)
        of_class = sparse.csr_array((np.ones(self.pairs), (self.which, x)), (self.k, self.pairs + self.n))
        into = sparse.csr_array((np.ones(self.pairs), (self.who, x)), (self.n, self.pairs + self.n))
        out = sparse.csr_array(
            (np.ones(self.n), (np.arange(self.n), self.pairs + np.arange(self.n))), into.shape
        )
        self.equalities = sparse.vstack([of_class, into - out]).tocsc()
        self.sides = np.concatenate([weights, np.zeros(self.n)])
        self.square = np.concatenate([np.zeros(self.pairs), 2.0 / q])
        self.linear = np.concatenate([np.zeros(self.pairs), 2.0 * fixed / q])


def by_clarabel(eligible: Bools, weights: Floats, q: Floats, fixed: Floats, limits: Floats) -> Floats:
    """Everybody's share, fixed load included."""
    model = Model(eligible, weights, q, fixed, limits)
    size = model.pairs + model.n
    at_least = -sparse.eye_array(model.pairs, size)
    bound = np.flatnonzero(np.isfinite(limits))
    at_most = sparse.csr_array(
        (np.ones(len(bound)), (np.arange(len(bound)), model.pairs + bound)), (len(bound), size)
    )
    matrix = sparse.vstack([model.equalities, at_least, at_most]).tocsc()
    sides = np.concatenate([model.sides, np.zeros(model.pairs), limits[bound]])
    cones = [
        clarabel.ZeroConeT(len(model.sides)),
        clarabel.NonnegativeConeT(model.pairs),
        clarabel.NonnegativeConeT(len(bound)),
    ]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    square = sparse.diags_array(model.square).tocsc()
    found = clarabel.DefaultSolver(square, model.linear, matrix, sides, cones, settings).solve()
    return fixed + np.array(found.x)[model.pairs :]


def by_highs(eligible: Bools, weights: Floats, q: Floats, fixed: Floats, limits: Floats) -> Floats:
    """Everybody's share, fixed load included."""
    model = Model(eligible, weights, q, fixed, limits)
    size = model.pairs + model.n
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = size, len(model.sides)
    lp.col_cost_ = model.linear
    lp.col_lower_ = np.zeros(size)
    lp.col_upper_ = np.concatenate([np.full(model.pairs, highspy.kHighsInf), limits])
    lp.row_lower_ = lp.row_upper_ = model.sides
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = model.equalities.indptr
    lp.a_matrix_.index_ = model.equalities.indices
    lp.a_matrix_.value_ = model.equalities.data
    hessian = highspy.HighsHessian()
    hessian.dim_ = size
    hessian.format_ = highspy.HessianFormat.kTriangular
    hessian.start_ = np.concatenate([np.zeros(model.pairs), np.arange(model.n + 1)]).astype(np.int32)
    hessian.index_ = np.arange(model.pairs, size, dtype=np.int32)
    hessian.value_ = model.square[model.pairs :]
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    program = highspy.HighsModel()
    program.lp_, program.hessian_ = lp, hessian
    highs.passModel(program)
    highs.run()
    return fixed + np.array(highs.getSolution().col_value)[model.pairs :]
