"""The layer over the original Bi-DexHands keeps its contract, on a stand-in: Isaac Gym does not install any more."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecMonitor

from masoft import HASAC
from masoft.envs.adapters.bidexhands import IsaacHands
from masoft.errors import ConfigurationError, EnvironmentFault

LENGTH = 4


class StandIn:
    """Three worlds of two agents with the original's interface: worlds restart inside the step after their end.

    World w's clock is what everybody sees; world 2 is lost after two steps; the reward is the mean of all actions.
    """

    num_envs, num_agents = 3, 2

    def __init__(self):
        self.observation_space = [spaces.Box(-5, 5, (4,))] * 2
        self.share_observation_space = [spaces.Box(-5, 5, (6,))] * 2
        self.action_space = [spaces.Box(-1, 1, (2,))] * 2
        self.task = SimpleNamespace(progress_buf=torch.zeros(3, dtype=torch.long), max_episode_length=LENGTH)
        self.over = torch.zeros(3, dtype=torch.bool)

    def reset(self):
        self.task.progress_buf[:] = 0
        self.over[:] = False
        return *self._see(), None

    def step(self, actions):
        assert [tuple(action.shape) for action in actions] == [(3, 2), (3, 2)]
        self.task.progress_buf[self.over] = 0
        self.task.progress_buf += 1
        elapsed = self.task.progress_buf
        self.over = (elapsed >= LENGTH) | (torch.tensor([False, False, True]) & (elapsed >= 2))
        rewards = torch.stack(actions, 1).mean((1, 2), keepdim=True).expand(3, 2, 1)
        return *self._see(), rewards, self.over[:, None].expand(3, 2), {}, None

    def _see(self):
        clock = self.task.progress_buf.float()[:, None, None]
        agent = torch.arange(2.0)[None, :, None]
        return (clock + 0.1 * agent).expand(3, 2, 4), clock.expand(3, 2, 6)


def test_observations_states_and_rewards_are_the_originals():
    env = IsaacHands(StandIn())
    assert env.team.names == ("right_hand", "left_hand") and env.team.state_size == 6 and env.num_envs == 3
    first = env.reset()
    assert first["right_hand"].shape == (3, 4) and not first["state"].any()
    actions = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    seen, rewards, dones, infos = env.step(actions)
    np.testing.assert_allclose(seen["left_hand"], 1.1, rtol=1e-6)
    np.testing.assert_allclose(seen["state"], 1)
    np.testing.assert_allclose(rewards, actions.mean(1), atol=1e-6)
    assert not dones.any() and infos[0]["rewards"].keys() == {"right_hand", "left_hand"}


def test_a_loss_terminates_and_the_clock_truncates():
    env = IsaacHands(StandIn())
    env.reset()
    ends = [env.step(np.zeros((3, 4), np.float32)) for _ in range(4)]
    assert [end[2].tolist() for end in ends] == [
        [False, False, False], [False, False, True], [False, False, False], [True, True, True],
    ]  # fmt: skip
    lost, late = ends[1][3][2], ends[3][3][0]
    assert not lost["TimeLimit.truncated"] and late["TimeLimit.truncated"]
    np.testing.assert_allclose(late["terminal_observation"]["state"], LENGTH)


def test_without_a_clock_every_end_is_a_termination():
    original = StandIn()
    env = IsaacHands(original, clock=SimpleNamespace())
    env.reset()
    for _ in range(LENGTH):
        *_, infos = env.step(np.zeros((3, 4), np.float32))
    assert not infos[0]["TimeLimit.truncated"] and "terminal_observation" in infos[0]


def test_it_trains():
    model = HASAC(VecMonitor(IsaacHands(StandIn())), learning_starts=6, batch_size=4, seed=0)
    model.learn(30)
    assert model.num_timesteps >= 30 and model._n_updates > 0


def test_what_is_refused():
    with pytest.raises(ConfigurationError, match="without .*'num_envs'.*Make it with bidexhands"):
        IsaacHands(object())
    original = StandIn()
    env = IsaacHands(original)
    env.reset()
    together = original.step

    def apart(actions):
        seen, states, rewards, dones, *rest = together(actions)
        return seen, states, rewards, torch.tensor([[True, False]] * 3), *rest

    original.step = apart
    with pytest.raises(EnvironmentFault, match="done together"):
        env.step(np.zeros((3, 4), np.float32))
