"""Models that an earlier version wrote (commit c0660b2: masks, learned temperatures, memories) load and learn on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


@pytest.mark.parametrize(("name", "kinds"), [("HAPPO", ("box", "discrete")), ("QMIX", ("discrete", "discrete"))])
def test_memories_of_before_are_found_in_their_torsos(name: str, kinds: tuple[str, ...]) -> None:
    model = getattr(masoft, name).load(DATA / f"{name.lower()}_recurrent.zip", IdentityTeam(kinds))
    weights = np.concatenate([weight.detach().numpy().ravel() for weight in model.policy.parameters()])
    np.testing.assert_array_equal(weights, np.load(DATA / "recurrent_weights.npz")[name.lower()])
    assert model.policy.memory_sizes == (3, 3)
    model.learn(32)
