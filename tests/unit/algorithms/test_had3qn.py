"""HAD3QN: what the agents are taught, in which order, and how double Q-learning judges."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from masoft import HAD3QN
from masoft.errors import ConfigurationError, SpaceError
from masoft.functional.actions import encode_action
from masoft.mirror import FixedOrder, Greedy, Simultaneous
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = {
    "batch_size": 16,
    "buffer_size": 500,
    "learning_starts": 1_000,
    "policy_kwargs": {"net_arch": [16]},
    "seed": 0,
    "device": "cpu",
}


def collected(**changes: Any) -> Any:
    """A model with 40 transitions that has not been updated yet."""
    return HAD3QN(IdentityTeam(("discrete", "multidiscrete")), **{**SMALL, **changes}).learn(40)


def test_the_agents_choose_and_the_target_critic_judges() -> None:
    model = collected(gamma=0.5)
    with torch.no_grad():  # targets that differ from what is learned
        for parameter in model.policy.critic_target.parameters():
            parameter.mul_(-1.5)
    batch = model.sample_batch(8)
    chosen = []
    for i, agent in enumerate(model.team.agents):
        policy = model.policy.distribution(i, batch.next_observations[i], batch.next_masks)
        chosen.append(encode_action(agent.action, policy.mode()))
    judged = model.policy.critic_target(batch.next_state, torch.cat(chosen, dim=-1)).amin(dim=0)
    expected = batch.rewards + 0.5 * (1 - batch.terminated) * judged
    torch.testing.assert_close(model._begin_update().critic_target(batch), expected.detach())


def test_agents_learn_the_critics_values_of_all_their_legal_actions() -> None:
    model = collected()
    model._prepare_training()
    model.policy.actor_optimizers[0].param_groups[0]["lr"] = 1e-2
    batch = model.sample_batch(128)
    actions = [model._begin_update().greedy(i, batch.observations[i], batch.masks) for i in range(2)]
    critic = model.policy.critic.turns(batch.state, torch.cat(actions, dim=-1))
    taught = critic.value_of_each(model.team.encoded_slices[0], model._choices[0])
    own = model.policy.distribution(0, batch.observations[0], batch.masks)
    before = (own.values - taught).square()[own.legal].mean().item()
    for _ in range(150):
        model._begin_update().improve(0, critic, batch)
    own = model.policy.distribution(0, batch.observations[0], batch.masks)
    assert (own.values - taught).square()[own.legal].mean().item() < 0.2 * before


def test_a_later_agent_learns_against_the_new_choice_of_an_earlier_one() -> None:
    taught = {}
    for order in (FixedOrder((0, 1)), Simultaneous()):
        model = collected(order=order)
        with torch.no_grad():  # one step turns the first agent's choice round
            model.policy.actors[0].head.bias.zero_()
        model.lr_schedules["actor"] = lambda progress: 1.0
        model.train(1, 64)
        taught[order.sequential] = [p.detach().clone() for p in model.policy.actors[1].parameters()]
    assert not all(torch.equal(a, b) for a, b in zip(taught[True], taught[False], strict=True))


def test_refusals() -> None:
    with pytest.raises(ConfigurationError, match="must be an update order that needs no expected improvements"):
        HAD3QN(order=Greedy())
    with pytest.raises(SpaceError, match="agent 'agent_0' must be a Discrete or MultiDiscrete or MultiBinary"):
        HAD3QN(IdentityTeam(("box",)))
