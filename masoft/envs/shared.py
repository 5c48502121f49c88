"""Large observations in memory that a worker process and the learner both see, instead of through their pipe."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from gymnasium import spaces

PAYS_FROM = 32 * 2**10
"""Bytes of an observation from which on that is quicker than a pipe."""


def size_of(space: spaces.Space[Any]) -> int:
    """Bytes of an observation, where it is a Dict of arrays; 0 where it is anything else."""
    if not isinstance(space, spaces.Dict) or any(each.shape is None for each in space.values()):
        return 0
    return sum(_bytes(each) for each in space.values())


def _bytes(space: spaces.Space[Any]) -> int:
    return math.prod(space.shape or ()) * np.dtype(space.dtype).itemsize


class InSharedMemory:
    """Stands in an answer for an observation that is in shared memory."""


class SharedObservation:
    """The latest observation of one environment.

    Args:
        space: of observations, a Dict of arrays.
        name: of the memory that another process has made; None: make it.

    Attributes:
        name: by which another process finds it.
    """

    def __init__(self, space: spaces.Space[Any], name: str | None = None) -> None:
        assert isinstance(space, spaces.Dict)
        self._memory = SharedMemory(name, create=name is None, size=max(size_of(space), 1))
        self.name = self._memory.name
        self._arrays: dict[str, np.ndarray] = {}
        start = 0
        # The widest first, so that each entry lies where its numbers may lie.
        for key, each in sorted(space.items(), key=lambda entry: -np.dtype(entry[1].dtype).itemsize):
            self._arrays[key] = np.ndarray(each.shape or (), each.dtype, self._memory.buf, start)
            start += _bytes(each)

    def write(self, observation: Any) -> bool:
        """Put an observation there.

        Returns:
            whether it fits; one of other entries, shapes or kinds of number has to go another way.
        """
        if not isinstance(observation, Mapping) or observation.keys() != self._arrays.keys():
            return False
        for key, array in self._arrays.items():
            value = observation[key]
            if not isinstance(value, np.ndarray) or value.shape != array.shape or value.dtype != array.dtype:
                return False
        for key, array in self._arrays.items():
            array[...] = observation[key]
        return True

    def read(self) -> dict[str, np.ndarray]:
        """A copy of what is there."""
        return {key: array.copy() for key, array in self._arrays.items()}

    def close(self, *, and_remove: bool = False) -> None:
        """Let go of it; whoever has made it removes it as well."""
        self._arrays.clear()
        with contextlib.suppress(BufferError, FileNotFoundError):
            self._memory.close()
            if and_remove:
                self._memory.unlink()
