"""The promises of an environment that masoft relies on, one function each; `masoft.envs.report` calls them all."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from masoft.envs.inspection import agent_ids, asked_space, inspect_env
from masoft.envs.team_env import TeamEnv
from masoft.envs.views import view_of_state
from masoft.errors import EnvironmentFault, explain
from masoft.spec import ACTION_MASK, ACTIVE, RESERVED_KEYS, STATE, TeamSpec

Joint = dict[str, NDArray[Any]]


class Remark(EnvironmentFault):
    """A promise that is not kept, in an environment that trains all the same."""


def check_spec(env: TeamEnv, n_steps: int, seed: int) -> None:
    """The team is the same whenever one asks, and the spaces of an agent are one object or equal ones."""
    with warnings.catch_warnings():  # what was said when the environment was first looked at
        warnings.simplefilter("ignore")
        again = inspect_env(env.parallel_env, env.state_choice).team
    if again != env.team:
        _fail("The team", "the same before and after a reset", again, "Spaces must not depend on the episode.")
    for agent in agent_ids(env.parallel_env):
        for kind in ("observation_space", "action_space"):
            first, second = (asked_space(env.parallel_env, kind, agent) for _ in range(2))
            if first != second:
                _fail(f"{kind}({agent!r})", "equal at every call", second)


def check_observations(env: TeamEnv, n_steps: int, seed: int) -> None:
    """What agents report lies in their spaces, in type and range; so do the state, the masks and the flags."""
    for step, observation in enumerate(_observations(env, n_steps, seed)):
        for key, space in env.observation_space.spaces.items():  # type: ignore[attr-defined]
            if key not in observation:
                _fail(f"The observation at step {step}", f"with an entry {key!r}", sorted(observation))
            if not _lies_in(space, observation[key], absent=_has_left(env.team, observation, key)):
                cure = "Declare the bounds and the type that the simulator really has."
                _fail(f"{key!r} at step {step}", f"inside {space!r}", observation[key].tolist(), cure)


def check_bounds(env: TeamEnv, n_steps: int, seed: int) -> None:
    """What agents report lies in the spaces that they declare, before masoft changes anything."""
    env.check = True
    try:
        for _ in _observations(env, min(n_steps, 50), seed):
            pass
    finally:
        env.check = False


def check_views(env: TeamEnv, n_steps: int, seed: int) -> None:
    """Where an agent's observation is declared to be a view of the state, it is."""
    for step, observation in enumerate(_observations(env, min(n_steps, 50), seed)):
        for agent in env.team.agents:
            if agent.view is None:
                continue
            expected = view_of_state(agent.view, observation[STATE])
            if not np.allclose(expected, observation[agent.name].reshape(-1), rtol=1e-4, atol=1e-5):
                which = f"The observation of agent {agent.name!r} at step {step}"
                _fail(which, "its declared view of the state", observation[agent.name].tolist(), f"View: {agent.view}")


def check_seeding(env: TeamEnv, n_steps: int, seed: int) -> None:
    """The same seed and the same actions give the same episode, whatever was played before the reset."""
    expected = list(_from_start(env, min(n_steps, 50), seed))
    for other, n_before, n_compared in _BEFORE:
        if n_before:
            for _ in _from_start(env, min(n_steps, n_before), seed + other):
                pass
        again = _from_start(env, min(n_steps, n_compared), seed)
        for step, (first, second) in enumerate(zip(expected, again, strict=False)):
            differ = [key for key in first[0] if not np.array_equal(first[0][key], second[0][key])]
            if differ or first[1:] != second[1:]:
                when = f"Step {step - 1} after" if step else "The observation of"
                cure = "Draw all randomness from a generator that reset(seed=...) seeds, and forget the episode before."
                got = f"a difference in {differ or 'reward'}"
                raise Remark(explain(f"{when} reset(seed={seed})", "repeatable", got, cure))


_BEFORE = ((0, 0, 50), (0, 1, 0), (0, 0, 5), (0, 5, 5), (1, 10, 5), (2, 25, 5))
"""Plays before an episode is compared: seed above the first one, steps, steps compared.

The third comes right after a start: what a start leaves is in the way of the same start.
"""


def check_endings(env: TeamEnv, n_steps: int, seed: int) -> None:
    """No agent is terminated and truncated at once, and an episode that has ended refuses to go on."""
    flags: list[tuple[Any, Any]] = []
    simulator = env.parallel_env
    original = simulator.step

    def watched(actions: Any) -> Any:
        answer = original(actions)
        flags.append((answer[2], answer[3]))
        return answer

    simulator.step = watched
    try:
        for _, _, terminated, truncated in transitions(env, n_steps, seed):
            both = [agent for agent in flags[-1][0] if flags[-1][0][agent] and flags[-1][1].get(agent)]
            if both:
                cure = "A time limit is a truncation only where the task itself has not ended in that step."
                _fail(f"Agents {both} at step {len(flags)}", "either terminated or truncated", flags[-1], cure)
            if (terminated or truncated) and not env.team.has_deaths and simulator.agents:
                _fail("agents after the end of an episode", "empty", list(simulator.agents))
    finally:
        del simulator.step


def check_masks(env: TeamEnv, n_steps: int, seed: int) -> None:
    """Each agent that acts has a legal choice, and a choice that the mask forbids is refused."""
    if not env.team.has_masks:
        return
    for observation in _observations(env, n_steps, seed):
        mask = observation[ACTION_MASK]
        forbidden = _forbidden_action(env.team, mask)
        if forbidden is not None:
            try:
                env.step(forbidden)
            except EnvironmentFault:
                return
            _fail("An action that the mask forbids", "refused", forbidden.tolist())


def check_deaths(env: TeamEnv, n_steps: int, seed: int) -> None:
    """Agents that have left show zeros, and what they are told to do changes nothing."""
    if not env.team.has_deaths:
        return
    for observation in _observations(env, n_steps, seed):
        for index, name in enumerate(env.team.names):
            if not observation[ACTIVE][index] and observation[ACTIVE].any() and observation[name].any():
                _fail(f"The observation of agent {name!r}, which has left,", "zeros", observation[name].tolist())


def check_snapshot(env: TeamEnv, n_steps: int, seed: int) -> None:
    """An environment that can be stopped goes on from there, whatever has been played since."""
    for n_before in (1, n_steps // 2, n_steps):
        *_, (observation, _, terminated, truncated) = _from_start(env, n_before, seed)
        if terminated or truncated:
            observation, _ = env.reset()
        kept = copy.deepcopy(env.get_snapshot())
        if kept is None:
            return
        expected = list(_onwards(env, observation, 20, seed))
        env.reset(seed=seed + 1)
        try:
            env.set_snapshot(kept)
        except Exception as error:
            _fail(f"The snapshot after {n_before} steps", "one that a fresh episode takes", error)
        for step, (first, second) in enumerate(zip(expected, _onwards(env, observation, 20, seed), strict=True)):
            differ = [key for key in first[0] if not np.array_equal(first[0][key], second[0][key])]
            if differ or first[1:] != second[1:]:
                cure = "Keep all that decides what follows, generators too."
                got = f"a difference in {differ or 'reward'} after {step + 1} more"
                _fail(f"The snapshot after {n_before} steps", "the whole environment", got, cure)


CHECKS: tuple[Callable[[TeamEnv, int, int], None], ...] = (
    check_spec,
    check_observations,
    check_bounds,
    check_views,
    check_seeding,
    check_endings,
    check_masks,
    check_deaths,
    check_snapshot,
)


def legal_action(team: TeamSpec, observation: Joint, generator: np.random.Generator) -> NDArray[np.float32]:
    """A random joint action that bounds and masks allow: uniform in each Box and over each part's legal choices.

    Args:
        team: the team's specification.
        observation: the joint observation, read for its mask.
        generator: where randomness comes from.

    Returns:
        (action_size,), in environment units.
    """
    joint = np.zeros(team.action_size, np.float32)
    mask = observation.get(ACTION_MASK)
    for agent, entries, choices in zip(team.agents, team.action_slices, team.mask_slices, strict=True):
        action = agent.action
        if action.is_box:
            joint[entries] = generator.uniform(action.low, action.high)
            continue
        allowed = np.ones(action.mask_size) if mask is None else mask[choices]
        parts = np.split(allowed, np.cumsum(action.nvec)[:-1])
        joint[entries] = [generator.choice(np.flatnonzero(part)) for part in parts]
    return joint


def transitions(env: TeamEnv, n_steps: int, seed: int) -> Iterator[tuple[Joint, float, bool, bool]]:
    """Legal random steps over as many episodes as fit."""
    steps = _from_start(env, n_steps, seed)
    next(steps)
    yield from steps


def _from_start(env: TeamEnv, n_steps: int, seed: int) -> Iterator[tuple[Joint, float, bool, bool]]:
    """The observation at the start, then the steps."""
    observation, _ = env.reset(seed=seed)
    yield observation, 0.0, False, False
    yield from _onwards(env, observation, n_steps, seed)


def _onwards(env: TeamEnv, observation: Joint, n_steps: int, seed: int) -> Iterator[tuple[Joint, float, bool, bool]]:
    """Legal random steps from an observation on."""
    generator = np.random.default_rng(seed)
    for _ in range(n_steps):
        observation, reward, terminated, truncated, _ = env.step(legal_action(env.team, observation, generator))
        yield observation, reward, terminated, truncated
        if terminated or truncated:
            observation, _ = env.reset()


def _observations(env: TeamEnv, n_steps: int, seed: int) -> Iterator[Joint]:
    """The observations of legal random steps, first ones included."""
    generator = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    for _ in range(n_steps):
        yield observation
        observation, _, terminated, truncated, _ = env.step(legal_action(env.team, observation, generator))
        if terminated or truncated:
            yield observation
            observation, _ = env.reset()


def _has_left(team: TeamSpec, observation: Joint, key: str) -> bool:
    """Whether an entry stands for an agent that is gone, so that it may lie outside its space."""
    return key not in RESERVED_KEYS and not observation[ACTIVE][team.names.index(key)]


def _lies_in(space: spaces.Space[Any], value: NDArray[Any], *, absent: bool) -> bool:
    if absent:
        return value.shape == space.shape and value.dtype == space.dtype
    return space.contains(value)


def _forbidden_action(team: TeamSpec, mask: NDArray[Any]) -> NDArray[np.float32] | None:
    """A joint action that is legal but for one choice; None where everything is allowed."""
    if mask.all():
        return None
    legal = legal_action(team, {ACTION_MASK: mask}, np.random.default_rng(0))
    wrong = int(np.flatnonzero(mask == 0)[0])
    for agent, entries, choices in zip(team.agents, team.action_slices, team.mask_slices, strict=True):
        if not choices.start <= wrong < choices.stop:
            continue
        for part, (start, n) in enumerate(zip(np.cumsum((0, *agent.action.nvec)), agent.action.nvec, strict=False)):
            if start <= wrong - choices.start < start + n:
                legal[entries.start + part] = wrong - choices.start - start
    return legal


def _fail(which: str, must: str, got: object, cure: str = "") -> NoReturn:
    raise EnvironmentFault(explain(which, must, got, cure))
