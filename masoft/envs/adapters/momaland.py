"""MOMAland: several objectives at once, weighed into one number.

Reference:
    Felten et al., MOMAland: A Set of Benchmarks for Multi-Objective Multi-Agent Reinforcement Learning, 2024;
    ``momaland``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from pettingzoo.utils.wrappers import BaseParallelWrapper

from masoft.errors import ConfigurationError, explain

GAMES = {
    "beach": "beach.mobeach_v0",
    "catch": "crazyrl.catch.catch_v0",
    "escort": "crazyrl.escort.escort_v0",
    "item_gathering": "item_gathering.moitem_gathering_v0",
    "multiwalker_stability": "multiwalker_stability.momultiwalker_stability_v0",
    "surround": "crazyrl.surround.surround_v0",
}


def make_momaland(game: str, *, weights: Sequence[float] | None = None, **kwargs: Any) -> WeighedTeam:
    """See `WeighedTeam`.

    Args:
        game: one of `GAMES`.
        weights: one an objective; None weighs all the same, in sum 1.
        **kwargs: momaland's own, for example ``num_agents``.
    """
    return WeighedTeam(importlib.import_module(f"momaland.envs.{GAMES[game]}").parallel_env(**kwargs), weights)


class WeighedTeam(BaseParallelWrapper):
    r"""Rewards $\sum_k w_k r_k$ instead of vectors $r$; the vector stays in ``info["objectives"]``.

    Args:
        env: a MOMAland parallel environment.
        weights: (objectives,), the same for all agents; None: $w_k = 1/K$.

    Raises:
        ConfigurationError: another number of weights than objectives, or one that is not finite.
    """

    def __init__(self, env: Any, weights: Sequence[float] | None = None) -> None:
        super().__init__(env)
        n_objectives = int(env.reward_space(env.possible_agents[0]).shape[0])
        chosen = np.full(n_objectives, 1 / n_objectives) if weights is None else np.asarray(weights, np.float64)
        if chosen.shape != (n_objectives,) or not np.isfinite(chosen).all():
            raise ConfigurationError(explain("weights", f"{n_objectives} finite numbers, one an objective", weights))
        self.weights = chosen
        self.metadata = {**env.metadata}

    def step(self, actions: Any) -> Any:
        """One step of all agents."""
        seen, rewards, terminated, truncated, infos = self.env.step(actions)
        infos = {agent: {**infos.get(agent, {}), "objectives": np.array(rewards[agent])} for agent in rewards}
        weighed = {agent: float(self.weights @ np.asarray(vector)) for agent, vector in rewards.items()}
        return seen, weighed, terminated, truncated, infos
