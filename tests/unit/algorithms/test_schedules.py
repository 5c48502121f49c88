"""Schedules at their ends: every number that an update uses lies in its range, and files keep what made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

from masoft import HAML, HAPPO, HASAC, HATRPO, MEHAML
from masoft.errors import ConfigurationError, ModelFileError
from masoft.mirror import KLBall, KLDrift, Linear

SMALL: dict[str, Any] = {"policy_kwargs": {"net_arch": [4]}, "seed": 0, "device": "cpu"}


def half(progress: float) -> float:
    return 0.2 * progress


TO_ZERO = [half, LinearSchedule(0.2, 0, 1), Linear(0.2, 0.0), FloatSchedule(Linear(0.2, 0.0))]


@pytest.mark.parametrize("schedule", TO_ZERO, ids=["function", "sb3", "masoft", "float"])
def test_nobody_moves_where_a_schedule_has_come_to_its_end(schedule: Any) -> None:
    options = {**SMALL, "n_steps": 8, "batch_size": 4, "n_epochs": 2}
    model = HAPPO("matrix/maxent", clip_range=schedule, clip_range_vf=schedule, learning_rate=schedule, **options)
    before = {}

    def watch(local: dict[str, Any], _: dict[str, Any]) -> bool:
        if local["self"].num_timesteps == 24:  # two updates are done, one is to come
            before.update({name: value.clone() for name, value in local["self"].policy.state_dict().items()})
        return True

    model.learn(17, callback=watch)  # the last rollout goes past the end: to 24 steps
    assert model.progress_remaining == 0
    assert model._n_updates == 6
    moved = [name for name, value in model.policy.state_dict().items() if not torch.equal(value, before[name])]
    assert not [name for name in moved if "weight" in name or "bias" in name], moved


@pytest.mark.filterwarnings("ignore:No agent's step was accepted")
@settings(max_examples=20, deadline=None)
@given(
    shape=st.sampled_from(["linear", "late", "convex", "constant"]),
    total=st.integers(1, 40),
    n_steps=st.integers(2, 9),
    start=st.floats(1e-3, 0.5),
)
def test_every_number_used_lies_in_its_range(shape: str, total: int, n_steps: int, start: float) -> None:
    seen: list[float] = []

    def schedule(progress: float) -> float:
        assert 0.0 <= progress <= 1.0
        value = {"linear": progress, "late": float(progress > 0.3), "convex": progress**2, "constant": 1.0}[shape]
        seen.append(start * value)
        return start * value

    options = {**SMALL, "n_steps": n_steps, "batch_size": None, "n_epochs": 1}
    model = HAPPO("matrix/maxent", clip_range=schedule, clip_range_vf=schedule, learning_rate=schedule, **options)
    HATRPO("matrix/maxent", target_kl=schedule, n_steps=n_steps, n_critic_epochs=1, **SMALL).learn(total)
    model.learn(total)
    assert all(0 <= value <= start for value in seen)
    soft = MEHAML(
        "matrix/maxent", drift=KLDrift(schedule), neighborhood=KLBall(schedule), learning_rate=schedule,
        n_steps=lambda p: 1 + 4 * p, learning_starts=2, batch_size=2, **SMALL,
    )  # fmt: skip
    soft.learn(total)
    assert 1 <= soft.replay_buffer.n_steps <= 5


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda bad: HAPPO("matrix/maxent", clip_range=bad), "clip_range"),
        (lambda bad: HAPPO("matrix/maxent", clip_range_vf=bad), "clip_range_vf"),
        (lambda bad: HAPPO("matrix/maxent", learning_rate=bad), "learning_rate"),
        (lambda bad: HASAC("matrix/maxent", learning_rate=dict(actor=bad, critic=1e-3)), "learning_rate"),
        (lambda bad: HATRPO("matrix/maxent", target_kl=bad), "target_kl"),
        (lambda bad: HASAC("matrix/maxent", n_steps=bad), "n_steps"),
        (lambda bad: KLDrift(bad), "weight"),
        (lambda bad: KLBall(bad), "radius"),
    ],
)  # fmt: skip
def test_a_schedule_that_leaves_its_range_is_refused_when_it_is_given(make: Any, name: str) -> None:
    for bad in (Linear(0.1, -0.1), lambda progress: float("nan"), lambda progress: "much", lambda: 1.0):
        with pytest.raises(ConfigurationError, match=name):
            make(bad)
    with pytest.raises(
        ConfigurationError, match="-0.1 at a remaining progress of 0|value at a remaining progress of 0"
    ):
        make(Linear(0.1, -0.1) if name != "n_steps" else Linear(2, -0.1))


def test_what_leaves_its_range_in_between_is_refused_where_it_is_used() -> None:
    def dips(progress: float) -> float:
        return -1.0 if 0.1 < progress < 0.4 else 0.1

    model = HAPPO("matrix/maxent", clip_range_vf=dips, n_steps=8, batch_size=None, n_epochs=1, **SMALL)
    with pytest.raises(ConfigurationError, match=r"clip_range_vf must be a number .* at any time. Got -1.0"):
        model.learn(32)


@pytest.mark.parametrize("schedule", [*TO_ZERO[1:], ConstantSchedule(0.1), FloatSchedule(0.1)], ids=repr)
def test_files_keep_schedules(schedule: Any, tmp_path: Path) -> None:
    options = {**SMALL, "n_steps": 4, "batch_size": None, "n_epochs": 1}
    HAPPO("matrix/maxent", learning_rate=schedule, clip_range=schedule, **options).save(tmp_path / "model.zip")
    model = HAPPO.load(tmp_path / "model.zip")
    assert repr(model.get_params()["clip_range"]) == repr(schedule)
    model._current_progress_remaining = 0.25
    assert model.learning_rate_of("actor") == schedule(0.25)
    assert model.drift.at(0.25).clip_range == schedule(0.25)


def test_a_lambda_has_to_be_given_again(tmp_path: Path) -> None:
    HAML("matrix/maxent", learning_rate=lambda progress: 1e-3, **SMALL).save(tmp_path / "model.zip")
    with pytest.raises(ModelFileError, match=r"could not hold learning_rate.*Pass it again: load\(path, learning_rate"):
        HAML.load(tmp_path / "model.zip")
    assert HAML.load(tmp_path / "model.zip", learning_rate=1e-4).learning_rate == 1e-4
