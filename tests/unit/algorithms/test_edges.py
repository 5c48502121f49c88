"""Situations at the edge of what people bring: each trains to finite weights, or is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv

import masoft
from masoft.errors import ConfigurationError, NumericalFault
from masoft.mirror.target_entropy import Entropies
from masoft.mirror.temperature import AutoTemperature

NAMES = ["HASAC", "MASAC", "HATD3", "HAD3QN", "QMIX", "VDN", "FOP", "HAPPO", "HATRPO", "MAPPO", "IPPO", "A2PO"]


class Edge(ParallelEnv):
    """A team whose size, episodes, rewards, observations and choices can be pushed to the edge."""

    metadata = {"name": "edge", "team_reward": "mean"}

    def __init__(
        self, agents: int = 2, length: int = 3, reward: float = 1.0, sight: float = 1.0, choices: int = 2
    ) -> None:
        self.possible_agents = [f"agent_{k}" for k in range(agents)]
        self.length, self.reward, self.sight, self.choices = length, reward, sight, choices
        self.rng = np.random.default_rng(0)

    def observation_space(self, agent: str) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def action_space(self, agent: str) -> spaces.Discrete:
        return spaces.Discrete(self.choices)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.rng = self.rng if seed is None else np.random.default_rng(seed)
        self.agents, self.time = [*self.possible_agents], 0
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> Any:
        everyone = self.agents
        self.time += 1
        is_over = self.time >= self.length
        self.agents = [] if is_over else everyone
        rewards = {agent: self.reward * float(actions[agent] == 0) for agent in everyone}
        flags = dict.fromkeys(everyone, is_over)
        return self._seen(everyone), rewards, flags, dict.fromkeys(everyone, False), {agent: {} for agent in everyone}

    def _seen(self, agents: list[str] | None = None) -> dict[str, np.ndarray]:
        return {a: (self.sight * self.rng.normal(size=3)).astype(np.float32) for a in agents or self.agents}


def settings_of(name: str, **changes: Any) -> dict[str, Any]:
    known = getattr(masoft, name).parameter_names()
    small = dict(learning_starts=6, batch_size=8, buffer_size=200, n_steps=8, n_epochs=2, gradient_steps=1)
    if "buffer_size" in known:
        del small["n_steps"]
    small = {key: value for key, value in (small | changes).items() if key in known}
    return dict(seed=0, device="cpu", policy_kwargs=dict(net_arch=[8])) | small


def train(name: str, env: Any, n_envs: int = 1, **changes: Any) -> Any:
    vec = masoft.make_vec(env, n_envs=n_envs, seed=0)
    model = getattr(masoft, name)(vec, **settings_of(name, **changes)).learn(24)
    assert all(bool(weight.isfinite().all()) for weight in model.policy.state_dict().values())
    assert model._n_updates > 0
    return model


SITUATIONS: dict[str, dict[str, Any]] = {
    "one agent": dict(agents=1),
    "twenty agents": dict(agents=20),
    "one action": dict(choices=1),
    "episodes of one step": dict(length=1),
    "tiny rewards": dict(reward=1e-6),
    "huge rewards": dict(reward=1e6),
    "huge observations": dict(sight=1e8),
}


@pytest.mark.filterwarnings("ignore:No agent's step was accepted")
@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_situations_of_environments(name: str, situation: str) -> None:
    if (name, situation) == ("QMIX", "huge observations"):  # its mixer multiplies the state with itself
        with pytest.raises(NumericalFault, match="must be finite.*normalise"):
            train(name, lambda: Edge(**SITUATIONS[situation]))
        return
    train(name, lambda: Edge(**SITUATIONS[situation]))


@pytest.mark.parametrize("gamma", [0.0, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_discounts_at_their_ends(name: str, gamma: float) -> None:
    train(name, Edge, gamma=gamma)


@pytest.mark.parametrize("name", ["HASAC", "HATD3", "HAD3QN", "QMIX", "FOP"])
@pytest.mark.parametrize(
    "changes",
    [dict(gradient_steps=-1), dict(learning_starts=0), dict(train_freq=(1, "episode")), dict(buffer_size=8)],
    ids=str,
)
def test_settings_at_their_ends(name: str, changes: dict[str, Any]) -> None:
    train(name, Edge, **changes)


def test_what_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="batch_size must be at most buffer_size = 4"):
        train("HASAC", Edge, buffer_size=4)
    with pytest.raises(ConfigurationError, match="train_freq must be in steps, since 2 environments step together"):
        train("HASAC", Edge, n_envs=2, train_freq=(1, "episode"))


def test_no_target_drives_a_temperature_to_infinity() -> None:
    temperature = AutoTemperature(1.0, 1)
    entropies = Entropies(torch.tensor([5.0, 5.0]), torch.tensor([5.0, -50.0]))
    temperature.set_rate(1.0)
    for _ in range(60):
        temperature.update(entropies)
    assert torch.isfinite(temperature.current()).all() and (temperature.current() > 0).all()
    assert temperature.log_values.tolist() == [20.0, -20.0]
