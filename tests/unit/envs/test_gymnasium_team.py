"""Gymnasium's own convention for teams: Tuple spaces, or Dict spaces by agent."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from masoft import HASAC, make_vec
from masoft.envs.builder import as_team
from masoft.errors import EnvironmentFault, SpaceError


class Forest(gymnasium.Env):
    """Two agents in the convention of LBF and RWARE; agent k sees ``[step, k]`` and gets ``reward[k]``.

    Args:
        rewards: what ``step`` reports as rewards.
        terminated, truncated: what it reports in its second step.
        info: what it reports as info.
    """

    def __init__(self, rewards=(1.0, 3.0), terminated=True, truncated=False, info=None):
        box = spaces.Box(0, 9, (2,), np.float32)
        self.observation_space = spaces.Tuple([box, box])
        self.action_space = spaces.Tuple([spaces.Discrete(3), spaces.MultiDiscrete([2, 2])])
        self.rewards, self.ends, self.info = rewards, (terminated, truncated), info or {}
        self.received = []

    def seen(self):
        return tuple(np.array([self.elapsed, k], np.float32) for k in range(2))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.elapsed, self.seed_seen = 0, seed
        return self.seen(), self.info

    def step(self, action):
        assert self.action_space.contains(action)
        self.received.append(action)
        self.elapsed += 1
        ends = self.ends if self.elapsed == 2 else (False, False)
        return self.seen(), self.rewards, *ends, self.info


class ByAgent(Forest):
    """The same with Dict spaces by agent and one summed reward."""

    def __init__(self, **options):
        super().__init__(rewards=5.0, **options)
        names = ("left", "right")
        self.observation_space = spaces.Dict(dict(zip(names, self.observation_space, strict=True)))
        self.action_space = spaces.Dict(dict(zip(names, self.action_space, strict=True)))

    def seen(self):
        return dict(zip(("left", "right"), super().seen(), strict=True))


def test_tuple_spaces_are_a_team():
    env = as_team(Forest())
    assert env.team.names == ("agent_0", "agent_1") and not env.team.has_deaths
    observation, _ = env.reset(seed=4)
    assert observation["agent_1"].tolist() == [0, 1] and env.parallel_env.env.seed_seen == 4
    observation, reward, terminated, truncated, info = env.step([2, 1, 0])
    assert reward == 2.0 and info["rewards"] == {"agent_0": 1.0, "agent_1": 3.0}
    assert not terminated and not truncated
    chosen = env.parallel_env.env.received[0]
    assert chosen[0] == 2 and chosen[1].tolist() == [1, 0]
    assert env.step([0, 0, 0])[2:4] == (True, False)


@pytest.mark.parametrize("rewards", [[1, 3], (1.0, 3.0), np.array([1.0, 3.0]), {"agent_0": 1, "agent_1": 3}])
def test_rewards_in_any_form(rewards):
    env = as_team(Forest(rewards), team_reward="sum")
    env.reset()
    assert env.step([0, 0, 0])[1] == 4.0


def test_dict_spaces_by_agent_and_a_summed_reward():
    env = as_team(ByAgent())
    assert env.team.names == ("left", "right")
    assert env.reset()[0]["right"].tolist() == [0, 1]
    _, reward, *_, info = env.step([1, 1, 1])
    assert reward == 5.0 and info["rewards"] == {"left": 5.0, "right": 5.0}


@pytest.mark.parametrize(
    ("terminated", "truncated", "ends"),
    [
        (False, True, (False, True)),
        (np.bool_(True), False, (True, False)),
        ([True, True], [False, False], (True, False)),
        ([True, False], [False, False], (False, False)),
        ([True, False], [False, True], (False, True)),
        ({"agent_0": True, "agent_1": True}, {"agent_0": False, "agent_1": False}, (True, False)),
        ({"__all__": True}, {"__all__": False}, (True, False)),
    ],
)
def test_ends(terminated, truncated, ends):
    env = as_team(Forest(terminated=terminated, truncated=truncated))
    env.reset()
    env.step([0, 0, 0])
    assert env.step([0, 0, 0])[2:4] == ends


def test_masks_and_infos():
    env = as_team(Forest(info={"action_mask": [[1, 0, 1], [1, 1, 0, 1]], "level": 3}))
    observation, info = env.reset()
    assert observation["action_mask"].tolist() == [1, 0, 1, 1, 1, 0, 1] and info["agents"]["agent_1"]["level"] == 3
    env = as_team(Forest(info=[{"is_success": True}, {"is_success": False}]))
    env.reset()
    assert env.step([0, 0, 0])[4]["is_success"] is False


@pytest.mark.parametrize("rewards", [[1.0], "ab", None, [[1.0, 2.0], [3.0, 4.0]], [np.nan, 1.0]])
def test_rewards_that_are_refused(rewards):
    env = as_team(Forest(rewards))
    env.reset()
    with pytest.raises(EnvironmentFault, match="reward"):
        env.step([0, 0, 0])


@pytest.mark.parametrize("make", [Forest, ByAgent])
def test_it_trains(make):
    env = make_vec(make, 2, seed=0)
    assert HASAC(env, seed=0, device="cpu", learning_starts=8, policy_kwargs={"net_arch": [8]}).learn(20)


def test_composite_actions_of_one_agent_are_refused_with_both_ways():
    class One(Forest):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0, 1)

    with pytest.raises(SpaceError, match="two tuples of one length, or two dicts by agent"):
        as_team(One())


@pytest.mark.parametrize(("package", "id"), [("lbforaging", "Foraging-8x8-2p-3f-v3"), ("rware", "rware-tiny-2ag-v2")])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_real_ones(package, id):
    pytest.importorskip(package)
    env = make_vec(id, 1, seed=0)
    env.reset()
    for _ in range(60):
        assert np.isfinite(env.step([env.action_space.sample()])[1]).all()
