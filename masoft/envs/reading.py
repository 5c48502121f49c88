"""How one agent's own observations, of whatever space, become arrays of one Box; compiled once for each space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten
from numpy.typing import NDArray

from masoft.errors import EnvironmentFault, SpaceError, explain
from masoft.spec import ACTION_MASK

Space: TypeAlias = spaces.Space[Any]
Where = Callable[[], str]

LEAST_SIDE = 7
"""A picture with fewer rows or columns is too small for the convolutions of `masoft.networks.mlp.ImageEncoder`."""
LARGEST_EXACT = 2**24
"""The largest whole number up to which float32 holds all of them."""
LARGEST = float(np.finfo(np.float32).max)
NUMBERS = "biuf"
"""Kinds of numpy types that are numbers."""
FLATTENED = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Dict, spaces.Tuple)


@dataclass(frozen=True)
class Reader:
    """How what is reported in one space becomes an array of a Box.

    Args:
        space: what the environment declares.
        box: what the team declares in its place.
        how: in words, for reports.
        shape, dtype: of the array that the environment gives; None where it gives no array.
        change: from that array, or from what is no array, to the Box's; None changes nothing.
    """

    space: Space
    box: spaces.Box
    how: str
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any]
    change: Callable[[Any], NDArray[Any]] | None = None

    def read(self, value: Any, which: str, where: Where) -> NDArray[Any]:
        """One observation or state in the Box's shape; float types are not narrowed yet.

        Raises:
            EnvironmentFault: it does not fit the space; ``which`` and ``where`` name it.
        """
        if self.shape is None:
            misfit = misfit_of(self.space, value)
            if misfit is not None:
                raise EnvironmentFault(explain(f"{which} {where()}", *misfit))
            assert self.change is not None
            return self.change(value)
        array = numbers(value, which, where)
        if array.shape != self.shape:
            raise EnvironmentFault(explain(f"{which} {where()}", f"of shape {self.shape}", array.shape))
        if self.dtype.kind in "iu" and array.dtype != self.dtype:
            _check_whole(array, self.dtype, which, where)
        if array.dtype.kind in "iu" and array.dtype.itemsize > 2:
            check_exact(array, which, where)
        return array if self.change is None else self.change(array)


def numbers(value: Any, which: str, where: Where) -> NDArray[Any]:
    """An array of numbers or flags.

    Raises:
        EnvironmentFault: it is none: bytes, text, objects, or lists of different lengths.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0, object)
    if array.dtype.kind not in NUMBERS:
        raise EnvironmentFault(explain(f"{which} {where()}", "an array of numbers", value))
    return array


def check_exact(array: NDArray[Any], which: str, where: Where) -> None:
    """Refuse whole numbers that would become others in single precision, where all numbers are kept.

    Raises:
        EnvironmentFault: there is one.
    """
    if array.size and (array.max() > LARGEST_EXACT or array.min() < -LARGEST_EXACT):
        must = f"whole numbers of at most {LARGEST_EXACT}, which is as far as float32 holds them exactly"
        raise EnvironmentFault(explain(f"{which} {where()}", must, array.tolist(), "Scale it, or leave it out."))


def read_space(which: str, space: object) -> Reader:
    """How values of a space are read.

    A Box of floats or integers stays what it is, in float32 where it has floats; pictures (three dimensions, the
    smallest of them last) get their channels first, as stable-baselines3 does; unsigned bytes that are no pictures
    become numbers between 0 and 1, by their bounds. Everything else that gymnasium can flatten is flattened.

    Args:
        which: whose space it is, for messages.
        space: the environment's own.

    Raises:
        SpaceError: nothing of this can be done.
    """
    if isinstance(space, spaces.Box):
        reader = _read_box(space)
    elif isinstance(space, FLATTENED):
        _check_parts(which, space, "")
        reader = _read_nested(space)
    else:
        raise SpaceError(explain(which, "a Box, or Discrete, MultiDiscrete, MultiBinary, Dict or Tuple", space, _CURE))
    if not np.prod(reader.box.shape):
        raise SpaceError(explain(which, "of one number or more", space, "Let it be a constant 0 where all is unseen."))
    return reader


def inner_space(space: object) -> object:
    """What is left of a Dict observation space without its action mask; other spaces as they are."""
    if not isinstance(space, spaces.Dict):
        return space
    seen = {key: part for key, part in space.spaces.items() if key != ACTION_MASK}
    if set(seen) == {"observation"}:
        return seen["observation"]
    return spaces.Dict(seen) if len(seen) < len(space.spaces) else space


def without_mask(space: Space, observation: Mapping[str, Any]) -> Any:
    """What `inner_space` leaves of a space, taken out of what an agent reports."""
    known = set(space.spaces) if isinstance(space, spaces.Dict) else {"observation"}
    if isinstance(space, spaces.Dict) and known == set(observation):
        return observation
    if "observation" in observation and (not isinstance(space, spaces.Dict) or "observation" not in known):
        return observation["observation"]
    return {key: value for key, value in observation.items() if key != ACTION_MASK}


def is_channels_last(shape: tuple[int, ...]) -> bool:
    """Whether a three-dimensional Box has its channels last: its last dimension is smaller than the other two."""
    return len(shape) == 3 and shape[2] < min(shape[:2])


def is_byte_picture(space: spaces.Box) -> bool:
    """Whether a Box is a picture of bytes by stable-baselines3's rule, and large enough for convolutions."""
    from stable_baselines3.common.preprocessing import is_image_space

    return bool(is_image_space(space)) and _is_large(space.shape)


def misfit_of(space: Space, value: Any, path: str = "", bounds: bool = False) -> tuple[str, Any] | None:
    """What a value in a space must be and is, or None where it fits; number types may differ.

    Args:
        space: where it has to lie.
        value: what is reported.
        path: which part of a nested space this is, such as ``"['speed']"``.
        bounds: whether a Box's bounds count.
    """
    at = f" at {path}" if path else ""
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping) or set(value) != set(space.spaces):
            got = sorted(map(str, value)) if isinstance(value, Mapping) else value
            return f"a dict of {list(space.spaces)}{at}", got
        pairs = [(part, value[key], f"{path}[{key!r}]") for key, part in space.spaces.items()]
        return _first_misfit(pairs, bounds)
    if isinstance(space, spaces.Tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(space.spaces):
            return f"a tuple of {len(space.spaces)}{at}", value
        pairs = [(part, value[k], f"{path}[{k}]") for k, part in enumerate(space.spaces)]
        return _first_misfit(pairs, bounds)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return f"an array of numbers{at}", value
    if array.dtype.kind not in NUMBERS or array.shape != space.shape:
        return f"of numbers in the shape {space.shape}{at}", value
    if isinstance(space, spaces.Box):
        outside = bounds and not bool(np.all((array >= space.low) & (array <= space.high)))
        return (f"inside {space}{at}", array.tolist()) if outside else None
    start, n = _choices(space)
    if not bool(np.all((array == np.floor(array)) & (array >= start) & (array < start + n))):
        return f"one of {space}{at}", array.tolist()
    return None


def _first_misfit(parts: list[tuple[Space, Any, str]], bounds: bool) -> tuple[str, Any] | None:
    found = (misfit_of(space, value, path, bounds) for space, value, path in parts)
    return next((misfit for misfit in found if misfit is not None), None)


def _choices(space: Space) -> tuple[Any, Any]:
    """First value and number of values of categorical entries."""
    if isinstance(space, spaces.Discrete):
        return space.start, space.n
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.nvec
    return 0, 2


def _read_box(space: spaces.Box) -> Reader:
    shape, dtype = space.shape, np.dtype(space.dtype)
    assert dtype is not None
    if dtype == np.uint8 and not is_byte_picture(space):
        return _read_scaled(space)
    box, how = space, "numbers as they are"
    if dtype.kind == "u" and len(shape) == 3:
        how = "picture, channels first"
    change: Callable[[Any], NDArray[Any]] | None = None
    if dtype.kind in "fb" and dtype != np.float32:
        box = _float_box(space.low, space.high)
    if is_channels_last(shape):
        change, how = _channels_first, "picture, channels moved to the front"
    elif shape == ():
        change = _one_entry
    if change is not None:
        kind: Any = box.dtype
        box = spaces.Box(change(box.low), change(box.high), dtype=kind)
    return Reader(space, box, how, shape, dtype, change)


def _read_scaled(space: spaces.Box) -> Reader:
    """Bytes that are no picture: numbers from 0 to 1, in a grid where it is large enough for convolutions."""
    low = space.low.astype(np.float32)
    extent = np.maximum(space.high.astype(np.float32) - low, 1)
    last, grid = is_channels_last(space.shape), len(space.shape) == 3 and _is_large(space.shape)
    flat = not grid and len(space.shape) != 2

    def change(array: NDArray[Any]) -> NDArray[Any]:
        scaled: NDArray[Any] = (array - low) / extent
        if flat:
            scaled = scaled.reshape(-1)
        return _channels_first(scaled) if last and not flat else scaled

    ends = change(space.low), change(space.high)
    words = "grid of bytes, divided by its bounds" if grid else "bytes that are no picture, divided by their bounds"
    return Reader(space, spaces.Box(*ends, dtype=np.float32), words, space.shape, np.dtype(np.uint8), change)


def _read_nested(space: Space) -> Reader:
    """Flattened by gymnasium; its bytes are divided by their bounds."""
    low, extent = (np.concatenate(parts) for parts in zip(*_scales(space), strict=True))
    is_scaled = bool(low.any() or (extent != 1).any())

    def change(value: Any) -> NDArray[Any]:
        with np.errstate(over="ignore"):  # what does not fit float32 is told from the result
            flat: NDArray[Any] = np.asarray(flatten(space, _as_space_type(space, value)), np.float32)
        return (flat - low) / extent if is_scaled else flat

    low_end, high_end = (np.concatenate(parts) for parts in zip(*_ends(space), strict=True))
    box = _float_box((low_end - low) / extent, (high_end - low) / extent)
    one_hot = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
    how = "one-hot" if one_hot else "flattened" if isinstance(space, spaces.Dict | spaces.Tuple) else "zeros and ones"
    return Reader(space, box, how, None, np.dtype(np.float32), change)


def _as_space_type(space: Space, value: Any) -> Any:
    """The value with its leaves as gymnasium's `flatten` wants them: whole numbers where it indexes by them."""
    if isinstance(space, spaces.Dict):
        return {key: _as_space_type(part, value[key]) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_as_space_type(part, entry) for part, entry in zip(space.spaces, value, strict=True))
    if isinstance(space, spaces.Discrete):
        return int(value)
    return np.asarray(value) if isinstance(space, spaces.Box) else np.asarray(value, np.int64)


def _parts(space: Space) -> list[Space]:
    """The leaves of a space in the order in which gymnasium flattens them."""
    if isinstance(space, spaces.Dict):
        return [leaf for part in space.spaces.values() for leaf in _parts(part)]
    if isinstance(space, spaces.Tuple):
        return [leaf for part in space.spaces for leaf in _parts(part)]
    return [space]


def _scales(space: Space) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """What is subtracted from the entries of each leaf, and what they are then divided by."""
    found = []
    for leaf in _parts(space):
        low, extent = np.zeros(flatdim(leaf), np.float32), np.ones(flatdim(leaf), np.float32)
        if isinstance(leaf, spaces.Box) and leaf.dtype == np.uint8:
            low = leaf.low.astype(np.float32).reshape(-1)
            extent = np.maximum(leaf.high.astype(np.float32).reshape(-1) - low, 1)
        found.append((low, extent))
    return found or [(np.zeros(0, np.float32), np.ones(0, np.float32))]


def _ends(space: Space) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Lowest and highest value of the entries of each leaf."""
    found = []
    for leaf in _parts(space):
        box = leaf if isinstance(leaf, spaces.Box) else spaces.Box(0, 1, (flatdim(leaf),))
        found.append((box.low.reshape(-1).astype(np.float64), box.high.reshape(-1).astype(np.float64)))
    return found or [(np.zeros(0), np.zeros(0))]


def _check_parts(which: str, space: Space, path: str) -> None:
    """Refuse a nested space with a part that has no vector of a fixed length."""
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            _check_parts(which, part, f"{path}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        for k, part in enumerate(space.spaces):
            _check_parts(which, part, f"{path}[{k}]")
    elif not isinstance(space, (spaces.Box, *FLATTENED)):
        must = f"made of Box, Discrete, MultiDiscrete and MultiBinary, also at {path}"
        raise SpaceError(explain(which, must, space, _CURE))


_CURE = "Flatten it to a Box in an observation wrapper."


def _float_box(low: NDArray[Any], high: NDArray[Any]) -> spaces.Box:
    """A float32 Box; bounds beyond its range are infinite."""
    with np.errstate(over="ignore"):
        return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def _is_large(shape: tuple[int, ...]) -> bool:
    sides = shape[:2] if is_channels_last(shape) else shape[1:]
    return min(sides) >= LEAST_SIDE


def _channels_first(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(array, 2, 0))


def _one_entry(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(1)


def _check_whole(array: NDArray[Any], dtype: np.dtype[Any], which: str, where: Where) -> None:
    """Refuse what a cast to integers would change."""
    with np.errstate(invalid="ignore", over="ignore"):
        same = np.array_equal(array.astype(dtype), array)
    if not same:
        got = f"{array.dtype} {array.tolist()}"
        cure = "Report what observation_space declares, or declare what is reported."
        raise EnvironmentFault(explain(f"{which} {where()}", f"of type {dtype}", got, cure))
