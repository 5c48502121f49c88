"""The last layer of an on-policy actor with continuous actions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from masoft.distributions import DiagonalGaussian
from masoft.networks.heads import Head


class DiagonalGaussianHead(Head):
    """Mean from one linear layer, and a standard deviation that is the same in every state, as in SB3's PPO.

    Args:
        n_features: length of the feature vector.
        size: number of action entries.
        log_std_init: logarithm of the standard deviation at the start.
    """

    def __init__(self, n_features: int, size: int, log_std_init: float = 0.0) -> None:
        super().__init__(n_features, size)
        self.log_std = nn.Parameter(torch.full((size,), log_std_init))

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> DiagonalGaussian:
        """A distribution over actions from outputs (..., size); a mask has no meaning here."""
        return DiagonalGaussian(outputs, self.log_std)
