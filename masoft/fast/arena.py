"""Memory that the pieces of updates share, for what is made in a piece and read by nobody after it.

Recording keeps every tensor at a place of its own. Most are read once or twice, right after they were made; put where
an earlier one has served, they stay in the processor's cache, and recordings take little memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

if TYPE_CHECKING:
    from masoft.fast.tape import Entry

ALIGNMENT = 64
"""Bytes at multiples of which blocks end, so that sizes that differ little can share one."""


def storage_of(tensor: Tensor) -> int:
    """The memory that a tensor lies in, as a number."""
    place: int = tensor.untyped_storage()._cdata
    return place


def tensors_of(entry: Entry) -> list[Tensor]:
    """All tensors that an operation reads or writes."""
    return [leaf for leaf in tree_leaves((entry.args, entry.kwargs, entry.places)) if isinstance(leaf, Tensor)]


def passing(made: Iterable[int], own: Iterable[Tensor]) -> set[int]:
    """Those storages that nobody holds but the recording: no result, no figure, no graph of autograd.

    Args:
        made: storages.
        own: every tensor of the recording.
    """
    count: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)
    if count is None:
        return set()
    held: dict[int, set[int]] = defaultdict(set)
    for tensor in own:
        held[storage_of(tensor)].add(id(tensor))
    probe = torch.empty(1)
    beside = count(storage_of(probe)) - 1  # what PyTorch counts that is no tensor
    return {storage for storage in made if count(storage) <= len(held[storage]) + beside}


class Arena:
    """Blocks of memory, all free between two pieces.

    Attributes:
        blocks: all of them, as bytes.
    """

    def __init__(self) -> None:
        self.blocks: list[Tensor] = []

    def place(self, entries: Sequence[Entry], storages: set[int]) -> list[Entry]:
        """The operations with tensors in shared blocks.

        Args:
            entries: of one piece, in order.
            storages: those that move: each is filled in the piece, and read in it only.
        """
        last = {storage_of(tensor): k for k, entry in enumerate(entries) for tensor in tensors_of(entry)}
        placed: list[Entry] = []
        free, where = [*self.blocks], dict[int, Tensor]()
        for k, entry in enumerate(entries):
            for tensor in tensors_of(entry):
                storage = storage_of(tensor)
                if storage in storages and storage not in where:
                    where[storage] = self._block(free, tensor)
            placed.append(_moved(entry, where))
            for storage in {storage_of(tensor) for tensor in tensors_of(entry)} & where.keys():
                if last[storage] == k:
                    free.append(where[storage])
        return placed

    def _block(self, free: list[Tensor], tensor: Tensor) -> Tensor:
        """The smallest free block that is large enough, or a new one."""
        size = tensor.untyped_storage().nbytes()
        fitting = [k for k, block in enumerate(free) if block.numel() >= size and block.device == tensor.device]
        if fitting:
            return free.pop(min(fitting, key=lambda k: free[k].numel()))
        block = torch.empty(-(-size // ALIGNMENT) * ALIGNMENT, dtype=torch.uint8, device=tensor.device)
        self.blocks.append(block)
        return block


def _moved(entry: Entry, where: dict[int, Tensor]) -> Entry:
    def moved(tensor: Tensor) -> Tensor:
        block = where.get(storage_of(tensor))
        if block is None:
            return tensor
        layout = tensor.storage_offset(), tensor.shape, tensor.stride()
        return torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(block.untyped_storage(), *layout)

    args, kwargs, places = tree_map_only(Tensor, moved, (entry.args, entry.kwargs, entry.places))
    return replace(entry, args=args, kwargs=kwargs, places=places)
