"""oxwhirl's StarCraft II classes by their interface alone, with a small battle instead of the game.

What the adapter relies on is as in the packages (read there, written anew): constructor arguments, shapes of what is
returned, the assertion on an illegal action, masks in which the no-op belongs to the dead, zeros seen by the dead, the
flag for a battle that ran out of time only with ``continuing_episode``, ``(0, True, {})`` after a broken connection.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

N_NO_ATTACK = 6


class StarCraft2Env:
    """Units stand where they are; an attack takes one health; each living enemy hits the first living ally.

    Args: those of ``smac.env.StarCraft2Env`` that matter here.
    """

    n_agents, n_enemies = 3, 2

    def __init__(
        self,
        map_name: str = "8m",
        step_mul: int = 8,
        difficulty: str = "7",
        seed: int | None = None,
        continuing_episode: bool = False,
        obs_last_action: bool = False,
        reward_win: float = 200,
        health: int = 3,
        enemy_health: int = 4,
        enemies_shoot: bool = True,
        episode_limit: int = 8,
    ) -> None:
        self.map_name, self.difficulty, self._seed = map_name, difficulty, seed
        self.continuing_episode, self.obs_last_action = continuing_episode, obs_last_action
        self.reward_win, self.episode_limit = reward_win, episode_limit
        self._health, self._enemy_health, self._enemies_shoot = health, enemy_health, enemies_shoot
        self.n_actions = N_NO_ATTACK + self.n_enemies
        self.launches = self.force_restarts = 0
        self.breaks_at: tuple[int, ...] = ()
        self.is_closed = False
        self._rng: np.random.Generator | None = None
        self._steps = 0

    def reset(self) -> Any:
        if self._rng is None:
            self.launches += 1
            self._rng = np.random.default_rng(self._seed)
        self._steps = 0
        self.health = self._rng.integers(self._health, self._health + 2, self.n_agents)
        self.enemy_health = np.full(self.n_enemies, self._enemy_health)
        self.last_action = np.zeros((self.n_agents, self.n_actions))
        return self.get_obs(), self.get_state()

    def step(self, actions: list[int]) -> tuple[float, bool, dict[str, Any]]:
        actions = [int(a) for a in actions]
        assert len(actions) == self.n_agents
        for index, action in enumerate(actions):
            assert self.get_avail_actions()[index][action] == 1, f"Agent {index} cannot perform action {action}"
        if self._steps in self.breaks_at:
            self.force_restarts += 1
            return 0, True, {}
        self._steps += 1
        self.last_action = np.eye(self.n_actions)[np.array(actions)]
        before = self.enemy_health.sum()
        for action in actions:
            if action >= N_NO_ATTACK and self.enemy_health[action - N_NO_ATTACK] > 0:
                self.enemy_health[action - N_NO_ATTACK] -= 1
        for _ in range(int((self.enemy_health > 0).sum()) if self._enemies_shoot else 0):
            alive = np.flatnonzero(self.health > 0)
            if len(alive):
                self.health[alive[0]] -= 1
        return self._outcome(float(before - self.enemy_health.sum()))

    def _outcome(self, reward: float) -> tuple[float, bool, dict[str, Any]]:
        dead, dead_enemies = int((self.health <= 0).sum()), int((self.enemy_health <= 0).sum())
        info: dict[str, Any] = {"battle_won": False, "dead_allies": dead, "dead_enemies": dead_enemies}
        terminated = True
        if dead_enemies == self.n_enemies and dead < self.n_agents:
            info["battle_won"] = True
            reward += self.reward_win
        elif dead < self.n_agents:
            terminated = self._steps >= self.episode_limit
            if terminated and self.continuing_episode:
                info["episode_limit"] = True
        return reward / 20, terminated, info

    def get_obs(self) -> list[np.ndarray]:
        rows = []
        for index in range(self.n_agents):
            row = np.concatenate([self.health, self.enemy_health, np.eye(self.n_agents)[index]]).astype(np.float32)
            row = row if self.health[index] > 0 else np.zeros_like(row)
            rows.append(np.append(row, self.last_action[index]).astype(np.float32) if self.obs_last_action else row)
        return rows

    def get_state(self) -> np.ndarray:
        return np.concatenate([self.health, self.enemy_health]).astype(np.float32)

    def get_avail_actions(self) -> list[list[int]]:
        attacks = [int(health > 0) for health in self.enemy_health]
        return [
            [0, 1, 1, 1, 1, 1, *attacks] if health > 0 else [1] + [0] * (self.n_actions - 1) for health in self.health
        ]

    def get_env_info(self) -> dict[str, Any]:
        observation = self.n_agents + self.n_enemies + self.n_agents + (self.n_actions if self.obs_last_action else 0)
        return {
            "state_shape": self.n_agents + self.n_enemies,
            "obs_shape": observation,
            "n_actions": self.n_actions,
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
        }

    def save_replay(self) -> None:
        self.replays = getattr(self, "replays", 0) + 1

    def close(self) -> None:
        self.is_closed = True


class _Positions:
    """A distribution with a generator of its own, as SMACv2 has them."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng()

    def generate(self) -> dict[str, Any]:
        return {"start": self.rng.uniform(size=2)}


class _Teams:
    """A distribution that nests another, and shuffles with Python's global ``random``, as SMACv2's does."""

    def __init__(self, units: list[str]) -> None:
        self.inner, self.units = _Positions(), units

    def generate(self) -> dict[str, Any]:
        team = list(self.units)
        random.shuffle(team)
        return {"team": team, "inner": self.inner.generate()["start"]}


class StarCraftCapabilityEnvWrapper:
    """Draws a team before each battle; writes into the configuration that it is given, as the package does."""

    def __init__(self, **kwargs: Any) -> None:
        self.distribution_config = kwargs.pop("capability_config")
        for key in ("team_gen", "start_positions"):
            self.distribution_config[key]["env_key"] = key
        self.settings = {key: kwargs.pop(key) for key in tuple(kwargs) if key in _V2_ONLY}
        units = self.distribution_config["team_gen"]["unit_types"]
        self.env_key_to_distribution_map = {"team_gen": _Teams(units), "start_positions": _Positions()}
        self.env = StarCraft2Env(**kwargs)

    def reset(self) -> None:
        self.drawn = [distribution.generate() for distribution in self.env_key_to_distribution_map.values()]
        self.env.reset()  # and returns nothing: the package's retry after a failed start loses the result

    def __getattr__(self, name: str) -> Any:
        if name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)


_V2_ONLY = ("conic_fov", "use_unit_ranges", "min_attack_range", "obs_own_pos", "num_fov_actions")
