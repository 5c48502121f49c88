"""Action masks in every form that environments tell them, and in forms that are refused by name."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from toy_teams import Toy

from masoft import HASAC
from masoft.envs import TeamEnv
from masoft.envs.builder import as_team
from masoft.errors import EnvironmentFault

ACTIONS = {"a": spaces.Discrete(3), "b": spaces.Discrete(2)}


class Masked(Toy):
    """Agent ``which`` reports ``mask`` in its info from step ``since`` on."""

    def __init__(self, mask, which="b", since=0, **metadata):
        super().__init__(ACTIONS, **metadata)
        self.mask, self.which, self.since = mask, which, since

    def info(self, agent):
        return {"action_mask": self.mask} if agent == self.which and self.elapsed >= self.since else {}


@pytest.mark.parametrize(
    "mask",
    [[0, 1], (0, 1), [False, True], np.array([0, 1], np.int8), np.array([0, 1], bool), np.array([0.0, 1.0]),
     np.array([[0, 1]], np.uint8), [np.int64(0), 1]],
)  # fmt: skip
def test_a_mask_in_any_form_is_kept(mask):
    env = TeamEnv(Masked(mask))
    observation, _ = env.reset()
    assert observation["action_mask"].tolist() == [1, 1, 1, 0, 1] and observation["action_mask"].dtype == np.int8
    with pytest.raises(EnvironmentFault, match=r"agent 'b' at step 0 .* legal choices \[1\]. Got 0"):
        env.step([0, 0])


@pytest.mark.parametrize(
    ("mask", "must"),
    [
        ([0, 0], "nonzero for one choice or more. Got \\[0, 0\\]"),
        ([1], "of 2 entries"),
        ([1, 2], "made of zeros and ones"),
        ([0.0, -np.inf], "made of zeros and ones"),
        ([np.nan, 1.0], "made of zeros and ones"),
        (["yes", "no"], "made of zeros and ones"),
        ([[1], [1, 0]], "of 2 entries"),
        ("11", "made of zeros and ones|of 2 entries"),
        ({"left": 1}, "made of zeros and ones|of 2 entries"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_mask_that_is_none_is_named_with_agent_and_step(mask, must):
    env = TeamEnv(Masked(mask, since=1, has_masks=True))
    env.reset()
    with pytest.raises(
        EnvironmentFault, match=rf"action mask of agent 'b' at step 1 of episode 1 of toy must be .*{must}"
    ):
        env.step([0, 0])


@pytest.mark.parametrize("which", ["a", "b"])
def test_a_mask_of_any_agent_that_comes_late_is_refused(which):
    env = TeamEnv(Masked([0, 1, 1][: 3 if which == "a" else 2], which, since=1))
    env.reset()
    with pytest.raises(EnvironmentFault, match=rf"mask of agent {which!r} at step 1 .*metadata\['has_masks'\] = True"):
        env.step([0, 0])


def test_one_agents_mask_may_come_later_than_its_teammates():
    class OneLater(Masked):
        def info(self, agent):
            return {"action_mask": [1, 0, 0]} if agent == "a" else super().info(agent)

    env = TeamEnv(OneLater([0, 1], since=1))
    assert env.reset()[0]["action_mask"].tolist() == [1, 0, 0, 1, 1]
    assert env.step([0, 0])[0]["action_mask"].tolist() == [1, 0, 0, 0, 1]
    HASAC(lambda: OneLater([0, 1], since=1), seed=0, device="cpu", learning_starts=8).learn(30)  # no illegal action


def test_a_mask_in_the_observation_that_comes_late_is_refused():
    class Late(Toy):
        def observation(self, agent):
            seen = super().observation(agent)
            return {"observation": seen, "action_mask": [0, 1]} if self.elapsed and agent == "b" else seen

    env = TeamEnv(Late(ACTIONS))
    env.reset()
    with pytest.raises(EnvironmentFault, match="mask of agent 'b' at step 1"):
        env.step([0, 0])


@pytest.mark.parametrize("as_list", [True, False])
def test_masks_by_sb3_contribs_method(as_list):
    class Method(Toy):
        def action_masks(self):
            masks = {"a": [self.elapsed == 0, True, False], "b": [False, True]}
            return list(masks.values()) if as_list else masks

    env = TeamEnv(Method(ACTIONS))
    assert env.team.has_masks
    assert env.reset()[0]["action_mask"].tolist() == [1, 1, 0, 0, 1]
    assert env.step([0, 1])[0]["action_mask"].tolist() == [0, 1, 0, 0, 1]


def test_a_method_that_gives_something_else_is_named():
    class Wrong(Toy):
        def action_masks(self):
            return [[1, 1, 1]]

    with pytest.raises(EnvironmentFault, match=r"What action_masks\(\) gives at step 0 .* a dict of masks by agent"):
        TeamEnv(Wrong(ACTIONS)).reset()


def test_a_single_agents_method():
    class One(gymnasium.Env):
        observation_space, action_space = spaces.Box(0, 1), spaces.Discrete(3)

        def reset(self, *, seed=None, options=None):
            return np.zeros(1, np.float32), {}

        def step(self, action):
            return np.zeros(1, np.float32), 0.0, False, False, {}

        def action_masks(self):
            return np.array([True, False, True])

    env = as_team(One())
    assert env.reset()[0]["action_mask"].tolist() == [1, 0, 1]
    with pytest.raises(EnvironmentFault, match="legal choices"):
        env.step([1])


def test_masks_of_several_parts():
    class Parts(Toy):
        def info(self, agent):
            return {"action_mask": ([0, 1], [[1, 0, 0]])}

    env = TeamEnv(Parts({"a": spaces.MultiDiscrete([2, 3])}))
    assert env.reset()[0]["action_mask"].tolist() == [0, 1, 1, 0, 0]

    class Shut(Toy):
        def info(self, agent):
            return {"action_mask": ([1, 1], [0, 0, 0])}

    with pytest.raises(EnvironmentFault, match="nonzero for one choice"):
        TeamEnv(Shut({"a": spaces.MultiDiscrete([2, 3])})).reset()
