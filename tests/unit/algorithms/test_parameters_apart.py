"""Two models that exchange what they have learned stay two models."""

from __future__ import annotations

import torch

import masoft


def test_moments_of_optimisers_are_copied() -> None:
    one, other = (
        masoft.HASAC("matrix/maxent", learning_starts=8, batch_size=8, buffer_size=64, seed=seed).learn(20)
        for seed in (0, 1)
    )
    one.set_parameters(other.get_parameters())
    before = [value.clone() for value in _moments(other)]
    one.learn(20, reset_num_timesteps=False)
    assert all(torch.equal(now, then) for now, then in zip(_moments(other), before, strict=True))


def _moments(model: masoft.HASAC) -> list[torch.Tensor]:
    states = model.policy.critic_optimizer.state.values()
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]
