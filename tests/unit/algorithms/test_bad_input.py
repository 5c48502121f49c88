"""Whatever is passed to the public surface, only errors of ours come out, and they say what must be there instead."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import masoft
from masoft.errors import ConfigurationError, MasoftError
from masoft.testing.games import IdentityTeam

FUZZ = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
METHODS = ("HASAC", "MEHAML", "HATD3", "QMIX", "FOP", "HAPPO", "HATRPO")

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([0, -1, 1, 2**31, 2**70]), st.floats(width=32),
    st.sampled_from([float("nan"), float("inf"), -0.5, 1e300]), st.text(max_size=5), st.binary(max_size=3),
)  # fmt: skip
JUNK = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.tuples(SCALARS, SCALARS),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
    st.sampled_from([object(), object, len, lambda x: x, np.zeros(3), np.array("x"), {"net_arch": "x"}]),
    st.sampled_from([{"net_arch": [0]}, {"net_arch": None}, {"activation_fn": 3}, {"nonsense": 1}, {"n_critics": -1}]),
)
NUMBERS = arrays.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.bool_, np.complex64, object]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7),
    elements=None,
    fill=st.nothing(),
)


def check_message(error: MasoftError) -> None:
    """Which thing, what it must be, what was there."""
    assert "must be " in str(error) and "Got " in str(error), str(error)


@pytest.fixture(scope="module")
def matrix() -> Any:
    return masoft.make_vec("matrix/maxent")


@pytest.fixture(scope="module")
def model() -> Any:
    """A team of one agent of each kind, with masks."""
    return masoft.HASAC(lambda: IdentityTeam(), buffer_size=8, batch_size=4, policy_kwargs={"net_arch": [4]}, seed=0)


@FUZZ
@given(data=st.data())
def test_constructor_arguments(data: st.DataObject, matrix: Any) -> None:
    method = getattr(masoft, data.draw(st.sampled_from(METHODS)))
    names = [name for name in inspect.signature(method).parameters if name != "env"]
    name = data.draw(st.sampled_from(names))
    arguments: dict[str, Any] = {"policy_kwargs": {"net_arch": [4]}}
    if "buffer_size" in names:
        arguments |= {"buffer_size": 8, "batch_size": 4}
    arguments[name] = data.draw(JUNK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stable-baselines3 warns of odd but possible settings
        try:
            method(env=matrix, **arguments)
        except MasoftError as error:
            check_message(error)


@FUZZ
@given(env=JUNK)
def test_environments(env: Any) -> None:
    try:
        masoft.HASAC("MlpPolicy", env, buffer_size=8, batch_size=4)
    except MasoftError as error:
        assert str(error)


@FUZZ
@given(value=st.one_of(JUNK, NUMBERS), mask=st.one_of(st.none(), JUNK, NUMBERS), data=st.data())
def test_observations_and_masks_by_agent(value: Any, mask: Any, data: st.DataObject, model: Any) -> None:
    agent = data.draw(st.sampled_from(model.team.agents))
    good = np.zeros(agent.observation_shape, np.float32)
    for observation, masks in (({agent.name: value}, None), ({agent.name: good}, {agent.name: mask}), (value, mask)):
        try:
            actions = model.predict(observation, action_masks=masks)
        except MasoftError as error:
            check_message(error)
        else:
            assert isinstance(actions, dict | tuple)


@FUZZ
@given(value=st.one_of(JUNK, NUMBERS), data=st.data())
def test_team_observations(value: Any, data: st.DataObject, model: Any) -> None:
    good = {name: space.sample() * 0 + 1 for name, space in model.observation_space.spaces.items()}
    observation = {**good, data.draw(st.sampled_from([*good, "nobody"])): value}
    try:
        joint, _ = model.predict(observation)
    except MasoftError as error:
        check_message(error)
    else:
        assert np.isfinite(joint).all()


@pytest.mark.parametrize(
    ("observation", "masks", "message"),
    [
        ({"agent_0": [np.nan] * 3}, None, "agent 'agent_0' must be finite"),
        ({"agent_0": ["a", "b"]}, None, "agent 'agent_0' must be an array of numbers of shape"),
        ({"agent_0": [[1], [2, 3]]}, None, "agent 'agent_0' must be an array of numbers"),
        ({"agent_0": {"action_mask": [1]}}, None, "a dict with 'observation' and 'action_mask'"),
        ({1: [0]}, None, "one of the team's. Got 1"),
        ({}, [1], "action_masks must be a dict of masks by agent"),
    ],
)
def test_observations_that_are_refused(observation: Any, masks: Any, message: str, model: Any) -> None:
    shape = model.team.agents[0].observation_shape
    if observation.get("agent_0") == [np.nan] * 3:
        observation = {"agent_0": np.full(shape, np.nan)}
    with pytest.raises(ConfigurationError, match=message.replace("[", r"\[")):
        model.predict(observation, action_masks=masks)


def test_masks_without_a_legal_choice(model: Any) -> None:
    env = masoft.make_vec(lambda: IdentityTeam())
    seen = env.reset()
    assert model.team.has_masks
    for agent, place in zip(model.team.agents, model.team.mask_slices, strict=True):
        if agent.action.is_box:
            continue
        masks = seen["action_mask"].copy()
        masks[:, place] = 0
        with pytest.raises(ConfigurationError, match=f"{agent.name}.*a legal choice in every part"):
            model.predict({**seen, "action_mask": masks})
    with pytest.raises(ConfigurationError, match="The team's action mask must be of shape"):
        model.predict({**seen, "action_mask": seen["action_mask"][:, :-1]})
    with pytest.raises(ConfigurationError, match="of one size for all agents"):
        model.predict({**seen, "agent_0": np.repeat(seen["agent_0"], 2, 0)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_freq": (1, "x")}, r"'train_freq' .*a pair \(n, 'step' \| 'episode'\)"),
        ({"device": "nowhere"}, "'device' .*'auto', 'cpu', 'cuda'"),
        ({"device": None}, "'device'"),
        ({"verbose": "yes"}, "'verbose'"),
        ({"policy": 3}, "'policy' .*a known alias or a policy class"),
        ({"policy": object}, "policy must be a subclass of"),
        (
            {"policy_kwargs": {"nonsense": 1}},
            "A key of policy_kwargs for TeamPolicy must be one of its arguments.*nonsense",
        ),
        ({"buffer_size": 2**70}, "buffer_size must be small enough for memory"),
        ({"tensorboard_log": 3}, "'tensorboard_log'"),
    ],
)
def test_arguments_that_are_refused(arguments: dict[str, Any], message: str, matrix: Any) -> None:
    with pytest.raises(ConfigurationError, match=message):
        masoft.HASAC(env=matrix, **arguments)
