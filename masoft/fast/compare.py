"""Whether a piece does the same each time: two recordings of it, operation by operation."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from masoft.fast.tape import Entry, Tape


class Places:
    """Which piece made the memory that a tensor lies in, and as its how manieth."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, int]] = {}
        self._kept: list[Tape] = []

    def add(self, tape: Tape) -> None:
        """Know what a recording made; it is kept, so that no memory is used twice."""
        self._kept.append(tape)
        self._made.update({place: (tape.name, k) for place, k in tape.made.items()})

    def of(self, tensor: Tensor, tape: Tape) -> Any:
        """The place of a tensor of a recording, the same in two recordings if it lies at the same place."""
        storage = tensor.untyped_storage()._cdata
        where = (tape.name, tape.made[storage]) if storage in tape.made else self._made.get(storage, storage)
        return where, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def first_difference(before: Tape, after: Tape, places: Places) -> str | None:
    """The first operation that is another, or on other tensors or numbers; None: the recordings are equal."""
    for one, other in zip(before.entries, after.entries, strict=False):
        if one.function is not other.function:
            return f"{other.name} at {other.line}: at another time it was {one.name} at {one.line}"
        found = _difference(one, other, before, after, places)
        if found is not None:
            return f"{other.name} at {other.line}: {found}"
    if len(before.entries) != len(after.entries):
        longer = max(before.entries, after.entries, key=len)
        first = longer[min(len(before.entries), len(after.entries))]
        return f"{first.name} at {first.line}: it is not done each time"
    return None


def _difference(one: Entry, other: Entry, before: Tape, after: Tape, places: Places) -> str | None:
    (first, shape), (second, other_shape) = (
        tree_flatten((one.args, one.kwargs)),
        tree_flatten((other.args, other.kwargs)),
    )
    if shape != other_shape:
        return "it takes other arguments at another time"
    for old, new in zip(first, second, strict=True):
        if isinstance(old, Tensor) and isinstance(new, Tensor):
            was, now = places.of(old, before), places.of(new, after)
            if was[2:] != now[2:]:
                return f"a tensor {was[2]} is {now[2]} at another time; shapes have to stay"
            if was != now:
                return f"a tensor {was[2]} lies at another place each time; make it once and write into it with copy_"
        elif not _is_same(old, new):
            return f"Python's number {old!r} is {new!r} at another time; keep it in a tensor that is written in place"
    return None


def _is_same(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float) and math.isnan(old) and math.isnan(new):
        return True
    if isinstance(old, torch.Generator):
        return isinstance(new, torch.Generator)
    return type(old) is type(new) and bool(old == new)
