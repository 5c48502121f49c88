"""Where the global state comes from, in every form that environments give it."""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo.utils import BaseParallelWrapper
from toy_teams import Toy, ToyWithState

from masoft import HASAC
from masoft.envs import TeamEnv, make, make_vec
from masoft.errors import ConfigurationError, EnvironmentFault

STANDS_IN = "the observations in a row stand in for the state"


def with_data(value):
    """A toy that keeps data under ``state``, set in reset, as PettingZoo's tutorial does."""

    class Data(Toy):
        def reset(self, seed=None, options=None):
            self.state = value
            return super().reset(seed, options)

    return Data()


def with_method(value):
    class Method(Toy):
        def state(self):
            return value

    return Method()


@pytest.mark.parametrize("wrap", [lambda env: env, BaseParallelWrapper])
def test_a_dict_under_state_is_no_state_which_is_said(wrap):
    with pytest.warns(UserWarning, match=STANDS_IN):
        env = TeamEnv(wrap(with_data({"a": None})))
    assert "state" not in env.reset()[0]
    env.step([0, 0, 0])


@pytest.mark.parametrize("wrap", [lambda env: env, BaseParallelWrapper])
@pytest.mark.parametrize("value", [[1.5, 2.0], np.array([1.5, 2.0]), (1.5, 2)])
def test_numbers_under_state_are_the_state(value, wrap):
    env = TeamEnv(wrap(with_data(value)))
    assert env.reset()[0]["state"].tolist() == [1.5, 2.0]


def test_state_as_a_property():
    class Property(Toy):
        @property
        def state(self):
            return np.array([self.elapsed, 4.0])

    env = TeamEnv(Property())
    env.reset()
    assert env.step([0, 0, 0])[0]["state"].tolist() == [1, 4]


def test_none_under_state_is_no_state_and_nothing_is_said():
    assert TeamEnv(with_data(None)).team.state_size == 0


@pytest.mark.parametrize(
    ("value", "size"), [([1, 2, 3], 3), (np.ones((2, 2)), 4), (np.array([True, False]), 2), (7, 1), ([[1.0], [2.0]], 2)]
)
def test_what_state_may_give(value, size):
    env = TeamEnv(with_method(value))
    state = env.reset()[0]["state"]
    assert state.dtype == np.float32 and state.tolist() == np.ravel(value).tolist() and state.size == size


@pytest.mark.parametrize("value", [None, {"a": [1.0]}, b"1234", "abcd", [[1.0], [1.0, 2.0]], [object()]])
def test_what_is_no_array_of_numbers_is_replaced_which_is_said(value):
    with pytest.warns(UserWarning, match=STANDS_IN):
        env = TeamEnv(with_method(value))
    assert env.team.state_size == 0
    env.reset()


def test_a_state_that_raises_from_the_start_is_replaced_which_is_said():
    class Raises(Toy):
        def state(self):
            raise AttributeError("no map yet")

    with pytest.warns(UserWarning, match=f"no map yet.*{STANDS_IN}"):
        assert TeamEnv(Raises()).team.state_size == 0


def test_a_state_space_without_state_is_said():
    class Declares(Toy):
        state_space = spaces.Box(0, 1, (3,))

    with pytest.warns(UserWarning, match=f"declares a state_space, and has no state.*{STANDS_IN}"):
        assert TeamEnv(Declares()).team.state_size == 0


def test_a_declared_dict_space_is_flattened():
    class Nested(Toy):
        state_space = spaces.Dict({"at": spaces.Discrete(3), "speed": spaces.Box(-9, 9, (2,), np.float32)})

        def state(self):
            return {"at": self.elapsed, "speed": np.array([1.5, -2.0])}

    env = TeamEnv(Nested())
    assert env.reset()[0]["state"].tolist() == [1, 0, 0, 1.5, -2]
    assert env.step([0, 0, 0])[0]["state"].tolist() == [0, 1, 0, 1.5, -2]
    env.step([0, 0, 0])
    with pytest.raises(EnvironmentFault, match=r"The state at step 3 .* one of Discrete\(3\) at \['at'\]. Got 3"):
        env.parallel_env.length = 9
        env.step([0, 0, 0])


@pytest.mark.parametrize("picture", [True, False])
def test_a_picture_is_too_much_for_a_critic(picture):
    class Screen(Toy):
        def state(self):
            return np.zeros((64, 64, 3), np.uint8)

    if picture:
        Screen.state_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    with pytest.warns(UserWarning, match=f"picture of 12288 bytes.*{STANDS_IN}"):
        assert TeamEnv(Screen()).team.state_size == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([2**40, 0, 0], "The state .* whole numbers of at most 16777216"),
        ([1e39, 0, 0], r"The state .* finite in float32, whose numbers end at 3.4e\+38"),
        ([1.0, 2.0], "The state .* 3 numbers.*state='observations'"),
        (b"123", "The state .* an array of numbers"),
        (None, "The state .* an array of numbers"),
    ],
)
@pytest.mark.filterwarnings("default:overflow:RuntimeWarning")
def test_a_state_that_stops_to_fit_is_named(value, message):
    class Turns(ToyWithState):
        def state(self):
            return value if self.elapsed else super().state()

    env = TeamEnv(Turns())
    env.reset()
    with pytest.raises(EnvironmentFault, match=message):
        env.step([0, 0, 0])


def test_an_overflow_is_named_where_warnings_are_errors():
    env = TeamEnv(with_method([1e39]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(EnvironmentFault, match="The state .* finite in float32"):
            env.reset()


class Falls(ToyWithState):
    """Its bodies are gone once the episode is over, as multiwalker's."""

    def state(self):
        if not self.agents:
            raise AttributeError("'NoneType' object has no attribute 'position'")
        return super().state()


def test_after_a_fall_the_last_state_stands_in_where_nothing_depends_on_it():
    env = TeamEnv(Falls(leaves={"a": 2, "b": 2}))
    env.reset()
    env.step([0, 0, 0])
    observation, _, terminated, truncated, _ = env.step([0, 0, 0])
    assert (terminated, truncated) == (True, False) and observation["state"].tolist() == [1, 1.5, 2.5]
    HASAC(lambda: Falls(leaves={"a": 2, "b": 2}), seed=0, device="cpu", learning_starts=8).learn(20)


def test_where_an_episode_is_cut_the_last_state_stands_in_and_that_is_said_once():
    env = TeamEnv(Falls(length=2))
    with pytest.warns(UserWarning, match="one step earlier stands in") as said:
        for _ in range(2):
            env.reset()
            env.step([0, 0, 0])
            assert env.step([0, 0, 0])[0]["state"].tolist() == [1, 1.5, 2.5]
    assert len(said) == 1


def test_a_state_that_is_the_observations_is_computed_from_the_last_ones():
    class InARow(Toy):
        def state(self):
            return np.concatenate([self.observation(agent) for agent in self.agents])  # fails without agents

    env = TeamEnv(InARow(length=2))
    env.reset()
    env.step([0, 0, 0])
    observation, *_, truncated, _ = env.step([0, 0, 0])
    assert truncated and observation["state"].tolist() == [2, 0, 2, 1]


def test_a_state_that_fails_in_mid_episode_is_a_fault_with_the_way_out():
    class Breaks(ToyWithState):
        def state(self):
            if self.elapsed:
                raise AttributeError("gone")
            return super().state()

    env = TeamEnv(Breaks())
    env.reset()
    with pytest.raises(EnvironmentFault, match=r"state\(\) at step 1 .*state='observations'"):
        env.step([0, 0, 0])
    env = TeamEnv(Breaks(), state="observations")
    env.reset()
    env.step([0, 0, 0])


def test_the_option_state():
    assert TeamEnv(ToyWithState(), state="observations").team.state_size == 0
    env = TeamEnv(ToyWithState(), state=lambda env: [env.elapsed, 9])
    assert env.reset()[0]["state"].tolist() == [0, 9] and env.step([0, 0, 0])[0]["state"].tolist() == [1, 9]
    vec_env = make_vec(ToyWithState, 2, state=lambda env: env.state()[1:])
    assert vec_env.reset()["state"].tolist() == [[1.5, 2.5]] * 2
    assert "state" not in make_vec(ToyWithState, 2, state="observations").reset()


def test_make_passes_the_option_on_through_wrappers():
    pytest.importorskip("gymnasium_robotics", reason='needs the extra: pip install "masoft[mamujoco]"')
    env = make("mamujoco/HalfCheetah-2x3", state="observations")
    assert TeamEnv(env).team.state_size == TeamEnv(BaseParallelWrapper(env)).team.state_size == 0


@pytest.mark.parametrize(
    ("state", "must"),
    [
        ("obs", "'env', 'observations', 'both' or a function"),
        (3, "'env', 'observations', 'both' or a function"),
        (lambda env: env.nothing, "gives its state after a reset"),
        (lambda env: {"a": 1}, "gives an array of numbers"),
    ],
)
def test_other_choices_are_refused(state, must):
    with pytest.raises(ConfigurationError, match=f"state must be .*{must}"):
        TeamEnv(Toy(), state=state)


def test_views_of_the_state_hold_for_the_environments_own_alone():
    class Views(ToyWithState):
        def __init__(self):
            from masoft.spec import StateView

            super().__init__()
            self.observation_views = {"a": StateView((0, 1))}

    assert TeamEnv(Views()).team.agents[0].view is not None
    assert TeamEnv(Views(), state="observations").team.agents[0].view is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_multiwalker_falls_and_goes_on():
    pytest.importorskip("Box2D")
    multiwalker = importlib.import_module("pettingzoo.sisl.multiwalker_v9")
    env = TeamEnv(multiwalker.parallel_env())
    env.reset(seed=0)
    rng, ends = np.random.default_rng(0), 0
    while not ends:
        observation, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 12))
        ends += terminated or truncated
    assert observation["state"].shape == (75,) and np.isfinite(observation["state"]).all()
