"""Free places of a store on a device, taken and given back without a look from the host."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class DeviceSlots:
    """A stack of free places; whoever needs none is given the place of no return, which is written but never read.

    Args:
        free: the free places, the next one last; there must be one more than are ever needed at once.
        n_places: of the store, free or not.
        device: where the stack lies.

    Attributes:
        at_least: so many are free for sure; known on the host, without a look.
    """

    def __init__(self, free: Sequence[int], n_places: int, device: torch.device) -> None:
        self._nowhere = int(free[0])
        size = len(free) - 1
        self.at_least = size
        # The last entry takes what is written for those who take or give nothing.
        self._stack = torch.full((n_places,), -1, dtype=torch.long, device=device)
        self._stack[:size] = torch.tensor(free[1:], dtype=torch.long, device=device)
        self._n_free = torch.tensor(size, device=device)

    def take(self, needed: Tensor) -> tuple[Tensor, Tensor]:
        """A place for each who needs one.

        Args:
            needed: (n,), booleans.

        Returns:
            (n,) numbers to write to, and (n,) the same with -1 for those who need none.
        """
        rank = needed.cumsum(0)
        place = (self._n_free - rank).clamp_min(0)
        found = self._stack.index_select(0, place)
        self._n_free = self._n_free - rank[-1]
        self.at_least -= len(needed)
        return torch.where(needed, found, self._nowhere), torch.where(needed, found, -1)

    def give(self, places: Tensor) -> None:
        """Take places back, (n,); negative ones are none."""
        given = places >= 0
        rank = given.cumsum(0)
        where = torch.where(given, self._n_free + rank - 1, len(self._stack) - 1)
        self._stack.index_copy_(0, where, places.long())
        self._n_free = self._n_free + rank[-1]

    def count(self) -> int:
        """How many are free: a look from the host."""
        self.at_least = int(self._n_free)
        return self.at_least

    def as_list(self) -> list[int]:
        """All free places, that of no return among them."""
        return [self._nowhere, *self._stack[: self.count()].tolist()]
