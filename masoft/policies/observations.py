"""Reading what a caller of ``predict`` passes: a team observation, or a dict of agents' own observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from masoft.errors import ConfigurationError, explain, nearest
from masoft.spec import ACTION_MASK, RESERVED_KEYS, AgentSpec, TeamSpec


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
        ConfigurationError: an agent is missing or unknown, an array is no batch of observations, batches are of
            different sizes, or a mask has no legal choice.
    """
    _check_known(team, [name for name in observation if name not in RESERVED_KEYS])
    batched, singles = {}, {}
    for agent in team.agents:
        if agent.name not in observation:
            known = "Pass every agent's observation, or a plain dict of agents without 'active' and 'state'."
            raise ConfigurationError(
                explain(f"The team observation's entry {agent.name!r}", "present", [*observation], known)
            )
        batched[agent.name], singles[agent.name] = _batch(agent, observation[agent.name])
    sizes = {name: None if singles[name] else len(values) for name, values in batched.items()}
    if len(set(sizes.values())) > 1:
        raise ConfigurationError(explain("The team observation", "a batch of one size for all agents", sizes))
    is_single = all(singles.values())
    for key in RESERVED_KEYS:
        if key in observation:
            extra = _numbers(f"The team observation's entry {key!r}", "an array of numbers", observation[key])
            batched[key] = extra[None] if is_single and extra.ndim == 1 else extra
    if team.has_masks and ACTION_MASK in batched:
        _check_joint_mask(team, batched[ACTION_MASK], len(batched[team.names[0]]))
    return batched, is_single


def split_by_agent(
    team: TeamSpec, observation: Mapping[str, Any], action_masks: Mapping[str, np.ndarray]
) -> Iterator[AgentInput]:
    """Each agent's part of a dict-form ``predict`` call; agents that left the game may be absent.

    Raises:
        ConfigurationError: an unknown agent, no observation of its space, or a mask without a legal choice.
    """
    if not isinstance(action_masks, Mapping):
        raise ConfigurationError(explain("action_masks", "a dict of masks by agent", action_masks))
    _check_known(team, [*observation, *action_masks])
    for name, value in observation.items():
        index = team.names.index(name)
        mask = action_masks.get(name)
        if isinstance(value, Mapping):
            if "observation" not in value:
                must = "an array, or a dict with 'observation' and 'action_mask'"
                raise ConfigurationError(explain(f"The observation of agent {name!r}", must, [*value]))
            mask = value.get("action_mask", mask)
            value = value["observation"]
        values, is_single = _batch(team.agents[index], value)
        yield AgentInput(name, index, values, _checked_mask(team.agents[index], mask, len(values)), is_single)


def seen_by(model: Any, observation: Mapping[str, Any]) -> Mapping[str, Any]:
    """An environment's own observation as a model was trained to see it; exported actors take it as it is."""
    return model.normalize_obs(observation) if hasattr(model, "normalize_obs") else observation


def episode_starts(flags: Any, n: int) -> np.ndarray:
    """Where episodes start, (n,) booleans, from what a caller passes: one for all, one an observation, or None.

    Raises:
        ConfigurationError: another number of flags.
    """
    if flags is None:
        return np.zeros(n, bool)
    which, must = "episode_start", f"one flag, or one for each of {n} observations"
    array = _numbers(which, must, flags).astype(bool).reshape(-1)
    if array.size not in (1, n):
        raise ConfigurationError(explain(which, must, flags))
    return np.resize(array, n)


def memory_array(values: Any, n: int, size: int) -> np.ndarray:
    """What one agent remembers of n environments, float32 (n, size), as a caller passes it back.

    Raises:
        ConfigurationError: it has another shape, or is no array of finite numbers.
    """
    which, must = "The state", f"of shape {(n, size)} for each agent, as the last call returned it"
    memory = _numbers(which, must, values).astype(np.float32)
    if memory.shape != (n, size) or not np.isfinite(memory).all():
        raise ConfigurationError(explain(which, must, memory.shape if memory.shape != (n, size) else values))
    return memory


def check_no_masks(action_masks: object) -> None:
    """Refuse masks beside a team observation, which carries its own.

    Raises:
        ConfigurationError: there are some.
    """
    if action_masks is not None:
        must = f"left out with a team observation, whose entry {ACTION_MASK!r} has them"
        raise ConfigurationError(explain("action_masks", must, action_masks))


def _check_known(team: TeamSpec, names: list[Any]) -> None:
    for name in names:
        if name not in team.names:
            close = nearest(str(name), team.names)
            raise ConfigurationError(explain("An agent's name", "one of the team's", name, close))


def _numbers(which: str, must: str, value: Any) -> np.ndarray:
    """An array of numbers or flags; tensors may lie on any device, and in a graph.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):  # ragged, or a tensor without values
        raise ConfigurationError(explain(which, must, value)) from None
    if array.dtype.kind not in "biuf":
        raise ConfigurationError(explain(which, must, value))
    return array


def _batch(agent: AgentSpec, value: Any) -> tuple[np.ndarray, bool]:
    """Observations of one agent as (n, *shape), and whether there was just one."""
    which = f"The observation of agent {agent.name!r}"
    must = f"of shape {agent.observation_shape}, or (n, *{agent.observation_shape})"
    values = _numbers(which, f"an array of numbers {must}", value)
    if values.ndim in (3, 4) and _last_to_first(values).shape[-3:] == agent.observation_shape != values.shape[-3:]:
        values = _last_to_first(values)  # a picture as the environment itself shows it; TeamEnv turns it, too
    if values.shape != agent.observation_shape and values.shape[1:] != agent.observation_shape:
        raise ConfigurationError(explain(which, must, values.shape))
    if values.dtype != np.uint8:
        with np.errstate(over="ignore"):
            values = values.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise ConfigurationError(explain(which, "finite in single precision", value))
    is_single = values.shape == agent.observation_shape
    return (values[None] if is_single else values), is_single


def _last_to_first(pictures: np.ndarray) -> np.ndarray:
    """Channels of pictures (..., height, width, channels) in front."""
    return np.moveaxis(pictures, -1, -3)


def _check_joint_mask(team: TeamSpec, masks: np.ndarray, n: int) -> None:
    """Refuse a team's mask of the wrong shape, or one that leaves an agent without a choice."""
    size = team.mask_size
    if masks.shape != (n, size):
        raise ConfigurationError(explain("The team's action mask", f"of shape ({n}, {size})", masks.shape))
    for agent, place in zip(team.agents, team.mask_slices, strict=True):
        _checked_mask(agent, masks[:, place], n)


def _checked_mask(agent: AgentSpec, mask: Any, n: int) -> np.ndarray | None:
    """A mask as booleans (n, mask_size) with a legal choice in every part."""
    if mask is None or agent.action.is_box:
        return None
    which, size = f"The action mask of agent {agent.name!r}", agent.action.mask_size
    must = f"one row of {size} flags an observation, with a legal choice in every part"
    flags = _numbers(which, must, mask)
    if flags.dtype.kind == "f" and not np.isfinite(flags).all():
        raise ConfigurationError(explain(which, must, mask))
    array = flags.astype(bool)
    array = array[None] if array.shape == (size,) else array
    if array.shape != (n, size):
        raise ConfigurationError(explain(which, must, mask))
    if not all(part.any(-1).all() for part in np.split(array, np.cumsum(agent.action.nvec)[:-1], axis=-1)):
        raise ConfigurationError(explain(which, must, mask))
    return array
