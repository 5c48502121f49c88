"""Teams in which one agent sees pictures and the other numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import ParallelEnv

import masoft
from masoft.networks.mlp import ImageEncoder


class BrightSide(ParallelEnv):  # type: ignore[misc]
    """The watcher is paid for naming the bright half of its picture, the listener for naming its number's sign."""

    def __init__(self) -> None:
        self.possible_agents = ["watcher", "listener"]
        self.agents: list[str] = []
        self.metadata = {"name": "bright", "has_deaths": False, "has_masks": False, "team_reward": "mean"}
        self.render_mode = None
        self._rng = np.random.default_rng()
        self.spaces = {
            "watcher": spaces.Box(0, 255, (1, 12, 12), np.uint8), "listener": spaces.Box(-1, 1, (1,), np.float32),
        }  # fmt: skip

    def observation_space(self, agent: str) -> Any:
        return self.spaces[agent]

    def action_space(self, agent: str) -> Any:
        return spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self.elapsed = list(self.possible_agents), 0
        return self._draw(), {agent: {} for agent in self.agents}

    def step(self, actions: Any) -> Any:
        self.elapsed += 1
        rewards = {agent: float(actions[agent] == self.answers[agent]) for agent in self.agents}
        over = dict.fromkeys(self.agents, self.elapsed == 10)
        infos = {agent: {} for agent in self.agents}
        answer = self._draw(), rewards, dict.fromkeys(over, False), over, infos
        if self.elapsed == 10:
            self.agents = []
        return answer

    def _draw(self) -> dict[str, Any]:
        self.answers = {agent: int(self._rng.integers(2)) for agent in self.possible_agents}
        picture = np.zeros((1, 12, 12), np.uint8)
        picture[:, :, 6 * self.answers["watcher"] :][:, :, :6] = 200
        return {"watcher": picture, "listener": np.array([2.0 * self.answers["listener"] - 1], np.float32)}


OFF_POLICY: dict[str, Any] = {"learning_starts": 64, "batch_size": 64, "gamma": 0.0, "learning_rate": 2e-3}
ON_POLICY: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 4, "gamma": 0.0, "learning_rate": 3e-3}


@pytest.mark.parametrize(
    "name, settings",
    [
        ("HASAC", {**OFF_POLICY, "ent_coef": 0.02}),
        ("HAPPO", ON_POLICY),
        pytest.param("QMIX", OFF_POLICY, marks=pytest.mark.slow),
        pytest.param("MAPPO", ON_POLICY, marks=pytest.mark.slow),
    ],
)
def test_pictures_are_learned_from(name: str, settings: dict[str, Any]) -> None:
    model = getattr(masoft, name)(BrightSide(), policy_kwargs={"net_arch": [32]}, seed=0, device="cpu", **settings)
    assert sum(isinstance(module, ImageEncoder) for module in model.policy.modules()) > 0
    model.learn(600 if name in ("HASAC", "QMIX") else 1_500)
    assert model.score(masoft.make_vec(BrightSide, seed=9), n_eval_episodes=10) > 9.0  # of 10; guessing gets 5
    observations, _ = BrightSide().reset(seed=1)
    assert set(model.predict(observations)) == {"watcher", "listener"}
