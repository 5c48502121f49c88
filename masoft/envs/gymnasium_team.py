"""Gymnasium's own convention for teams: one environment whose spaces are tuples, or dicts by agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from masoft.envs.masks import METHOD
from masoft.errors import EnvironmentFault, SpaceError, explain
from masoft.spec import ACTION_MASK


def is_team(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether a gymnasium environment acts by a tuple or dict with one entry an agent, and observes alike.

    Raises:
        SpaceError: its actions are a tuple or dict, and its observations do not go with it.
    """
    action, seen = env.action_space, env.observation_space
    if isinstance(action, spaces.Tuple) and isinstance(seen, spaces.Tuple) and len(action) == len(seen):
        return True
    if isinstance(action, spaces.Dict) and isinstance(seen, spaces.Dict) and set(action) == set(seen):
        return True
    if isinstance(action, (spaces.Tuple, spaces.Dict)):
        must = (
            "two tuples of one length, or two dicts by agent, for a team; no tuple and no dict of actions for one agent"
        )
        cure = "Wrap it as a PettingZoo environment, or flatten the actions."
        raise SpaceError(explain("Its observation_space and action_space", must, (seen, action), cure))
    return False


class GymnasiumTeam(ParallelEnv):
    """A team in a gymnasium environment with Tuple spaces (agents ``"agent_0"``, ...) or Dict spaces by agent.

    Its reward may be one number an agent, in a list, an array or a dict, or one number, which all get. It ends for
    all at once: by one flag, or by one an agent, when all are set.

    Args:
        env: the environment, for example of `lbforaging` or `rware`.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.env = env
        self.by_name = isinstance(env.action_space, spaces.Dict)
        names = list(env.action_space) if self.by_name else [f"agent_{k}" for k in range(len(env.action_space))]  # type: ignore[call-overload, arg-type]
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        self.metadata = {**env.metadata, "name": name, "has_deaths": False, "state_is_observations": True}
        self.render_mode = env.render_mode
        self.possible_agents: list[Any] = names
        self.agents: list[Any] = []
        if env.has_wrapper_attr(METHOD):
            self.action_masks = env.get_wrapper_attr(METHOD)

    def observation_space(self, agent: Any) -> gymnasium.Space[Any]:
        """The agent's own."""
        return self._part(self.env.observation_space, agent)

    def action_space(self, agent: Any) -> gymnasium.Space[Any]:
        """The agent's own."""
        return self._part(self.env.action_space, agent)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode."""
        seen, info = self.env.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        return self._by_agent("observations", seen), self._infos(info)

    def step(self, actions: dict[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """One step of all agents."""
        joint = dict(actions) if self.by_name else tuple(actions[agent] for agent in self.possible_agents)
        answer: tuple[Any, ...] = self.env.step(joint)
        seen, rewards, terminated, truncated, info = answer
        if not isinstance(rewards, (Mapping, list, tuple)) and np.ndim(rewards) == 0:
            rewards = dict.fromkeys(self.possible_agents, rewards)
        is_over, is_cut = self._all(terminated), self._all(truncated)
        if not is_over and not is_cut and self._all_of_either(terminated, truncated):
            is_cut = True
        if is_over or is_cut:
            self.agents = []
        flags = dict.fromkeys(self.possible_agents, is_over), dict.fromkeys(self.possible_agents, is_cut)
        return self._by_agent("observations", seen), self._by_agent("rewards", rewards), *flags, self._infos(info)

    def state(self) -> Any:
        """There is none but the observations."""
        raise NotImplementedError("A gymnasium environment has no state apart from its observations.")

    def render(self) -> Any:
        """The environment's own picture."""
        return self.env.render()

    def close(self) -> None:
        """Release what the environment holds."""
        self.env.close()

    def _part(self, space: Any, agent: Any) -> gymnasium.Space[Any]:
        part: gymnasium.Space[Any] = space[agent if self.by_name else self.possible_agents.index(agent)]
        return part

    def _by_agent(self, name: str, values: Any) -> dict[Any, Any]:
        """One entry an agent out of a dict, a list or an array."""
        if isinstance(values, Mapping) and set(values) == set(self.possible_agents):
            return dict(values)
        if isinstance(values, (list, tuple, np.ndarray)) and len(values) == len(self.possible_agents):
            return dict(zip(self.possible_agents, values, strict=True))
        raise EnvironmentFault(
            explain(f"The {name} of {self.metadata['name']}", f"one an agent of {self.possible_agents}", values)
        )

    def _infos(self, info: Any) -> dict[Any, Any]:
        """Each agent's info: its own out of a dict by agent or a list, or the team's; masks are shared out."""
        if isinstance(info, (list, tuple)) and len(info) == len(self.possible_agents):
            return dict(zip(self.possible_agents, info, strict=True))
        if isinstance(info, Mapping) and info and set(info) == set(self.possible_agents):
            return dict(info)
        if isinstance(info, Mapping) and ACTION_MASK in info:
            masks = self._by_agent("action masks", info[ACTION_MASK])
            return {agent: {**info, ACTION_MASK: masks[agent]} for agent in self.possible_agents}
        return dict.fromkeys(self.possible_agents, info)

    def _all(self, flag: Any) -> bool:
        """One flag, or one an agent of which all are set."""
        if isinstance(flag, Mapping):
            return bool(flag["__all__"]) if "__all__" in flag else all(flag.values())
        return bool(np.all(flag))

    def _all_of_either(self, terminated: Any, truncated: Any) -> bool:
        """Whether each agent has one of its two flags set."""
        try:
            pairs = [self._by_agent("flags", flag) for flag in (terminated, truncated)]
        except EnvironmentFault:
            return False
        return all(pairs[0][agent] or pairs[1][agent] for agent in self.possible_agents)
