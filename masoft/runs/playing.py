"""Whole episodes of a team, and of one that acts at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.evaluation import evaluate_policy

from masoft.envs import team_of
from masoft.envs.normalization import scaled_alike
from masoft.envs.wrapping import statistics_at_rest
from masoft.functional.actions import to_environment
from masoft.policies.exploration import uniform_actions
from masoft.spec import ACTION_MASK


def play(model: Any, env: Any, episodes: int, *, deterministic: bool = True, callback: Any = None) -> list[float]:
    """Returns of whole episodes by SB3's own ``evaluate_policy``: in unscaled rewards, seen as in training.

    Statistics stay as they are.
    """
    returns: Any
    env = scaled_alike(env, getattr(model, "normalization", None))
    with statistics_at_rest(env):
        returns, _ = evaluate_policy(
            model,
            env,
            n_eval_episodes=episodes,
            deterministic=deterministic,
            callback=callback,
            return_episode_rewards=True,
            warn=False,
        )
    return [*returns]


def play_random(env: Any, episodes: int, seed: int) -> list[float]:
    """Returns of a team that takes uniform legal actions."""
    return play(RandomTeam(env, seed), env, episodes, deterministic=False)


class RandomTeam:
    """Uniform legal actions, in the form that ``evaluate_policy`` asks for.

    Args:
        env: the VecEnv of teams to act in.
        seed: of the draws.
    """

    def __init__(self, env: Any, seed: int) -> None:
        self._team = team_of(env)
        self._generator = torch.Generator().manual_seed(seed)

    def predict(self, observation: Any, state: Any = None, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Joint actions for batched team observations; the policy state passes through."""
        n_envs = len(next(iter(observation.values())))
        actions = uniform_actions(self._team, n_envs, observation.get(ACTION_MASK), self._generator)
        return to_environment(self._team, actions), state


def summary(returns: list[float]) -> dict[str, Any]:
    """Mean and standard deviation over episodes."""
    return {"mean_return": float(np.mean(returns)), "std": float(np.std(returns))}
