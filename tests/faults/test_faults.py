"""Faults on purpose, in their short forms; `make chaos` runs the full ones, `--planted` shows that they can fail."""

import asyncio
import secrets
import sys
from collections.abc import Iterator

import pytest

from benchmarks.chaos import faults
from benchmarks.chaos.stage import Stage
from benchmarks.chaos.zygote import Zygote

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


@pytest.mark.parametrize("name", faults())
def test_nothing_is_lost_double_over_limit_or_miscounted(
    name: str, zygote: Zygote, database_url: str, redis_url: str
) -> None:
    module = faults()[name]
    seed = secrets.randbelow(10**9)
    report = asyncio.run(module.run(Stage(database_url, redis_url, zygote), seed=seed, **module.SHORT))
    sys.stdout.write(report.line() + "\n")
    assert report.violations == [], report.line()


@pytest.mark.parametrize("name", ["zombie"])
def test_a_planted_defect_turns_its_fault_red(
    name: str, zygote: Zygote, database_url: str, redis_url: str
) -> None:
    module = faults()[name]
    stage = Stage(database_url, redis_url, zygote, module.DEFECT, patience=8)
    sizes = {**module.SHORT, "stops": 0, "terminations": 0}
    assert asyncio.run(module.run(stage, seed=1, **sizes)).violations
