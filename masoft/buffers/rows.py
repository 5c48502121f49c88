"""Named arrays side by side in memory, so that reading one place of all of them is one jump through memory."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from masoft.spec import ACTION_MASK, ACTIVE, STATE, TeamSpec

Layout = Mapping[str, tuple[tuple[int, ...], torch.dtype]]


class RowStore:
    """One tensor for each type, whose rows hold all arrays of that type one after the other.

    Args:
        layout: shape and type of one entry, by name.
        lead: leading dimensions, for example (rows, n_envs).
        device: where the tensors live.

    Attributes:
        views: each array by name, (*lead, *shape): windows into the shared tensors, to read and to write.
    """

    def __init__(self, layout: Layout, lead: tuple[int, ...], device: torch.device) -> None:
        self.layout = layout
        widths: dict[torch.dtype, int] = {}
        self._columns: dict[str, slice] = {}
        for name, (shape, dtype) in layout.items():
            start = widths.get(dtype, 0)
            self._columns[name] = slice(start, start + math.prod(shape))
            widths[dtype] = start + math.prod(shape)
        self._tensors = {
            dtype: torch.empty((*lead, width), dtype=dtype, device=device) for dtype, width in widths.items()
        }
        self.views = self._split(self._tensors)

    def write(self, place: int, values: Mapping[str, np.ndarray | Tensor]) -> None:
        """Set one place of the first leading dimension; ``values`` may hold more names than there are here."""
        for name, view in self.views.items():
            write_place(view, place, values[name])

    def read(self, places: Tensor) -> dict[str, Tensor]:
        """The arrays at flat places (k,) of the leading dimensions, (k, *shape) each; windows into fresh tensors."""
        return self._split({d: tensor.flatten(0, -2).index_select(0, places) for d, tensor in self._tensors.items()})

    def read_or(self, places: Tensor, other: RowStore, slots: Tensor) -> dict[str, Tensor]:
        """The same, but what another store of this layout has at ``slots`` (k,), where these are not negative."""
        elsewhere = (slots >= 0).unsqueeze(-1)
        slots = slots.clamp_min(0)
        found = {}
        for dtype, tensor in self._tensors.items():
            here = tensor.flatten(0, -2).index_select(0, places)
            found[dtype] = torch.where(elsewhere, other._tensors[dtype].index_select(0, slots), here)
        return self._split(found)

    def copy_from(self, other: RowStore) -> None:
        """Fill the first places with what another store of the same layout holds."""
        for dtype, tensor in other._tensors.items():
            self._tensors[dtype][: tensor.shape[0]] = tensor

    def _split(self, tensors: Mapping[torch.dtype, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, (shape, dtype) in self.layout.items():
            window = tensors[dtype][..., self._columns[name]]
            found[name] = window if len(shape) == 1 else window.view(*window.shape[:-1], *shape)
        return found


def write_place(target: Tensor, place: int, value: np.ndarray | Tensor | float) -> None:
    """``target[place] = value``; through NumPy where both lie in main memory, which costs less around the copying."""
    if target.is_cpu and isinstance(value, np.ndarray):
        target.numpy()[place] = value
    elif isinstance(value, np.ndarray):
        target[place] = torch.as_tensor(value)
    else:
        target[place] = value


def frame_layout(team: TeamSpec, with_views: bool = False) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Which arrays one stored observation needs: shape and type by key; views of the state need none.

    Args:
        team: the team's specification.
        with_views: whether views are stored, too.
    """
    layout: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
    for agent in team.agents:
        if with_views or agent.view is None or team.state_size == 0:
            is_bytes = agent.observation_space.dtype == np.uint8
            layout[agent.name] = (agent.observation_shape, torch.uint8 if is_bytes else torch.float32)
    if team.state_size:
        layout[STATE] = ((team.state_size,), torch.float32)
    if team.has_masks:
        layout[ACTION_MASK] = ((team.mask_size,), torch.bool)
    if team.has_deaths:
        layout[ACTIVE] = ((team.n_agents,), torch.bool)
    return layout
