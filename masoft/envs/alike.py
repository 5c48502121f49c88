"""Copies of an environment are of one team, and are not one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from masoft.envs.reach import simulator_of
from masoft.envs.team_env import TeamEnv
from masoft.errors import ConfigurationError, explain
from masoft.spec import TeamSpec


def one_object(env: Any) -> ConfigurationError:
    """The error for copies that are the same environment."""
    cure = "Make it inside the function: make_vec(lambda: MyEnv(), n_envs=4), not make_vec(lambda: env, n_envs=4)."
    return ConfigurationError(explain("env", "a callable that makes a new environment at every call", env, cure))


def check_apart(envs: Sequence[Any]) -> None:
    """Refuse copies that share one simulator, which would be stepped once for each.

    Raises:
        ConfigurationError: two are around the same object.
    """
    seen: list[Any] = []
    for env in envs:
        team = env.unwrapped
        simulator = simulator_of(team.parallel_env) if isinstance(team, TeamEnv) else team
        if any(simulator is other for other in seen):
            raise one_object(simulator)
        seen.append(simulator)


def check_alike(teams: Sequence[TeamSpec | None]) -> None:
    """Refuse copies of which one is another team than the first.

    Raises:
        ConfigurationError: names the copy and the first difference.
    """
    for rank, team in enumerate(teams):
        difference = first_difference(teams[0], team)
        if difference is not None:
            what, expected, found = difference
            cure = "All copies of an environment have the same agents and spaces."
            must = f"as in environment 0: {expected!r}"
            raise ConfigurationError(explain(f"{what} of environment {rank}", must, found, cure))


def first_difference(one: TeamSpec | None, other: TeamSpec | None) -> tuple[str, Any, Any] | None:
    """In what two teams differ: what it is, of the one, and of the other; None where they are equal."""
    if one is other or one == other:
        return None
    if one is None or other is None:
        mine, theirs = ("no team" if team is None else team.names for team in (one, other))
        return "The agents", mine, theirs
    return next(part for part in _parts(one, other) if part[1] != part[2])


def _parts(one: TeamSpec, other: TeamSpec) -> Iterator[tuple[str, Any, Any]]:
    """Everything that makes a team, the agents first."""
    yield "The agents", one.names, other.names
    for mine, theirs in zip(one.agents, other.agents, strict=True):
        whose = f"of agent {mine.name!r}"
        yield f"The observation space {whose}", mine.observation_space, theirs.observation_space
        yield f"The action space {whose}", mine.action_space, theirs.action_space
    yield "The length of the state", one.state_size, other.state_size
    yield "has_masks", one.has_masks, other.has_masks
    yield "has_deaths", one.has_deaths, other.has_deaths
    yield "The critic's view of the state", one.state_view, other.state_view
    what = "Whether critics see the observations behind the state"
    yield what, one.state_and_observations, other.state_and_observations
    for mine, theirs in zip(one.agents, other.agents, strict=True):
        yield f"The view of the state of agent {mine.name!r}", mine.view, theirs.view
