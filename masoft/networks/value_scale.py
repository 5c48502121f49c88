"""The scale on which a critic's outputs count: mean and spread of recent returns."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class ValueScale(nn.Module):
    """Running mean and standard deviation of returns; all its numbers are buffers, so a resumed run goes on exactly.

    Args:
        decay: share of the old moments that an update keeps, in [0, 1); the bias of the start is removed.

    Reference:
        van Hasselt et al., Learning Values across Many Orders of Magnitude, 2016 (Pop-Art).
    """

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        # Moments in double precision: the variance is a difference of two large numbers.
        for name in ("weight", "first", "second"):
            self.register_buffer(name, torch.tensor(0.0, dtype=torch.float64))
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("deviation", torch.tensor(1.0))

    @torch.no_grad()
    def update(self, returns: Tensor, heads: Iterable[nn.Linear] = ()) -> None:
        """Take in the returns of a rollout, and rescale the last layers so that every value stays what it was.

        Args:
            returns: any shape.
            heads: the layers whose outputs count in units of this scale.
        """
        old_mean, old_deviation = self.mean.clone(), self.deviation.clone()
        values, share = returns.double(), 1 - self.decay
        self.weight.mul_(self.decay).add_(share)
        self.first.mul_(self.decay).add_(share * values.mean())
        self.second.mul_(self.decay).add_(share * values.square().mean())
        mean = self.first / self.weight
        self.mean.copy_(mean)
        self.deviation.copy_((self.second / self.weight - mean.square()).clamp_min(1e-4).sqrt())
        for head in heads:
            head.weight.mul_(old_deviation / self.deviation)
            head.bias.copy_((old_deviation * head.bias + old_mean - self.mean) / self.deviation)

    def to_units(self, returns: Tensor) -> Tensor:
        """Returns in units of the scale."""
        return (returns - self.mean) / self.deviation

    def from_units(self, values: Tensor) -> Tensor:
        """The critic's outputs as returns."""
        return values * self.deviation + self.mean
