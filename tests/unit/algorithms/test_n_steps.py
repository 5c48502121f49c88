"""A schedule of n_steps: followed while learning, kept by save and load, refused where it leaves its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from masoft import HASAC, MEHAML, QMIX
from masoft.errors import ConfigurationError
from masoft.mirror import KLDrift, Linear, OverSteps

SMALL = {"learning_starts": 8, "batch_size": 8, "policy_kwargs": {"net_arch": [8]}, "seed": 0}


def test_it_follows_the_progress() -> None:
    model = HASAC("matrix/maxent", n_steps=Linear(9, 1), **SMALL)
    assert model.replay_buffer.n_steps == 9
    seen = []
    model.learn(80, callback=lambda values, _: seen.append(values["self"].replay_buffer.n_steps) or True)
    # The callback looks before the step's progress is noted: step t + 1 sees that after t steps.
    assert seen == [round(9 - 8 * t / 80) for t in range(80)]
    assert model.replay_buffer.n_steps == 1


def test_a_constant_schedule_is_the_number() -> None:
    models = [HASAC("matrix/maxent", n_steps=n, **SMALL).learn(40) for n in (3, lambda progress: 3.2)]
    weights = [model.policy.state_dict() for model in models]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_a_file_keeps_it(tmp_path: Path) -> None:
    HASAC("matrix/maxent", n_steps=Linear(5, 2), **SMALL).save(tmp_path / "team")
    assert HASAC.load(tmp_path / "team").n_steps == Linear(5, 2)


@pytest.mark.parametrize(
    ("schedule", "got"),
    [
        (Linear(5, -3), "-3"),
        (Linear(0, 5), "0"),
        (lambda progress: 101, "101"),
        (lambda progress: math.nan, "nan"),
        (len, "len"),
    ],
)
def test_a_bad_end_is_known_at_once(schedule: Callable[[float], float], got: str) -> None:
    with pytest.raises(ConfigurationError, match=f"n_steps must be an integer from 1 to 100 at any time. Got .*{got}"):
        HASAC("matrix/maxent", n_steps=schedule, **SMALL)


def test_memory_takes_no_schedule() -> None:
    with pytest.raises(ConfigurationError, match="1 where agents have a memory"):
        QMIX("RnnPolicy", "matrix/maxent", n_steps=Linear(1, 5), seed=0)


def test_a_schedule_over_steps_does_not_know_how_long_the_training_is(tmp_path: Path) -> None:
    for total in (60, 120):
        seen: dict[int, int] = {}

        def note(scope: dict[str, Any], _: Any, seen: dict[int, int] = seen) -> bool:
            model = scope["self"]
            seen[model.num_timesteps] = model.replay_buffer.n_steps
            return True

        model = HASAC("matrix/maxent", n_steps=OverSteps(9, 1, steps=40), **SMALL).learn(total, callback=note)
        assert [seen[k] for k in (10, 20, 30, 41, 60)] == [7, 5, 3, 1, 1]
    model.save(tmp_path / "team")
    assert HASAC.load(tmp_path / "team").n_steps == OverSteps(9, 1, steps=40)


def test_rates_and_drifts_may_run_over_steps_too() -> None:
    drift = KLDrift(weight=OverSteps(1.0, 0.0, steps=30))
    model = MEHAML("matrix/maxent", drift=drift, learning_rate=OverSteps(1e-3, 1e-4, steps=30), **SMALL).learn(60)
    assert model.learning_rate_of("actor") == pytest.approx(1e-4)
    assert model.drift.at(model.progress_remaining).weight == 0
    assert model.drift.at(0.5).weight == 0.5  # without a run behind it, as a run of its own length


def test_a_schedule_over_no_steps_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'steps' parameter of OverSteps"):
        OverSteps(9, 1, steps=0)
