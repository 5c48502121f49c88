"""The last layer of an on-policy actor with continuous actions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from masoft.functional.gaussian import DiagonalGaussian


class DiagonalGaussianHead(nn.Module):
    """Mean from one linear layer, and a standard deviation that is the same in every state, as in SB3's PPO.

    Args:
        n_features: length of the feature vector.
        size: number of action entries.
        log_std_init: logarithm of the standard deviation at the start.
    """

    def __init__(self, n_features: int, size: int, log_std_init: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, size)
        self.log_std = nn.Parameter(torch.full((size,), log_std_init))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> DiagonalGaussian:
        """Distribution over actions for features (batch, n_features); a mask has no meaning here."""
        return self.read(self.linear(features), mask)

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> DiagonalGaussian:
        """The same from what the linear layer gave, (..., size)."""
        return DiagonalGaussian(outputs, self.log_std)
