"""CAMAR: disks find their ways past obstacles and each other, in JAX, one map or many in one VecEnv.

Reference:
    Pshenitsyn et al., CAMAR: Continuous Actions Multi-Agent Routing, 2025; ``camar``.
"""

from __future__ import annotations

import functools
import importlib
import json
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecMonitor

from masoft.envs.adapters.jax_game import Batch, JaxTeam, Outcome, vec_of
from masoft.envs.adapters.jax_scene import load_jax


class Routing:
    """One kind of map of CAMAR.

    An agent sees the direction of its goal and the nearest things around it, and moves by two forces from -1 to 1. On
    its goal it gets 0.5 a step, and 0.5 more where all are on theirs; a collision costs 1; getting nearer to the goal
    pays ``pos_shaping_factor`` times the way. An episode terminates when all are on their goals, and is truncated
    after ``max_steps`` steps and one.

    Args:
        map_name: a map generator of camar, ``"random_grid"``, ``"caves_cont"``.
        n_agents: number of agents.
        map_kwargs: of the map generator, for example ``num_rows``, ``obstacle_density``.
        **options: of ``camar.make_env.make_env``, for example ``max_steps``, ``window``, ``frameskip``.
    """

    team_reward = "mean"

    def __init__(self, map_name: str, n_agents: int = 4, map_kwargs: dict[str, Any] | None = None, **options: Any):
        self._jax = load_jax()
        made = {"num_agents": n_agents, **(map_kwargs or {})}
        self.game = importlib.import_module("camar.make_env").make_env(
            map_generator=map_name, map_kwargs=made, **options
        )
        self.name, self.n_agents = f"camar/{map_name}", int(self.game.num_agents)
        self.observation_space = spaces.Box(-np.inf, np.inf, (int(self.game.observation_size),), np.float32)
        self.action_space: spaces.Space[Any] = spaces.Box(-1, 1, (int(self.game.action_size),), np.float32)

    def reset(self, key: Any) -> tuple[Any, Any]:
        """See `masoft.envs.adapters.jax_game.Game`."""
        seen: tuple[Any, Any] = self.game.reset(key)
        return seen

    def step(self, key: Any, state: Any, actions: Any) -> tuple[Any, Any, Outcome]:
        """See `masoft.envs.adapters.jax_game.Game`."""
        seen, state, rewards, done, _ = self.game.step(key, state, actions)
        arrived = state.on_goal.all()
        return seen, state, Outcome(rewards.reshape(-1), arrived, done & ~arrived, arrived)


def make_camar(map_name: str, **options: Any) -> JaxTeam:
    """See `Routing`."""
    return JaxTeam(_shared(map_name, json.dumps(options, sort_keys=True)))


def make_camar_vec(
    map_name: str,
    n_envs: int,
    *,
    seed: int | None = None,
    team_reward: str = "auto",
    monitor_dir: str | None = None,
    tensors: bool | None = None,
    **options: Any,
) -> VecMonitor:
    """See `Routing`; map i is seeded with seed + i."""
    batch = _shared(map_name, json.dumps(options, sort_keys=True))
    return vec_of(batch, n_envs, seed=seed, team_reward=team_reward, monitor_dir=monitor_dir, tensors=tensors)


@functools.lru_cache(maxsize=8)
def _shared(map_name: str, options: str) -> Batch:
    """Compiled once in a process: training and evaluation share it."""
    return Batch(Routing(map_name, **json.loads(options)))
