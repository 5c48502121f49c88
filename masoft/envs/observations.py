"""What the agents of a PettingZoo environment report, gathered into one joint observation and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.errors import EnvironmentFault, explain
from masoft.spec import ACTION_MASK, ActionSpec, TeamSpec

Where = Callable[[], str]


class ObservationGatherer:
    """Turns PettingZoo's dictionaries into arrays of the team's shapes and types, each array fresh.

    Args:
        team: the team's specification.
        ids: PettingZoo's agent ids, in team order.
    """

    def __init__(self, team: TeamSpec, ids: Sequence[Any]) -> None:
        self.team, self.ids = team, tuple(ids)
        self._shapes = tuple(agent.observation_shape for agent in team.agents)
        self._dtypes = tuple(np.dtype(agent.observation_space.dtype) for agent in team.agents)
        self._checked = tuple(dtype.kind == "f" for dtype in self._dtypes)
        self._mask_size = team.mask_size if team.has_masks else 0

    def observation(self, index: int, reported: Any, where: Where) -> NDArray[Any]:
        """One agent's observation, (observation_shape,), cast once to the team's type.

        Raises:
            EnvironmentFault: wrong shape, or an entry that is not finite.
        """
        if type(reported) is dict:
            reported = reported["observation"]
        array = np.array(reported, dtype=self._dtypes[index])
        if array.shape != self._shapes[index]:
            which = f"The observation of agent {self.team.names[index]!r} {where()}"
            raise EnvironmentFault(explain(which, f"of shape {self._shapes[index]}", array.shape))
        if self._checked[index] and not is_finite(array):
            which = f"The observation of agent {self.team.names[index]!r} {where()}"
            raise EnvironmentFault(explain(which, "finite everywhere", array.tolist(), _LOOK_AT_SIMULATOR))
        return array

    def absent(self, index: int) -> NDArray[Any]:
        """What stands for the observation of an agent that has left: zeros."""
        return np.zeros(self._shapes[index], self._dtypes[index])

    def state(self, reported: Any, where: Where) -> NDArray[np.float32]:
        """The global state as a flat float32 vector, (state_size,).

        Raises:
            EnvironmentFault: wrong size, or an entry that is not finite.
        """
        array = np.array(reported, dtype=np.float32).reshape(-1)
        if array.shape != (self.team.state_size,):
            raise EnvironmentFault(explain(f"The state {where()}", f"of {self.team.state_size} numbers", array.shape))
        if not is_finite(array):
            raise EnvironmentFault(explain(f"The state {where()}", "finite everywhere", array, _LOOK_AT_SIMULATOR))
        return array

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
        joint = np.ones(self._mask_size, np.int8)
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


_LOOK_AT_SIMULATOR = "The simulation has diverged or divides by zero; the team's actions were inside their bounds."


def is_finite(array: NDArray[Any]) -> bool:
    """Whether all entries are finite; one dot product where the answer is yes, which is the fast path."""
    flat = array.reshape(-1)
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(flat).all())


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
    return (np.asarray(given).reshape(-1) != 0).astype(np.int8)


def _leaves_a_choice(action: ActionSpec, mask: NDArray[np.int8]) -> bool:
    """Whether each categorical part has a legal choice."""
    if len(action.nvec) == 1:
        return bool(mask.any())
    ends = np.cumsum(action.nvec)[:-1]
    return all(part.any() for part in np.split(mask, ends))
