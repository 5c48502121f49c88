"""The state of an algorithm as a positive list of named parts: what is saved is listed, never "everything but"."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.optim import Optimizer

from masoft.envs.normalization import SETTINGS, Normalization
from masoft.errors import ModelFileError, explain


class StatePart(Protocol):
    """Anything with PyTorch's pair of methods: modules, optimisers, buffers, and the small classes here."""

    def state_dict(self) -> Mapping[str, Any]:
        """What the part holds: numbers, strings, tensors and arrays in dicts, lists and tuples."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take back what `state_dict` gave."""
        ...


ARRAYS = (np.ndarray, torch.Tensor)
"""Steps of a simulator on a device leave tensors where others leave arrays."""


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
            are_arrays = isinstance(value, ARRAYS) and isinstance(present, ARRAYS)
            if present is not None and type(value) is not type(present) and not are_arrays:
                raise TypeError(f"{name} must be a {type(present).__name__}, not {value!r}")
            setattr(self._owner, name, value)


def with_own_settings(optimizer: Optimizer, state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimiser's saved state with the step size, decay and so on that the optimiser itself was made with."""
    own = optimizer.state_dict()["param_groups"]
    pairs = zip(own, state["param_groups"], strict=True)
    return {**state, "param_groups": [{**mine, "params": stored["params"]} for mine, stored in pairs]}


COUNTERS = (
    "num_timesteps",
    "_total_timesteps",
    "_num_timesteps_at_start",
    "_episode_num",
    "_n_updates",
    "_current_progress_remaining",
)
"""stable-baselines3's own counters."""


class Generators:
    """Every source of randomness that belongs to a run: PyTorch's on both devices, seeds, the action space.

    Args:
        model: the algorithm.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """Their states."""
        return {
            "generator": self._model.generator.get_state(),
            "cpu_generator": self._model.cpu_generator.get_state(),
            "seeds": self._model._seeds.bit_generator.state,
            "action_space": self._model.action_space.np_random.bit_generator.state,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Set their states."""
        self._model.generator.set_state(state_dict["generator"])
        self._model.cpu_generator.set_state(state_dict["cpu_generator"])
        self._model._seeds.bit_generator.state = state_dict["seeds"]
        self._model.action_space.np_random.bit_generator.state = state_dict["action_space"]


class EpisodeStatistics:
    """Returns and lengths of recent episodes, which stable-baselines3 averages in its logs.

    Args:
        model: the algorithm.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """Both windows as lists; None where learning has not begun."""
        infos, successes = self._model.ep_info_buffer, self._model.ep_success_buffer
        if infos is None:
            return {"infos": None, "successes": None}
        numbers = [{k: v for k, v in info.items() if isinstance(v, int | float | np.number)} for info in infos]
        return {"infos": numbers, "successes": [float(success) for success in successes]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Fill both windows."""
        if state_dict["infos"] is None:
            return
        size = self._model._stats_window_size
        self._model.ep_info_buffer = deque(state_dict["infos"], maxlen=size)
        self._model.ep_success_buffer = deque(state_dict["successes"], maxlen=size)


class PendingLog:
    """What has been recorded since the log was last written, so that the next row is the same after a resume.

    Args:
        model: the algorithm; a logger that it does not have yet is filled when learning starts.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """Values, counts and exclusions by key; only numbers and strings."""
        logger = getattr(self._model, "_logger", None)
        if logger is None:
            return {"values": {}, "counts": {}, "excluded": {}}
        values = {k: v for k, v in logger.name_to_value.items() if isinstance(v, int | float | str | np.number)}
        return {
            "values": values,
            "counts": {key: logger.name_to_count[key] for key in values if key in logger.name_to_count},
            "excluded": {key: logger.name_to_excluded.get(key) for key in values},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Keep the values for the logger that the next ``learn`` makes."""
        self._model._pending_log = dict(state_dict)


def fill_log(logger: Any, pending: Mapping[str, Any]) -> None:
    """Put values that `PendingLog` kept into a logger."""
    logger.name_to_value.update(pending["values"])
    logger.name_to_count.update(pending["counts"])
    logger.name_to_excluded.update(pending["excluded"])


NORMALIZED = "vec_normalize"


class NormalizeStatistics:
    """How a ``VecNormalize`` around the training environments scales, and the returns of the running episodes.

    Args:
        model: knows its environments, or how those were scaled that it was trained in.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """The moments by observation key, the wrapper's settings, and the discounted returns so far."""
        known: Normalization = self._model.normalization
        wrapper = self._model.get_vec_normalize_env()
        returns = np.zeros(0) if wrapper is None else wrapper.returns
        return {"moments": known.moments, "returns": returns, "settings": dict(known.settings)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Set them; the returns are those of as many environments, else they start anew."""
        wrapper = self._model.get_vec_normalize_env()
        if wrapper is None:
            self._model.normalization = normalization_in(state_dict)
            return
        Normalization({}, state_dict["moments"]).into(wrapper)
        returns = np.asarray(state_dict["returns"])
        if returns.shape == np.shape(wrapper.returns):
            wrapper.returns = returns


def normalization_in(values: Any) -> Normalization | None:
    """What a file says of scaling; None: it is one of those that did not keep how.

    Raises:
        ModelFileError: it is damaged.
    """
    if isinstance(values, Mapping) and "settings" not in values:
        return None
    try:
        settings, moments = dict(values["settings"]), dict(values["moments"])
        numbers = [np.asarray(each[name], np.float64) for each in moments.values() for name in ("mean", "var", "count")]
        is_whole = set(settings) == set(SETTINGS) and all(np.isfinite(each).all() for each in numbers)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelFileError(f"What the file says of scaled observations is damaged: {error!r}") from error
    if not is_whole:
        must = f"the settings {SETTINGS} and finite moments"
        raise ModelFileError(explain("What the file says of scaled observations", must, settings))
    return Normalization(settings, moments)
