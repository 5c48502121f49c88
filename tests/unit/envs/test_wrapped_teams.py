"""Wrappers around teams, copies of environments, other libraries' vectors: taken as they show themselves, or named."""

from __future__ import annotations

from itertools import count
from typing import Any

import gymnasium
import numpy as np
import pytest
import supersuit
from gymnasium import spaces
from gymnasium.wrappers import (
    FlattenObservation,
    FrameStackObservation,
    RescaleAction,
    TimeLimit,
    TransformObservation,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnvWrapper
from toy_teams import MaskedInInfo, Toy, ToyWithState

from masoft import HAPPO, HASAC
from masoft.envs import TeamEnv, as_vec_env, make, make_vec, team_of
from masoft.envs.alike import check_alike
from masoft.envs.local import LocalVecEnv
from masoft.envs.subproc import TeamSubprocVecEnv
from masoft.errors import ConfigurationError, SpaceError
from masoft.spec import StateView
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = dict(
    learning_starts=4, batch_size=4, buffer_size=100, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)
BOXES = {"a": spaces.Box(-1, 1, (2,), np.float32), "b": spaces.Box(-1, 1, (1,), np.float32)}

# ---------------------------------------------------------------- one object for all copies

SHARED = Toy()


@pytest.mark.parametrize(
    "make_copies",
    [
        lambda: make_vec(lambda: SHARED, 2),
        lambda: make_vec(lambda: TeamEnv(SHARED), 2, backend="dummy"),
        lambda: make_vec(lambda: supersuit.dtype_v0(SHARED, np.float64), 2),
        lambda: make_vec(lambda: SHARED, 2, backend="subproc"),
        lambda: make_vec(lambda: SHARED, 2, vec_env_cls=DummyVecEnv),
        lambda: as_vec_env(DummyVecEnv([lambda: TeamEnv(SHARED)] * 2)),
        lambda: HASAC(DummyVecEnv([lambda: Monitor(TeamEnv(SHARED))] * 2), **SMALL),
    ],
)
def test_one_object_for_all_copies_is_refused(make_copies) -> None:
    with pytest.raises(ConfigurationError, match="env must be a callable that makes a new environment at every call"):
        make_copies()


def test_one_gymnasium_environment_for_all_copies_is_refused() -> None:
    env = gymnasium.make("CartPole-v1")
    with pytest.raises(ConfigurationError, match="a new environment at every call"):
        make_vec(lambda: env, 2)


@pytest.mark.parametrize("backend", ["dummy", "subproc"])
def test_new_objects_are_taken(backend: str) -> None:
    vec_env = make_vec(lambda: Toy(), 2, backend=backend)
    assert vec_env.num_envs == 2 and make_vec(lambda: SHARED, 1).num_envs == 1
    vec_env.close()


# ---------------------------------------------------------------- copies that differ


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: Toy({"a": spaces.Discrete(3)}),
            r"The agents of environment 1 must be as in environment 0: \('a', 'b'\)",
        ),
        (lambda: Toy({"a": spaces.Discrete(4), "b": BOXES["a"]}), "action space of agent 'a' of environment 1"),
        (lambda: Toy({"a": spaces.Discrete(3), "b": BOXES["b"]}), "action space of agent 'b' of environment 1"),
        (lambda: ToyWithState(), "length of the state of environment 1 must be as in environment 0: 0. Got 3"),
        (lambda: MaskedInInfo(), "has_masks of environment 1"),
        (lambda: Toy(has_deaths=False), "has_deaths of environment 1"),
    ],
)
def test_copies_that_differ_are_refused(other, message: str) -> None:
    numbers = count()
    with pytest.raises(ConfigurationError, match=message):
        make_vec(lambda: other() if next(numbers) else Toy(), 2)
    with pytest.raises(ConfigurationError, match=message):
        as_vec_env(DummyVecEnv([lambda: TeamEnv(Toy()), lambda: TeamEnv(other())]))


def test_a_copy_that_sees_the_state_otherwise_or_is_no_team_is_refused() -> None:
    class Viewed(ToyWithState):
        observation_views = {"a": StateView((0, 1))}

    view = r"The view of the state of agent 'a' of environment 1 must be as in environment 0: None. Got StateView\(ind"
    with pytest.raises(ConfigurationError, match=view):
        as_vec_env(DummyVecEnv([lambda: TeamEnv(ToyWithState()), lambda: TeamEnv(Viewed())]))
    no_team = r"The agents of environment 1 must be as in environment 0: \('a', 'b'\). Got 'no team'"
    with pytest.raises(ConfigurationError, match=no_team):
        check_alike([TeamEnv(Toy()).team, None])


def test_copies_that_differ_in_processes_are_refused_and_ended(tmp_path) -> None:
    def build() -> Toy:
        try:
            (tmp_path / "one").touch(exist_ok=False)
        except FileExistsError:
            return Toy({"a": spaces.Discrete(4), "b": spaces.Box(-1, 1, (2,), np.float32)})
        return Toy()

    with pytest.raises(ConfigurationError, match="action space of agent 'a' of environment 1"):
        make_vec(build, 2, backend="subproc")


# ---------------------------------------------------------------- wrappers around one team


def test_rescaled_actions_use_the_whole_range_of_the_simulator() -> None:
    toy = Toy(BOXES, length=1000)
    model = HASAC(RescaleAction(TeamEnv(toy), np.float32(-2), np.float32(2)), **SMALL)
    assert model.team.agents[0].action_space == spaces.Box(-2, 2, (2,), np.float32)
    model.learn(60)
    sent = np.concatenate([actions["a"] for actions in toy.received])
    assert sent.min() < -0.7 and sent.max() > 0.7  # the outside's -2 and 2; half the range if it were ignored
    actions = model.predict({"a": np.zeros(2), "b": np.zeros(2)})
    assert model.team.agents[0].action_space.contains(actions["a"])


class Doubled(gymnasium.ObservationWrapper):
    """Agent ``a`` sees everything twice."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        box = spaces.Box(-100, 100, (4,), np.float32)
        self.observation_space = spaces.Dict({**env.observation_space.spaces, "a": box})

    def observation(self, observation):
        return {**observation, "a": np.tile(observation["a"], 2)}


@pytest.mark.parametrize("backend", ["dummy", "subproc"])
def test_a_wrapper_may_change_what_an_agent_sees(backend: str) -> None:
    env = make_vec(Toy, 2, backend=backend, wrapper_class=Doubled, length=5)
    team = team_of(env)
    assert [agent.observation_shape for agent in team.agents] == [(4,), (2,)]
    model = HASAC(env, **SMALL).learn(12)
    assert model.replay_buffer.frames["a"].shape[-1] == 4
    env.close()


class Watching(ToyWithState):
    """Agents see parts of the state, as declared."""

    observation_views = {"a": StateView((0, 1)), "b": StateView((0, 2))}

    def observation(self, agent):
        return self.state()[[0, 1 if agent == "a" else 2]].astype(np.float32)


def test_views_of_the_state_are_given_up_where_a_wrapper_may_change_values() -> None:
    env = TeamEnv(Watching(length=100))
    assert all(agent.view is not None for agent in team_of(as_vec_env(Monitor(env))).agents)
    assert all(agent.view is not None for agent in team_of(as_vec_env(TimeLimit(env, 9))).agents)
    blind = TransformObservation(env, lambda seen: {**seen, "a": seen["a"] * 0 + 7}, None)
    model = HASAC(blind, **SMALL).learn(8)
    assert [agent.view for agent in model.team.agents] == [None, None]
    assert (model.sample_batch(4).observations[0] == 7).all()


def stack(env):
    return FrameStackObservation(env, 4)


def number(env):
    space = spaces.Dict({**env.observation_space.spaces, "a": spaces.Discrete(3)})
    return TransformObservation(env, lambda seen: seen, space)


def rescale(env):
    return RescaleAction(env, np.float32(0), np.float32(1))


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (FlattenObservation, "FlattenObservation around a team: the observation space must be a Dict with the entries"),
        (
            stack,
            r"FrameStackObservation around a team: the entry 'active' must be MultiBinary\(2\), as inside. Got Box",
        ),
        (number, "TransformObservation around a team: the observation space of agent 'a' must be a Box"),
        (rescale, "RescaleAction .* choices of agent 'a' must be whole numbers below"),
    ],
)
def test_wrappers_that_make_a_team_none_are_named(wrap, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        as_vec_env(wrap(TeamEnv(Toy())))
    with pytest.raises(SpaceError, match=message):
        make_vec(Toy, 2, wrapper_class=wrap)
    with pytest.raises(SpaceError, match=message):
        team_of(DummyVecEnv([lambda: wrap(TeamEnv(Toy()))]))


def test_a_wrapper_is_named_from_a_process_too() -> None:
    with pytest.raises(SpaceError, match="FlattenObservation around a team"):
        make_vec(Toy, 1, backend="subproc", wrapper_class=FlattenObservation)


def test_a_wrappers_own_attributes_and_render_mode() -> None:
    env = make_vec(Toy, 2, wrapper_class=TimeLimit, wrapper_kwargs={"max_episode_steps": 2})
    assert env.get_attr("_max_episode_steps") == [2, 2] and env.render_mode == "ansi"
    assert env.env_method("render") == ["step 0"] * 2
    env.set_attr("_max_episode_steps", 1, indices=0)
    env.reset()
    assert env.step(np.zeros((2, 3)))[2].tolist() == [True, False]


# ---------------------------------------------------------------- wrappers around a VecEnv


class OneAgentMore(VecEnvWrapper):
    """Adds an entry that no team has."""

    def __init__(self, venv) -> None:
        more = spaces.Dict({**venv.observation_space.spaces, "c": spaces.Box(-1, 1, (1,))})
        super().__init__(venv, observation_space=more)

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        return self.venv.step_wait()


class Halved(VecEnvWrapper):
    """Actions from -2 to 2 for a team whose own are from -1 to 1, observations with one number more."""

    def __init__(self, venv) -> None:
        seen = {**venv.observation_space.spaces, "a": spaces.Box(-100, 100, (3,), np.float32)}
        action_space = spaces.Box(-2, 2, venv.action_space.shape, np.float32)
        super().__init__(venv, spaces.Dict(seen), action_space)

    def _more(self, seen):
        return {**seen, "a": np.concatenate([seen["a"], np.ones((*seen["a"].shape[:-1], 1), np.float32)], -1)}

    def step_async(self, actions):
        self.venv.step_async(actions / 2)

    def reset(self):
        return self._more(self.venv.reset())

    def step_wait(self):
        seen, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = self._more(info["terminal_observation"])
        return self._more(seen), rewards, dones, infos


@pytest.mark.parametrize(
    ("method", "options"), [(HASAC, SMALL), (HAPPO, {"n_steps": 6, "batch_size": 6, "device": "cpu"})]
)
def test_a_wrapper_of_ones_own_around_the_vector_is_asked_for_its_spaces(method, options) -> None:
    toys = [Toy(BOXES, length=4) for _ in range(2)]
    numbers = count()
    model = method(Halved(make_vec(lambda: toys[next(numbers)], 2)), **options).learn(24)
    assert model.team.agents[0].observation_shape == (3,) and model.action_space.high.max() == 2
    sent = np.concatenate([actions["a"] for toy in toys for actions in toy.received])
    assert abs(sent).max() <= 1 and abs(sent).max() > 0.5


def test_a_wrapper_of_ones_own_that_does_not_fit_is_named() -> None:
    with pytest.raises(SpaceError, match="OneAgentMore around a team: the observation space must be a Dict"):
        HASAC(OneAgentMore(make_vec(Toy, 2)), **SMALL)


# ---------------------------------------------------------------- other libraries' vectors


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (lambda: gymnasium.make_vec("CartPole-v1", 3), r"masoft.make_vec\('CartPole-v1', n_envs=3\)"),
        (lambda: gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2), "n_envs=2"),
        (
            lambda: supersuit.pettingzoo_env_to_vec_env_v1(make("mpe/simple_spread_v3")),
            "each agent as an environment of its own. Pass the PettingZoo environment",
        ),
        (lambda: make_vec_env("CartPole-v1", 2), r"A VecEnv must be one of TeamEnvs.*masoft.make_vec"),
        (
            lambda: supersuit.concat_vec_envs_v1(
                supersuit.pettingzoo_env_to_vec_env_v1(make("mpe/simple_spread_v3")), 2, base_class="stable_baselines3"
            ),
            "each agent as an environment of its own",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_other_vectors_are_refused_with_the_way(vector, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        as_vec_env(vector())


# ---------------------------------------------------------------- as stable-baselines3's make_vec_env


def test_make_vec_takes_what_make_vec_env_takes(tmp_path) -> None:
    env = make_vec(
        Toy,
        2,
        env_kwargs={"length": 2},
        monitor_dir=str(tmp_path),
        monitor_kwargs={"info_keywords": ("rewards",)},
        wrapper_class=TimeLimit,
        wrapper_kwargs={"max_episode_steps": 7},
        vec_env_cls=DummyVecEnv,
    )
    assert isinstance(env, LocalVecEnv) and env.env_is_wrapped(Monitor) == [True, True]
    assert env.get_attr("_max_episode_steps") == [7, 7]
    env.reset()
    for _ in range(2):
        infos = env.step(np.zeros((2, 3)))[3]
    assert infos[0]["episode"]["l"] == 2
    env.close()
    assert "rewards" in (tmp_path / "0.monitor.csv").read_text().splitlines()[1]


def test_the_class_of_the_vector() -> None:
    for cls, options, expected in (
        (SubprocVecEnv, None, TeamSubprocVecEnv),
        (SubprocVecEnv, {"start_method": "forkserver"}, SubprocVecEnv),
        (LocalVecEnv, None, LocalVecEnv),
    ):
        env = make_vec(Toy, 1, vec_env_cls=cls, vec_env_kwargs=options)
        assert type(env) is expected and team_of(env).names == ("a", "b")
        assert env.reset()["a"].shape == (1, 2)
        env.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vec_env_cls": 3}, "vec_env_cls must be a VecEnv class"),
        ({"vec_env_kwargs": {"start_method": "spawn"}}, "vec_env_kwargs must be given with a vec_env_cls"),
        ({"vec_env_cls": DummyVecEnv, "backend": "subproc"}, "backend must be left out where vec_env_cls is given"),
    ],
)
def test_contradictions_are_refused(options, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_vec(Toy, 1, **options)


def test_a_wrapper_around_each_copy_asks_for_separate_environments() -> None:
    env = make_vec(
        lambda: IdentityTeam(("box", "box"), episode_length=9), 2, wrapper_class=lambda env: TimeLimit(env, 3)
    )
    env.reset()
    dones = [env.step(np.zeros((2, env.action_space.shape[0])))[2].tolist() for _ in range(3)]
    assert dones == [[False, False], [False, False], [True, True]]
