"""MAgent2's grid worlds for one side: its agents are the team, the other side moves at random.

Reference:
    Zheng et al., MAgent: A Many-Agent Reinforcement Learning Platform, 2018; ``magent2``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pettingzoo import ParallelEnv

from masoft.envs.adapters.pettingzoo_games import module_of
from masoft.errors import ConfigurationError, explain

TEAMS = {
    "adversarial_pursuit": "predator",
    "battle": "red",
    "battlefield": "red",
    "combined_arms": "red",
    "gather": "omnivore",
    "tiger_deer": "tiger",
}


def make_magent(game: str, *, team: str | None = None, **kwargs: Any) -> OneSide:
    """See `OneSide`.

    Args:
        game: one of `TEAMS`.
        team: how the names of the team's agents begin; None: that of `TEAMS`; ``""``: everybody is in the team.
        **kwargs: magent2's own, for example ``map_size``, ``max_cycles``, ``minimap_mode``.
    """
    env = module_of("magent2.environments", game).parallel_env(**kwargs)
    return OneSide(env, TEAMS[game] if team is None else team)


class OneSide(ParallelEnv):
    """The agents of one side of a game for two; those of the other side choose among their actions at random.

    An episode ends for the team when none of its agents is left, or when the game ends.

    Args:
        env: the game, a PettingZoo parallel environment with Discrete actions.
        team: how the names of the team's agents begin.

    Raises:
        ConfigurationError: no agent's name begins so.
    """

    def __init__(self, env: Any, team: str) -> None:
        self.env = env
        self.possible_agents: list[str] = [agent for agent in env.possible_agents if agent.startswith(team)]
        self.agents: list[str] = []
        if not self.possible_agents:
            must = f"the beginning of a name in {sorted({_kind(agent) for agent in env.possible_agents})}"
            raise ConfigurationError(explain("team", must, team))
        self.metadata = {**env.metadata, "has_deaths": True, "has_masks": False}
        self.render_mode = env.render_mode
        self.state_space = env.state_space
        self._others = [agent for agent in env.possible_agents if agent not in self.possible_agents]
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> Any:
        """What the game gives it."""
        return self.env.observation_space(agent)

    def action_space(self, agent: str) -> Any:
        """Move or attack."""
        return self.env.action_space(agent)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start a game; a seed decides the other side's choices too."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        seen = self.env.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        if isinstance(seen, dict):
            seen = seen, {}
        return self._ours(seen[0], self.agents), {agent: seen[1].get(agent, {}) for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """One step of both sides."""
        acted = self.agents
        rest = {
            agent: int(self._rng.integers(self.env.action_space(agent).n))
            for agent in self._others
            if agent in self.env.agents
        }
        answer = self.env.step({**actions, **rest})
        alive = set(self.env.agents)
        self.agents = [agent for agent in acted if agent in alive]
        observations, rewards, terminated, truncated, infos = (self._ours(part, acted) for part in answer)
        return observations, rewards, terminated, truncated, infos

    def state(self) -> Any:
        """The whole map: obstacles, and each side's places and health."""
        return self.env.state()

    def render(self) -> Any:
        """The game's own picture."""
        return self.env.render()

    def close(self) -> None:
        """Release what the game holds."""
        self.env.close()

    def _ours(self, values: dict[str, Any], agents: Sequence[str]) -> dict[str, Any]:
        return {agent: values[agent] for agent in agents}


def _kind(agent: str) -> str:
    return agent.rpartition("_")[0]
