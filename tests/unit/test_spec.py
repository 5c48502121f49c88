from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from masoft.errors import SpaceError
from masoft.spec import ActionSpec, StateView, TeamSpec, make_team_spec


def box(*shape: int) -> spaces.Box:
    return spaces.Box(-1.0, 1.0, shape, np.float32)


@pytest.fixture
def mixed() -> TeamSpec:
    """A Box, a Discrete that starts at 2, and a MultiDiscrete, with observations of different sizes."""
    observations = {"arm": box(3), "switch": box(5), "panel": box(2, 2)}
    actions = {
        "arm": spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([1.0, 10.0], np.float32)),
        "switch": spaces.Discrete(4, start=2),
        "panel": spaces.MultiDiscrete([3, 2]),
    }
    return make_team_spec(observations, actions, has_masks=True, has_deaths=True)


def test_slices_lie_end_to_end(mixed: TeamSpec) -> None:
    assert mixed.names == ("arm", "switch", "panel")
    assert mixed.action_slices == (slice(0, 2), slice(2, 3), slice(3, 5))
    assert mixed.encoded_slices == (slice(0, 2), slice(2, 6), slice(6, 11))
    assert mixed.mask_slices == (slice(0, 0), slice(0, 4), slice(4, 9))
    assert (mixed.action_size, mixed.encoded_size, mixed.mask_size) == (5, 11, 9)


def test_joint_action_space_keeps_each_agents_units(mixed: TeamSpec) -> None:
    joint = mixed.action_space
    assert isinstance(joint, spaces.Box)
    assert joint.low.tolist() == [-2.0, 0.0, 0.0, 0.0, 0.0]
    assert joint.high.tolist() == [1.0, 10.0, 3.0, 2.0, 1.0]


def test_a_categorical_team_is_a_multidiscrete() -> None:
    spec = make_team_spec({"a": box(1), "b": box(1)}, {"a": spaces.Discrete(3), "b": spaces.MultiBinary(2)})
    assert isinstance(spec.action_space, spaces.MultiDiscrete)
    assert spec.action_space.nvec.tolist() == [3, 2, 2]


def test_observation_space_has_one_key_an_agent_and_the_extras(mixed: TeamSpec) -> None:
    keys = set(mixed.observation_space.spaces)
    assert {"arm", "switch", "panel", "action_mask", "active"} <= keys
    assert mixed.observation_space["action_mask"].shape == (9,)
    assert mixed.observation_space["active"].shape == (3,)
    assert "state" not in keys
    with_state = make_team_spec({"a": box(1)}, {"a": spaces.Discrete(2)}, state_size=7)
    assert with_state.observation_space["state"].shape == (7,)


@pytest.mark.parametrize(
    ("space", "nvec", "size", "encoded", "joint", "start"),
    [
        (spaces.Discrete(4, start=2), (4,), 1, 4, 4, [2]),
        (spaces.MultiDiscrete([3, 2]), (3, 2), 2, 5, 6, [0, 0]),
        (spaces.MultiBinary(3), (2, 2, 2), 3, 6, 8, [0, 0, 0]),
    ],
    ids=["discrete", "multidiscrete", "multibinary"],
)
def test_categorical_actions(
    space: spaces.Space, nvec: tuple[int, ...], size: int, encoded: int, joint: int, start: list[int]
) -> None:
    action = ActionSpec(space)
    assert not action.is_box
    assert (action.nvec, action.size, action.encoded_size, action.n_joint) == (nvec, size, encoded, joint)
    assert action.mask_size == encoded
    assert action.start.tolist() == start


def test_box_actions_are_flat_with_their_bounds() -> None:
    action = ActionSpec(spaces.Box(-3.0, 2.0, (2, 2), np.float32))
    assert action.is_box and action.size == action.encoded_size == 4
    assert (action.mask_size, action.n_joint) == (0, 0)
    assert action.low.tolist() == [-3.0] * 4 and action.high.tolist() == [2.0] * 4


@pytest.mark.parametrize("bound", [0.1, 0.3, 0.7, 1.0])
def test_float32_bounds_stay_inside_float64_ones(bound: float) -> None:
    space = spaces.Box(-bound, bound, (2,), np.float64)  # float32 has a number just above 0.1 and just below 0.7
    action = ActionSpec(space)
    for extreme in (action.low, action.high):
        assert extreme.dtype == np.float32 and space.contains(extreme.astype(np.float64))
        np.testing.assert_allclose(np.abs(extreme), bound, rtol=2e-7)


def test_float64_observations_are_declared_as_float32() -> None:
    spec = make_team_spec({"a": spaces.Box(-1.0, 1.0, (2,), np.float64)}, {"a": spaces.Discrete(2)})
    assert spec.agents[0].observation_space.dtype == np.float32


def test_a_view_that_changes_nothing_says_so() -> None:
    assert StateView().is_identity
    assert not StateView(indices=(0, 1)).is_identity
    assert not StateView(standardise=True).is_identity


@pytest.mark.parametrize(
    ("name", "observation", "action", "message"),
    [
        ("state", box(1), spaces.Discrete(2), r"agent's name must be none of .* Rename the agent"),
        ("a", spaces.Dict({"x": box(1)}), spaces.Discrete(2), r"observation space of agent 'a' must be a Box.*Flatten"),
        ("a", spaces.Text(5), spaces.Discrete(2), r"observation space of agent 'a' must be a Box"),
        ("a", box(1), spaces.Box(-np.inf, np.inf, (1,)), r"action space of agent 'a' must be a Box with finite bounds"),
        ("a", box(1), spaces.Box(1.0, 1.0, (1,)), r"must be a Box with low < high"),
        ("a", box(1), spaces.Dict({"x": box(1)}), r"must be a Box, Discrete, MultiDiscrete or MultiBinary.*Split"),
    ],
    ids=["reserved", "dict", "text", "infinite", "empty box", "composite"],
)
def test_spaces_that_no_team_can_use_are_refused(
    name: str, observation: spaces.Space, action: spaces.Space, message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        make_team_spec({name: observation}, {name: action})


def test_a_team_needs_an_agent() -> None:
    with pytest.raises(SpaceError, match="The team must be one agent or more"):
        make_team_spec({}, {})
