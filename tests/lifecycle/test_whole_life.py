"""Invariant 7 over the whole lifecycle, in its short form (LIFECYCLE_EXAMPLES and LIFECYCLE_STEPS make it long)."""

import os

from hypothesis import HealthCheck, Phase, settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from app.config import Settings
from tests.lifecycle.whole_life import WholeLife

EXAMPLES = int(os.environ.get("LIFECYCLE_EXAMPLES", "6"))
STEPS = int(os.environ.get("LIFECYCLE_STEPS", "20"))


def test_nothing_waits_in_vain_and_every_reason_is_true_over_the_whole_life(settings: Settings) -> None:
    class OnThisDatabase(WholeLife):
        settings_of_run = settings

    run_state_machine_as_test(
        OnThisDatabase,
        settings=hypothesis_settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink an example takes an hour
            suppress_health_check=list(HealthCheck),
        ),
    )
