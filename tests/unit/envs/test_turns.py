"""Turn-based AEC environments: one agent acts at a time, all are paid; games of one against the other are refused."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from toy_teams import TurnByTurn

from masoft import HASAC
from masoft.envs import TeamEnv, as_vec_env
from masoft.envs.builder import as_team
from masoft.errors import ConfigurationError


class PaidAtOnce(TurnByTurn):
    """Each move pays the agent that did not move: 1 for choice 1."""

    def __init__(self) -> None:
        super().__init__(is_parallelizable=False)

    def step(self, action):
        mover = self.agent_selection
        super().step(action)
        if action is not None:
            other = "b" if mover == "a" else "a"
            self.rewards = {mover: 0.0, other: float(action)}


class ZeroSum(TurnByTurn):
    def __init__(self) -> None:
        super().__init__(is_parallelizable=False)

    def step(self, action):
        mover = self.agent_selection
        super().step(action)
        if action is not None:
            self.rewards = {"a": 1.0, "b": -1.0} if mover == "a" else {"a": 0.0, "b": 0.0}


def test_one_agent_acts_at_a_time_and_all_are_paid():
    env = TeamEnv(as_team(PaidAtOnce()).unwrapped.parallel_env, team_reward="sum")
    observation, _ = env.reset()
    assert observation["active"].tolist() == [1, 0]
    observation, reward, *_, info = env.step([1, 0])
    assert observation["active"].tolist() == [0, 1]
    assert reward == 1.0 and info["rewards"] == {"a": 0.0, "b": 1.0}
    observation, reward, *_ = env.step([1, 0])  # b's choice counts, a's does not
    assert reward == 0.0 and observation["active"].tolist() == [1, 0] and observation["a"].tolist() == [1]


def test_rewards_between_turns_and_the_end():
    env = as_team(TurnByTurn(is_parallelizable=False))
    env.reset()
    steps = [env.step([1, 1]) for _ in range(6)]
    assert [step[1] for step in steps] == [0.0, 2.0] * 3
    assert [step[2:4] for step in steps] == [(False, False)] * 5 + [(False, True)]
    env.reset()
    env.step([0, 1])


def test_a_team_learns_turn_by_turn():
    model = HASAC(PaidAtOnce, seed=0, device="cpu", learning_starts=20, policy_kwargs={"net_arch": [8]})
    model.learn(40)
    assert model.num_timesteps == 40


def test_unseeded_copies_differ_although_games_were_played():
    class Drawn(TurnByTurn):
        def reset(self, seed=None, options=None):
            super().reset(seed, options)
            if seed is not None or not hasattr(self, "rng"):
                self.rng = np.random.default_rng(seed)
            self.drawn = self.rng.random()

        def observe(self, agent):
            return np.array([self.drawn], np.float32)

    first = [as_team(Drawn(is_parallelizable=False)).reset()[0]["a"].item() for _ in range(2)]
    assert first[0] != first[1]


def test_zero_sum_games_are_refused_by_saying_what_masoft_is_for():
    with pytest.raises(ConfigurationError, match=r"turns must be a cooperative game.*sum to zero.*masoft trains teams"):
        as_vec_env(ZeroSum())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_connect_four_is_refused():
    pytest.importorskip("pygame")
    connect_four = importlib.import_module("pettingzoo.classic.connect_four_v3")
    with pytest.raises(ConfigurationError, match="connect_four_v3 must be a cooperative game.*masoft trains teams"):
        as_vec_env(connect_four.env())
