"""Agents' names in logs: each its own key in every output, and the table that stable-baselines3 prints never raises."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from pettingzoo import ParallelEnv
from stable_baselines3.common.logger import HumanOutputFormat, configure

from masoft import HAPPO, MEHAML
from masoft.learners.metrics import log_labels
from masoft.mirror import KLDrift

MEET = [
    "a_scout_with_a_long_name_red",
    "a_scout_with_a_long_name_blue",
    "wing/left",
    "wing left",
    "wing_left",
    "a,b\n",
    "",
]


class Named(ParallelEnv):
    """Agents of given names that are paid for choosing 1, three steps long."""

    metadata = {"name": "named", "is_parallelizable": True}
    render_mode = None

    def __init__(self, names: list[str]) -> None:
        self.possible_agents = names

    def observation_space(self, agent: str) -> spaces.Box:
        return spaces.Box(-1, 1, (1,), np.float32)

    def action_space(self, agent: str) -> spaces.Discrete:
        return spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self.agents, self.elapsed = self.possible_agents[:], 0
        return {name: np.zeros(1, np.float32) for name in self.agents}, {name: {} for name in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        self.elapsed += 1
        names, is_over = self.agents, self.elapsed == 3
        self.agents = [] if is_over else names
        seen, nothing = {name: np.zeros(1, np.float32) for name in names}, {name: {} for name in names}
        return (
            seen,
            {n: float(actions[n]) for n in names},
            dict.fromkeys(names, False),
            dict.fromkeys(names, is_over),
            nothing,
        )


def test_the_table_prints_and_every_agent_has_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = HAPPO(Named(MEET), n_steps=8, batch_size=8, n_epochs=1, verbose=1, seed=0)
    model.set_logger(configure(str(tmp_path), ["stdout", "csv", "json", "tensorboard"]))
    model.learn(24)
    model.logger.close()
    with (tmp_path / "progress.csv").open() as file:
        keys = csv.DictReader(file).fieldnames
    assert keys is not None
    for figure in ("kl", "accepted", "clip_fraction"):
        found = [key for key in keys if key.startswith(f"train/{figure}/")]
        assert len(found) == len(MEET) and all(key.count("/") == 2 for key in found)
    assert {"train/kl/wing_left"} < set(keys)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert len([tag for tag in events.Tags()["scalars"] if tag.startswith("train/kl/")]) == len(MEET)


def test_off_policy_figures_too(capsys: pytest.CaptureFixture[str]) -> None:
    small = dict(learning_starts=4, batch_size=4, policy_kwargs=dict(net_arch=[8]), seed=0)
    MEHAML(Named(MEET), drift=KLDrift(0.1), verbose=1, **small).learn(12, log_interval=1)
    out = capsys.readouterr().out
    assert "drift/a_scout_..name_blue" in out and "drift/a_scout_with_a_l" in out


def test_names_that_every_output_keeps_apart_stay() -> None:
    names = ["speaker_0", "a.b-c", "x" * 19, "a_name_that_is_longer_than_the_table", "größe"]
    assert log_labels(names) == {name: name for name in names}


@given(st.lists(st.text("ab_ /-.2\n", max_size=40), unique=True, max_size=12))
def test_labels_differ_where_the_table_cuts_them(names: list[str]) -> None:
    labels = log_labels(names)
    cut = {HumanOutputFormat._truncate(_Table(), f"   clip_fraction/{label}") for label in labels.values()}
    assert set(labels) == set(names) and len(cut) == len(names)
    assert not any(set(label) & set("/ \n") or not label for label in labels.values())


class _Table:
    max_length = 36
