"""Teams of any shape without a simulator: random observations made once, and steps that do next to nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from masoft.spec import StateView


@dataclass(frozen=True)
class Shape:
    """How large a team is.

    Args:
        name: what the table calls it.
        n_agents: number of agents.
        obs_size: length of each observation.
        state_size: length of the state.
        n_actions: numbers of a Box action, or choices of a Discrete one.
        discrete: whether actions are choices.
        seen: what observations are: ``"stored"`` vectors of their own, or ``"views"`` of the state.
    """

    name: str
    n_agents: int
    obs_size: int
    state_size: int
    n_actions: int
    discrete: bool = False
    seen: str = "stored"


SPREAD = Shape("simple_spread", 3, 18, 54, 5)
SHAPES = (
    Shape("HalfCheetah 2x3", 2, 19, 17, 3, seen="views"),
    SPREAD,
    Shape("HalfCheetah 6x1", 6, 23, 17, 1, seen="views"),
    Shape("Ant 4x2", 4, 115, 111, 2, seen="views"),
    Shape("manyagent_swimmer 10x2", 10, 52, 42, 2, seen="views"),
    replace(SPREAD, name="simple_spread discrete", discrete=True),
    Shape("HumanoidStandup 17x1", 17, 393, 376, 1, seen="views"),
)


class SyntheticTeam(ParallelEnv):  # type: ignore[misc]
    """An environment that hands out the same arrays again and again.

    Args:
        shape: how large the team is.
        episode_length: steps until it is truncated.
    """

    def __init__(self, shape: Shape, episode_length: int = 25) -> None:
        self.metadata = {"name": shape.name, "has_deaths": False, "has_masks": False, "team_reward": "shared"}
        self.render_mode = None
        self.shape, self.episode_length = shape, episode_length
        self.possible_agents = [f"agent_{i}" for i in range(shape.n_agents)]
        self.agents: list[str] = []
        rng = np.random.default_rng(0)
        self._state = rng.normal(size=shape.state_size).astype(np.float32)
        if shape.seen == "views":
            # As in MAMuJoCo: the state and the agent's number, made comparable.
            extra = shape.obs_size - shape.state_size
            self.observation_views = {
                name: StateView(position=i % extra, one_hot_size=extra) for i, name in enumerate(self.possible_agents)
            }
            self.state_view = StateView()
            ends = [np.eye(extra, dtype=np.float32)[i % extra] for i in range(shape.n_agents)]
            seen = [np.concatenate([self._state, end]) for end in ends]
        else:
            seen = list(rng.normal(size=(shape.n_agents, shape.obs_size)).astype(np.float32))
        self._seen = dict(zip(self.possible_agents, seen, strict=True))
        self._rewards = dict.fromkeys(self.possible_agents, 1.0)
        self._no, self._yes = dict.fromkeys(self.possible_agents, False), dict.fromkeys(self.possible_agents, True)
        self._infos: dict[str, dict[str, Any]] = {name: {} for name in self.possible_agents}
        self._observation_space = spaces.Box(-np.inf, np.inf, (shape.obs_size,), np.float32)
        self._action_space: spaces.Space[Any] = (
            spaces.Discrete(shape.n_actions) if shape.discrete else spaces.Box(-1, 1, (shape.n_actions,), np.float32)
        )

    def observation_space(self, agent: str) -> spaces.Box:
        return self._observation_space

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self._action_space

    def state(self) -> np.ndarray:
        return self._state

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.agents, self._elapsed = self.possible_agents[:], 0
        return self._seen, self._infos

    def step(self, actions: dict[str, Any]) -> Any:
        self._elapsed += 1
        if self._elapsed < self.episode_length:
            return self._seen, self._rewards, self._no, self._no, self._infos
        self.agents = []
        return self._seen, self._rewards, self._no, self._yes, self._infos
