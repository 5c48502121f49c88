"""Environments that report what PettingZoo does not ask for: each trains as it should, or is refused by name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from masoft import HAPPO, HASAC
from masoft.envs import TeamEnv
from masoft.envs.builder import as_team
from masoft.errors import ConfigurationError, EnvironmentFault, MasoftError

NAMES = ["a", "b"]
LENGTH = 3


class Loose:
    """Two agents that see ``[step, number]`` and are paid their number + 1; nothing is inherited.

    Args:
        bends: functions of (environment, answer) that change what a reset or a step returns, or the environment.
        at: the step from which on they do, 0 for the reset.
    """

    def __init__(self, bends: list[Callable[..., Any]] = (), at: int = 0) -> None:  # type: ignore[assignment]
        self.possible_agents: Any = list(NAMES)
        self.agents: Any = []
        self.bends, self.at, self.elapsed = bends, at, 0
        self.told: Any = None
        for bend in bends:
            if getattr(bend, "builds", False):
                bend(self, None)

    def observation_space(self, agent):
        return spaces.Box(-100, 100, (2,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2) if agent == "a" else spaces.Box(-1, 1, (1,), np.float32)

    def seen(self):
        return {name: np.array([self.elapsed, index], np.float32) for index, name in enumerate(NAMES)}

    def answer(self, whole):
        self.told = whole
        for bend in self.bends:
            if self.elapsed >= self.at and not getattr(bend, "builds", False):
                bent = bend(self, list(self.told) if isinstance(self.told, tuple) else self.told)
                self.told = tuple(bent) if isinstance(bent, list) else bent
        return self.told

    def reset(self, seed=None, options=None):
        self.agents, self.elapsed = list(NAMES), 0
        return self.answer((self.seen(), {name: {} for name in NAMES}))

    def step(self, actions):
        assert set(actions) == set(NAMES) and actions["a"] in (0, 1) and actions["b"].shape == (1,)
        self.elapsed += 1
        is_over = self.elapsed == LENGTH
        if is_over:
            self.agents = []
        return self.answer(
            (
                self.seen(),
                {name: float(index + 1) for index, name in enumerate(NAMES)},
                dict.fromkeys(NAMES, False),
                dict.fromkeys(NAMES, is_over),
                {name: {} for name in NAMES},
            )
        )


PLACES = {"observations": 0, "rewards": 1, "terminations": 2, "truncations": 3, "infos": -1}


def has(part, answer):
    """Whether an answer has this part: a reset has two of them."""
    return isinstance(answer, list) and (len(answer) == 5 or part in ("observations", "infos"))


def entry(part, agent, value):
    """One agent's entry of one of the dicts."""

    def bend(env, answer):
        place = PLACES[part]
        if has(part, answer) and isinstance(answer[place], dict):
            answer[place] = {**answer[place], agent: value}
            if value is MISSING:
                del answer[place][agent]
        return answer

    return bend


def part_is(part, value):
    """One of the dicts as a whole."""

    def bend(env, answer):
        if has(part, answer):
            answer[PLACES[part]] = value
        return answer

    return bend


def whole(change):
    def bend(env, answer):
        return change(answer)

    return bend


def agents_are(value):
    def bend(env, answer):
        if env.agents != []:
            env.agents = value
        return answer

    return bend


def built(name, value):
    """An attribute of the environment from its making on."""

    def bend(env, answer):
        setattr(env, name, value)

    bend.builds = True
    return bend


def late_reset(*args, **kwargs):
    raise OSError("no game")


MISSING = object()
AGENT = st.sampled_from(NAMES)
NUMBERS: list[Any] = [
    1, 2.5, True, np.float32(0.5), np.float64(1.5), np.int64(3), np.array(2.0), np.array([2.0]), [4.0],
    np.bool_(True), np.array([[1.5]]),
]  # fmt: skip
RUBBISH: list[Any] = [
    None, "1", b"1", np.nan, np.inf, -np.inf, [1.0, 2.0], np.array([1.0, 2.0]), [], {}, {"x": 1}, object(), 1j,
    np.array("s"), [[1.0], [1.0, 2.0]], MISSING,
]  # fmt: skip
SEEN: list[Any] = [
    [1.0, 2.0], (1, 2), np.array([1, 2]), np.array([1.5, 2.5]), np.array([True, False]), np.array([200.0, 0.0]),
    {"observation": np.array([1.0, 2.0], np.float32)}, np.array([1, 2], np.uint8), np.float16([1, 2]), np.ones(3),
    np.zeros((2, 1), np.float32), np.zeros((1, 2)), 3.0, np.array([1e39, 0.0]), np.array([2**40, 0]),
    np.array([np.nan, 0.0]), np.array(["1", "2"]), np.array([None, 1.0]), {"position": 1}, (1, [2, 3]), *RUBBISH,
]  # fmt: skip
FLAGS: list[Any] = [
    np.bool_(True), np.bool_(False), np.array(True), np.array([False]), np.array([True]), 0, 1, None, False,
    np.array([True, False]), [], MISSING,
]  # fmt: skip
INFOS: list[Any] = [None, {}, {"is_success": True}, [], [1], "info", 3, MISSING]
WHOLE: list[Any] = [None, [], 3, "x", True, {}, [1.0, 2.0], np.zeros(2)]
ACTING: list[Any] = [
    [], ["a"], ("a", "b"), np.array(NAMES), None, ["a", "z"], ["b", "a"], ["a", "a", "b"], 3,
]  # fmt: skip
POSSIBLE: list[Any] = [
    np.array(NAMES), ("a", "b"), {"a": 1, "b": 2}, {"a", "b"}, "ab", None, [], lambda: NAMES, ["a", "a"],
]  # fmt: skip
ANSWERS: list[Any] = [
    lambda told: told[0], lambda told: told[:-1], lambda told: [*told, {}], lambda told: None, lambda told: {},
]  # fmt: skip
STATES: list[Any] = [None, {"a": 1}, [1.0, 2.0], lambda: None, lambda: [1, 2], late_reset, 3]
SPACES: list[Any] = [
    None, late_reset, lambda agent: None, lambda agent: spaces.Text(3), {"a": spaces.Discrete(2)},
]  # fmt: skip
BENDS = st.one_of(
    st.builds(entry, st.just("rewards"), AGENT, st.sampled_from(NUMBERS + RUBBISH)),
    st.builds(entry, st.just("observations"), AGENT, st.sampled_from(SEEN)),
    st.builds(entry, st.sampled_from(["terminations", "truncations"]), AGENT, st.sampled_from(FLAGS)),
    st.builds(entry, st.just("infos"), AGENT, st.sampled_from(INFOS)),
    st.builds(entry, st.sampled_from(["observations", "rewards", "infos"]), st.just("z"), st.sampled_from([1.0, {}])),
    st.builds(part_is, st.sampled_from(list(PLACES)), st.sampled_from(WHOLE)),
    st.builds(agents_are, st.sampled_from(ACTING)),
    st.builds(whole, st.sampled_from(ANSWERS)),
    st.builds(built, st.just("possible_agents"), st.sampled_from(POSSIBLE)),
    st.builds(built, st.just("metadata"), st.sampled_from([None, {}, {"has_deaths": False}, {"has_masks": True}])),
    st.builds(built, st.just("state"), st.sampled_from(STATES)),
    st.builds(built, st.sampled_from(["observation_space", "action_space"]), st.sampled_from(SPACES)),
    st.builds(built, st.just("reset"), st.sampled_from([late_reset, lambda: ({}, {})])),
)


def number(value: Any) -> float:
    return float(np.asarray(value).item())


def check_step(env: TeamEnv, told: Any, got: Any) -> None:
    """What the team was given is what the environment reported."""
    observation, reward, terminated, truncated, info = got
    seen, rewards, terminations, truncations, _ = told
    paid = [number(rewards[name]) for name in NAMES]
    assert reward == pytest.approx(sum(paid) / 2) and list(info["rewards"].values()) == pytest.approx(paid)
    ended = [bool(terminations.get(name)) or bool(truncations.get(name)) for name in NAMES]
    for name, is_active, has_ended in zip(NAMES, observation["active"], ended, strict=True):
        if is_active:
            value = seen[name]["observation"] if isinstance(seen[name], dict) else seen[name]
            assert np.allclose(observation[name], np.asarray(value, np.float32))
        elif not terminated:
            assert has_ended and not observation[name].any()
    assert (terminated or truncated) == all(ended)


def play(env: Loose) -> None:
    team_env = as_team(env).unwrapped
    assert isinstance(team_env, TeamEnv)
    for _ in range(2):
        observation, _ = team_env.reset(seed=0)
        assert np.array_equal(observation["active"], [name in env.agents for name in NAMES])
        is_over = False
        for _ in range(LENGTH + 1):
            got = team_env.step([1, 0.5])
            assert team_env.observation_space["a"].shape == got[0]["a"].shape
            check_step(team_env, env.told, got)
            is_over = got[2] or got[3]
            if is_over or sum(got[0]["active"]) < 2:
                break


NAMED = re.compile(r" must be .+\. Got ", re.S)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(bends=st.lists(BENDS, min_size=1, max_size=2), at=st.integers(0, LENGTH))
def test_each_is_taken_as_it_is_or_refused_by_name(bends, at):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*stand.? in.*", category=UserWarning)
        try:
            play(Loose(bends, at))
        except MasoftError as error:
            assert NAMED.search(str(error)), error
            assert str(error).count("Got ") == 1 or "Error" in str(error)


@pytest.mark.parametrize("method", [HASAC, HAPPO])
@pytest.mark.parametrize(
    "bends",
    [
        [],
        [entry("rewards", "a", np.array([2.0])), entry("rewards", "b", np.int64(1))],
        [built("possible_agents", np.array(NAMES)), part_is("infos", None)],
        [entry("terminations", "a", np.bool_(False)), entry("observations", "b", [1.0, 2.0])],
        [built("metadata", None), agents_are(("a", "b"))],
    ],
)
def test_what_is_taken_trains(method, bends):
    more = dict(learning_starts=4, batch_size=4) if method is HASAC else dict(n_steps=8, batch_size=None)
    model = method(lambda: Loose(bends), seed=0, device="cpu", policy_kwargs={"net_arch": [8]}, **more)
    assert model.learn(12).num_timesteps >= 12


@pytest.mark.parametrize(
    ("bend", "at", "message"),
    [
        (entry("rewards", "b", MISSING), 1, "The rewards at step 1 of episode 1 of Loose must be given for agent 'b'"),
        (entry("rewards", "b", np.nan), 2, "The rewards at step 2 .* must be finite, also that of agent 'b'"),
        (entry("rewards", "b", np.ones(2)), 1, "The reward of agent 'b' at step 1 .* one number. .*weighed"),
        (entry("rewards", "z", 1.0), 1, r"The rewards at step 1 .* agents among \['a', 'b'\]"),
        (entry("observations", "z", np.zeros(2)), 1, r"The observations at step 1 .* agents among \['a', 'b'\]"),
        (entry("observations", "b", np.float32(1)), 1, r"agent 'b' at step 1 .* of shape \(2,\). Got \(\)"),
        (part_is("observations", None), 0, r"What reset returns .* \(observations, infos\), two dicts"),
        (part_is("rewards", [1.0, 2.0]), 1, "The rewards at step 1 .* a dict by agent"),
        (part_is("terminations", False), 1, "The terminations at step 1 .* a dict by agent. Got False"),
        (part_is("infos", ["x"]), 1, "The infos at step 1 .* a dict by agent, or None"),
        (entry("infos", "a", "x"), 1, "The info of agent 'a' at step 1 .* a dict"),
        (entry("truncations", "a", np.ones(2)), 1, "The truncations of agent 'a' at step 1 .* True or False"),
        (whole(lambda answer: answer[:4]), 1, "What step returns at step 1 .* five dicts by agent"),
        (whole(lambda answer: answer[0]), 0, "What reset returns .* two dicts by agent.*since 1.22"),
        (agents_are([]), 1, "Agent 'a' at step 1 .* alive, terminated or truncated"),
        (agents_are(None), 0, "agents at step 0 .* the list of agents that act next"),
        (agents_are(["a", "z"]), 1, r"Every agent at step 1 .* one of \('a', 'b'\). Got 'z'"),
    ],
)  # fmt: skip
def test_what_is_refused_says_agent_must_got_and_cure(bend, at, message):
    with pytest.raises(EnvironmentFault, match=message):
        env = TeamEnv(Loose([bend], at))
        env.reset()
        for _ in range(LENGTH):
            env.step([1, 0.5])


@pytest.mark.parametrize("value", [None, [], "ab", {"a", "b"}, lambda: NAMES])
def test_possible_agents_that_are_no_list(value):
    with pytest.raises(ConfigurationError, match="possible_agents of Loose must be a list of all agents"):
        TeamEnv(Loose([built("possible_agents", value)]))


def test_a_class_without_the_base_is_taken():
    env = TeamEnv(Loose())
    assert env.reset()[0]["b"].tolist() == [0, 1]
    assert env.step([1, 0.5])[1] == 1.5 and env.metadata == {"render_modes": []}
