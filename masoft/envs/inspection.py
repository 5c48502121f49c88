"""Reads from a PettingZoo environment what its team is: spaces, state, masks, deaths, views, reward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces

from masoft.envs.views import view_of_state
from masoft.errors import ConfigurationError, SpaceError, explain
from masoft.spec import ACTION_MASK, StateView, TeamSpec, make_team_spec

Parallel: TypeAlias = Any
"""A PettingZoo ``ParallelEnv`` by its interface; the package ships no types."""

TEAM_REWARDS = ("mean", "sum", "shared")


def agent_ids(env: Parallel) -> tuple[Any, ...]:
    """PettingZoo's ids of all agents that can ever take part, in team order.

    Raises:
        ConfigurationError: the environment does not name them, or two names look alike.
    """
    ids = tuple(getattr(env, "possible_agents", None) or ())
    if not ids:
        raise ConfigurationError(
            explain(
                f"possible_agents of {type(env).__name__}",
                "a list of all agents that can take part",
                getattr(env, "possible_agents", None),
                "A team has a fixed set of agents: set it in the environment's constructor.",
            )
        )
    names = [str(agent) for agent in ids]
    if len(set(names)) < len(names):
        raise ConfigurationError(explain("The agents' names", "distinct as strings", names, "Rename them."))
    return ids


def declarations(env: Parallel) -> dict[str, Any]:
    """What the environment says of itself in ``metadata``, also where a wrapper around it has lost that."""
    inner = getattr(getattr(env, "unwrapped", env), "metadata", None)
    return {**(inner or {}), **(getattr(env, "metadata", None) or {})}


def read_team(env: Parallel) -> TeamSpec:
    """The team's specification; resets the environment once where it does not declare all that is needed.

    What an environment may declare in ``metadata``: ``has_masks``, ``has_deaths`` (booleans) and
    ``state_is_observations`` (its state is nothing but the observations in a row, so it is not kept twice). On
    its ``unwrapped``: ``observation_views`` and ``state_view``, see `masoft.spec.StateView`.

    Raises:
        SpaceError: a space that a team cannot use.
        ConfigurationError: no fixed set of agents.
    """
    ids = agent_ids(env)
    metadata = declarations(env)
    observation_spaces = {str(agent): _inner_space(env.observation_space(agent)) for agent in ids}
    action_spaces = {str(agent): env.action_space(agent) for agent in ids}
    views: Mapping[str, StateView] = dict(getattr(env.unwrapped, "observation_views", None) or {})
    probe = _Probe(env)
    if views and env is not env.unwrapped:
        views = probe.views_that_hold(views)
    state_size = 0 if metadata.get("state_is_observations") else _declared_state_size(env)
    if state_size is None:
        state_size = probe.state_size()
    has_masks = metadata.get("has_masks")
    if has_masks is None:
        in_observation = [_has_mask(env.observation_space(agent)) for agent in ids]
        has_masks = any(in_observation) or probe.has_masks()
    return make_team_spec(
        observation_spaces,
        action_spaces,
        state_size=state_size,
        has_masks=bool(has_masks),
        has_deaths=bool(metadata.get("has_deaths", len(ids) > 1)),
        views=views,
        state_view=getattr(env.unwrapped, "state_view", None),
    )


def choose_team_reward(env: Parallel, asked: str) -> str:
    """``"auto"`` becomes what the environment declares in ``metadata["team_reward"]``, else ``"mean"``.

    Raises:
        ConfigurationError: an unknown choice.
    """
    chosen = declarations(env).get("team_reward", "mean") if asked == "auto" else asked
    if chosen not in TEAM_REWARDS:
        raise ConfigurationError(explain("team_reward", "'auto', 'mean', 'sum' or 'shared'", chosen))
    return str(chosen)


class _Probe:
    """One reset of an environment, made only if somebody asks."""

    def __init__(self, env: Parallel) -> None:
        self._env = env
        self._reset: tuple[Mapping[Any, Any], Mapping[Any, Any]] | None = None

    def _answer(self) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
        if self._reset is None:
            self._reset = self._env.reset()
        return self._reset

    def has_masks(self) -> bool:
        """Whether any agent's info has an action mask."""
        return any(ACTION_MASK in info for info in self._answer()[1].values() if info)

    def state_size(self) -> int:
        """Length of ``state()``; 0 where there is none."""
        self._answer()
        try:
            return int(np.asarray(self._env.state()).size)
        except (NotImplementedError, AttributeError):
            return 0

    def views_that_hold(self, views: Mapping[str, StateView]) -> dict[str, StateView]:
        """The views that are still true outside all wrappers (frame stacking, say, makes them false)."""
        observations = self._answer()[0]
        state = np.asarray(self._env.state(), dtype=np.float32).reshape(-1)
        held = {}
        for agent, observation in observations.items():
            view = views.get(str(agent))
            if view is None or isinstance(observation, dict):
                continue
            seen = view_of_state(view, state)
            if seen.shape == np.shape(observation) and np.allclose(seen, observation, rtol=1e-4, atol=1e-5):
                held[str(agent)] = view
        return held


def _inner_space(space: object) -> object:
    """The Box inside PettingZoo's ``Dict(observation=..., action_mask=...)``; other spaces as they are."""
    if isinstance(space, spaces.Dict) and "observation" in space.spaces:
        others = set(space.spaces) - {"observation", ACTION_MASK}
        if others:
            raise SpaceError(
                explain(
                    "A Dict observation space",
                    "made of 'observation' and 'action_mask' alone",
                    sorted(space.spaces),
                    "Flatten the other entries into 'observation', for example with gymnasium.spaces.utils.flatten.",
                )
            )
        return space.spaces["observation"]
    return space


def _has_mask(space: object) -> bool:
    """Whether an observation space carries a mask."""
    return isinstance(space, spaces.Dict) and ACTION_MASK in space.spaces


def _declared_state_size(env: Parallel) -> int | None:
    """Size of ``state_space`` where the environment has one; None where only a probe can tell."""
    space = getattr(env, "state_space", None)
    if isinstance(space, spaces.Box):
        return int(np.prod(space.shape))
    return None
