"""Reads from a PettingZoo environment what its team is: spaces, state, masks, deaths, views, reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces

from masoft.envs.answers import Reset, check_reset
from masoft.envs.masks import mask_method, reported_mask
from masoft.envs.reading import Reader, inner_space, read_space
from masoft.envs.state import State, StateSource, choose_state
from masoft.envs.views import view_of_state
from masoft.errors import ConfigurationError, EnvironmentFault, MasoftError, SpaceError, explain
from masoft.spec import ACTION_MASK, StateView, TeamSpec, make_team_spec

Parallel: TypeAlias = Any
"""A PettingZoo ``ParallelEnv`` by its interface; the package ships no types."""

TEAM_REWARDS = ("mean", "sum", "shared")


def agent_ids(env: Parallel) -> tuple[Any, ...]:
    """PettingZoo's ids of all agents that can ever take part, in team order.

    Raises:
        ConfigurationError: the environment does not name them, or two names look alike.
    """
    given = getattr(env, "possible_agents", None)
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, (list, tuple, Mapping)) or not given:
        raise ConfigurationError(
            explain(
                f"possible_agents of {type(env).__name__}",
                "a list of all agents that can take part",
                given,
                "A team has a fixed set of agents: set it in the environment's constructor.",
            )
        )
    ids = tuple(given)
    names = [str(agent) for agent in ids]
    if len(set(names)) < len(names):
        raise ConfigurationError(explain("The agents' names", "distinct as strings", names, "Rename them."))
    return ids


def declarations(env: Parallel) -> dict[str, Any]:
    """What the environment says of itself in ``metadata``, also where a wrapper around it has lost that."""
    inner = getattr(getattr(env, "unwrapped", env), "metadata", None)
    return {**(inner or {}), **(getattr(env, "metadata", None) or {})}


@dataclass(frozen=True)
class Inspection:
    """What an environment was found to be.

    Args:
        team: its team.
        readers: how each agent's own observations become the team's.
        state: where the state comes from.
        ask_masks: gives masks by agent, where the environment has a method for that.
        turns: whether one agent after the other acts.
    """

    team: TeamSpec
    readers: tuple[Reader, ...]
    state: StateSource
    ask_masks: Callable[[], Any] | None
    turns: bool


def read_team(env: Parallel) -> TeamSpec:
    """The team's specification, see `inspect_env`."""
    return inspect_env(env).team


def inspect_env(env: Parallel, state: State = "env") -> Inspection:
    """The team's specification and how to read it; resets the environment once where it does not declare enough.

    What an environment may declare in ``metadata``: ``has_masks``, ``has_deaths`` (booleans) and
    ``state_is_observations`` (its state is nothing but the observations in a row, so it is not kept twice). On
    its ``unwrapped``: ``observation_views`` and ``state_view``, see `masoft.spec.StateView`.

    Raises:
        SpaceError: a space that a team cannot use.
        ConfigurationError: no fixed set of agents.
        EnvironmentFault: a reset that was needed went wrong.
    """
    ids = agent_ids(env)
    metadata = declarations(env)
    seen = {agent: asked_space(env, "observation_space", agent) for agent in ids}
    readers = {str(a): read_space(f"The observation space of agent {str(a)!r}", inner_space(seen[a])) for a in ids}
    action_spaces = {str(agent): asked_space(env, "action_space", agent) for agent in ids}
    inner = getattr(env, "unwrapped", env)
    probe = _Probe(env)
    source = choose_state(env, state, metadata, probe.answer)
    views: Mapping[str, StateView] = dict(getattr(inner, "observation_views", None) or {})
    if views and (env is not inner or source.how != "state()"):
        views = probe.views_that_hold(views, source)
    ask_masks = mask_method(env, ids)
    has_masks = metadata.get("has_masks")
    if has_masks is None:
        has_masks = ask_masks is not None or any(map(_has_mask, seen.values())) or probe.has_masks(ids)
    team = make_team_spec(
        {name: reader.box for name, reader in readers.items()},
        action_spaces,
        state_size=source.size,
        has_masks=bool(has_masks),
        has_deaths=bool(metadata.get("has_deaths", len(ids) > 1)),
        views=views,
        state_view=getattr(inner, "state_view", None) if source.how == "state()" else None,
        state_and_observations=source.and_observations,
    )
    return Inspection(team, tuple(readers.values()), source, ask_masks, bool(metadata.get("turn_based")))


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
        self._reset: Reset | None = None

    def answer(self) -> Reset:
        """What the reset gave.

        Raises:
            EnvironmentFault: it raised, or gave something else than two dicts.
        """
        if self._reset is None:
            name = type(self._env).__name__
            try:
                given = self._env.reset()
            except MasoftError:
                raise
            except Exception as error:
                raise EnvironmentFault(explain(f"reset of {name}", "free of errors", error)) from error
            known = {agent: index for index, agent in enumerate(agent_ids(self._env))}
            self._reset = check_reset(given, known, lambda: f"of {name}")
        return self._reset

    def has_masks(self, ids: tuple[Any, ...]) -> bool:
        """Whether any agent reports an action mask."""
        observations, infos = self.answer()
        return any(reported_mask(agent, observations, infos) is not None for agent in ids)

    def views_that_hold(self, views: Mapping[str, StateView], source: StateSource) -> dict[str, StateView]:
        """The views that are still true outside all wrappers (frame stacking, say, makes them false)."""
        if not source.size:
            return {}
        observations = self.answer()[0]
        state = np.asarray(source.read(lambda: "after a reset"), dtype=np.float32).reshape(-1)
        held = {}
        for agent, observation in observations.items():
            view = views.get(str(agent))
            if view is None or isinstance(observation, dict):
                continue
            seen = view_of_state(view, state)
            if seen.shape == np.shape(observation) and np.allclose(seen, observation, rtol=1e-4, atol=1e-5):
                held[str(agent)] = view
        return held


def asked_space(env: Parallel, kind: str, agent: Any) -> Any:
    """An agent's space, by PettingZoo's method or out of a dict by agent.

    Raises:
        SpaceError: the environment does not give one.
    """
    ask = getattr(env, kind, None)
    try:
        if callable(ask):
            return ask(agent)
        by_agent = ask if isinstance(ask, (Mapping, spaces.Dict)) else getattr(env, f"{kind}s")
        return by_agent[agent]
    except Exception as error:
        cure = f"Define {kind}(agent); it is asked for each of possible_agents, before the first reset."
        raise SpaceError(explain(f"{kind}({agent!r}) of {type(env).__name__}", "a space", error, cure)) from error


def _has_mask(space: object) -> bool:
    """Whether an observation space carries a mask."""
    return isinstance(space, spaces.Dict) and ACTION_MASK in space.spaces
