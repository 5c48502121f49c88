"""as_vec_env, make_vec and team_of: whatever a user has becomes a VecEnv of teams."""

from __future__ import annotations

import cloudpickle
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from mpe2 import simple_spread_v3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize
from toy_teams import MaskedInInfo, Toy, ToyWithState, TurnByTurn

from masoft.envs import TeamEnv, as_vec_env, find, make, make_vec, register, team_of
from masoft.envs.builder import TeamBuilder, as_team
from masoft.errors import ConfigurationError, EnvironmentFault


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("matrix/maxent", ("agent_0", "agent_1")),
        ("CartPole-v1", ("agent_0",)),
        (Toy, ("a", "b")),
        (lambda: Toy(), ("a", "b")),
        (Toy(), ("a", "b")),
        (TurnByTurn(), ("a", "b")),
        (lambda: TurnByTurn(), ("a", "b")),
        (lambda: gymnasium.make("CartPole-v1"), ("agent_0",)),
        (gymnasium.make("Pendulum-v1"), ("agent_0",)),
        (TeamEnv(Toy()), ("a", "b")),
        (Monitor(TeamEnv(Toy())), ("a", "b")),
        (DummyVecEnv([lambda: TeamEnv(Toy())]), ("a", "b")),
        (simple_spread_v3.env(), ("agent_0", "agent_1", "agent_2")),
        (simple_spread_v3.parallel_env, ("agent_0", "agent_1", "agent_2")),
    ],
)
def test_every_kind_of_source(source, names):
    vec_env = as_vec_env(source)
    assert team_of(vec_env).names == names and vec_env.num_envs == 1
    vec_env.reset()
    observation, rewards, dones, infos = vec_env.step([vec_env.action_space.sample()])
    assert set(names) < set(observation) and rewards.shape == dones.shape == (1,)
    assert set(infos[0]["rewards"]) == set(names)


def test_each_env_is_monitored_once():
    vec_env = as_vec_env(Monitor(TeamEnv(Toy(length=2))))
    assert vec_env.env_is_wrapped(Monitor) == [True] and isinstance(vec_env.envs[0].env, TeamEnv)
    vec_env.reset()
    vec_env.step([[0, 0, 0]])
    infos = vec_env.step([[0, 0, 0]])[3]
    assert infos[0]["episode"]["r"] == 3.0 and infos[0]["episode"]["l"] == 2


def test_last_observation_reaches_sb3():
    vec_env = as_vec_env(Toy(length=1))
    vec_env.reset()
    observation, _, dones, infos = vec_env.step([[0, 0, 0]])
    assert dones[0] and infos[0]["TimeLimit.truncated"] is True
    assert infos[0]["terminal_observation"]["a"].tolist() == [1, 0] and observation["a"][0].tolist() == [0, 0]
    vec_env = as_vec_env("matrix/maxent")
    vec_env.reset()
    assert vec_env.step([[2, 2]])[3][0]["TimeLimit.truncated"] is False


def test_aec_conversion_steps_everybody():
    env = TeamEnv(as_team(TurnByTurn()).parallel_env)
    env.reset()
    assert [env.step([1, 0])[1:4] for _ in range(3)] == [(1.0, False, False), (1.0, False, False), (1.0, False, True)]


def test_supersuit_wrapped():
    import supersuit

    env = supersuit.frame_stack_v1(supersuit.dtype_v0(make("mpe/simple_spread_v3"), np.float64), 2)
    vec_env = as_vec_env(env)
    assert team_of(vec_env).agents[0].observation_shape == (36,)
    assert vec_env.get_attr("team_reward") == ["sum"]
    vec_env.reset()
    vec_env.step([vec_env.action_space.sample()])


def test_supersuit_black_death():
    import supersuit

    env = supersuit.black_death_v3(Toy({"a": spaces.Discrete(2), "b": spaces.Discrete(2)}, leaves={"a": 1}))
    team = TeamEnv(env)
    team.reset()
    team.step([0, 0])
    observation, _, terminated, truncated, _ = team.step([0, 0])
    assert not terminated and not truncated
    assert observation["active"].tolist() == [1, 1] and observation["a"].tolist() == [0, 0]


def test_make_vec_seeds_each_copy_apart_and_repeatably():
    def first(seed):
        return make_vec("mpe/simple_spread_v3", 2, seed=seed).reset()["agent_0"]

    assert np.array_equal(first(3), first(3)) and not np.array_equal(first(3)[0], first(3)[1])
    assert np.array_equal(first(3)[1], first(4)[0])


def test_seeding_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    make_vec("matrix/maxent", 2).reset()
    make_vec("matrix/maxent", 2, seed=0).reset()
    assert np.array_equal(before, np.random.get_state()[1])


def test_environment_arguments_and_team_reward_pass_through():
    vec_env = make_vec("mpe/simple_spread_v3", 1, team_reward="mean", N=2, continuous_actions=True)
    assert team_of(vec_env).n_agents == 2 and vec_env.action_space == spaces.Box(0, 1, (10,), np.float32)
    assert vec_env.get_attr("team_reward") == ["mean"]


def test_simulators_with_their_own_batching_are_asked_for_it():
    def batched(n_envs, seed, team_reward, length):
        return make_vec(Toy, n_envs, seed=seed, team_reward=team_reward, length=length)

    register("mine/batched", Toy, kwargs={"length": 4}, vector_entry_point=batched)
    vec_env = make_vec("mine/batched", 3, seed=0, team_reward="sum")
    assert vec_env.num_envs == 3 and vec_env.get_attr("team_reward") == ["sum"] * 3
    assert vec_env.get_attr("parallel_env")[0].length == 4
    assert as_vec_env("mine/batched").num_envs == 1
    assert isinstance(make_vec("mine/batched", 2, backend="dummy").envs[0], Monitor)


def test_monitor_files(tmp_path):
    vec_env = make_vec(Toy, 2, monitor_dir=str(tmp_path / "logs"), length=1)
    vec_env.reset()
    vec_env.step([[0, 0, 0]] * 2)
    vec_env.close()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["0.monitor.csv", "1.monitor.csv"]


def test_sb3_wrappers_and_make_vec_env():
    assert team_of(make_vec_env(lambda: TeamEnv(ToyWithState()), n_envs=2, seed=0)).state_size == 3
    vec_env = DummyVecEnv([lambda: TeamEnv(ToyWithState()), lambda: TeamEnv(ToyWithState())])
    wrapped = VecNormalize(VecMonitor(vec_env), norm_obs_keys=["a", "b", "state"])
    assert as_vec_env(wrapped, seed=1) is wrapped and team_of(wrapped).names == ("a", "b")
    wrapped.reset()
    wrapped.step([[0, 0, 0]] * 2)


class PlainToy(Toy):
    """Importable by worker processes."""


class DiesInWorker(Toy):
    """Ends its process in its first step."""

    def step(self, actions):
        import os

        os._exit(3)


class RaisesInWorker(Toy):
    """Raises while it is built."""

    def __init__(self):
        raise OSError("no display")


def test_subprocess_backend_builds_what_cannot_be_pickled():
    def build():
        env = PlainToy()
        env.callback = lambda: None
        return env

    vec_env = make_vec(build, 1, backend="subproc", seed=0)
    try:
        assert isinstance(vec_env, SubprocVecEnv) and team_of(vec_env).names == ("a", "b")
        assert vec_env.reset()["a"].shape == (1, 2)
        vec_env.step([[0, 0, 0]])
    finally:
        vec_env.close()


def test_own_registrations_reach_worker_processes():
    register("mine/worker", MaskedInInfo, kwargs={"length": 2})
    shipped = cloudpickle.loads(cloudpickle.dumps(TeamBuilder(find("mine/worker"), rank=1)))
    assert shipped.source is not find("mine/worker") and shipped().unwrapped.team.has_masks


def test_a_worker_that_dies_is_named():
    vec_env = make_vec(DiesInWorker, 1, backend="subproc")
    vec_env.reset()
    with pytest.raises(EnvironmentFault, match=r"Environment 0 \(toy\) at step 1 .* exit code 3"):
        vec_env.step([[0, 0, 0]])
    vec_env.close()


def test_a_worker_that_cannot_build():
    with pytest.raises(EnvironmentFault, match="while it is built, .*no display"):
        make_vec(RaisesInWorker, 1, backend="subproc")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_vec_env(42), "env must be an environment id"),
        (lambda: as_vec_env(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])), "A VecEnv must be one of TeamEnvs"),
        (lambda: make_vec(Toy(), 2), "Pass a function that makes the environment"),
        (lambda: make_vec(Toy(), 1, backend="subproc"), "Pass a function"),
        (lambda: make_vec(Toy(), 1, length=2), "Pass a function"),
        (lambda: make_vec(Toy, 0), "n_envs must be an integer >= 1"),
        (lambda: make_vec(Toy, 1, backend="threads"), "backend must be one of"),
        (lambda: make_vec(DummyVecEnv([lambda: TeamEnv(Toy())]), 1), "vectorised already"),
        (lambda: make_vec("mpe/simple_spred_v3", 1), "Did you mean 'mpe/simple_spread_v3'"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()


def test_a_callable_that_needs_other_arguments_is_refused_before_it_is_called():
    with pytest.raises(ConfigurationError, match="env must be callable without arguments"):
        make_vec(len)
    with pytest.raises(ConfigurationError, match=r"env must be callable with \['n_agents'\]"):
        make_vec(lambda size: None, 2, n_agents=3)
