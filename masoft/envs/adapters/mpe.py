"""The multi-agent particle environments, as fully cooperative teams.

Reference:
    Lowe et al., Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments, 2017; ``mpe2``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.envs.simulators import restore_simulator, simulator_values
from masoft.errors import EnvironmentFault, explain

SCENARIOS = ("simple_spread_v3", "simple_reference_v3", "simple_speaker_listener_v4")


def make_mpe(scenario: str, **kwargs: Any) -> ParticleTeam:
    """A particle environment with what a team needs to know declared.

    The team's reward is the sum of the agents' (Section H.2.5); the state is their observations in a row, so it is
    not stored a second time; an episode lasts ``max_cycles`` (25) steps and ends by truncation.

    Args:
        scenario: one of `SCENARIOS`.
        **kwargs: mpe2's own, for example ``continuous_actions=True`` (Boxes from 0 to 1, used over their whole
            range), ``N``, ``local_ratio``, ``max_cycles``, ``render_mode``.
    """
    return ParticleTeam(importlib.import_module(f"mpe2.{scenario}").raw_env(**kwargs))


class ParticleTeam(ParallelEnv):
    """All agents of a particle environment at once.

    mpe2's environments let one agent act after the other and move the world once all have. PettingZoo's conversion
    asks every agent for its observation before its turn and passes five wrappers each time, which doubles the cost of
    a step; here the turns follow each other directly. Rewards, observations and random numbers are the same.

    Args:
        turns: mpe2's own environment (``raw_env``), in which agents take turns.
    """

    def __init__(self, turns: Any) -> None:
        self._turns = turns
        self.metadata = turns.metadata = {
            **turns.metadata,
            "has_deaths": False,
            "has_masks": False,
            "team_reward": "sum",
            "state_is_observations": True,
        }
        self.render_mode = turns.render_mode
        self.possible_agents = list(turns.possible_agents)
        self.agents: list[str] = []

    @property
    def unwrapped(self) -> Any:
        """mpe2's environment, with its ``world``."""
        return self._turns

    def observation_space(self, agent: str) -> spaces.Box:
        """Positions and velocities relative to the agent, and what it hears."""
        space: spaces.Box = self._turns.observation_space(agent)
        return space

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """A move and, for those that speak, a word: Discrete, or a Box from 0 to 1."""
        space: spaces.Space[Any] = self._turns.action_space(agent)
        return space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, dict[str, Any]]]:
        """A new world."""
        self._turns.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Everyone acts, the world moves.

        Args:
            actions: one per agent; those of a Box are clipped to it.

        Raises:
            EnvironmentFault: the episode has ended, or a choice is not in its space.
        """
        if not self.agents:
            raise EnvironmentFault(explain("step", "called in an episode that runs", "one that has ended", "Reset."))
        turns = self._turns
        for agent in self.agents:
            action = actions[agent]
            if turns.continuous_actions:
                action = np.minimum(np.maximum(action, 0.0), 1.0)
            elif not 0 <= action < turns.action_space(agent).n:
                must = f"from 0 to {turns.action_space(agent).n - 1}"
                raise EnvironmentFault(explain(f"The action of {agent}", must, action))
            turns.step(action)
        infos = {agent: turns.infos[agent] for agent in self.agents}
        answer = self._observations(), dict(turns.rewards), dict(turns.terminations), dict(turns.truncations), infos
        if any(turns.terminations.values()) or any(turns.truncations.values()):
            self.agents = []
        return answer

    def state(self) -> NDArray[np.float32]:
        """The observations in a row."""
        state: NDArray[np.float32] = self._turns.state()
        return state

    def render(self) -> Any:
        """A picture (700, 700, 3) with ``render_mode="rgb_array"``."""
        return self._turns.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        self._turns.close()

    def get_snapshot(self) -> dict[str, Any]:
        """The world and what the episode has come to."""
        return {"agents": list(self.agents), "world": simulator_values(self._turns)}

    def set_snapshot(self, values: Mapping[str, Any]) -> None:
        """Continue from `get_snapshot`."""
        self.agents = list(values["agents"])
        restore_simulator(self._turns, values["world"])

    def _observations(self) -> dict[str, NDArray[np.float32]]:
        return {agent: self._turns.observe(agent) for agent in self.possible_agents}
