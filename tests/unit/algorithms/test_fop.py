"""FOP: soft values of agents, the factorised joint value, temperatures."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from masoft import FOP
from masoft.errors import ConfigurationError
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = {
    "batch_size": 16,
    "buffer_size": 500,
    "learning_starts": 1_000,
    "policy_kwargs": {"net_arch": [16]},
    "seed": 0,
    "device": "cpu",
}


def collected(kinds: tuple[str, ...] = ("box", "discrete", "multidiscrete"), **changes: Any) -> Any:
    """A model with 40 transitions that has not been updated yet."""
    model = FOP(IdentityTeam(kinds), **{**SMALL, **changes}).learn(40)
    return model


def test_a_categorical_soft_value_is_the_log_sum_over_legal_actions() -> None:
    model = collected(("discrete",), ent_coef=0.5)
    batch = model.sample_batch(8)
    taken, soft = model._begin_update().own_values(
        0, model.policy.utilities[0], batch.observations[0], batch.masks, batch.actions
    )
    table = model.policy.utilities[0](batch.observations[0])
    legal = torch.where(batch.masks.bool(), table / 0.5, -torch.inf)
    torch.testing.assert_close(soft, 0.5 * legal.logsumexp(-1))
    torch.testing.assert_close(taken, table.gather(-1, batch.actions.long().expand(2, 8, 1)).squeeze(-1))


def test_a_box_soft_value_is_exact_where_the_policy_is_its_boltzmann_policy() -> None:
    model = collected(("box",), ent_coef=1.0)
    utility = model.policy.utilities[0]

    def boltzmann(observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        policy = model.policy.distribution(0, observation)
        return (3.0 + policy.log_prob(action)).expand(2, -1)  # exp((Q - 3) / 1) is the policy's density

    batch = model.sample_batch(8)
    utility.forward = boltzmann
    _, soft = model._begin_update().own_values(0, utility, batch.observations[0], None, batch.actions)
    torch.testing.assert_close(soft, torch.full((2, 8), 3.0), atol=1e-2, rtol=0)


def test_the_target_is_soft_and_uses_the_joint_temperature() -> None:
    batch_targets = {}
    for ent_coef in (1e-6, 1.0):
        model = collected(("discrete", "discrete"), ent_coef=ent_coef, gamma=0.5)
        batch = model.sample_batch(8)
        batch_targets[ent_coef] = model._begin_update().critic_target(batch)
        assert batch_targets[ent_coef].shape == (8,)
    # Three legal choices of four: a fresh policy has about log 3 nats an agent, and the soft values count as much.
    assert bool((batch_targets[1.0] > batch_targets[1e-6]).all())


def test_the_weight_is_the_ratio_of_temperatures_times_what_is_learned() -> None:
    model = collected(ent_coef="auto")
    assert model._begin_update().ent_coefs.shape == (4,)
    batch = model.sample_batch(8)
    given = (batch.state, batch.observations, batch.masks, batch.active, batch.actions)
    same = model._begin_update().joint_values(*given)
    with torch.no_grad():
        model.temperature.log_values[:-1] -= 1.0
    assert not torch.allclose(same, model._begin_update().joint_values(*given))


def test_temperatures_and_networks_all_learn() -> None:
    model = collected()
    names = ("actors", "utilities", "mixers", "utilities_target", "mixers_target")
    before = {name: [p.detach().clone() for p in getattr(model.policy, name).parameters()] for name in names}
    temperatures = model.temperature.current().clone()
    model.train(3, 16)
    for name in names:
        now = list(getattr(model.policy, name).parameters())
        assert any(not torch.equal(a, b) for a, b in zip(before[name], now, strict=True)), name
    assert bool((model.temperature.current() != temperatures).all())


def test_a_temperature_of_0_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'ent_coef' parameter of FOP must be a number in \(0"):
        FOP(ent_coef=0.0)
