"""The VecEnv of environments in this process is stable-baselines3's own, with a cheaper copy of the infos."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from masoft.envs import make_vec
from masoft.envs.builder import TeamBuilder
from masoft.envs.local import LocalVecEnv
from masoft.testing.games import IdentityTeam

KINDS = ("box", "box")


def same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert [*one] == [*other]
        for name in one:
            if name != "t":  # the Monitor's clock
                same(one[name], other[name])
    else:
        np.testing.assert_array_equal(one, other)


def test_steps_are_those_of_stable_baselines3() -> None:
    builders: Any = [TeamBuilder(lambda: IdentityTeam(KINDS, episode_length=3), seed=k) for k in range(2)]
    ours, theirs = LocalVecEnv(builders), DummyVecEnv(builders)
    for env in (ours, theirs):
        env.seed(4)
        env.reset()
    for _ in range(8):
        actions = np.stack([ours.action_space.sample() for _ in range(2)])
        (*found, infos), (*expected, their_infos) = ours.step(actions), theirs.step(actions)
        for mine, other in zip(found, expected, strict=True):
            same(dict(mine), dict(other)) if isinstance(mine, dict) else same(mine, other)
        for info, other in zip(infos, their_infos, strict=True):
            same(info, other)
    assert ours.get_attr("team") == theirs.get_attr("team")


def test_what_a_caller_does_to_infos_and_observations_stays_with_the_caller() -> None:
    env = make_vec(lambda: IdentityTeam(KINDS, episode_length=1), 1, seed=0)
    assert isinstance(env, LocalVecEnv)
    env.reset()
    obs, rewards, dones, infos = env.step(np.stack([env.action_space.sample()]))
    kept = env.buf_infos[0]
    infos[0]["rewards"].clear()
    infos[0]["terminal_observation"].clear()
    infos[0].clear()
    obs["agent_0"][:], rewards[:], dones[:] = 9, 9, False  # type: ignore[index]
    assert len(kept["rewards"]) == 2 and len(kept["terminal_observation"]) > 2
    assert not (env.buf_obs["agent_0"] == 9).any() and not (env.buf_rews == 9).any() and env.buf_dones.all()
