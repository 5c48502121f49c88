"""The deterministic family: targets, delay, order, exploration, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from masoft import HADDPG, HATD3, MADDPG, MATD3
from masoft.errors import ConfigurationError
from masoft.mirror import FixedOrder, Greedy
from masoft.policies.exploration import epsilon_at, noisy_actions
from masoft.policies.team_policy import TeamPolicy
from masoft.spec import make_team_spec
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = {
    "learning_starts": 20,
    "batch_size": 16,
    "buffer_size": 500,
    "policy_kwargs": {"net_arch": [16]},
    "seed": 0,
    "device": "cpu",
}


def collected(algorithm: type[Any], **changes: Any) -> Any:
    """A model with 40 transitions that has not been updated yet."""
    return algorithm(IdentityTeam(), **{**SMALL, "learning_starts": 1_000, **changes}).learn(40)


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_target_is_that_of_the_target_actors_and_the_smaller_critic() -> None:
    model = collected(HATD3, target_policy_noise=0.0, gamma=0.5)
    with torch.no_grad():  # targets that differ from what is learned
        for module in (model.policy.actors_target, model.policy.critic_target):
            for parameter in module.parameters():
                parameter.mul_(-1.5)
    batch = model.sample_batch(8)
    encoded = []
    for i, action in enumerate(agent.action for agent in model.team.agents):
        chosen = model.policy.target_distribution(i, batch.next_observations[i], batch.next_masks).mode()
        parts = [torch.nn.functional.one_hot(c, n) for c, n in zip(chosen.unbind(-1), action.nvec, strict=False)]
        encoded.append(chosen if action.is_box else torch.cat(parts, dim=-1).float())
    both = model.policy.critic_target(batch.next_state, torch.cat(encoded, dim=-1))
    assert both.shape == (2, 8)
    expected = batch.rewards + 0.5 * (1 - batch.terminated) * torch.minimum(both[0], both[1])
    torch.testing.assert_close(model._begin_update().critic_target(batch), expected.detach())


def test_target_noise_is_clipped_and_moves_the_target() -> None:
    model = collected(HATD3, target_policy_noise=100.0, target_noise_clip=0.0)
    quiet = collected(HATD3, target_policy_noise=0.0)
    batch = model.sample_batch(8)
    torch.testing.assert_close(model._begin_update().critic_target(batch), quiet._begin_update().critic_target(batch))
    loud = collected(HATD3, target_policy_noise=1.0, target_noise_clip=1.0)
    assert not torch.allclose(loud._begin_update().critic_target(batch), quiet._begin_update().critic_target(batch))


def test_actors_and_targets_wait_for_the_policy_delay() -> None:
    model = collected(HATD3, policy_delay=3)
    names = ("actors", "actors_target", "critic_target", "critic")
    before = {name: weights(getattr(model.policy, name)) for name in names}
    model.train(2, 16)
    moved = [name for name in names if not same(before[name], weights(getattr(model.policy, name)))]
    assert moved == ["critic"]
    model.train(1, 16)
    assert not any(same(before[name], weights(getattr(model.policy, name))) for name in names)


def test_sequential_and_simultaneous_updates_differ_from_the_second_agent_on() -> None:
    order = FixedOrder((0, 1, 2))
    one, other = collected(HADDPG, order=order, tau=1.0), collected(MADDPG, tau=1.0)
    for model in (one, other):
        # A first step as large as this changes what the later agents see.
        model.lr_schedules["actor"] = lambda progress: 0.5
        model.train(1, 16)
    same_by_agent = [same(weights(one.policy.actors[i]), weights(other.policy.actors[i])) for i in range(3)]
    assert same_by_agent[0]
    assert not all(same_by_agent[1:])


def test_the_four_classes_are_the_choices_that_their_pages_say() -> None:
    for algorithm, n_critics, delay in ((HADDPG, 1, 1), (MADDPG, 1, 1), (HATD3, 2, 2), (MATD3, 2, 2)):
        model = algorithm(IdentityTeam(), **SMALL)
        assert model.policy.critic.n_critics == n_critics
        assert model.policy_delay == delay
        assert model.order.sequential == algorithm.__name__.startswith("HA")
    assert "policy_delay" not in HADDPG.parameter_names() and "order" not in MATD3.parameter_names()


def test_the_exact_gradient_raises_the_expected_value_of_a_categorical_agent() -> None:
    model = collected(HADDPG, discrete_gradient="exact")
    model._prepare_training()
    model.policy.actor_optimizers[1].param_groups[0]["lr"] = 1e-2
    batch = model.sample_batch(64)
    actions = torch.cat([model._begin_update().action(i, batch) for i in range(3)], dim=-1)
    critic = model.policy.critic.turns(batch.state, actions)

    def expected() -> float:
        now = model.policy.distribution(1, batch.observations[1], batch.masks)
        values = critic.value_of_each(model.team.encoded_slices[1], model._choices[1])
        return float((now.joint_log_probs().exp() * values).sum(-1).mean().detach())

    before = expected()
    for _ in range(50):
        model._begin_update().improve(1, critic, batch)
    assert expected() > before + 0.01


def test_the_gumbel_gradient_needs_no_enumeration_and_moves_the_actor() -> None:
    model = collected(HADDPG, discrete_gradient="gumbel")
    assert model._choices == (None, None, None)
    before = weights(model.policy.actors[1])
    model.train(1, 16)
    assert not same(before, weights(model.policy.actors[1]))


def test_exploration_noise_stays_inside_the_box_and_uniform_draws_stay_legal() -> None:
    env = IdentityTeam()
    spaces = {agent: env.observation_space(agent) for agent in env.possible_agents}
    actions = {agent: env.action_space(agent) for agent in env.possible_agents}
    team = make_team_spec(spaces, actions, has_masks=True)
    masks = np.ones((500, team.mask_size), np.int8)
    masks[:, 1] = 0  # the second choice of the Discrete agent
    start = np.zeros((500, team.action_size), np.float32)
    generator = torch.Generator().manual_seed(0)
    moved = noisy_actions(team, start, 5.0, 1.0, masks, generator)
    assert (np.abs(moved[:, :2]) <= 1).all() and (np.abs(moved[:, :2]) == 1).any()
    assert set(moved[:, 2]) == {0.0, 2.0, 3.0}
    still = noisy_actions(team, start, 0.0, 0.0, masks, generator)
    np.testing.assert_array_equal(still, start)
    some = noisy_actions(team, start, 0.0, 0.25, masks, generator)[:, 2]
    assert 0.05 < np.mean(some != 0) < 0.3  # a quarter of the steps, of which a third draws the same choice


def test_epsilon_falls_linearly_and_then_stays() -> None:
    assert epsilon_at(1.0, 0.1, 0.5, 1.0) == 1.0
    assert epsilon_at(1.0, 0.1, 0.5, 0.75) == pytest.approx(0.55)
    assert epsilon_at(1.0, 0.1, 0.5, 0.5) == epsilon_at(1.0, 0.1, 0.5, 0.0) == 0.1
    assert epsilon_at(1.0, 0.1, 0.0, 1.0) == 0.1


def test_an_order_that_needs_improvements_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be an update order that needs no.*FixedOrder"):
        HATD3(IdentityTeam(), order=Greedy())


def test_another_methods_policy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="policy must be a subclass of DeterministicPolicy"):
        HATD3(TeamPolicy, IdentityTeam())
    with pytest.raises(ConfigurationError, match="policy must be a known alias"):
        HATD3("LstmPolicy", IdentityTeam())


def test_hasac_without_stochasticity_is_a_configuration() -> None:
    model = HATD3(IdentityTeam(), target_policy_noise=0.0, policy_delay=1, **SMALL).learn(40)
    assert model._n_updates == 20
    first, second = (model.predict(model.env.reset(), deterministic=True)[0] for _ in range(2))
    assert first.shape == second.shape
