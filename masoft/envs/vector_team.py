"""Which team a VecEnv trains."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from masoft.envs.alike import check_alike, check_apart
from masoft.envs.builder import KINDS, PER_AGENT
from masoft.envs.through import seen_through, team_inside, team_outside
from masoft.envs.vector_snapshot import layers_of_vector
from masoft.errors import ConfigurationError, explain
from masoft.spec import TeamSpec


def team_of(vec_env: VecEnv) -> TeamSpec:
    """The specification of the team that a VecEnv trains, as its outermost wrapper shows it.

    Raises:
        ConfigurationError: its environments are no teams, are not alike, or are one object.
        SpaceError: a wrapper changes what it must not, see `masoft.envs.through`.
    """
    wrappers, base = layers_of_vector(vec_env)
    if not isinstance(base, VecEnv):  # supersuit puts gymnasium's vectors inside one of stable-baselines3's wrappers
        raise ConfigurationError(explain("env", KINDS, base, PER_AGENT))
    team = _team_of_base(base)
    if team is None:
        raise ConfigurationError(
            explain("A VecEnv", "one of TeamEnvs", f"{type(vec_env).__name__} of {vec_env.observation_space}",
                    "Make it with masoft.make_vec(env, n_envs=...), or wrap each environment in masoft.envs.TeamEnv.")
        )  # fmt: skip
    return team_outside(team, wrappers)


def _team_of_base(base: Any) -> TeamSpec | None:
    """The team of a VecEnv without wrappers, whose copies are checked to be alike; None where there is none."""
    envs = getattr(base, "envs", None)
    if envs:
        check_apart(envs)
        teams = [team_inside(env) for env in envs]
    elif isinstance(getattr(base, "team", None), TeamSpec):
        found: TeamSpec | None = base.team
        return found
    else:
        teams = base.get_attr("team") if base.has_attr("team") else [None]
    if not isinstance(teams[0], TeamSpec):
        return None
    check_alike(teams)
    return teams[0] if envs else seen_through(teams[0], base)
