"""What the on-policy family learns: Figure 3a, a task that needs memory, and simple_spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv

import masoft
from masoft.envs.adapters.matrix import BIASED_START

EPISODES, GAMES = 200, 40


def matrix_policies(name: str, seed: int, **settings: Any) -> np.ndarray:
    """Both agents' probabilities, (2, 3), after 200 episodes of 40 games from the biased start."""
    model = getattr(masoft, name)(
        masoft.make_vec("matrix/maxent", n_envs=20, seed=seed),
        n_steps=2, batch_size=None, n_epochs=5, gamma=0.0, seed=seed, device="cpu",
        policy_kwargs={"net_arch": [32], "initial_action_probabilities": BIASED_START},
        **{"learning_rate": 5e-3, **settings},
    )  # fmt: skip
    model.learn(EPISODES * GAMES, log_interval=None)
    with torch.no_grad():
        return np.stack([actor(torch.ones(1, 1)).probs[0].numpy() for actor in model.policy.actors])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HAPPO", "MAPPO"])
def test_happo_and_mappo_fall_to_the_worst_equilibrium_on_five_of_five_seeds(name: str) -> None:
    runs = np.array([matrix_policies(name, seed) for seed in range(5)])
    print(f"{name}: {np.round(runs, 3).tolist()}")
    assert (runs[:, :, 0] > 0.95).all()


@pytest.mark.slow
def test_happo_at_a_temperature_escapes_to_the_equilibrium_of_table_3() -> None:
    runs = np.array([matrix_policies("HAPPO", seed, ent_coef=10.0, learning_rate=1e-2) for seed in range(3)])
    print(f"HAPPO, ent_coef 10: {np.round(runs, 3).tolist()}")
    assert (runs[:, :, 2] > 0.85).all()
    np.testing.assert_allclose(runs[:, :, 2].mean(), 0.9555, atol=0.06)


class CueTeam(ParallelEnv):  # type: ignore[misc]
    """Each agent sees a bit in the first step only, and is paid for playing it in the last.

    After the first step all observations are the same whatever the bits were, so a policy without memory is right half
    of the time at best.
    """

    def __init__(self, length: int = 4) -> None:
        self.possible_agents = ["agent_0", "agent_1"]
        self.agents: list[str] = []
        self.length = length
        self.metadata = {
            "name": "cue", "has_deaths": False, "has_masks": False, "team_reward": "mean",
            "state_is_observations": True,
        }  # fmt: skip
        self.render_mode = None
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Box:
        return spaces.Box(-1, 1, (2,), np.float32)

    def action_space(self, agent: str) -> spaces.Discrete:
        return spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self.elapsed = self.possible_agents[:], 0
        self.cues = {agent: int(self._rng.integers(2)) for agent in self.agents}
        return self._see(), {agent: {} for agent in self.agents}

    def step(self, actions: Any) -> Any:
        self.elapsed += 1
        over = self.elapsed == self.length
        rewards = {agent: float(over and int(actions[agent]) == self.cues[agent]) for agent in self.agents}
        observations, agents = self._see(), self.agents
        self.agents = [] if over else agents
        return observations, rewards, dict.fromkeys(agents, over), dict.fromkeys(agents, False), {a: {} for a in agents}

    def _see(self) -> dict[str, np.ndarray]:
        return {
            agent: np.array([2 * self.cues[agent] - 1 if self.elapsed == 0 else 0, self.elapsed == 0], np.float32)
            for agent in self.possible_agents
        }


def cue_score(policy: str, steps: int) -> float:
    """Share of cues that the team plays right after training."""
    kwargs: dict[str, Any] = {"net_arch": [16]}
    if policy == "RnnPolicy":
        kwargs.update(hidden_size=16, sequence_length=4)
    model = masoft.HAPPO(
        policy, masoft.make_vec(CueTeam, 16, seed=0), n_steps=16, batch_size=128, n_epochs=5, learning_rate=5e-3,
        policy_kwargs=kwargs, seed=0, device="cpu",
    )  # fmt: skip
    model.learn(steps, log_interval=None)
    return model.score(masoft.make_vec(CueTeam, 16, seed=99), n_eval_episodes=200)


@pytest.mark.slow
def test_memory_solves_what_no_memoryless_policy_can() -> None:
    remembered, forgot = cue_score("RnnPolicy", 8_000), cue_score("MlpPolicy", 2_000)
    print(f"with memory {remembered:.3f}, without {forgot:.3f}; the bound without is 0.5")
    assert remembered > 0.95
    assert forgot < 0.62  # 400 draws around at most 0.5
