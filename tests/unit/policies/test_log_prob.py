"""Log-probabilities in the environment's own units."""

from __future__ import annotations

import numpy as np
import pytest

from masoft import HASAC
from masoft.testing.games import IdentityTeam


def test_density_over_an_asymmetric_box_integrates_to_one_and_choices_sum_to_one() -> None:
    env = IdentityTeam(kinds=("box", "discrete"))
    model = HASAC(env, policy_kwargs=dict(net_arch=[8]), seed=0)
    space, choices = env.action_space("agent_0"), env.action_space("agent_1")
    grids = [np.linspace(low, high, 301)[1:-1] for low, high in zip(space.low, space.high, strict=True)]
    points = np.stack([axis.ravel() for axis in np.meshgrid(*grids, indexing="ij")], axis=-1)
    seen = np.tile(np.zeros(env.observation_space("agent_0").shape, np.float32), (len(points), 1))
    density = np.exp(model.policy.log_prob({"agent_0": seen}, {"agent_0": points})["agent_0"])
    cell = np.prod([grid[1] - grid[0] for grid in grids])
    assert density.sum() * cell == pytest.approx(1.0, abs=0.03)
    every = np.arange(choices.n) + choices.start
    seen = np.zeros((len(every), 4), np.float32)
    mask = np.tile([1, 0, 1, 1], (len(every), 1))
    chances = np.exp(
        model.policy.log_prob({"agent_1": seen}, {"agent_1": every}, action_masks={"agent_1": mask})["agent_1"]
    )
    assert chances.sum() == pytest.approx(1.0, abs=1e-5)
    assert chances[1] == 0
