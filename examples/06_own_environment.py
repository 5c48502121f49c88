"""Your own PettingZoo environment: a scout sees the goal and signals, a carrier hears the signal and moves."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from masoft import HASAC, make_vec
from masoft.testing import check_env


class Relay(ParallelEnv):
    """The scout says one of three words; the carrier moves on a line; both are paid for nearness to the goal."""

    metadata = {"name": "relay", "has_deaths": False, "team_reward": "shared"}
    render_mode = None

    def __init__(self) -> None:
        self.possible_agents = ["scout", "carrier"]
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Box(-1, 1, (2,)) if agent == "scout" else spaces.Box(-2, 2, (4,))

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Discrete(3) if agent == "scout" else spaces.Box(-0.2, 0.4, (1,))

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._rng = self._rng if seed is None else np.random.default_rng(seed)
        self.agents, self._t, self._word = [*self.possible_agents], 0, 0
        self._goal, self._place = self._rng.uniform(-1, 1), 0.0
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Any:
        self._t, self._word = self._t + 1, int(actions["scout"])
        self._place = float(np.clip(self._place + actions["carrier"][0], -2, 2))
        reward, is_over = -abs(self._goal - self._place), self._t == 15
        everyone, observations = self.agents, self._observe()
        self.agents = [] if is_over else everyone
        rewards, ended, cut = (dict.fromkeys(everyone, value) for value in (reward, False, is_over))
        return observations, rewards, ended, cut, {agent: {} for agent in everyone}

    def _observe(self) -> dict[str, np.ndarray]:
        seen = np.append(np.float32(self._place), np.eye(3, dtype=np.float32)[self._word])
        return {"scout": np.array([self._goal, self._place / 2], np.float32), "carrier": seen}


def main(steps: int = 15_000) -> float:
    """Check the environment, train, evaluate; returns the mean return."""
    check_env(Relay())  # raises, with the reason, where the contract is broken
    model = HASAC(Relay, policy_kwargs=dict(net_arch=[64, 64]), train_freq=2, gradient_steps=1, seed=0).learn(steps)
    return model.score(make_vec(Relay, seed=1), n_eval_episodes=20)


if __name__ == "__main__":
    print(main())
