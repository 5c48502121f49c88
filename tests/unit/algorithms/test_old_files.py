"""Models that an earlier version wrote (commit c0660b2, a team with masks, learned temperatures) load and learn on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import masoft
from masoft.testing.games import IdentityTeam

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", ["HASAC", "HAPPO"])
def test_a_model_of_before_loads_and_learns_on(name: str) -> None:
    model = getattr(masoft, name).load(DATA / f"{name.lower()}_masked.zip", IdentityTeam(("discrete", "multidiscrete")))
    temperature, optimizer = model.temperature, model.temperature.optimizer
    start = temperature.log_values.detach().clone()
    assert start.any() and optimizer.state[temperature.log_values]["exp_avg"].any()
    model.learn(32)
    assert optimizer.state[temperature.log_values]["step"].shape == start.shape  # one counter for all has become three
    assert not torch.equal(temperature.log_values, start)
