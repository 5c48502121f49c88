"""What Gaussians share, squashed or not."""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.distributions.base import Distribution

LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Gaussian(Distribution, ABC):
    """Made of ``N(mean, exp(log_std)^2)`` with independent entries, possibly mapped by a bijection.

    Args:
        mean: (batch, size), before the bijection.
        log_std: (batch, size), or (size,) where it is the same in every state.
    """

    mean: Tensor
    log_std: Tensor

    def noise(self, generator: torch.Generator | None) -> Tensor:
        """A standard normal draw, the shape of ``mean``."""
        return torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A reparameterised action, (batch, size), differentiable in mean and log_std."""
        return self.rsample(generator)
