"""Pieces of the updates by hand: whose rows count, which temperature, which networks, which memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from masoft import FOP, HAD3QN, HAPPO, HATD3, MEHAML, VDN
from masoft.envs import make_vec
from masoft.functional.actions import encode_joint_action
from masoft.learners.experience import batch_of
from masoft.learners.rollout import Recall, _critic_inputs, evaluate_rollout
from masoft.mirror import ClipDrift
from masoft.networks.torso import Sequences
from masoft.spec import ACTIVE
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = dict(policy_kwargs=dict(net_arch=[8]), seed=0, device="cpu")
ALIVE = torch.tensor([1.0, 0, 0, 1, 0, 1, 0, 0])


def replaying(algorithm: type[Any], kinds: tuple[str, ...], **changes: Any) -> Any:
    """A model with 40 transitions that has not been updated yet."""
    return algorithm(
        IdentityTeam(kinds), **{**SMALL, "learning_starts": 1_000, "buffer_size": 100, "batch_size": 8, **changes}
    ).learn(40)


def rolled_out(kinds: tuple[str, ...], policy: str = "MlpPolicy", deaths: bool = False, **changes: Any) -> Any:
    """An on-policy model after a rollout of 16 steps in two environments."""

    def make() -> IdentityTeam:
        env = IdentityTeam(kinds, episode_length=5)
        env.metadata["has_deaths"] = deaths
        return env

    model = HAPPO(policy, make_vec(make, 2, seed=0), n_steps=16, **{**SMALL, "batch_size": None, **changes})
    model._setup_learn(32)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 16)
    return model


def test_the_exact_advantage_is_centred_by_the_policy() -> None:
    model = replaying(MEHAML, ("discrete", "discrete"), drift=ClipDrift(0.2), ent_coef=0.5)
    update = model._begin_update()
    opened = update.open(model.sample_batch(8))
    _, advantage = update.objective(0, opened.draws[0], opened)
    assert update.choices[0] is not None and advantage is not None
    q_values = opened.critic.value_of_each(model.team.encoded_slices[0], update.choices[0])
    expected = (opened.draws[0].policy.joint_log_probs().exp() * q_values).sum(-1, keepdim=True)
    torch.testing.assert_close(advantage, (q_values - expected).detach())


def test_noisy_target_actions_stay_inside_the_box() -> None:
    model = replaying(HATD3, ("box", "box"), target_policy_noise=10.0, target_noise_clip=10.0)
    seen: list[torch.Tensor] = []
    model.policy.critic_target.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    model._begin_update().critic_target(model.sample_batch(32))
    assert float(seen[0].abs().max()) == 1.0


@pytest.mark.parametrize("algorithm", [HATD3, HAD3QN])
def test_losses_are_means_over_rows_in_which_the_agent_is_there(algorithm: type[Any]) -> None:
    model = replaying(algorithm, ("discrete", "discrete"))
    batch = replace(model.sample_batch(8), active=torch.stack([ALIVE, torch.ones(8)], dim=-1))
    update = model._begin_update()
    critic, now = update.open(batch), model.policy.distribution(0, batch.observations[0], batch.masks)
    q_values = critic.value_of_each(model.team.encoded_slices[0], update.choices[0])
    if algorithm is HATD3:
        expected = -(now.joint_log_probs().exp() * q_values).sum(-1)
    else:
        assert not now.legal.all()
        expected = torch.where(now.legal, (now.values - q_values).square(), 0.0).mean(-1)
    update.improve(0, critic, batch)
    torch.testing.assert_close(update.metrics.mean("actor_loss"), expected[ALIVE > 0].mean().detach())


def test_padding_is_no_part_of_a_decomposed_loss() -> None:
    model = replaying(VDN, ("discrete", "discrete"))
    update = model._begin_update()
    value = torch.arange(8.0, requires_grad=True)
    update.fit(value, torch.zeros(8), [1.0, 1.0], ALIVE)
    assert float(update.metrics.mean("critic_loss")) == pytest.approx((0 + 9 + 25) / 3)


def test_the_factored_weight_grows_with_the_joint_temperature() -> None:
    model = replaying(FOP, ("discrete", "discrete"), ent_coef="auto")
    with torch.no_grad():
        model.temperature.log_values.copy_(torch.tensor([1.0, 2.0, 4.0]).log())
    batch, seen = model.sample_batch(8), []
    model.policy.mixers[0].register_forward_pre_hook(lambda _, given: seen.append(given[2]))
    model._begin_update().joint_values(batch.state, batch.observations, batch.masks, batch.active, batch.actions)
    learned = model.policy.mixers[0].weights(batch.state, encode_joint_action(model.team, batch.actions))
    torch.testing.assert_close(seen[0], learned * torch.tensor([4.0, 2.0]))


def test_the_factored_target_is_the_smaller_critics() -> None:
    model = replaying(FOP, ("discrete", "discrete"), ent_coef=1e-9, gamma=0.5)
    batch, update = model.sample_batch(8), model._begin_update()
    given = torch.stack([torch.arange(8.0), torch.arange(8.0) + 1])
    object.__setattr__(update, "joint_values", lambda *_, of_target: given)
    expected = batch.rewards + 0.5 * (1 - batch.terminated) * given[0]
    torch.testing.assert_close(update.critic_target(batch), expected)


def test_a_temperature_counts_in_units_of_the_advantages() -> None:
    """At the old policy the standardised surrogate is 0, so the loss is minus the entropy bonus."""
    model = rolled_out(("discrete", "discrete"), ent_coef=0.5)
    model._prepare_training()
    turn = model._turn((0,), {})
    batch = batch_of(model.experience, model.policy, 0, None, turn.advantages, turn.joint_ratio)
    loss = model._step([0], batch, turn).loss_before
    entropy, deviation = model.experience.old[0].entropy().mean(), turn.advantages[:, 0].std()
    torch.testing.assert_close(loss, -0.5 * entropy / deviation, atol=1e-5, rtol=1e-4)


def test_the_entropy_of_the_dead_is_no_reward() -> None:
    model = rolled_out(("discrete", "discrete"), deaths=True)
    buffer = model.rollout_buffer
    buffer.frames[ACTIVE][:, :, 1] = False
    errors = []
    for ent_coef in (None, torch.tensor(2.0)):
        experience, _ = evaluate_rollout(
            buffer, model.policy, Recall(), gamma=0.9, gae_lambda=0.95, ent_coef=ent_coef, generator=model.generator
        )
        errors.append(experience.errors[..., 0])
    torch.testing.assert_close(errors[1] - errors[0], 2 * experience.old[0].entropy().view(16, 2), atol=1e-5, rtol=1e-5)


def test_the_critic_remembers_the_rollout_and_not_what_follows_it() -> None:
    """What is seen after the last step is the first of the next rollout; it is remembered there."""
    model = rolled_out(
        ("discrete", "discrete"), "RnnPolicy", policy_kwargs=dict(net_arch=[8], hidden_size=4, sequence_length=4)
    )
    buffer, critic = model.rollout_buffer, model.policy.critic
    inputs = _critic_inputs(model.policy, {name: frame[:-1].flatten(0, 1) for name, frame in buffer.frames.items()})
    zeros = torch.zeros(2, critic.remembered_size)
    with torch.no_grad():
        _, remembered = critic.returns(inputs, Sequences(buffer.starts[:-1], zeros))
    torch.testing.assert_close(model._recall.critic, remembered[-1])
