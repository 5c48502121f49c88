"""Small PettingZoo environments whose every report a test can bend; real environments, not mocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv


class Toy(ParallelEnv):
    """Two agents by default; agent k sees ``[step, k]`` and gets reward ``k + 1``; truncated after ``length`` steps.

    Args:
        actions: action space by agent.
        observations: observation space by agent; a Box of two numbers by default.
        length: steps of an episode.
        leaves: the step at whose end an agent terminates, by agent.
        metadata: added to the environment's.
    """

    def __init__(
        self,
        actions: dict[Any, Any] | None = None,
        observations: dict[Any, Any] | None = None,
        *,
        length: int = 3,
        leaves: dict[Any, int] | None = None,
        **metadata: Any,
    ) -> None:
        self.metadata = {"name": "toy", "render_modes": ["ansi"], **metadata}
        self.render_mode = "ansi"
        self._actions = actions or {"a": spaces.Discrete(3), "b": spaces.Box(-1, 1, (2,), np.float32)}
        self.possible_agents = list(self._actions)
        self.agents: list[Any] = []
        box = spaces.Box(-100, 100, (2,), np.float32)
        self._observations = observations or dict.fromkeys(self.possible_agents, box)
        self.length, self.leaves = length, leaves or {}
        self.elapsed = 0
        self.received: list[dict[Any, Any]] = []
        self.closed = False

    def observation_space(self, agent):
        return self._observations[agent]

    def action_space(self, agent):
        return self._actions[agent]

    def observation(self, agent):
        return np.array([self.elapsed, self.possible_agents.index(agent)], np.float32)

    def info(self, agent):
        return {}

    def reward(self, agent):
        return float(self.possible_agents.index(agent) + 1)

    def reset(self, seed=None, options=None):
        self.agents, self.elapsed, self.seed = self.possible_agents[:], 0, seed
        return {a: self.observation(a) for a in self.agents}, {a: self.info(a) for a in self.agents}

    def step(self, actions):
        self.received.append(actions)
        self.elapsed += 1
        acted = self.agents
        terminations = {a: self.leaves.get(a) == self.elapsed for a in acted}
        truncations = {a: self.elapsed >= self.length and not terminations[a] for a in acted}
        answer = (
            {a: self.observation(a) for a in acted},
            {a: self.reward(a) for a in acted},
            terminations,
            truncations,
            {a: self.info(a) for a in acted},
        )
        self.agents = [a for a in acted if not (terminations[a] or truncations[a])]
        return answer

    def render(self):
        return f"step {self.elapsed}"

    def close(self):
        self.closed = True


class ToyWithState(Toy):
    """A toy with a float64 state of three numbers."""

    def state(self):
        return np.array([self.elapsed, 1.5, 2.5], np.float64)


class MaskedInInfo(Toy):
    """Agent ``a`` may not choose what the step number says, told in its info."""

    def info(self, agent):
        mask = np.ones(3, np.int8)
        mask[self.elapsed % 3] = 0
        return {"action_mask": mask} if agent == "a" else {}


class MaskedInObservation(Toy):
    """The same, told in a Dict observation."""

    def __init__(self, **kwargs: Any) -> None:
        box = spaces.Box(-100, 100, (2,), np.float32)
        masked = spaces.Dict({"observation": box, "action_mask": spaces.MultiBinary(3)})
        super().__init__(observations={"a": masked, "b": box}, **kwargs)

    def observation(self, agent):
        seen = super().observation(agent)
        if agent != "a":
            return seen
        mask = np.ones(3, np.int8)
        mask[self.elapsed % 3] = 0
        return {"observation": seen, "action_mask": mask}


class TurnByTurn(AECEnv):
    """An AEC environment of two agents that all act before the world moves, three rounds long."""

    def __init__(self, is_parallelizable: bool = True) -> None:
        super().__init__()
        self.metadata = {"name": "turns", "is_parallelizable": is_parallelizable, "render_modes": []}
        self.render_mode = None
        self.possible_agents = ["a", "b"]

    def observation_space(self, agent):
        return spaces.Box(-100, 100, (1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents = self.possible_agents[:]
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: {} for agent in self.agents}
        self.agent_selection, self.elapsed, self.chosen = "a", 0, {}

    def observe(self, agent):
        return np.array([self.elapsed], np.float32)

    def step(self, action):
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self.chosen[agent] = action
        self._cumulative_rewards[agent] = 0
        self._clear_rewards()
        if agent == "b":
            self.elapsed += 1
            self.rewards = {name: float(sum(self.chosen.values())) for name in self.agents}
            self.truncations = dict.fromkeys(self.agents, self.elapsed >= 3)
        self.agent_selection = "b" if agent == "a" else "a"
        self._accumulate_rewards()
