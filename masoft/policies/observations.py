"""Reading what a caller of ``predict`` passes: a team observation, or a dict of agents' own observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from masoft.errors import ConfigurationError, explain, nearest
from masoft.spec import RESERVED_KEYS, AgentSpec, TeamSpec


@dataclass(frozen=True)
class AgentInput:
    """One agent's part of a ``predict`` call.

    Args:
        name, index: the agent, and its place in the team.
        values: (n, *shape), its observations.
        mask: (n, mask_size) or None.
        is_single: whether the caller passed one observation rather than a batch.
    """

    name: str
    index: int
    values: np.ndarray
    mask: np.ndarray | None
    is_single: bool

    def to_environment(self, team: TeamSpec, actions: np.ndarray) -> Any:
        """The agent's actions (n, size) in its own space: shape, type, bounds and first value restored."""
        action = team.agents[self.index].action
        space = action.space
        if action.is_box:
            from masoft.functional.actions import unit_to_box  # here, since it imports torch

            native = unit_to_box(action, actions).reshape(-1, *space.shape)  # type: ignore[misc]
            native = (np.rint(native) if space.dtype.kind in "iu" else native).astype(space.dtype)  # type: ignore[union-attr]
        else:
            native = (actions + action.start).reshape(-1, *space.shape).astype(space.dtype)  # type: ignore[misc]
        return native[0] if self.is_single else native


def is_team_observation(observation: object) -> bool:
    """Whether this is what the joint environment gives (it always carries the active flags).

    Raises:
        ConfigurationError: it is no dict at all.
    """
    if not isinstance(observation, Mapping):
        raise ConfigurationError(
            explain(
                "The observation",
                "a dict: a team observation, or one entry an agent",
                type(observation).__name__,
                'Pass for example {"agent_0": obs_0, "agent_1": obs_1}.',
            )
        )
    return any(key in observation for key in RESERVED_KEYS)


def agent_observations(team: TeamSpec, observation: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], bool]:
    """A team observation as a batch, and whether the caller passed a single one.

    Raises:
        ConfigurationError: an agent is missing, or an array has the wrong shape.
    """
    batched = {}
    is_single = False
    for agent in team.agents:
        if agent.name not in observation:
            known = "Pass every agent's observation, or a plain dict of agents without 'active' and 'state'."
            raise ConfigurationError(
                explain(f"The team observation's entry {agent.name!r}", "present", [*observation], known)
            )
        values, is_single = _batch(agent, observation[agent.name])
        batched[agent.name] = values
    for key in RESERVED_KEYS:
        if key in observation:
            extra = np.asarray(observation[key])
            batched[key] = extra[None] if is_single and extra.ndim == 1 else extra
    return batched, is_single


def split_by_agent(
    team: TeamSpec, observation: Mapping[str, Any], action_masks: Mapping[str, np.ndarray]
) -> Iterator[AgentInput]:
    """Each agent's part of a dict-form ``predict`` call; agents that left the game may be absent.

    Raises:
        ConfigurationError: an unknown agent, a wrong shape, or a mask without a legal choice.
    """
    for name in [*observation, *action_masks]:
        if name not in team.names:
            raise ConfigurationError(explain("An agent's name", "one of the team's", name, nearest(name, team.names)))
    for name, value in observation.items():
        index = team.names.index(name)
        mask = action_masks.get(name)
        if isinstance(value, Mapping):
            mask = value.get("action_mask", mask)
            value = value["observation"]
        values, is_single = _batch(team.agents[index], value)
        yield AgentInput(name, index, values, _checked_mask(team.agents[index], mask, len(values)), is_single)


def _batch(agent: AgentSpec, value: Any) -> tuple[np.ndarray, bool]:
    """Observations of one agent as (n, *shape), and whether there was just one."""
    values = np.asarray(value)
    if values.dtype != np.uint8:
        values = values.astype(np.float32, copy=False)
    if values.shape == agent.observation_shape:
        return values[None], True
    if values.shape[1:] == agent.observation_shape:
        return values, False
    must = f"of shape {agent.observation_shape}, or (n, *{agent.observation_shape})"
    raise ConfigurationError(explain(f"The observation of agent {agent.name!r}", must, values.shape))


def _checked_mask(agent: AgentSpec, mask: Any, n: int) -> np.ndarray | None:
    """A mask as booleans (n, mask_size) with a legal choice in every part."""
    if mask is None or agent.action.is_box:
        return None
    array = np.asarray(mask).astype(bool).reshape(-1, agent.action.mask_size) if np.size(mask) else np.zeros((0, 0))
    parts = np.split(array, np.cumsum(agent.action.nvec)[:-1], axis=-1) if array.size else []
    if array.shape[0] != n or not all(part.any(-1).all() for part in parts):
        must = f"one row of {agent.action.mask_size} flags an observation, with a legal choice in every part"
        raise ConfigurationError(explain(f"The action mask of agent {agent.name!r}", must, mask))
    return array
