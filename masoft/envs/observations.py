"""What the agents of a PettingZoo environment report, gathered into one joint observation and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.envs.masks import refuse_late_mask
from masoft.envs.reading import LARGEST, Reader, check_exact, misfit_of, numbers, read_space, without_mask
from masoft.errors import EnvironmentFault, explain
from masoft.spec import ACTION_MASK, STATE, TeamSpec

Where = Callable[[], str]
Joint = dict[str, NDArray[Any]]
_FLOAT32 = np.dtype(np.float32)
"""Known by identity, which costs less than its kind; most arrays have this very object."""


class ObservationGatherer:
    """Turns what agents report into arrays of the team's shapes and types, cast once and fresh every time.

    All float32 entries of a step, the state's too, are slices of one new vector: one copy, one check.

    Args:
        team: the team's specification.
        ids: PettingZoo's agent ids, in team order.
        readers: how each agent's own observations become the team's; None: they have its spaces already.

    Attributes:
        checks_bounds: whether `check_bounds` looks at every step.
    """

    def __init__(self, team: TeamSpec, ids: Sequence[Any], readers: Sequence[Reader] | None = None) -> None:
        self.team, self.ids, self.checks_bounds = team, tuple(ids), False
        self._readers = tuple(readers or (read_space(agent.name, agent.observation_space) for agent in team.agents))
        self._names = tuple(f"The observation of agent {name!r}" for name in team.names)
        self._shapes = tuple(agent.observation_shape for agent in team.agents)
        self._dtypes = tuple(np.dtype(agent.observation_space.dtype) for agent in team.agents)
        self._joins = tuple(dtype == np.float32 for dtype in self._dtypes)
        self._zeros = tuple(np.zeros(*pair) for pair in zip(self._shapes, self._dtypes, strict=True))
        unchanged = all(reader.change is None for reader in self._readers)
        self._takes_plain = unchanged and all(self._joins) and all(len(shape) == 1 for shape in self._shapes)
        self._state_shape = (team.state_size,)
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
            state: what ``state()`` gave, in any shape; None where the team has no state.
            where: says which step this is, for messages.

        Raises:
            EnvironmentFault: what is no array of numbers, a wrong shape, or an entry that float32 cannot hold.
        """
        if self.checks_bounds:
            self.check_bounds(reported, where)
        joint: Joint = {}
        parts = self._plain(reported)
        if not parts:
            self._read_each(reported, parts, joint, where)
        if state is not None:
            plain = type(state) is np.ndarray and state.shape == self._state_shape
            plain = plain and (state.dtype is _FLOAT32 or state.dtype.kind == "f")
            parts.append(state if plain else self.state_vector(state, where))
        if parts:
            try:
                flat = np.concatenate(parts, dtype=_FLOAT32, casting="unsafe")
                if not math.isfinite(flat.dot(flat)):  # a third of the time of a look at each entry
                    flat = self._checked_again(parts, where)
            except (RuntimeWarning, FloatingPointError):  # an overflow, where warnings are errors
                flat = self._checked_again(parts, where)
            for name, entries, shape in self._layout:
                joint[name] = flat[entries] if shape is None else flat[entries].reshape(shape)
        return joint

    def check_bounds(self, reported: Sequence[Any], where: Where) -> None:
        """Each observation lies inside its agent's own space, bounds included; slow.

        Raises:
            EnvironmentFault: one does not; the message names the part of a nested space.
        """
        for index, (reader, observation) in enumerate(zip(self._readers, reported, strict=True)):
            if observation is None:
                continue
            if isinstance(observation, Mapping):
                observation = without_mask(reader.space, observation)
            misfit = misfit_of(reader.space, observation, bounds=True)
            if misfit is not None:
                cure = "Declare the bounds and the type that the simulator really has."
                raise EnvironmentFault(explain(f"{self._names[index]} {where()}", *misfit, cure))

    def state_vector(self, state: Any, where: Where) -> NDArray[Any]:
        """A state flat, not narrowed yet.

        Raises:
            EnvironmentFault: it is no array of the team's number of entries.
        """
        array = state if type(state) is np.ndarray else numbers(state, "The state", where)
        if array.size != self.team.state_size:
            cure = "Its length may not change; with state='observations' the observations stand in for it."
            must = f"of {self.team.state_size} numbers"
            raise EnvironmentFault(explain(f"The state {where()}", must, array.shape, cure))
        if array.dtype.kind != "f":
            array = numbers(array, "The state", where)
            if array.dtype.kind in "iu":
                check_exact(array, "The state", where)
        return array.reshape(-1)

    def _plain(self, reported: Sequence[Any]) -> list[NDArray[Any]]:
        """The observations as they are, where each is a vector of floats of the right shape; else an empty list."""
        if not self._takes_plain:
            return []
        for observation, shape in zip(reported, self._shapes, strict=True):
            if type(observation) is not np.ndarray or observation.shape != shape:
                return []
            dtype = observation.dtype
            if dtype is not _FLOAT32 and dtype.kind != "f":
                return []
        return list(reported)

    def _read_each(self, reported: Sequence[Any], parts: list[NDArray[Any]], joint: Joint, where: Where) -> None:
        """Each observation on its own: float32 ones into ``parts``, the others into ``joint``."""
        for index, observation in enumerate(reported):
            array = self._zeros[index] if observation is None else self._read(index, observation, where)
            if self._joins[index]:
                parts.append(array.reshape(-1))
            else:
                joint[self.team.names[index]] = self._cast(index, array, where)

    def _checked_again(self, parts: list[NDArray[Any]], where: Where) -> NDArray[np.float32]:
        """All parts in a row, in single precision, where they overflow it or may not be finite."""
        with np.errstate(over="ignore"):
            flat: NDArray[np.float32] = np.concatenate(parts, dtype=np.float32, casting="unsafe")
        if not is_finite(flat):
            self._blame(parts, flat, where)
        return flat

    def _read(self, index: int, observation: Any, where: Where) -> NDArray[Any]:
        reader = self._readers[index]
        if isinstance(observation, Mapping):
            if ACTION_MASK in observation and not self.team.has_masks:
                refuse_late_mask(self.team.names[index], where)
            observation = without_mask(reader.space, observation)
        return reader.read(observation, self._names[index], where)

    def _cast(self, index: int, array: NDArray[Any], where: Where) -> NDArray[Any]:
        """A copy of an observation that is not float32, in its own type."""
        array = array.astype(self._dtypes[index], order="C")
        if array.dtype.kind == "f" and not is_finite(array):
            self._refuse(self._names[index], array, where)
        return array

    def _blame(self, parts: list[NDArray[Any]], flat: NDArray[np.float32], where: Where) -> None:
        """Name the first agent, or the state, that has an entry which is not finite."""
        for (name, entries, _), part in zip(self._layout, parts, strict=True):
            if not np.isfinite(flat[entries]).all():
                self._refuse("The state" if name == STATE else f"The observation of agent {name!r}", part, where)

    def _refuse(self, owner: str, array: NDArray[Any], where: Where) -> None:
        must = "finite everywhere"
        cure = "The simulation has diverged or divides by zero; the team's actions were inside their bounds."
        if np.isfinite(array).all():
            must, cure = (
                f"finite in float32, whose numbers end at {LARGEST:.3g}",
                "Scale it, or clip what has no bound.",
            )
        raise EnvironmentFault(explain(f"{owner} {where()}", must, array.tolist(), cure))


def is_finite(array: NDArray[Any]) -> bool:
    """Whether all entries are finite."""
    return int(np.count_nonzero(np.isfinite(array))) == array.size  # a third of the time of ``isfinite(...).all()``
