"""Copies of an environment are of one team, and are not one object."""

from __future__ import annotations

from collections.abc import Sequence
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
    first = teams[0]
    for rank, team in enumerate(teams):
        if team is first or team == first:
            continue
        for what, mine, other in _parts(first, team):
            if mine != other:
                cure = "All copies of an environment have the same agents and spaces."
                raise ConfigurationError(
                    explain(f"{what} of environment {rank}", f"as in environment 0: {mine}", other, cure)
                )


def _parts(one: TeamSpec | None, other: TeamSpec | None) -> list[tuple[str, Any, Any]]:
    if one is None or other is None:
        return [("The team", one, other)]
    pairs: list[tuple[str, Any, Any]] = [("The agents", one.names, other.names)]
    for mine, theirs in zip(one.agents, other.agents, strict=False):
        pairs += [
            (f"The observation space of agent {mine.name!r}", mine.observation_space, theirs.observation_space),
            (f"The action space of agent {mine.name!r}", mine.action_space, theirs.action_space),
        ]
    return [
        *pairs,
        ("The length of the state", one.state_size, other.state_size),
        ("has_masks", one.has_masks, other.has_masks),
        ("has_deaths", one.has_deaths, other.has_deaths),
        ("The team", one, other),
    ]
