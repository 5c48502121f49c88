"""Overcooked: two cooks put onions into pots and serve soups, in JAX, one kitchen or many in one VecEnv.

Reference:
    Carroll et al., On the Utility of Learning about Humans for Human-AI Coordination, 2019; Rutherford et al., JaxMARL,
    2024; ``jaxmarl``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import warnings
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecMonitor

from masoft.envs.adapters.jax_game import Batch, JaxTeam, Outcome, vec_of
from masoft.envs.adapters.jax_scene import load_jax
from masoft.errors import ConfigurationError, explain, nearest

LAYOUTS = ("asymm_advantages", "coord_ring", "counter_circuit", "cramped_room", "forced_coord")


class Kitchen:
    """One layout of jaxmarl's Overcooked.

    Both cooks see the whole kitchen, 26 numbers a field in a row, their own layers first. A soup that is served pays
    20 to both. An episode has ``max_steps`` steps and ends by truncation.

    Args:
        layout: one of `LAYOUTS`.
        shaping: weight of jaxmarl's rewards for steps on the way, each cook's own: 3 for an onion in a pot and for a
            plate that is needed, 5 for a soup that is picked up; 0 leaves the game's reward as it is.
        **options: jaxmarl's, ``max_steps=400`` and ``random_reset=False``.

    Raises:
        ConfigurationError: an unknown layout.
    """

    n_agents = 2

    def __init__(self, layout: str, shaping: float = 0.0, **options: Any) -> None:
        if layout not in LAYOUTS:
            raise ConfigurationError(explain("layout", "a known layout", layout, nearest(layout, LAYOUTS)))
        self._jax = load_jax()
        with contextlib.redirect_stdout(sys.stdout), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jaxmarl recommends its second version, which is another game
            package: Any = importlib.import_module("jaxmarl.environments.overcooked")
            self.game = package.Overcooked(layout=package.overcooked_layouts[layout], **options)
        self.name, self.shaping = f"overcooked/{layout}", shaping
        self.team_reward = "mean" if shaping else "shared"
        self.observation_space = spaces.Box(0, 255, (int(np.prod(self.game.obs_shape)),), np.float32)
        self.action_space: spaces.Space[Any] = spaces.Discrete(len(self.game.action_set))

    def reset(self, key: Any) -> tuple[Any, Any]:
        """See `masoft.envs.adapters.jax_game.Game`."""
        seen, state = self.game.reset(key)
        return self._flat(seen), state

    def step(self, key: Any, state: Any, actions: Any) -> tuple[Any, Any, Outcome]:
        """See `masoft.envs.adapters.jax_game.Game`."""
        numpy = self._jax.numpy
        chosen = dict(zip(self.game.agents, actions, strict=True))
        seen, state, paid, dones, infos = self.game.step_env(key, state, chosen)
        extra = infos["shaped_reward"]
        rewards = numpy.stack([paid[agent] + self.shaping * extra[agent] for agent in self.game.agents])
        never = numpy.asarray(False)
        return self._flat(seen), state, Outcome(rewards, never, dones["__all__"], never)

    def _flat(self, seen: dict[str, Any]) -> Any:
        rows = [seen[agent].reshape(-1) for agent in self.game.agents]
        return self._jax.numpy.stack(rows).astype("float32")


def make_overcooked(layout: str, **options: Any) -> JaxTeam:
    """See `Kitchen`."""
    return JaxTeam(_shared(layout, tuple(sorted(options.items()))))


def make_overcooked_vec(
    layout: str,
    n_envs: int,
    *,
    seed: int | None = None,
    team_reward: str = "auto",
    monitor_dir: str | None = None,
    tensors: bool | None = None,
    **options: Any,
) -> VecMonitor:
    """See `Kitchen`; kitchen i is seeded with seed + i."""
    batch = _shared(layout, tuple(sorted(options.items())))
    return vec_of(batch, n_envs, seed=seed, team_reward=team_reward, monitor_dir=monitor_dir, tensors=tensors)


@functools.lru_cache(maxsize=8)
def _shared(layout: str, options: tuple[tuple[str, Any], ...]) -> Batch:
    """Compiled once in a process: training and evaluation share it."""
    return Batch(Kitchen(layout, **dict(options)))
