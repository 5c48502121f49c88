"""The state of an algorithm as a positive list of named parts: what is saved is listed, never "everything but"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class StatePart(Protocol):
    """Anything with PyTorch's pair of methods: modules, optimisers, buffers, and the small classes here."""

    def state_dict(self) -> Mapping[str, Any]:
        """What the part holds: numbers, strings, tensors and arrays in dicts, lists and tuples."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take back what `state_dict` gave."""
        ...


class Attributes:
    """Some attributes of an object as a part.

    Args:
        owner: the object.
        names: its attributes; each a number, a string, an array, or a nest of these.
    """

    def __init__(self, owner: object, names: Sequence[str]) -> None:
        self._owner = owner
        self._names = tuple(names)

    def state_dict(self) -> dict[str, Any]:
        """Their values by name."""
        return {name: getattr(self._owner, name) for name in self._names}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Set them; a value of another type than the present one is refused."""
        for name in self._names:
            value, present = state_dict[name], getattr(self._owner, name)
            if present is not None and type(value) is not type(present):
                raise TypeError(f"{name} must be a {type(present).__name__}, not {value!r}")
            setattr(self._owner, name, value)


COUNTERS = (
    "num_timesteps",
    "_total_timesteps",
    "_num_timesteps_at_start",
    "_episode_num",
    "_n_updates",
    "_current_progress_remaining",
)
"""stable-baselines3's own counters."""
