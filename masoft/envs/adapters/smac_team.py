"""A StarCraft II battle as a team: over the interface that SMAC and SMACv2 share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.envs.adapters.smac_game import explain_missing_game, game_folder, own_randomness, seed_distributions
from masoft.errors import ConfigurationError, EnvironmentFault, MissingDependencyError, explain
from masoft.spec import StateView

STATE_TYPES = ("EP", "FP")
NO_OP = 0
"""The only legal action of a dead unit, and legal for no other."""

MAX_RESTARTS = 3


class StarCraftTeam(ParallelEnv):
    """Each agent is a unit; all share one reward. A unit that dies terminates; its mask and its orders end with it.

    The battle ends by termination when a side is gone, by truncation at the map's ``episode_limit``. The step that ends
    it has ``info["is_success"]``: whether the battle was won (the win rate is the benchmark's metric).

    Where the connection to the game breaks, the package starts the game anew and reports an empty info. The episode
    then counts as truncated where it was, with a warning; an `EnvironmentFault` follows where that happens in
    ``MAX_RESTARTS`` episodes in a row.

    Args:
        build: makes the game from a seed (or None); it is started by the first reset. The seed of ``reset`` needs the
            game anew, since the package takes seeds in its constructor alone: half a minute.
        name: what it is called in messages.
        state_type: what ``state()`` gives. ``"EP"``: the package's own state. ``"FP"``: that, and all agents'
            observations in a row, which are then stored once. It holds what `agent_state` gives of each agent.

    Raises:
        ConfigurationError: an unknown state type.
    """

    def __init__(self, build: Callable[[int | None], Any], *, name: str = "starcraft", state_type: str = "EP") -> None:
        if state_type not in STATE_TYPES:
            raise ConfigurationError(explain("state_type", f"one of {STATE_TYPES}", state_type))
        self._build = build
        self._game = build(None)
        self._is_started = False
        self.state_type = state_type
        told = self._game.get_env_info()
        self._n_choices, self._state_size = int(told["n_actions"]), int(told["state_shape"])
        self.render_mode = None
        self.metadata = {
            "name": name,
            "render_modes": [],
            "is_parallelizable": True,
            "has_deaths": True,
            "has_masks": True,
            "team_reward": "shared",
        }
        self.possible_agents = [f"agent_{index}" for index in range(int(told["n_agents"]))]
        self.agents: list[str] = []
        self._declare_spaces(int(told["obs_shape"]))
        self._restarts = 0
        self._generator = np.random.default_rng()

    def _declare_spaces(self, observation_size: int) -> None:
        n_agents = len(self.possible_agents)
        self._observation = spaces.Box(-np.inf, np.inf, (observation_size,), np.float32)
        self._action: spaces.Discrete[np.int64] = spaces.Discrete(self._n_choices)
        size = self._state_size + (n_agents * observation_size if self.state_type == "FP" else 0)
        self.state_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.state_view = StateView()
        starts = [self._state_size + index * observation_size for index in range(n_agents)]
        views = [StateView(tuple(range(start, start + observation_size))) for start in starts]
        in_state = self.state_type == "FP"
        self.observation_views = dict(zip(self.possible_agents, views, strict=True)) if in_state else {}
        self._state = np.zeros(self._state_size, np.float32)
        self._seen = np.zeros((n_agents, observation_size), np.float32)
        self._masks = np.ones((n_agents, self._n_choices), np.int8)

    def observation_space(self, agent: str) -> spaces.Box:
        """What a unit sees within its sight range."""
        return self._observation

    def action_space(self, agent: str) -> spaces.Discrete[np.int64]:
        """No-op (of the dead), stop, four moves, and an attack on (for medivacs: the healing of) each unit."""
        return self._action

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start a battle; the first one starts the game.

        Raises:
            MissingDependencyError: the game or its maps are not where they are expected.
        """
        if seed is not None:
            self._start_over(seed)
        try:
            with own_randomness(self._generator):
                self._game.reset()
        except Exception as error:
            reason = "" if self._is_started else explain_missing_game(game_folder())
            if reason:
                raise MissingDependencyError(reason) from error
            raise
        self._is_started = True
        self.agents = self.possible_agents[:]
        self._look()
        return self._observations(self.agents), self._infos(self.agents)

    def step(self, actions: dict[str, int]) -> tuple[Any, Any, Any, Any, Any]:
        """Give every living unit an order.

        Raises:
            EnvironmentFault: the episode has ended, an order is not legal, or the connection keeps breaking.
        """
        acted = self.agents
        if not acted:
            must, got = "running when step is called", "one that has ended"
            raise EnvironmentFault(explain(f"The episode of {self.metadata['name']}", must, got, "Call reset first."))
        reward, is_over, told = self._game.step(self._orders(actions))
        if is_over and not told:
            return self._broken_off(acted)
        self._look()
        is_truncated = bool(told.get("episode_limit"))
        dead = {agent: bool(self._masks[self._number(agent), NO_OP]) for agent in acted}
        terminations = {agent: dead[agent] or (is_over and not is_truncated) for agent in acted}
        infos = self._infos(acted)
        self.agents = [agent for agent in acted if not dead[agent]]
        if is_over:
            self.agents, self._restarts = [], 0
            for info in infos.values():
                info["is_success"] = bool(told.get("battle_won"))
        truncations = {agent: is_truncated and not terminations[agent] for agent in acted}
        return self._observations(acted), dict.fromkeys(acted, float(reward)), terminations, truncations, infos

    def state(self) -> NDArray[np.float32]:
        """The battlefield; see ``state_type``."""
        return np.concatenate([self._state, self._seen.reshape(-1)]) if self.state_type == "FP" else self._state

    def agent_state(self, agent: str) -> NDArray[np.float32]:
        """The state as one agent's own critic sees it: the package's, the agent's observation, and who it is."""
        one_hot = np.zeros(len(self.possible_agents), np.float32)
        one_hot[self._number(agent)] = 1.0
        return np.concatenate([self._state, self._seen[self._number(agent)], one_hot])

    def render(self) -> None:
        """Nothing; ``save_replay`` writes a file for the game's own player."""

    def save_replay(self) -> None:
        """Write a replay of all battles since the game was started; see the package's ``replay_dir``."""
        self._game.save_replay()

    def close(self) -> None:
        """End the game."""
        if self._is_started:
            self._game.close()
            self._is_started = False

    def _start_over(self, seed: int) -> None:
        self.close()
        self._generator = np.random.default_rng(seed)
        self._game = self._build(seed)
        seed_distributions(self._game, self._generator)

    def _look(self) -> None:
        """Copy what the package now reports."""
        self._state = np.asarray(self._game.get_state(), np.float32)
        self._masks = np.asarray(self._game.get_avail_actions(), np.int8)
        self._seen = np.asarray(self._game.get_obs(), np.float32)
        self._seen[self._masks[:, NO_OP] == 1] = 0.0  # the dead see nothing, whatever options append to observations

    def _orders(self, actions: dict[str, int]) -> list[int]:
        """One action a unit, the no-op for the dead; an illegal one would be an assertion inside the package."""
        orders = [NO_OP] * len(self.possible_agents)
        for agent in self.agents:
            index, action = self._number(agent), actions[agent]
            if not self._action.contains(action) or not self._masks[index, action]:
                must = f"one of the legal choices {np.flatnonzero(self._masks[index]).tolist()}"
                which = f"The action of {agent!r} in {self.metadata['name']}"
                raise EnvironmentFault(explain(which, must, action, "Choose among those that its mask allows."))
            orders[index] = int(action)
        return orders

    def _broken_off(self, acted: list[str]) -> tuple[Any, Any, Any, Any, Any]:
        """The connection broke; the package has started the game anew."""
        self._restarts += 1
        self.agents = []
        if self._restarts >= MAX_RESTARTS:
            which = f"The connection to StarCraft II ({self.metadata['name']})"
            got = f"broken in {self._restarts} episodes in a row"
            raise EnvironmentFault(explain(which, "stable", got, "Look for memory or disk space that has run out."))
        message = f"{self.metadata['name']}: the connection to StarCraft II broke; the episode counts as truncated."
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        no, yes = dict.fromkeys(acted, False), dict.fromkeys(acted, True)
        return self._observations(acted), dict.fromkeys(acted, 0.0), no, yes, self._infos(acted)

    def _observations(self, agents: list[str]) -> dict[str, NDArray[np.float32]]:
        return {agent: self._seen[self._number(agent)] for agent in agents}

    def _infos(self, agents: list[str]) -> dict[str, dict[str, Any]]:
        return {agent: {"action_mask": self._masks[self._number(agent)]} for agent in agents}

    def _number(self, agent: str) -> int:
        return int(agent.removeprefix("agent_"))
