"""Inputs of recorded pieces: tensors that are copied to where the pieces look for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

CACHE_LINE = 64
"""Bytes."""


class Held:
    """Places for inputs, by name and by what they are made of."""

    def __init__(self) -> None:
        self._places: dict[Hashable, list[Tensor]] = {}

    @torch.no_grad()
    def put(self, name: Hashable, inputs: T) -> T:
        """Copy all tensors of ``inputs`` to their places.

        Args:
            name: of the place.
            inputs: a tensor, or dataclasses, tuples, lists and dicts of tensors; whatever else is in there stays.

        Returns:
            the same with the tensors at their places.
        """
        given: list[Tensor] = []
        rebuild(inputs, given.append)
        key = name, shape_of(inputs)
        if key not in self._places:
            self._places[key] = [_place_like(tensor) for tensor in given]
        places = self._places[key]
        for place, tensor in zip(places, given, strict=True):
            place.copy_(tensor)
        left = iter(places)
        held: T = rebuild(inputs, lambda tensor: next(left))
        return held


def rebuild(inputs: Any, change: Callable[[Tensor], Any]) -> Any:
    """The same with other tensors; dataclasses are made anew, so that nothing that they have computed is kept."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    if is_dataclass(inputs) and not isinstance(inputs, type):
        names = [field.name for field in fields(inputs) if field.init]
        return replace(inputs, **{name: rebuild(getattr(inputs, name), change) for name in names})
    if isinstance(inputs, tuple | list):
        return type(inputs)([rebuild(each, change) for each in inputs])
    if isinstance(inputs, dict):
        return {key: rebuild(value, change) for key, value in inputs.items()}
    return inputs


def shape_of(inputs: Any) -> Hashable:
    """What inputs are made of: shapes, types and everything that is no tensor."""
    if isinstance(inputs, Tensor):
        return tuple(inputs.shape), inputs.dtype, inputs.device
    if is_dataclass(inputs) and not isinstance(inputs, type):
        return type(inputs), *(shape_of(getattr(inputs, field.name)) for field in fields(inputs) if field.init)
    if isinstance(inputs, tuple | list):
        return tuple(shape_of(each) for each in inputs)
    if isinstance(inputs, dict):
        return tuple((key, shape_of(value)) for key, value in inputs.items())
    try:
        hash(inputs)
    except TypeError:
        return repr(inputs)
    found: Hashable = inputs
    return found


def _place_like(tensor: Tensor) -> Tensor:
    """An empty tensor that lies in memory as this one does, unless parts of this one are one and the same.

    Where in a line of the cache it begins stays, too: products of matrices depend on it in their last bits.
    """
    is_apart = all(stride > 0 or size <= 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))
    if not is_apart or tensor.numel() == 0:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    offset = tensor.data_ptr() % CACHE_LINE // tensor.element_size()
    whole = torch.empty(offset + extent, dtype=tensor.dtype, device=tensor.device)
    return whole.as_strided(tensor.shape, tensor.stride(), offset)
