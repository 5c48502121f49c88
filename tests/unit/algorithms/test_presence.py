"""Agents that are seldom there, and games in which masks leave few choices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv

import masoft
from masoft.fast.adam import FusedAdam
from masoft.learners.presence import step_by_presence


class Turns(ParallelEnv):
    """Each step one of four agents may choose among five actions and should name the number it is shown.

    Args:
        seldom: how often the last agent is in the game: in one episode of so many; 1: always.
    """

    metadata = {"name": "turns", "team_reward": "shared", "has_deaths": True}
    possible_agents = ["a", "b", "c", "d"]

    def __init__(self, seldom: int = 1) -> None:
        self.seldom, self.n_episodes = seldom, 0
        self.rng = np.random.default_rng(0)

    def observation_space(self, agent: str) -> spaces.Box:
        return spaces.Box(0, 1, (6,), np.float32)

    def action_space(self, agent: str) -> spaces.Discrete:
        return spaces.Discrete(5)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.rng = self.rng if seed is None else np.random.default_rng(seed)
        self.n_episodes += 1
        is_there = self.n_episodes % self.seldom == 0
        self.agents, self.time = [*self.possible_agents[: 4 if is_there else 3]], 0
        return self._seen()

    def step(self, actions: dict[str, int]) -> Any:
        hit = float(actions[self.agents[self.turn]] == self.number)
        self.time += 1
        everyone, is_over = self.agents, self.time == 20
        seen, infos = self._seen()
        self.agents = [] if is_over else everyone
        flags = dict.fromkeys(everyone, is_over)
        return seen, dict.fromkeys(everyone, hit), flags, dict.fromkeys(everyone, False), infos

    def _seen(self) -> Any:
        self.turn, self.number = int(self.rng.integers(len(self.agents))), int(self.rng.integers(5))
        seen, infos = {}, {}
        for k, agent in enumerate(self.agents):
            seen[agent] = np.zeros(6, np.float32)
            mask = np.zeros(5, np.int8)
            mask[0] = 1
            if k == self.turn:
                seen[agent][[self.number, 5]] = 1
                mask[:] = 1
            infos[agent] = {"action_mask": mask}
        return seen, infos


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_twenty_of_twenty_stay_twenty_and_temperatures_stay_small(seed: int) -> None:
    settings = dict(learning_starts=200, batch_size=64, n_steps=1, gamma=0.5, policy_kwargs=dict(net_arch=[64, 64]))
    model = masoft.HASAC(Turns(), seed=seed, **settings)
    scores = []
    for _ in range(3):
        model.learn(2_000, reset_num_timesteps=False)
        scores.append(model.score(masoft.make_vec(Turns, seed=100), n_eval_episodes=5))
        assert float(model.temperature.current().max()) < 1
    assert scores[-2:] == [20.0, 20.0], scores


def settings_of(name: str) -> dict[str, Any]:
    small = dict(seed=0, device="cpu", policy_kwargs=dict(net_arch=[8]))
    if name in ("HAPPO", "MAPPO", "HATRPO", "HAML"):
        extra = {} if name == "HATRPO" else dict(n_epochs=2, batch_size=10)
        return dict(n_steps=20, ent_coef="auto", **small, **extra)
    return dict(learning_starts=10, batch_size=16, gradient_steps=1, **small)


def state_of(model: Any, i: int) -> list[torch.Tensor]:
    weights = [*model.policy.actors[i].parameters()]
    optimizer = model.policy.actor_optimizers[i] if hasattr(model.policy, "actor_optimizers") else None
    optimizer = optimizer or model.policy.critic_optimizer
    moments = [value for weight in weights for value in optimizer.state[weight].values()]
    if getattr(model, "temperature", None) is not None and hasattr(model.temperature, "optimizer"):
        state = model.temperature.optimizer.state[model.temperature.log_values]
        moments += [model.temperature.log_values[i], *(value[i] for value in state.values())]
    return [value.detach().clone() for value in (*weights, *moments)]


NAMES = ["HASAC", "MASAC", "MEHAML", "HATD3", "HAD3QN", "QMIX", "VDN", "FOP", "HAPPO", "MAPPO", "HATRPO", "HAML"]


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_that_is_never_there_is_left_as_it_is(name: str) -> None:
    model = getattr(masoft, name)(Turns(), **settings_of(name)).learn(40)
    model.set_env(masoft.make_vec(Turns, seed=0, seldom=10**6))
    if hasattr(model, "replay_buffer"):
        model._build_buffer()
    before, others = state_of(model, 3), state_of(model, 0)
    model.learn(40)
    assert len(before) > 4
    assert all(torch.equal(old, new) for old, new in zip(before, state_of(model, 3), strict=True))
    assert not all(torch.equal(old, new) for old, new in zip(others, state_of(model, 0), strict=True))


@pytest.mark.parametrize("name", ["HASAC", "HATD3", "HAPPO", "QMIX"])
def test_a_seldom_agents_steps_weigh_as_much_as_its_rows(name: str) -> None:
    """Both start at the same weights; the one that is there a twentieth of the time moves far less."""
    model = getattr(masoft, name)(masoft.make_vec(Turns, seed=0, seldom=20), **settings_of(name))
    model.policy.actors[3].load_state_dict(model.policy.actors[0].state_dict())
    start = [weight.detach().clone() for weight in model.policy.actors[0].parameters()]
    model.learn(440)
    moved = []
    for i in (0, 3):
        pairs = zip(start, model.policy.actors[i].parameters(), strict=True)
        moved.append(sum(float((old - new.detach()).abs().sum()) for old, new in pairs))
    assert 0 < moved[1] < 0.35 * moved[0]


def test_steps_of_one_optimiser_are_weighed_agent_by_agent() -> None:
    modules = [torch.nn.Linear(1, 1, bias=False) for _ in range(3)]
    mixer = torch.nn.Linear(1, 1, bias=False)
    weights = [module.weight for module in (*modules, mixer)]
    optimizer = FusedAdam(weights, lr=0.1)
    before = [float(weight.detach()) for weight in weights]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    step_by_presence(optimizer, modules, [1.0, 0.25, 0.0])
    moved = [old - float(weight.detach()) for old, weight in zip(before, weights, strict=True)]
    assert moved == pytest.approx([0.1, 0.025, 0.0, 0.1], abs=1e-6)
    assert modules[2].weight not in optimizer.state


def test_advantages_of_a_handful_take_the_rollouts_statistics() -> None:
    from masoft.functional.surrogate import FEWEST_ROWS, standardise

    advantage, active = torch.arange(100.0), torch.zeros(100)
    active[:3] = 1
    whole = torch.tensor([0.0, 10.0, 20.0])
    scaled, deviation = standardise(advantage, active, whole)
    torch.testing.assert_close(scaled, (advantage - 10) / 10)
    assert float(deviation) == pytest.approx(10)
    active[:FEWEST_ROWS] = 1
    scaled, _ = standardise(advantage, active, whole)
    torch.testing.assert_close(scaled[:FEWEST_ROWS].mean(), torch.zeros(()), atol=1e-5, rtol=0)
