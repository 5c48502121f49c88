"""Target networks, which follow the learning ones slowly."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, share: float) -> None:
    """Polyak averaging: move each weight by ``share`` towards that of another module of the same shape.

    Args:
        target: whose weights move.
        source: where they move to.
        share: in (0, 1]; 1 copies.
    """
    weights: list[Tensor] = [*source.parameters()]
    if weights:
        torch._foreach_lerp_([*target.parameters()], weights, share)
