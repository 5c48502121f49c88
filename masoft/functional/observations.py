"""Observations as rows of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def as_rows(observation: Tensor) -> Tensor:
    """Flatten each observation; bytes, as pictures have them, come out between 0 and 1.

    A critic that saw bytes as numbers up to 255 beside others of size 1 would see little else.

    Args:
        observation: (batch, *shape), any number type.

    Returns:
        (batch, prod(shape)), float32, or the observation's own floating type.
    """
    flat = observation.flatten(1)
    if flat.dtype == torch.uint8:
        return flat.float() / 255
    return flat if flat.is_floating_point() else flat.float()


@dataclass(frozen=True)
class TaggedRows:
    """Observations ``[common, elsewhere, ..., own, ..., elsewhere]``: what all agents see alike, and who is looking.

    Agents that see the whole state and their number differ in a few entries. Kept so, the common part is there once,
    and a linear layer reads it from the cache for one agent after the other.

    Args:
        common: (batch, n_common).
        tail: (batch, 2), the value of the entries elsewhere, and by how much the own entry exceeds it.
        position: place of the own entry behind the common part.
        tail_size: number of entries behind it.
    """

    common: Tensor
    tail: Tensor
    position: int
    tail_size: int

    def written_out(self) -> Tensor:
        """The observations as they are, (batch, n_common + tail_size)."""
        ends = self.tail[:, :1].repeat(1, self.tail_size)
        ends[:, self.position] += self.tail[:, 1]
        return torch.cat([self.common, ends], dim=1)

    def times(self, weight: Tensor) -> Tensor:
        """``written_out() @ weight.t()`` for a weight (width, n_common + tail_size), outside the graph."""
        n_common = self.common.shape[1]
        of_tail = torch.stack([weight[:, n_common:].sum(1), weight[:, n_common + self.position]])
        return torch.mm(self.common, weight[:, :n_common].t()).addmm_(self.tail, of_tail)

    def slope(self, gradient: Tensor) -> Tensor:
        """``gradient.t() @ written_out()`` for the gradient (batch, width) of such a product."""
        n_common, turned = self.common.shape[1], gradient.t()
        found = gradient.new_empty(gradient.shape[1], n_common + self.tail_size)
        torch.mm(turned, self.common, out=found[:, :n_common])
        of_tail = turned @ self.tail
        found[:, n_common:] = of_tail[:, :1]
        found[:, n_common + self.position] += of_tail[:, 1]
        return found
