"""What the agents of a PettingZoo environment report, gathered into one joint observation and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.errors import EnvironmentFault, explain
from masoft.spec import ACTION_MASK, STATE, ActionSpec, TeamSpec

Where = Callable[[], str]
Joint = dict[str, NDArray[Any]]


class ObservationGatherer:
    """Turns what agents report into arrays of the team's shapes and types, cast once and fresh every time.

    All float32 entries of a step, the state's too, are slices of one new vector: one copy, one check.

    Args:
        team: the team's specification.
        ids: PettingZoo's agent ids, in team order.
    """

    def __init__(self, team: TeamSpec, ids: Sequence[Any]) -> None:
        self.team, self.ids = team, tuple(ids)
        self._shapes = tuple(agent.observation_shape for agent in team.agents)
        self._dtypes = tuple(np.dtype(agent.observation_space.dtype) for agent in team.agents)
        self._joins = tuple(dtype == np.float32 for dtype in self._dtypes)
        self._zeros = tuple(np.zeros(*pair) for pair in zip(self._shapes, self._dtypes, strict=True))
        self._all_vectors = all(self._joins) and all(len(shape) == 1 for shape in self._shapes)
        self._layout: list[tuple[str, slice, tuple[int, ...] | None]] = []
        start = 0
        shapes = [(n, s) for n, s, joins in zip(team.names, self._shapes, self._joins, strict=True) if joins]
        for name, shape in [*shapes, *([(STATE, (team.state_size,))] if team.state_size else [])]:
            stop = start + math.prod(shape)
            self._layout.append((name, slice(start, stop), None if len(shape) == 1 else shape))
            start = stop

    def gather(self, reported: Sequence[Any], state: Any, where: Where) -> Joint:
        """All agents' observations and the state by name.

        Args:
            reported: one entry an agent: its observation, or PettingZoo's dict with ``"observation"`` in it; None
                for an agent that has left, which shows zeros.
            state: what ``state()`` gave; ignored where the team has no state.
            where: says which step this is, for messages.

        Raises:
            EnvironmentFault: a wrong shape, or an entry that is not finite.
        """
        joint: Joint = {}
        parts = self._plain(reported)
        for index, observation in enumerate(() if parts else reported):
            array = self._zeros[index] if observation is None else self._array(index, observation, where)
            if self._joins[index]:
                parts.append(array.reshape(-1))
            else:
                joint[self.team.names[index]] = self._cast(index, array, where)
        if self.team.state_size:
            parts.append(self._state(state, where))
        if parts:
            flat = np.concatenate(parts, dtype=np.float32, casting="unsafe")
            if not is_finite(flat):
                self._blame(flat, where)
            for name, entries, shape in self._layout:
                joint[name] = flat[entries] if shape is None else flat[entries].reshape(shape)
        return joint

    def _plain(self, reported: Sequence[Any]) -> list[NDArray[Any]]:
        """The observations as they are, where each is a vector of the right shape; else an empty list."""
        if not self._all_vectors:
            return []
        for observation, shape in zip(reported, self._shapes, strict=True):
            if type(observation) is not np.ndarray or observation.shape != shape:
                return []
        return list(reported)

    def _array(self, index: int, observation: Any, where: Where) -> NDArray[Any]:
        if type(observation) is dict:
            observation = observation["observation"]
        array = np.asarray(observation)
        if array.shape != self._shapes[index]:
            which = f"The observation of agent {self.team.names[index]!r} {where()}"
            raise EnvironmentFault(explain(which, f"of shape {self._shapes[index]}", array.shape))
        return array

    def _cast(self, index: int, array: NDArray[Any], where: Where) -> NDArray[Any]:
        """A copy of an observation that is not float32, in its own type."""
        array = array.astype(self._dtypes[index])
        if array.dtype.kind == "f" and not is_finite(array):
            self._refuse(f"The observation of agent {self.team.names[index]!r}", array, where)
        return array

    def _state(self, state: Any, where: Where) -> NDArray[Any]:
        array = np.asarray(state).reshape(-1)
        if array.shape != (self.team.state_size,):
            raise EnvironmentFault(explain(f"The state {where()}", f"of {self.team.state_size} numbers", array.shape))
        return array

    def _blame(self, flat: NDArray[np.float32], where: Where) -> None:
        """Name the first agent, or the state, that has an entry which is not finite."""
        for name, entries, _ in self._layout:
            if not np.isfinite(flat[entries]).all():
                owner = "The state" if name == STATE else f"The observation of agent {name!r}"
                self._refuse(owner, flat[entries], where)

    def _refuse(self, owner: str, array: NDArray[Any], where: Where) -> None:
        cure = "The simulation has diverged or divides by zero; the team's actions were inside their bounds."
        raise EnvironmentFault(explain(f"{owner} {where()}", "finite everywhere", array.tolist(), cure))

    def masks(
        self,
        live: Sequence[int],
        observations: Mapping[Any, Any],
        infos: Mapping[Any, Any],
        where: Where,
        *,
        team_is_over: bool = False,
    ) -> NDArray[np.int8]:
        """All agents' action masks in a row, (mask_size,); ones where an agent has left or reports none.

        Raises:
            EnvironmentFault: a mask has the wrong size, or leaves an agent without any legal choice.
        """
        joint = np.ones(self.team.mask_size, np.int8)
        for index in live:
            given = _reported_mask(self.ids[index], observations, infos)
            action = self.team.agents[index].action
            if given is None or action.is_box:
                continue
            mask = _flat_mask(given)
            if mask.shape != (action.mask_size,):
                which = f"The action mask of agent {self.team.names[index]!r} {where()}"
                raise EnvironmentFault(explain(which, f"of {action.mask_size} entries", mask.shape))
            if not _leaves_a_choice(action, mask):
                if team_is_over:
                    continue  # nobody will act on it; many games report an empty mask after the last move
                which = f"The action mask of agent {self.team.names[index]!r} {where()}"
                raise EnvironmentFault(explain(which, "nonzero for one choice or more", mask.tolist()))
            joint[self.team.mask_slices[index]] = mask
        return joint


def is_finite(array: NDArray[Any]) -> bool:
    """Whether all entries are finite."""
    return int(np.count_nonzero(np.isfinite(array))) == array.size  # a third of the time of ``isfinite(...).all()``


def _reported_mask(agent: Any, observations: Mapping[Any, Any], infos: Mapping[Any, Any]) -> Any:
    """The mask by either of PettingZoo's conventions, or None."""
    observation = observations.get(agent)
    if type(observation) is dict and ACTION_MASK in observation:
        return observation[ACTION_MASK]
    info = infos.get(agent)
    return info.get(ACTION_MASK) if info else None


def _flat_mask(given: Any) -> NDArray[np.int8]:
    """Zeros and ones in a row; a tuple has one array per categorical part, as gymnasium's ``sample(mask)``."""
    if isinstance(given, (tuple, list)) and given and np.ndim(given[0]) > 0:
        given = np.concatenate([np.asarray(part).reshape(-1) for part in given])
    mask: NDArray[np.int8] = (np.asarray(given).reshape(-1) != 0).astype(np.int8)
    return mask


def _leaves_a_choice(action: ActionSpec, mask: NDArray[np.int8]) -> bool:
    """Whether each categorical part has a legal choice."""
    if len(action.nvec) == 1:
        return bool(mask.any())
    ends = np.cumsum(action.nvec)[:-1]
    return all(part.any() for part in np.split(mask, ends))
