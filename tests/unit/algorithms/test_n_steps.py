"""A schedule of n_steps: followed while learning, kept by save and load, refused where it leaves its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from masoft import HASAC, QMIX
from masoft.errors import ConfigurationError
from masoft.mirror import Linear

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
