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

from masoft.algorithms.experience import batch_of
from masoft.algorithms.happo import HAML, HAPPO, HATRPO
from masoft.envs.adapters.matrix import BIASED_START, MAXENT_PAYOFF, MatrixGame
from masoft.envs.vector import make_vec
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
