"""Observations of every space: what the team declares in their place, and the numbers that come out."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.spaces.utils import flatten
from toy_teams import Toy

from masoft import HAPPO, HASAC, MAPPO
from masoft.envs import TeamEnv, make_vec
from masoft.envs.reading import is_channels_last
from masoft.errors import EnvironmentFault
from masoft.networks.mlp import ImageEncoder

ACTIONS = {"a": spaces.Discrete(2), "b": spaces.Box(-1, 1, (1,), np.float32)}
SMALL = dict(seed=0, device="cpu", policy_kwargs={"net_arch": [8]})


class Shows(Toy):
    """Both agents see one value in one space; it may change after the reset."""

    def __init__(self, space, value, later=None, **metadata):
        super().__init__(ACTIONS, dict.fromkeys(ACTIONS, space), **metadata)
        self.values = [value, value if later is None else later]

    def observation(self, agent):
        return self.values[min(self.elapsed, 1)]


def seen(space, value, **options):
    env = TeamEnv(Shows(space, value), **options)
    observation = env.reset()[0]
    assert env.observation_space.contains(observation)
    return observation["a"]


NESTED = spaces.Dict(
    {
        "place": spaces.Discrete(3, start=-1),
        "parts": spaces.Tuple([spaces.MultiDiscrete([2, 3]), spaces.Box(-5, 5, (2, 2), np.float64)]),
        "bits": spaces.MultiBinary(2),
        "bytes": spaces.Box(0, 255, (2,), np.uint8),
    }
)
VALUE = {
    "place": 1,
    "parts": (np.array([1, 2]), np.array([[1.0, 2.0], [3.0, 4.0]])),
    "bits": np.array([0, 1], np.int8),
    "bytes": np.array([0, 51], np.uint8),
}


@pytest.mark.parametrize(
    ("space", "value", "expected"),
    [
        (spaces.Discrete(3), 2, [0, 0, 1]),
        (spaces.Discrete(3, start=5), np.int64(5), [1, 0, 0]),
        (spaces.Discrete(3), np.array(1), [0, 1, 0]),
        (spaces.MultiDiscrete([2, 3]), [1, 0], [0, 1, 1, 0, 0]),
        (spaces.MultiDiscrete([[2], [2]], start=[[1], [1]]), [[1], [2]], [1, 0, 0, 1]),
        (spaces.MultiBinary(3), [1, 0, 1], [1, 0, 1]),
        (spaces.MultiBinary((2, 2)), [[1, 0], [0, 1]], [1, 0, 0, 1]),
        (spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,))]), (1, np.float32([0.5, -0.5])), [0, 1, 0.5, -0.5]),
        (spaces.Dict({"x": spaces.Box(0, 1)}), {"x": [0.25]}, [0.25]),
        (spaces.Dict({"observation": spaces.Discrete(2), "goal": spaces.Box(0, 9)}), {"observation": 1, "goal": [7]},
         [7, 0, 1]),
        (spaces.Dict({"observation": spaces.Dict({"x": spaces.Discrete(2)})}), {"observation": {"x": 0}}, [1, 0]),
        (NESTED, VALUE, [0, 1, 0, 0.2, 0, 1, 0, 0, 1, 1, 2, 3, 4, 0, 0, 1]),
        (spaces.Box(0, 1, ()), 0.5, [0.5]),
        (spaces.Box(0, 1, (2,), np.float16), np.float16([0.5, 1]), [0.5, 1]),
        (spaces.Box(0, 255, (2,), np.uint8), np.uint8([255, 51]), [1, 0.2]),
        (spaces.Box(2, 4, (2,), np.uint8), np.uint8([2, 3]), [0, 0.5]),
        (spaces.Box(0, 255, (2, 2), np.uint8), np.uint8([[0, 255], [0, 51]]), [[0, 1], [0, 0.2]]),
    ],
)  # fmt: skip
def test_the_numbers_that_come_out(space, value, expected):
    out = seen(space, value)
    assert out.dtype == np.float32 and np.allclose(out, expected)


def test_flattened_as_gymnasium_does():
    space = spaces.Dict({"b": spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (3,))]), "a": spaces.MultiBinary(2)})
    space.seed(3)
    for _ in range(20):
        value = space.sample()
        assert np.array_equal(seen(space, value), flatten(space, value).astype(np.float32))


def test_bytes_too_small_for_convolutions_are_a_vector():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    out = seen(spaces.Box(0, 255, (4, 4, 3), np.uint8), picture)
    assert np.allclose(out, picture.reshape(-1) / np.float32(255))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pictures_with_channels_last_are_turned(dtype):
    picture = np.arange(8 * 9 * 3).reshape(8, 9, 3).astype(dtype)
    out = seen(spaces.Box(0, 255, (8, 9, 3), dtype), picture)
    assert out.dtype == dtype and np.array_equal(out, picture.transpose(2, 0, 1)) and out.flags.c_contiguous
    first = picture.transpose(2, 0, 1)
    assert np.array_equal(seen(spaces.Box(0, 255, (3, 8, 9), dtype), first), first)


def test_grids_of_bytes_are_scaled_by_their_bounds_and_turned():
    grid = np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3) % 5
    out = seen(spaces.Box(0, 4, (8, 9, 3), np.uint8), grid)
    assert out.dtype == np.float32 and np.allclose(out, grid.transpose(2, 0, 1) / 4)


def test_the_rule_for_channels_is_stable_baselines3s_but_for_ties():
    from stable_baselines3.common.preprocessing import is_image_space_channels_first

    for shape in [(8, 9, 3), (3, 8, 9), (84, 84, 4), (1, 8, 8), (8, 8, 8)]:
        assert is_channels_last(shape) != is_image_space_channels_first(spaces.Box(0, 255, shape, np.uint8))


def test_a_single_agents_picture_arrives_as_sb3_would_turn_it():
    from stable_baselines3.common.vec_env import VecTransposeImage

    space = spaces.Box(0, 255, (8, 9, 3), np.uint8)
    picture = np.arange(8 * 9 * 3).reshape(8, 9, 3).astype(np.uint8)
    assert np.array_equal(seen(space, picture), VecTransposeImage.transpose_image(picture))


@pytest.mark.parametrize("method", [HASAC, HAPPO, MAPPO])
@pytest.mark.parametrize("shape", [(8, 9, 3), (4, 4, 3), (3,)])
def test_bytes_of_every_shape_train(method, shape):
    space = spaces.Box(0, 255, shape, np.uint8)
    more = dict(learning_starts=4, batch_size=4) if method is HASAC else dict(n_steps=8, batch_size=None)
    model = method(lambda: Shows(space, np.full(shape, 9, np.uint8)), **SMALL, **more).learn(12)
    encoders = [module for module in model.policy.modules() if isinstance(module, ImageEncoder)]
    assert bool(encoders) == (shape == (8, 9, 3))
    for encoder in encoders:
        assert encoder.layers[0].in_channels == 3
    assert all(torch.isfinite(tensor).all() for tensor in model.policy.state_dict().values())


def test_predict_takes_a_picture_as_the_environment_shows_it():
    space = spaces.Box(0, 255, (8, 9, 3), np.uint8)
    model = HASAC(lambda: Shows(space, np.zeros((8, 9, 3), np.uint8)), **SMALL)
    picture = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3)).astype(np.uint8)
    shown = model.predict({"b": picture}, deterministic=True)["b"]
    assert np.array_equal(shown, model.predict({"b": picture.transpose(0, 3, 1, 2)}, deterministic=True)["b"])
    one = model.predict({"b": picture[0]}, deterministic=True)["b"]
    assert np.allclose(one, shown[0], atol=1e-6) and one.shape == (1,)


@pytest.mark.parametrize(("space", "value"), [(NESTED, VALUE), (spaces.Discrete(4), 3)])
def test_nested_observations_train_on_every_backend(space, value):
    for backend in ("dummy", "subproc"):
        env = make_vec(lambda: Shows(space, value), 2, backend=backend)
        model = HASAC(env, learning_starts=4, batch_size=4, **SMALL).learn(12)
        assert model.num_timesteps == 12
        env.close()


@pytest.mark.parametrize("inner", [spaces.Box(-9, 9, (2,)), NESTED, spaces.Discrete(3)])
def test_the_mask_inside_a_dict_is_found(inner):
    value = VALUE if inner is NESTED else 2 if isinstance(inner, spaces.Discrete) else np.float32([3, 4])
    both = spaces.Dict({"observation": inner, "action_mask": spaces.MultiBinary(2)})
    env = TeamEnv(Shows(both, {"observation": value, "action_mask": np.int8([0, 1])}))
    observation, _ = env.reset()
    assert observation["action_mask"].tolist() == [0, 1]
    assert np.array_equal(observation["a"], seen(inner, value))
    with pytest.raises(EnvironmentFault, match=r"legal choices \[1\]"):
        env.step([0, 0])


def test_a_mask_beside_other_names_is_found():
    space = spaces.Dict({"x": spaces.Box(0, 9), "y": spaces.Discrete(2), "action_mask": spaces.MultiBinary(2)})
    observation, _ = TeamEnv(Shows(space, {"x": [4], "y": 1, "action_mask": [1, 0]})).reset()
    assert observation["a"].tolist() == [4, 0, 1] and observation["action_mask"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("space", "later", "must"),
    [
        (spaces.Discrete(3), 3, r"one of Discrete\(3\). Got 3"),
        (spaces.Discrete(3), -1, r"one of Discrete\(3\). Got -1"),
        (spaces.Discrete(3), 0.5, r"one of Discrete\(3\). Got 0.5"),
        (spaces.Discrete(3), "x", r"of numbers in the shape \(\). Got 'x'"),
        (spaces.MultiDiscrete([2, 3]), [0, 5], "one of MultiDiscrete"),
        (spaces.MultiBinary(2), [2, 0], "one of MultiBinary"),
        (spaces.MultiBinary(2), [1, 0, 1], r"in the shape \(2,\)"),
        (NESTED, {**VALUE, "place": 7}, r"at \['place'\]. Got 7"),
        (NESTED, {**VALUE, "parts": (1, 2, 3)}, r"a tuple of 2 at \['parts'\]"),
        (NESTED, {k: VALUE[k] for k in ("place", "bits")}, "a dict of .*'bytes'"),
        (NESTED, 3, "a dict of"),
        (NESTED, {**VALUE, "parts": (VALUE["parts"][0], [[0, 0], [np.nan, 0]])}, "finite everywhere"),
        (spaces.Box(-1, 1, (2,)), b"ab", "an array of numbers"),
        (spaces.Box(-1, 1, (2,)), [[1], [1, 2]], "an array of numbers"),
        (spaces.Box(-1, 1, (2,)), [None, 1], "an array of numbers"),
        (spaces.Box(-1, 1, (2,)), np.array(["1", "2"]), "an array of numbers"),
        (spaces.Box(-1, 1, (2,)), 0.5, r"of shape \(2,\). Got \(\)"),
        (spaces.Box(-1, 1, (2,)), np.array([2**40, 0]), "whole numbers of at most 16777216"),
        (spaces.Box(0, 2**40, (2,), np.int64), np.array([2**40, 0]), "whole numbers of at most 16777216"),
        (spaces.Box(0, 9, (2,), np.int32), [0.5, 1], "of type int32"),
        (spaces.Box(0, 255, (2,), np.uint8), [300, 1], "of type uint8"),
        (spaces.Box(0, 255, (8, 9, 3), np.uint8), np.full((8, 9, 3), 0.5), "of type uint8"),
        (spaces.Box(0, 255, (8, 9, 3), np.uint8), np.zeros((3, 8, 9), np.uint8), r"of shape \(8, 9, 3\)"),
        (spaces.Box(-np.inf, np.inf, (2,), np.float64), np.array([1e39, 0]), r"finite in float32.*Got \[1e\+39"),
    ],
)
@pytest.mark.filterwarnings("default:overflow:RuntimeWarning")
def test_what_does_not_fit_is_named_with_agent_and_step(space, later, must):
    space.seed(0)
    env = TeamEnv(Shows(space, VALUE if space is NESTED else space.sample() * 0, later))
    env.reset()
    with pytest.raises(
        EnvironmentFault, match=rf"observation of agent 'a' at step 1 of episode 1 of toy must be .*{must}"
    ):
        env.step([0, 0])


def test_bounds_count_only_where_one_asks():
    space = spaces.Dict({"x": spaces.Box(0, 1, (2,))})
    env = TeamEnv(Shows(space, {"x": [0, 2]}))
    assert env.reset()[0]["a"].tolist() == [0, 2]
    with pytest.raises(EnvironmentFault, match=r"agent 'a' at step 0 .* inside Box.* at \['x'\]. Got \[0, 2\]"):
        TeamEnv(Shows(space, {"x": [0, 2]}), check=True).reset()


def test_whole_numbers_of_another_width_pass():
    assert seen(spaces.Box(0, 9, (2,), np.int32), np.array([3, 4], np.int64)).tolist() == [3, 4]
    assert seen(spaces.Box(0, 9, (2,), np.int32), np.array([3.0, 4.0])).tolist() == [3, 4]
    assert seen(spaces.Box(0, 9, (2,), np.float32), [3, 4]).tolist() == [3, 4]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pursuit_has_its_channels_in_front():
    pytest.importorskip("pygame")
    pytest.importorskip("scipy")
    pursuit = importlib.import_module("pettingzoo.sisl.pursuit_v5").parallel_env(max_cycles=5)
    env = TeamEnv(pursuit)
    assert env.reset(seed=0)[0]["pursuer_0"].shape == (3, 7, 7)
