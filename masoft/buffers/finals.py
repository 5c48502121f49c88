"""A side store of last observations, whose places are free again once their transitions are overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from masoft.buffers.rows import Layout, RowStore
from masoft.buffers.slots import DeviceSlots

ROOM = 16
"""Vector steps for which there is room at least, whenever a device is asked how much is left."""


class LastObservations:
    """What was seen at the ends of episodes; grows by doubling.

    Args:
        layout: shape and type of one observation, by name.
        n_envs: environments that step together.
        n_places: transitions that may need a place.
        device: where they lie.
    """

    def __init__(self, layout: Layout, n_envs: int, n_places: int, device: torch.device) -> None:
        self._n_envs, self._n_places, self._device = n_envs, n_places, device
        self.replace(layout, min(64, n_places))

    def replace(self, layout: Layout, n: int, free: Sequence[int] | None = None) -> None:
        """Make the store anew with n places; all are free if nobody says which."""
        self.store = RowStore(layout, (n,), self._device)
        self._free = [*reversed(range(n))] if free is None else [int(slot) for slot in free]
        self._on_device: DeviceSlots | None = None  # in place of them while steps of tensors are stored

    @property
    def free(self) -> list[int]:
        """Free places, the next one last."""
        return self._free if self._on_device is None else self._on_device.as_list()

    @free.setter
    def free(self, slots: Sequence[int]) -> None:
        self._free, self._on_device = [*slots], None

    def __len__(self) -> int:
        return next(iter(self.store.views.values())).shape[0]

    @property
    def most(self) -> int:
        """So many places there can be."""
        return 2 * self._n_places + (ROOM + 1) * self._n_envs

    def keep(self, obs: Mapping[str, np.ndarray | Tensor]) -> int:
        """Store one observation; gives its place."""
        self._come_back()
        if not self._free:
            self.grow()
        slot = self._free.pop()
        self.store.write(slot, obs)
        return slot

    def keep_all(self, obs: Mapping[str, np.ndarray | Tensor], n: int) -> list[int]:
        """The same for n observations, (n, ...) by name."""
        self._come_back()
        if n == 0:
            return []
        while len(self._free) < n:
            self.grow()
        slots = self._free[: -n - 1 : -1]
        del self._free[-n:]
        places = torch.as_tensor(slots, device=self._device)
        for name, view in self.store.views.items():
            view[places] = torch.as_tensor(obs[name]).to(self._device, view.dtype)
        return slots

    def keep_on_device(self, ended: Tensor, obs: Mapping[str, Tensor]) -> Tensor:
        """The same for the environments whose episodes have ended, (n_envs,), without a look from the host.

        Args:
            ended: booleans.
            obs: of all environments, (n_envs, ...) by name.

        Returns:
            (n_envs,) places; -1 where nothing was kept.
        """
        self.make_room(1)
        assert self._on_device is not None
        places, slots = self._on_device.take(ended)
        for name, view in self.store.views.items():
            view.index_copy_(0, places, obs[name].to(self._device, view.dtype))
        return slots

    def make_room(self, n_steps: int) -> None:
        """See that ends of so many vector steps of tensors can be kept; one look from the host in `ROOM` of them."""
        slots, needed = self._on_device, min(n_steps * self._n_envs, self._n_places + self._n_envs)
        if slots is not None and (slots.at_least >= needed or slots.count() >= needed):
            return
        self._come_back()
        # One more, for those who need none.
        wanted = max(needed, min(ROOM * self._n_envs, self._n_places)) + 1
        if len(self._free) < wanted:
            self.grow(len(self) + wanted - len(self._free))
        self._on_device = DeviceSlots(self._free, len(self), self._device)

    def release(self, slots: Tensor) -> None:
        """Take places back, (n_envs,); negative ones are none."""
        if self._on_device is not None:
            self._on_device.give(slots)
        else:
            self._free.extend(slots[slots >= 0].tolist())

    def grow(self, n: int | None = None) -> None:
        """Have n places; twice as many as now if nobody says."""
        old, kept = len(self), self.store
        n = max(old + 1, min(2 * old, self._n_places)) if n is None else n
        self.store = RowStore(kept.layout, (n,), self._device)
        self.store.copy_from(kept)
        self._free.extend(range(n - 1, old - 1, -1))

    def _come_back(self) -> None:
        if self._on_device is not None:
            self.free = self._on_device.as_list()
