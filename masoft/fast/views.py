"""How one tensor is seen through another one that lies around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.fast.arena import storage_of


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: its memory, and its layout in there."""

    storage: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @property
    def end(self) -> int:
        """The last element."""
        return self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.stride, strict=True))

    @property
    def is_dense(self) -> bool:
        """Whether its elements follow each other."""
        return bool(self.shape) and torch.empty(self.shape, device="meta").stride() == self.stride


def place_of(tensor: Tensor) -> Place:
    """Where a tensor lies."""
    return Place(storage_of(tensor), int(tensor.storage_offset()), (*tensor.shape,), tensor.stride(), tensor.dtype)


def seen_through(base: Tensor, around: Place, place: Place) -> Tensor:
    """The tensor at a place, as a view.

    Args:
        base: the tensor at ``around``, or another one of its shape that stands for it.
        around: lies around ``place``.
        place: of the wanted tensor.
    """
    if place == around:
        return base
    if around.is_dense and place.is_dense and (place.offset, place.end) == (around.offset, around.end):
        return base.reshape(place.shape)
    axes = _axes(around, place)
    starts = None if axes is None else _starts(around, place, axes)
    if axes is None or starts is None:
        return base.as_strided(place.shape, place.stride, int(base.storage_offset()) + place.offset - around.offset)
    sizes = {axis: size for axis, size in zip(axes, place.shape, strict=True) if axis is not None}
    view = base
    for axis in reversed(range(len(around.shape))):
        view = view.narrow(axis, starts[axis], sizes[axis]) if axis in sizes else view.select(axis, starts[axis])
    kept = sorted(sizes)
    view = view.permute([kept.index(axis) for axis in axes if axis is not None])
    for k, known in enumerate(axes):
        view = view if known is not None else view.unsqueeze(k)
    return view.expand(place.shape)


def _axes(around: Place, place: Place) -> list[int | None] | None:
    """Which axis of the surrounding tensor each axis is; None: a new one; None at all: it is none of them."""
    axes: list[int | None] = []
    for size, stride in zip(place.shape, place.stride, strict=True):
        if size == 1 or stride == 0:
            axes.append(None)
            continue
        free = [k for k in range(len(around.shape)) if k not in axes]
        fitting = [k for k in free if around.stride[k] == stride and around.shape[k] >= size]
        if not fitting:
            return None
        axes.append(fitting[0])
    return axes


def _starts(around: Place, place: Place, axes: Sequence[int | None]) -> list[int] | None:
    """Where the tensor begins on each axis of the surrounding one; None: nowhere."""
    rest, starts = place.offset - around.offset, [0] * len(around.shape)
    sizes = {axis: size for axis, size in zip(axes, place.shape, strict=True) if axis is not None}
    for axis in sorted(range(len(starts)), key=lambda k: -around.stride[k]):
        room = around.shape[axis] - sizes.get(axis, 1)
        if around.stride[axis] > 0:
            starts[axis] = min(rest // around.stride[axis], room)
            rest -= starts[axis] * around.stride[axis]
    return starts if rest == 0 else None
