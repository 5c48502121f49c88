"""A team as it is seen from outside the wrappers around it: their spaces count, or they are refused by name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium import wrappers as passive

from masoft.envs.team_env import TeamEnv
from masoft.errors import ConfigurationError, SpaceError, explain
from masoft.spec import ACTION_MASK, ACTIVE, STATE, ActionSpec, AgentSpec, StateView, TeamSpec, check_agent_spaces

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize

KEEPS_OBSERVATIONS = (
    gymnasium.ActionWrapper,
    gymnasium.RewardWrapper,
    passive.TimeLimit,
    passive.OrderEnforcing,
    passive.PassiveEnvChecker,
    passive.RecordEpisodeStatistics,
    passive.RecordVideo,
)
"""Wrappers that leave observations alone; with others, what agents see need not follow from the state any more."""

_BEFORE = (
    "Wrap the PettingZoo environment before it becomes a team (supersuit, or a ParallelEnv wrapper of your own), or "
    "use make_vec(..., frame_stack=4, normalize=True), which leaves masks and active flags alone."
)


@cache
def _keeps_in_vectors() -> tuple[type, ...]:
    """Those around VecEnvs, which no process of one environment has: importing them imports torch."""
    from stable_baselines3.common import vec_env

    return (
        vec_env.VecMonitor,
        vec_env.VecCheckNan,
        vec_env.VecVideoRecorder,
        vec_env.VecNormalize,  # raw ones are stored, and each entry is normalised after it is drawn
        vec_env.DummyVecEnv,
        vec_env.SubprocVecEnv,
    )


def _keeps(layer: Any) -> bool:
    """Whether a wrapper leaves observations alone."""
    from stable_baselines3.common.monitor import Monitor

    if isinstance(layer, gymnasium.Env):
        return isinstance(layer, (Monitor, *KEEPS_OBSERVATIONS))
    return isinstance(layer, _keeps_in_vectors())


def team_inside(env: gymnasium.Env[Any, Any]) -> TeamSpec | None:
    """The team of an environment as its outermost wrapper shows it; None where there is no team inside.

    Raises:
        SpaceError: a wrapper changes what it must not.
    """
    layers: list[gymnasium.Env[Any, Any]] = []
    while isinstance(env, gymnasium.Wrapper):
        layers.append(env)
        env = env.env
    if not isinstance(env, TeamEnv):
        return None
    team = env.team
    for layer in reversed(layers):
        team = seen_through(team, layer)
    return team


def seen_through(team: TeamSpec, layer: Any) -> TeamSpec:
    """The team as one wrapper shows it.

    Args:
        team: what it wraps.
        layer: anything with the two joint spaces; for messages, with its class's name.

    Raises:
        SpaceError: entries are missing, new, or of another kind.
    """
    name = type(layer).__name__
    observations = layer.observation_space
    if not isinstance(observations, spaces.Dict) or set(observations) != set(team.observation_space):
        must = f"a Dict with the entries {list(team.observation_space)}"
        _refuse(name, "observation space", must, observations)
    for entry in {ACTION_MASK, ACTIVE} & set(observations):
        if observations[entry] != team.observation_space[entry]:
            _refuse(name, f"entry {entry!r}", f"{team.observation_space[entry]!r}, as inside", observations[entry])
    keeps = _keeps(layer)
    actions = _actions(team, layer.action_space, name)
    agents = tuple(
        _agent(agent, observations[agent.name], action, name, keeps)
        for agent, action in zip(team.agents, actions, strict=True)
    )
    team = team if agents == team.agents else replace(team, agents=agents)
    return _with_state(team, observations[STATE], name) if team.state_size else team


def _agent(agent: AgentSpec, seen: spaces.Space[Any], action: ActionSpec, wrapper: str, keeps: bool) -> AgentSpec:
    which = f"observation space of agent {agent.name!r}"
    if not isinstance(seen, spaces.Box):
        _refuse(wrapper, which, "a Box", seen)
    if seen == agent.observation_space:
        return replace(agent, action=action, view=agent.view if keeps else None)
    if seen.dtype == np.float64:
        seen = spaces.Box(seen.low.astype(np.float32), seen.high.astype(np.float32), dtype=np.float32)
    check_agent_spaces(agent.name, seen, action.space)
    return AgentSpec(agent.name, seen, action)


def _with_state(team: TeamSpec, seen: spaces.Space[Any], wrapper: str) -> TeamSpec:
    if seen.shape == (team.state_size,):
        return team
    if not isinstance(seen, spaces.Box) or len(seen.shape) != 1:
        _refuse(wrapper, "entry 'state'", "a Box of one dimension", seen)
    return replace(team, state_size=seen.shape[0], state_view=StateView())


def _actions(team: TeamSpec, seen: spaces.Space[Any], wrapper: str) -> list[ActionSpec]:
    """Each agent's actions in the units of the outside."""
    inside = team.action_space
    if seen == inside:
        return [agent.action for agent in team.agents]
    if not (isinstance(seen, spaces.Box) and isinstance(inside, spaces.Box) and seen.shape == inside.shape):
        _refuse(wrapper, "action space", f"{inside}, or a Box of its shape where that is one", seen)
    actions = []
    for agent, where in zip(team.agents, team.action_slices, strict=True):
        low, high = seen.low[where], seen.high[where]
        if np.array_equal(low, inside.low[where]) and np.array_equal(high, inside.high[where]):
            actions.append(agent.action)
            continue
        if not agent.action.is_box:
            got = f"{low.tolist()} to {high.tolist()}"
            _refuse(wrapper, f"choices of agent {agent.name!r}", f"whole numbers below {agent.action.nvec}", got)
        shape = agent.action_space.shape
        own = spaces.Box(low.reshape(shape), high.reshape(shape), dtype=np.float32)
        check_agent_spaces(agent.name, agent.observation_space, own)
        actions.append(ActionSpec(own))
    return actions


def _refuse(wrapper: str, which: str, must: str, got: object) -> NoReturn:
    raise SpaceError(explain(f"{wrapper} around a team: the {which}", must, got, _BEFORE))


def team_outside(team: TeamSpec, wrappers: list[VecEnvWrapper]) -> TeamSpec:
    """The team of a VecEnv as its wrappers show it.

    Args:
        team: that of the innermost VecEnv.
        wrappers: from outside to inside.

    Raises:
        SpaceError: a wrapper changes what it must not.
        ConfigurationError: VecNormalize has its place outside of it, or scales what is stored as bytes.
    """
    from stable_baselines3.common.vec_env import VecNormalize

    normalizer: VecNormalize | None = None
    _check_takes_tensors(wrappers)
    for wrapper in reversed(wrappers):
        shown = seen_through(team, wrapper)
        if normalizer is not None and shown.observation_space != team.observation_space:
            cure = "Put VecNormalize around it: make_vec(..., frame_stack=4, normalize=True) does."
            raise ConfigurationError(explain("VecNormalize", f"outside of {type(wrapper).__name__}", "inside", cure))
        if isinstance(wrapper, VecNormalize):
            normalizer = wrapper
            _check_scaled(shown, wrapper)
        team = shown
    return team


def _check_takes_tensors(wrappers: list[VecEnvWrapper]) -> None:
    """Refuse wrappers of stable-baselines3's that compute with arrays around a batch that gives tensors."""
    if not wrappers or getattr(wrappers[0].unwrapped, "device", None) is None:
        return
    from stable_baselines3.common.vec_env import VecCheckNan, VecFrameStack, VecNormalize

    for wrapper in wrappers:
        if type(wrapper) is VecNormalize or isinstance(wrapper, VecFrameStack | VecCheckNan):
            cure = "Pass tensors=False; VecNormalize is put around tensors by make_vec(..., normalize=True)."
            must = "one that computes with tensors, since the simulator's numbers are some"
            raise ConfigurationError(explain("A wrapper", must, type(wrapper).__name__, cure))


def _check_scaled(team: TeamSpec, wrapper: VecNormalize) -> None:
    keys = (wrapper.norm_obs_keys or ()) if wrapper.norm_obs else ()
    for agent in team.agents:
        if agent.observes_bytes and agent.name in keys:
            cure = "Declare float32 observations, or leave the agent out of norm_obs_keys."
            which = f"What VecNormalize scales of agent {agent.name!r}"
            raise ConfigurationError(explain(which, "a Box of floats", agent.observation_space, cure))
