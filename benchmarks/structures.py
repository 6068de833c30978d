"""Who may do what, in the forms that the fairness and kernel benchmarks share: arrays of shape (classes, executors)."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Rng: TypeAlias = np.random.Generator
Eligible: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"
Structure: TypeAlias = Callable[[Rng, int, int], Eligible]


def everybody(_rng: Rng, n: int, classes: int) -> Eligible:
    """Everybody may do everything."""
    return np.ones((classes, n), dtype=np.bool_)


def nested(_rng: Rng, n: int, classes: int) -> Eligible:
    """Grades: each class is open to those of the class before it, and some more."""
    sizes = np.maximum(1, n * (np.arange(classes) + 1) // classes)
    return np.arange(n) < sizes[:, None]


def random_share(share: float) -> Structure:
    """Each class is open to this share of all, drawn at random; to one person at least."""

    def structure(rng: Rng, n: int, classes: int) -> Eligible:
        eligible = rng.random((classes, n)) < share
        eligible[np.arange(classes), rng.integers(0, n, classes)] = True
        return eligible

    return structure


def departments(rng: Rng, n: int, classes: int) -> Eligible:
    """Ten departments (three of few people); each class belongs to one and is open to three tenths of it."""
    count = 10 if n >= 50 else 3
    size = n // count
    eligible = np.zeros((classes, n), dtype=np.bool_)
    for c in range(classes):
        first = (c % count) * size
        eligible[c, first + rng.permutation(size)[: max(2, size * 3 // 10)]] = True
    return eligible
