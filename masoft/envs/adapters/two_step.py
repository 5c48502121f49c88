"""The two-step cooperative game of the QMIX paper: a sum of utilities gets 7, a monotonic mixture 8."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.spec import StateView

SECOND_STEP: tuple[tuple[tuple[float, float], ...], ...] = (((7.0, 7.0), (7.0, 7.0)), ((0.0, 1.0), (1.0, 8.0)))
"""Payoffs of the second step, [first agent's first action][its second action][the other's second action]."""

FIRST, SECOND_A, SECOND_B = range(3)


class TwoStepGame(ParallelEnv):
    """Two agents, two actions. The first agent's first action chooses the matrix game of the second step.

    Action 0 leads to a game that pays 7 whatever is done, action 1 to ``[[0, 1], [1, 8]]``. The first step pays
    nothing. Both agents see the state, which is one of three.

    Reference:
        Rashid et al., QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning, 2018,
        section 5.
    """

    def __init__(self) -> None:
        self.metadata = {
            "name": "matrix/two_step",
            "render_modes": [],
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": False,
            "team_reward": "shared",
        }
        self.render_mode = None
        self.possible_agents = ["agent_0", "agent_1"]
        self.agents: list[str] = []
        self.state_space = spaces.Box(0.0, 1.0, (3,), np.float32)
        self.observation_views = {agent: StateView() for agent in self.possible_agents}
        self.state_view = StateView()
        self._action: spaces.Discrete[np.int64] = spaces.Discrete(2)
        self._where = FIRST

    def observation_space(self, agent: str) -> spaces.Box:
        """The state, as a one-hot vector."""
        return self.state_space

    def action_space(self, agent: str) -> spaces.Discrete[np.int64]:
        """Two choices."""
        return self._action

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, dict[str, Any]]]:
        """Back to the first step; nothing is random."""
        self.agents = self.possible_agents[:]
        self._where = FIRST
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[Any, Any, Any, Any, Any]:
        """The first step chooses the game, the second one pays and ends."""
        agents, first, second = self.agents, int(actions["agent_0"]), int(actions["agent_1"])
        is_over = self._where != FIRST
        reward = 0.0
        if is_over:
            reward = SECOND_STEP[self._where - SECOND_A][first][second]
            self.agents = []
        else:
            self._where = SECOND_B if first else SECOND_A
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in agents}
        rewards, ends = dict.fromkeys(agents, reward), dict.fromkeys(agents, is_over)
        return self._observe(), rewards, ends, dict.fromkeys(agents, False), infos

    def state(self) -> NDArray[np.float32]:
        """Which of the three states it is, as a one-hot vector."""
        state = np.zeros(3, np.float32)
        state[self._where] = 1.0
        return state

    def get_snapshot(self) -> dict[str, Any]:
        """Where the game is, see `masoft.envs.snapshot`."""
        return {"agents": list(self.agents), "where": self._where}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave."""
        self.agents, self._where = list(values["agents"]), values["where"]

    def render(self) -> None:
        """There is nothing to see."""

    def close(self) -> None:
        """There is nothing to release."""

    def _observe(self) -> dict[str, NDArray[np.float32]]:
        return {agent: self.state() for agent in self.possible_agents}
