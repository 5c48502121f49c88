"""What a team is: its agents, their spaces, the state, and where each one's slice lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces

from masoft.errors import SpaceError, explain

STATE = "state"
ACTION_MASK = "action_mask"
ACTIVE = "active"
RESERVED_KEYS = (STATE, ACTION_MASK, ACTIVE)


class Flags(spaces.MultiBinary):
    """Masks and active flags: numbers 0 and 1 that no wrapper may scale or stack.

    ``str`` says so, since stable-baselines3's wrappers show it where they refuse the space; ``repr`` is MultiBinary's.
    """

    def __str__(self) -> str:
        return f"{super().__repr__()} (flags; make_vec(..., normalize=True, frame_stack=4) leaves them alone)"


@dataclass(frozen=True)
class StateView:
    """How a vector (an agent's observation, or the critic's state) follows from the environment's raw state.

    ``view(state) = standardise([state[indices], one_hot(position)])``; storing the state once is then enough.

    Args:
        indices: entries of the state that are seen, in order; None means all of them.
        position: index of the one in an appended one-hot vector; None appends nothing.
        one_hot_size: length of that vector.
        standardise: subtract the vector's own mean and divide by its own standard deviation, row by row.
    """

    indices: tuple[int, ...] | None = None
    position: int | None = None
    one_hot_size: int = 0
    standardise: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether the view is the state itself."""
        return self.indices is None and self.position is None and not self.standardise


@dataclass(frozen=True)
class ActionSpec:
    """One agent's actions inside the team: continuous numbers in [-1, 1], or independent categorical parts.

    Args:
        space: the agent's own space (Box, Discrete, MultiDiscrete or MultiBinary).
    """

    space: spaces.Space[Any]

    @cached_property
    def nvec(self) -> tuple[int, ...]:
        """Number of choices of each categorical part; empty for a Box."""
        space = self.space
        if isinstance(space, spaces.Discrete):
            return (int(space.n),)
        if isinstance(space, spaces.MultiDiscrete):
            return tuple(int(n) for n in space.nvec.reshape(-1))
        if isinstance(space, spaces.MultiBinary):
            return (2,) * math.prod(space.shape)
        return ()

    @property
    def is_box(self) -> bool:
        """Whether the agent acts with continuous numbers."""
        return not self.nvec

    @cached_property
    def size(self) -> int:
        """Entries that the action takes in the joint action vector (a categorical part takes one)."""
        return math.prod(self.space.shape) if self.is_box else len(self.nvec)  # type: ignore[arg-type]

    @cached_property
    def encoded_size(self) -> int:
        """Entries that a critic sees: the numbers of a Box, one-hot vectors of the categorical parts."""
        return self.size if self.is_box else sum(self.nvec)

    @cached_property
    def n_joint(self) -> int:
        """Number of distinct actions, the product over categorical parts; 0 for a Box."""
        return 0 if self.is_box else math.prod(self.nvec)

    @property
    def mask_size(self) -> int:
        """Entries of the action mask: one per choice of each categorical part; 0 for a Box."""
        return sum(self.nvec)

    @cached_property
    def low(self) -> np.ndarray:
        """Lower bounds of a Box, flat, float32, shape (size,); never below its own, which may be float64."""
        assert isinstance(self.space, spaces.Box)
        return _rounded_inwards(self.space.low, np.inf)

    @cached_property
    def high(self) -> np.ndarray:
        """Upper bounds of a Box, flat, float32, shape (size,); never above its own."""
        assert isinstance(self.space, spaces.Box)
        return _rounded_inwards(self.space.high, -np.inf)

    @cached_property
    def start(self) -> np.ndarray:
        """First value of each categorical part (gymnasium's ``start``), int64, shape (size,)."""
        space = self.space
        if isinstance(space, spaces.Discrete):
            return np.array([space.start], dtype=np.int64)
        if isinstance(space, spaces.MultiDiscrete):
            return np.asarray(space.start, dtype=np.int64).reshape(-1)
        return np.zeros(self.size, dtype=np.int64)


@dataclass(frozen=True)
class AgentSpec:
    """One agent: its name and its own spaces.

    Args:
        name: PettingZoo's agent id.
        observation_space: a Box of any shape (images keep theirs).
        action: its actions inside the team.
        view: how its observation follows from the state, where it does; None: it is stored by itself.
    """

    name: str
    observation_space: spaces.Box
    action: ActionSpec
    view: StateView | None = None

    @property
    def action_space(self) -> spaces.Space[Any]:
        """The agent's own action space, in the environment's units."""
        return self.action.space

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation."""
        return self.observation_space.shape

    @property
    def observes_bytes(self) -> bool:
        """Whether observations are integers from 0 to 255, as images have them."""
        return bool(np.dtype(self.observation_space.dtype).kind == "u")


@dataclass(frozen=True)
class TeamSpec:
    """The whole team. Per-agent data is a tuple over agents in this order; joint data is one array.

    Args:
        agents: at least one.
        state_size: length of the raw global state vector; 0 where the environment has none (then the critic's
            state is the concatenation of the observations).
        state_view: how the critic's state follows from the raw state.
        has_masks: whether action masks travel with the observations.
        has_deaths: whether agents may leave before the episode ends; if not, all are active throughout.
        state_and_observations: whether the critic's state is the raw state's view with all observations behind it.
    """

    agents: tuple[AgentSpec, ...]
    state_size: int = 0
    state_view: StateView = StateView()
    has_masks: bool = False
    has_deaths: bool = False
    state_and_observations: bool = False

    @property
    def n_agents(self) -> int:
        """Number of agents."""
        return len(self.agents)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Agent ids, in team order."""
        return tuple(agent.name for agent in self.agents)

    @cached_property
    def action_slices(self) -> tuple[slice, ...]:
        """Where each agent's action lies in the joint action vector."""
        return _slices([agent.action.size for agent in self.agents])

    @cached_property
    def categorical_slices(self) -> tuple[slice, ...]:
        """Where the actions of categorical agents lie in the joint action."""
        pairs = zip(self.agents, self.action_slices, strict=True)
        return tuple(where for agent, where in pairs if not agent.action.is_box)

    @cached_property
    def encoded_slices(self) -> tuple[slice, ...]:
        """Where each agent's encoded action (one-hots) lies in what the critic sees."""
        return _slices([agent.action.encoded_size for agent in self.agents])

    @cached_property
    def mask_slices(self) -> tuple[slice, ...]:
        """Where each agent's action mask lies in the joint mask."""
        return _slices([agent.action.mask_size for agent in self.agents])

    @cached_property
    def action_size(self) -> int:
        """Length of the joint action vector."""
        return sum(agent.action.size for agent in self.agents)

    @cached_property
    def encoded_size(self) -> int:
        """Length of the encoded joint action."""
        return sum(agent.action.encoded_size for agent in self.agents)

    @cached_property
    def mask_size(self) -> int:
        """Length of the joint action mask."""
        return sum(agent.action.mask_size for agent in self.agents)

    @property
    def critic_sees_observations(self) -> bool:
        """Whether the observations are a part of the critic's state, or all of it."""
        return self.state_size == 0 or self.state_and_observations

    @cached_property
    def view_size(self) -> int:
        """Length of the critic's view of the raw state."""
        seen = self.state_size if self.state_view.indices is None else len(self.state_view.indices)
        return seen + self.state_view.one_hot_size

    @cached_property
    def critic_state_size(self) -> int:
        """Length of the state that a critic sees."""
        observed = sum(math.prod(agent.observation_shape) for agent in self.agents)
        return self.view_size + (observed if self.critic_sees_observations else 0)

    @cached_property
    def observation_space(self) -> spaces.Dict:
        """The joint observation as stable-baselines3 sees it: one key an agent, then state, masks, active flags.

        The active flags are always there: they tell a team observation from a plain dict of agents' observations.
        """
        entries: dict[str, spaces.Space[Any]] = {a.name: a.observation_space for a in self.agents}
        if self.state_size:
            entries[STATE] = spaces.Box(-np.inf, np.inf, (self.state_size,), np.float32)
        if self.has_masks:
            entries[ACTION_MASK] = Flags(self.mask_size)
        entries[ACTIVE] = Flags(self.n_agents)
        return spaces.Dict(entries)

    @cached_property
    def action_space(self) -> spaces.Box | spaces.MultiDiscrete:
        """The joint action as stable-baselines3 sees it.

        A MultiDiscrete where every agent is categorical; else one Box in the environment's units, in which a
        categorical part is a whole number from 0 to n - 1.
        """
        nvec = [n for agent in self.agents for n in agent.action.nvec]
        if not any(agent.action.is_box for agent in self.agents):
            return spaces.MultiDiscrete(nvec)
        low = [a.action.low if a.action.is_box else np.zeros(a.action.size, np.float32) for a in self.agents]
        high = [a.action.high if a.action.is_box else np.array(a.action.nvec, np.float32) - 1 for a in self.agents]
        return spaces.Box(np.concatenate(low), np.concatenate(high), dtype=np.float32)


def check_agent_spaces(name: str, observation_space: object, action_space: object) -> None:
    """Refuse spaces that a team cannot use.

    Raises:
        SpaceError: names the agent, the space and the cure.
    """
    if name in RESERVED_KEYS:
        raise SpaceError(explain("The agent's name", f"none of {RESERVED_KEYS}", name, "Rename the agent."))
    if not isinstance(observation_space, spaces.Box):
        raise SpaceError(
            explain(
                f"The observation space of agent {name!r}",
                "a Box",
                observation_space,
                "Flatten it first, for example with gymnasium.spaces.utils.flatten in an observation wrapper.",
            )
        )
    if isinstance(action_space, spaces.Box):
        if not (np.isfinite(action_space.low).all() and np.isfinite(action_space.high).all()):
            raise SpaceError(
                explain(
                    f"The action space of agent {name!r}",
                    "a Box with finite bounds",
                    action_space,
                    "Declare the bounds that the simulator really has, or rescale with "
                    "gymnasium.wrappers.RescaleAction.",
                )
            )
        if not (action_space.low < action_space.high).all():
            raise SpaceError(explain(f"The action space of agent {name!r}", "a Box with low < high", action_space))
    elif not isinstance(action_space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        raise SpaceError(
            explain(
                f"The action space of agent {name!r}",
                "a Box, Discrete, MultiDiscrete or MultiBinary",
                action_space,
                "Split a composite action into several agents, or flatten it to one of these.",
            )
        )


def make_team_spec(
    observation_spaces: Mapping[str, object],
    action_spaces: Mapping[str, object],
    *,
    state_size: int = 0,
    has_masks: bool = False,
    has_deaths: bool = False,
    views: Mapping[str, StateView] | None = None,
    state_view: StateView | None = None,
    state_and_observations: bool = False,
) -> TeamSpec:
    """Build and check a team's specification from PettingZoo's spaces, in the mapping's order.

    Raises:
        SpaceError: a space that a team cannot use, see `check_agent_spaces`.
    """
    if not observation_spaces:
        raise SpaceError(explain("The team", "one agent or more", list(observation_spaces)))
    agents = []
    for name, observation_space in observation_spaces.items():
        check_agent_spaces(name, observation_space, action_spaces[name])
        assert isinstance(observation_space, spaces.Box)
        action_space = action_spaces[name]
        assert isinstance(action_space, spaces.Space)
        box = observation_space
        if box.dtype == np.float64:
            box = spaces.Box(box.low.astype(np.float32), box.high.astype(np.float32), dtype=np.float32)
        view = views.get(name) if views else None
        agents.append(AgentSpec(name, box, ActionSpec(action_space), view))
    view = state_view or StateView()
    return TeamSpec(tuple(agents), state_size, view, has_masks, has_deaths, state_and_observations)


def _rounded_inwards(bounds: np.ndarray, inside: float) -> np.ndarray:
    """Bounds as flat float32; one that rounding moved outside takes a step towards ``inside``, an infinity."""
    exact = bounds.reshape(-1)
    rounded: np.ndarray = exact.astype(np.float32)
    is_outside = rounded < exact if inside > 0 else rounded > exact
    return np.where(is_outside, np.nextafter(rounded, np.float32(inside)), rounded)


def _slices(sizes: Sequence[int]) -> tuple[slice, ...]:
    """Consecutive slices of the given lengths."""
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(slice(start, stop) for start, stop in zip(ends[:-1], ends[1:], strict=True))
