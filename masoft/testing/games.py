"""Toy teams that a sound algorithm solves within seconds, made of every kind of action space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.errors import ConfigurationError, explain, nearest

Array = NDArray[Any]


class IdentityAgent:
    """One agent of `IdentityTeam`: it sees a target and is paid for hitting it with its action.

    Args:
        kind: ``"box"``, ``"discrete"``, ``"multidiscrete"`` or ``"multibinary"``.
        has_mask: whether a Discrete agent is told about choices that it may not take.
    """

    def __init__(self, kind: str, has_mask: bool) -> None:
        self.kind = kind
        self.has_mask = has_mask and kind == "discrete"
        self.action_space = _action_space(kind)
        self.observation_space = spaces.Box(-1.0, 1.0, (_observation_size(kind),), np.float32)

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """A target in the action space's units, and the mask (all ones where there is none)."""
        target: Array
        if isinstance(self.action_space, spaces.Box):
            target = rng.uniform(self.action_space.low, self.action_space.high)
        elif isinstance(self.action_space, spaces.Discrete):
            target = np.array([int(self.action_space.start) + rng.integers(int(self.action_space.n))])
        else:
            target = rng.integers(_nvec(self.action_space))
        mask = np.ones(sum(_nvec(self.action_space)), np.int8)
        if self.has_mask:
            assert isinstance(self.action_space, spaces.Discrete)
            wrong = (target[0] - self.action_space.start + 1 + rng.integers(mask.size - 1)) % mask.size
            mask[wrong] = 0
        return target, mask

    def show(self, target: Array) -> NDArray[np.float32]:
        """The target as an observation: numbers in [-1, 1], or one-hot vectors side by side."""
        if isinstance(self.action_space, spaces.Box):
            low, high = self.action_space.low, self.action_space.high
            return np.asarray(2 * (target - low) / (high - low) - 1, np.float32)
        first = self.action_space.start if isinstance(self.action_space, spaces.Discrete) else 0
        rows = [
            np.eye(n, dtype=np.float32)[int(k)] for n, k in zip(_nvec(self.action_space), target - first, strict=True)
        ]
        return np.concatenate(rows)

    def score(self, target: Array, action: Any) -> float:
        """From 0 to 1: one minus the mean distance as a share of the range, or the share of parts that are right."""
        given = np.asarray(action).reshape(-1)
        if isinstance(self.action_space, spaces.Box):
            span = self.action_space.high - self.action_space.low
            return float(1 - np.mean(np.abs(given - target) / span))
        return float(np.mean(given == target))


class IdentityTeam(ParallelEnv):
    """Each agent is shown a target and has to play it; the team is paid the mean of the agents' scores.

    Targets are drawn anew each step and do not depend on what was played, so the best return is the number of steps,
    and a discount factor of 0 is enough. By default one team mixes a Box agent with asymmetric bounds, a masked
    Discrete agent whose first choice is not 0 and a MultiDiscrete agent, with observations of different sizes.

    Args:
        kinds: one entry an agent: ``"box"``, ``"discrete"``, ``"multidiscrete"`` or ``"multibinary"``.
        masks: whether Discrete agents have one forbidden choice a step, never the right one.
        episode_length: steps until the episode is truncated, >= 1.

    Raises:
        ConfigurationError: no agent, an unknown kind, or no step.

    Example:
        >>> from masoft.testing.games import IdentityTeam
        >>> env = IdentityTeam()
        >>> observations, infos = env.reset(seed=0)
        >>> {agent: env.observation_space(agent).shape for agent in env.agents}
        {'agent_0': (2,), 'agent_1': (4,), 'agent_2': (5,)}
    """

    def __init__(
        self,
        kinds: Sequence[str] = ("box", "discrete", "multidiscrete"),
        *,
        masks: bool = True,
        episode_length: int = 10,
    ) -> None:
        for kind in kinds:
            if kind not in KINDS:
                raise ConfigurationError(explain("A kind of agent", f"one of {KINDS}", kind, nearest(kind, KINDS)))
        if not kinds:
            raise ConfigurationError(explain("kinds", "one agent or more", kinds))
        if episode_length < 1:
            raise ConfigurationError(explain("episode_length", "an integer >= 1", episode_length))
        self.possible_agents = [f"agent_{index}" for index in range(len(kinds))]
        self.agents: list[str] = []
        self.episode_length = episode_length
        self.best_return = float(episode_length)
        self._players = {
            name: IdentityAgent(kind, masks) for name, kind in zip(self.possible_agents, kinds, strict=True)
        }
        self.metadata = {
            "name": "identity_team",
            "render_modes": [],
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": any(player.has_mask for player in self._players.values()),
            "team_reward": "mean",
            "state_is_observations": True,
        }
        self.render_mode = None
        self._rng = np.random.default_rng()
        self._targets: dict[str, Array] = {}
        self._masks: dict[str, Array] = {}
        self._elapsed = 0

    def observation_space(self, agent: str) -> spaces.Box:
        """The target: as many numbers as the Box has, or one-hot vectors."""
        return self._players[agent].observation_space

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """What the agent's kind says."""
        return self._players[agent].action_space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """Start an episode."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents = self.possible_agents[:]
        self._elapsed = 0
        return self._draw()

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """Pay each agent its score and show the next targets.

        Raises:
            ConfigurationError: an agent took a choice that its mask forbids.
        """
        rewards = {}
        for name in self.agents:
            player = self._players[name]
            if player.has_mask and not self._masks[name][int(actions[name]) - player.action_space.start]:  # type: ignore[attr-defined]
                must = f"allowed by its mask {self._masks[name].tolist()}"
                raise ConfigurationError(explain(f"The choice of {name}", must, actions[name]))
            rewards[name] = player.score(self._targets[name], actions[name])
        self._elapsed += 1
        agents, is_over = self.agents, self._elapsed >= self.episode_length
        observations, infos = self._draw()
        if is_over:
            self.agents = []
        return observations, rewards, dict.fromkeys(agents, False), dict.fromkeys(agents, is_over), infos

    def state(self) -> NDArray[np.float32]:
        """The observations in a row."""
        return np.concatenate([self._players[name].show(self._targets[name]) for name in self.possible_agents])

    def get_snapshot(self) -> dict[str, Any]:
        """Targets, masks, clock and generator, see `masoft.envs.snapshot`."""
        own = {"agents": list(self.agents), "elapsed": self._elapsed}
        generator = self._rng.bit_generator.state
        return {**own, "targets": self._targets, "masks": self._masks, "generator": generator}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave."""
        self.agents, self._elapsed = list(values["agents"]), values["elapsed"]
        self._targets, self._masks = dict(values["targets"]), dict(values["masks"])
        self._rng.bit_generator.state = values["generator"]

    def render(self) -> None:
        """There is nothing to see."""

    def close(self) -> None:
        """There is nothing to release."""

    def _draw(self) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """New targets and masks, and what the agents see of them."""
        infos: dict[str, dict[str, Any]] = {}
        for name, player in self._players.items():
            self._targets[name], self._masks[name] = player.draw(self._rng)
            infos[name] = {"action_mask": self._masks[name]} if player.has_mask else {}
        return {name: player.show(self._targets[name]) for name, player in self._players.items()}, infos


KINDS = ("box", "discrete", "multidiscrete", "multibinary")


def _action_space(kind: str) -> spaces.Space[Any]:
    if kind == "box":
        return spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.5], np.float32))
    if kind == "discrete":
        return spaces.Discrete(4, start=2)
    return spaces.MultiDiscrete([2, 3]) if kind == "multidiscrete" else spaces.MultiBinary(2)


def _nvec(space: spaces.Space[Any]) -> tuple[int, ...]:
    """Choices of each categorical part; empty for a Box."""
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(int(n) for n in space.nvec)
    return (2,) * space.shape[0] if isinstance(space, spaces.MultiBinary) else ()


def _observation_size(kind: str) -> int:
    space = _action_space(kind)
    return int(space.shape[0]) if isinstance(space, spaces.Box) else sum(_nvec(space))


class CueTeam(ParallelEnv):
    """The first agent sees a cue at the first step only; the team is paid if it plays the cue at the last.

    After the first step all observations are the same whatever the cue was, so a team without memory gets 0.5 on
    average at best, and one that remembers 1. The other agent has to play 0 at the last step.

    Args:
        length: steps of an episode, >= 2.
    """

    def __init__(self, length: int = 4) -> None:
        self.possible_agents = ["scout", "guard"]
        self.agents: list[str] = []
        self.length = length
        self.metadata = {"name": "cue", "has_deaths": False, "has_masks": False, "team_reward": "mean"}
        self.render_mode = None
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Box:
        """The cue (1 or -1; 0 where it is not to be seen), and the share of the episode that is over."""
        return spaces.Box(-1, 1, (2,), np.float32)

    def action_space(self, agent: str) -> spaces.Discrete:  # type: ignore[type-arg]
        """0 or 1."""
        return spaces.Discrete(2)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Draw a cue."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._elapsed = self.possible_agents[:], 0
        self._cue = int(self._rng.integers(2))
        return self._see(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """One step; only the last one pays."""
        self._elapsed += 1
        over, agents = self._elapsed == self.length, self.agents
        hit = over and int(actions["scout"]) == self._cue and int(actions["guard"]) == 0
        self.agents = [] if over else agents
        ends, goes_on = dict.fromkeys(agents, over), dict.fromkeys(agents, False)
        return self._see(), dict.fromkeys(agents, float(hit)), ends, goes_on, {agent: {} for agent in agents}

    def get_snapshot(self) -> dict[str, Any]:
        """Cue, clock and generator, see `masoft.envs.snapshot`."""
        own = {"agents": [*self.agents], "elapsed": self._elapsed, "cue": self._cue}
        return {**own, "generator": self._rng.bit_generator.state}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave."""
        self.agents, self._elapsed, self._cue = list(values["agents"]), values["elapsed"], values["cue"]
        self._rng.bit_generator.state = values["generator"]

    def _see(self) -> dict[str, np.ndarray]:
        elapsed = self._elapsed / self.length
        cue = 2.0 * self._cue - 1 if self._elapsed == 0 else 0.0
        seen = {"scout": np.array([cue, elapsed], np.float32), "guard": np.array([0.0, elapsed], np.float32)}
        return {agent: seen[agent] for agent in self.possible_agents}
