"""One-step cooperative games in normal form."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray
from pettingzoo import ParallelEnv

from masoft.errors import ConfigurationError, explain

MAXENT_PAYOFF: tuple[tuple[float, ...], ...] = ((5.0, -20.0, -20.0), (-20.0, 10.0, -20.0), (-20.0, -20.0, 20.0))
"""Figure 1a: actions A, B, C; three Nash equilibria on the diagonal, of which (C, C) is the best."""

CLIMBING_PAYOFF: tuple[tuple[float, ...], ...] = ((11.0, -30.0, 0.0), (-30.0, 7.0, 6.0), (0.0, 0.0, 5.0))
"""The climbing game (Claus and Boutilier, 1998): the best corner is surrounded by punishment."""

NON_MONOTONIC_PAYOFF: tuple[tuple[float, ...], ...] = ((8.0, -12.0, -12.0), (-12.0, 0.0, 0.0), (-12.0, 0.0, 0.0))
"""The payoff that no monotonic mixture of utilities can represent (Son et al., QTRAN, 2019, Table 1)."""

BIASED_START: tuple[float, ...] = (0.6, 0.2, 0.2)
"""Figure 1b: both agents' initial policy. A matter of the policy, not of the game: pass it to the learner."""


class MatrixGame(ParallelEnv):
    """A game of one state and one step, in which all agents get the same payoff.

    The only observation is the constant 1; the step ends the episode by true termination, so nothing is bootstrapped.

    Args:
        payoff: (A_1, ..., A_n), finite; one axis an agent.
        name: what it is called in messages.

    Raises:
        ConfigurationError: no axis, an empty axis, or an entry that is not finite.
    """

    def __init__(self, payoff: ArrayLike, *, name: str = "matrix_game") -> None:
        self.payoff = np.asarray(payoff, dtype=np.float64)
        if self.payoff.ndim == 0 or self.payoff.size == 0 or not np.isfinite(self.payoff).all():
            raise ConfigurationError(explain("payoff", "a finite array with one axis an agent", payoff))
        self.metadata = {
            "name": name,
            "render_modes": [],
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": False,
            "team_reward": "shared",
            "state_is_observations": True,
        }
        self.render_mode = None
        self.possible_agents = [f"agent_{index}" for index in range(self.payoff.ndim)]
        self.agents: list[str] = []
        self._actions: dict[str, spaces.Discrete[np.int64]] = {
            agent: spaces.Discrete(n) for agent, n in zip(self.possible_agents, self.payoff.shape, strict=True)
        }
        self._observation = spaces.Box(0.0, 1.0, (1,), np.float32)

    def observation_space(self, agent: str) -> spaces.Box:
        """A single number."""
        return self._observation

    def action_space(self, agent: str) -> spaces.Discrete[np.int64]:
        """One choice per entry of the agent's axis."""
        return self._actions[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, dict[str, Any]]]:
        """Start the one-step episode; nothing is random."""
        self.agents = self.possible_agents[:]
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[Any, Any, Any, Any, Any]:
        """Pay everybody and end."""
        agents, self.agents = self.agents, []
        reward = float(self.payoff[tuple(int(actions[agent]) for agent in agents)]) if agents else 0.0
        rewards = dict.fromkeys(agents, reward)
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in agents}
        observations = {agent: self._constant() for agent in agents}
        return observations, rewards, dict.fromkeys(agents, True), dict.fromkeys(agents, False), infos

    def state(self) -> NDArray[np.float32]:
        """The agents' observations in a row."""
        return np.ones(len(self.possible_agents), np.float32)

    def get_snapshot(self) -> list[str]:
        """Who is still to play, see `masoft.envs.snapshot`."""
        return list(self.agents)

    def set_snapshot(self, values: list[str]) -> None:
        """Continue from what `get_snapshot` gave."""
        self.agents = list(values)

    def render(self) -> None:
        """There is nothing to see."""

    def close(self) -> None:
        """There is nothing to release."""

    def _observe(self) -> dict[str, NDArray[np.float32]]:
        return {agent: self._constant() for agent in self.agents}

    def _constant(self) -> NDArray[np.float32]:
        return np.ones(1, np.float32)


def maxent() -> MatrixGame:
    """The game of Figure 1: two agents, three actions."""
    return MatrixGame(MAXENT_PAYOFF, name="matrix/maxent")


def climbing() -> MatrixGame:
    """The climbing game: two agents, three actions."""
    return MatrixGame(CLIMBING_PAYOFF, name="matrix/climbing")


def non_monotonic() -> MatrixGame:
    """The classic payoff on which value decomposition fails: two agents, three actions."""
    return MatrixGame(NON_MONOTONIC_PAYOFF, name="matrix/non_monotonic")
