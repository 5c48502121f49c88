"""On-policy methods against what they claim to be: PPO's gradient, SB3's PPO, a KL ball, Appendix B."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from masoft import HAML, HAPPO, HATRPO
from masoft.envs.adapters.matrix import BIASED_START, MAXENT_PAYOFF, MatrixGame
from masoft.envs.vector import make_vec
from masoft.learners.experience import batch_of
from masoft.mirror import ClipDrift, FixedOrder


class PointEnv(gymnasium.Env[np.ndarray, Any]):
    """A point on a line that is to be held at the origin; episodes end by a border or by time."""

    def __init__(self, discrete: bool) -> None:
        self.observation_space = spaces.Box(-10, 10, (3,), np.float32)
        self.discrete = discrete
        self.action_space = spaces.Discrete(3) if discrete else spaces.Box(-1, 1, (2,), np.float32)
        self._rng = np.random.default_rng(0)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.point, self.elapsed = self._rng.normal(size=3).astype(np.float32), 0
        return self.point.copy(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        push = (int(action) - 1) * np.ones(2) if self.discrete else np.asarray(action)
        self.point[:2] += 0.3 * push.astype(np.float32)
        self.point += 0.1 * self._rng.normal(size=3).astype(np.float32)
        self.elapsed += 1
        gone = bool(np.abs(self.point).max() > 2)
        return self.point.copy(), -0.1 * float(np.square(self.point).sum()), gone, self.elapsed >= 20, {}


def copy_weights(source: PPO, target: HAPPO) -> None:
    """SB3's starting weights for our networks: both are linear-tanh-linear-tanh-linear."""
    mine, theirs = target.policy, source.policy
    with torch.no_grad():
        for ours, other in (
            (mine.actors[0].body, theirs.mlp_extractor.policy_net),
            (mine.critic.branches[0].body, theirs.mlp_extractor.value_net),
            (mine.actors[0].head.linear, theirs.action_net),
            (mine.critic.branches[0].head, theirs.value_net),
        ):
            for a, b in zip(ours.parameters(), other.parameters(), strict=True):
                a.copy_(b)


def copy_rollout(source: HAPPO, target: PPO) -> None:
    """Our steps as SB3's rollout buffer, whose values, log-probabilities and advantages SB3 computes itself."""
    mine, theirs = source.rollout_buffer, target.rollout_buffer
    theirs.reset()
    terminal = {(step, env): obs["agent_0"] for step, env, obs in mine.finals}
    for step in range(mine.n_steps):
        obs = mine.frames["agent_0"][step]
        actions = mine.actions[step]
        with torch.no_grad():
            given = actions.long().flatten() if isinstance(target.action_space, spaces.Discrete) else actions
            values, log_prob, _ = target.policy.evaluate_actions(obs, given)
            rewards = mine.rewards[step].numpy().copy()
            for env in range(mine.n_envs):
                if (step, env) in terminal:
                    last = target.policy.predict_values(torch.as_tensor(terminal[step, env])[None])
                    rewards[env] += target.gamma * float(last)
        theirs.add(obs.numpy(), actions.numpy(), rewards, mine.starts[step].numpy(), values, log_prob)
    with torch.no_grad():
        last_values = target.policy.predict_values(mine.frames["agent_0"][-1])
    theirs.compute_returns_and_advantage(last_values, dones=mine.ended[-1].numpy())


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("ent_coef", [0.0, 0.02])
@pytest.mark.parametrize("clip_range_vf", [None, 0.2])
def test_one_agent_happo_is_sb3_ppo(discrete: bool, ent_coef: float, clip_range_vf: float | None) -> None:
    """Same weights, same rollout: the weights after ten epochs agree."""
    settings: dict[str, Any] = {
        "n_steps": 64, "n_epochs": 10, "ent_coef": ent_coef, "learning_rate": 1e-3, "max_grad_norm": 1e9,
        "clip_range_vf": clip_range_vf, "seed": 0, "device": "cpu",
    }  # fmt: skip
    envs = DummyVecEnv([lambda: gymnasium.wrappers.TimeLimit(PointEnv(discrete), 20)] * 2)
    ppo = PPO("MlpPolicy", envs, batch_size=128, **settings)
    model = HAPPO(
        make_vec(lambda: PointEnv(discrete), 2, seed=0),
        batch_size=None, normalize_value=False, soft_advantage=False, **settings,
    )  # fmt: skip
    copy_weights(ppo, model)
    model._setup_learn(128)
    ppo._setup_learn(128)
    callback = model._init_callback(None)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 64)
    copy_rollout(model, ppo)
    mine = model.experience.advantages.view(64, 2).numpy()
    np.testing.assert_allclose(mine, ppo.rollout_buffer.advantages, rtol=1e-5, atol=1e-5)
    assert model.rollout_buffer.terminated.any() and model.rollout_buffer.finals
    model.train()
    ppo.train()
    pairs = [
        (model.policy.actors[0].body, ppo.policy.mlp_extractor.policy_net),
        (model.policy.critic.branches[0].body, ppo.policy.mlp_extractor.value_net),
        (model.policy.actors[0].head.linear, ppo.policy.action_net),
        (model.policy.critic.branches[0].head, ppo.policy.value_net),
    ]
    for ours, other in pairs:
        for a, b in zip(ours.parameters(), other.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-6), float((a - b).abs().max())
    if not discrete:
        assert torch.allclose(model.policy.actors[0].head.log_std, ppo.policy.log_std, atol=1e-6)


def two_agents(cls: type, **settings: Any) -> Any:
    """A model after one rollout on the game of Figure 1."""
    payoff = np.asarray(MAXENT_PAYOFF)
    env = make_vec(lambda: MatrixGame(payoff), 8, seed=0)
    model = cls(
        env, n_steps=32, gamma=0.0, order=FixedOrder(), seed=0, device="cpu", normalize_value=False,
        policy_kwargs={"net_arch": [8], "initial_action_probabilities": BIASED_START}, **settings,
    )  # fmt: skip
    model._setup_learn(256)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 32)
    return model


def test_the_drift_gradient_is_ppo_clip_times_the_sequential_factor() -> None:
    """The second agent's sampled gradient, written out as PPO's clipped minimum of M = ratio of agent 1 times A."""
    model = two_agents(HAML, drift=ClipDrift(0.2), batch_size=None, n_epochs=1, normalize_advantage=False)
    model._prepare_training()
    experience, policy = model.experience, model.policy
    with torch.no_grad():  # both agents have moved from the policies that made the rollout
        policy.actors[0].head.linear.bias += torch.tensor([0.3, -0.2, 0.1])
        policy.actors[1].head.linear.bias += torch.tensor([-0.5, 0.4, 0.2])
    changed = {0: model._step.log_ratio(experience, 0)}
    turn = model._turn((1,), changed)
    batch = batch_of(experience, policy, 1, None, turn.advantages, turn.joint_ratio)
    now = batch.change_to(policy.along(1, batch.observation, None)[0], (0,))
    parameters = list(policy.actors[1].parameters())
    gain = now.mean(batch.joint_ratio * now.ratio() * batch.advantage - turn.drift(now))
    ours = torch.autograd.grad(gain, parameters)

    def probabilities(i: int) -> torch.Tensor:
        return torch.softmax(policy.actors[i].head(policy.actors[i].body(torch.ones(1, 1))).logits, -1)[0]

    taken = experience.actions.long()
    old = torch.tensor(BIASED_START)
    factor = (probabilities(0)[taken[:, 0]] / old[taken[:, 0]]).detach()
    ratio = probabilities(1)[taken[:, 1]] / old[taken[:, 1]]
    weighted = factor * experience.advantages[:, 0]
    by_hand = torch.minimum(ratio * weighted, ratio.clamp(0.8, 1.2) * weighted).mean()
    expected = torch.autograd.grad(by_hand, parameters)
    assert ((ratio - 1).abs() > 0.2).any() and factor.std() > 0
    for a, b in zip(ours, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-6), float((a - b).abs().max())


def test_the_sampled_advantages_average_to_those_of_figure_6() -> None:
    """Appendix B: V = -8.2, and A = r - V for every joint action."""
    model = two_agents(HAPPO, batch_size=None)
    experience = model.experience
    with torch.no_grad():
        model.policy.critic.branches[0].head.weight.zero_()
        model.policy.critic.branches[0].head.bias.fill_(-8.2)
    model._evaluate_rollout()
    experience = model.experience
    taken = experience.actions.long()
    rewards = torch.tensor(MAXENT_PAYOFF)[taken[:, 0], taken[:, 1]]
    assert torch.allclose(experience.advantages[:, 0], rewards + 8.2, atol=1e-5)
    start = np.asarray(BIASED_START)
    assert start @ np.asarray(MAXENT_PAYOFF) @ start == pytest.approx(-8.2)


def test_soft_advantages_count_the_entropy_of_the_team() -> None:
    """A = r + alpha (H_1 + H_2) - V with the exact entropies of the policies that made the rollout."""
    model = two_agents(HAPPO, batch_size=None, ent_coef=10.0)
    experience = model.experience
    start = np.asarray(BIASED_START)
    entropy = 2 * float(-(start * np.log(start)).sum())
    taken = experience.actions.long()
    rewards = torch.tensor(MAXENT_PAYOFF)[taken[:, 0], taken[:, 1]]
    expected = rewards + 10.0 * entropy - experience.values[:, 0]
    assert torch.allclose(experience.advantages[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("target_kl", [0.001, 0.01, 0.1])
def test_an_accepted_hatrpo_step_stays_in_the_ball(target_kl: float) -> None:
    """KL(old || new), summed over the three actions in double precision, never exceeds the radius."""
    model = two_agents(HATRPO, target_kl=target_kl)
    old = torch.tensor(BIASED_START, dtype=torch.float64)
    old = old / old.sum()
    model.train()
    for actor in model.policy.actors:
        with torch.no_grad():
            new = torch.softmax(actor(torch.ones(1, 1)).logits[0].double(), -1)
        kl = float((old * (old / new).log()).sum())
        assert 0.3 * target_kl < kl <= target_kl * (1 + 1e-5), kl
