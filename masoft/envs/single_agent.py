"""A gymnasium environment as a PettingZoo one: a team of one."""

from __future__ import annotations

from typing import Any

import gymnasium
from pettingzoo import ParallelEnv

from masoft.envs.masks import METHOD

AGENT = "agent_0"


class SingleAgentTeam(ParallelEnv):
    """One agent, ``"agent_0"``, in a gymnasium environment.

    Args:
        env: the environment; its reward is the team's.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.env = env
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        self.metadata = {**env.metadata, "name": name, "has_deaths": False, "team_reward": "shared"}
        self.metadata["state_is_observations"] = True
        self.render_mode = env.render_mode
        self.possible_agents = [AGENT]
        self.agents: list[str] = []
        if env.has_wrapper_attr(METHOD):
            self.action_masks = env.get_wrapper_attr(METHOD)

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        """The environment's own."""
        return self.env.observation_space

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        """The environment's own."""
        return self.env.action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.agents = [AGENT]
        return {AGENT: observation}, {AGENT: info}

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """One step."""
        observation, reward, terminated, truncated, info = self.env.step(actions[AGENT])
        if terminated or truncated:
            self.agents = []
        one = {AGENT: observation}, {AGENT: reward}, {AGENT: bool(terminated)}, {AGENT: bool(truncated)}
        return *one, {AGENT: info}

    def state(self) -> Any:
        """A lone agent sees all there is; there is no other state."""
        raise NotImplementedError("A team of one has no state apart from its observation.")

    def render(self) -> Any:
        """The environment's own picture."""
        return self.env.render()

    def close(self) -> None:
        """Release what the environment holds."""
        self.env.close()
