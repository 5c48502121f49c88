"""The distribution of on-policy actors with continuous actions: a diagonal Gaussian that is not squashed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from masoft.distributions.gaussian import LOG_TWO_PI, Gaussian


@dataclass(frozen=True)
class DiagonalGaussian(Gaussian):
    """``N(mean, exp(log_std)^2)``, independent entries, as stable-baselines3's PPO uses it.

    Actions count in units where the agent's Box is [-1, 1]. A draw may fall outside: the environment gets it clipped,
    the learner keeps it as it was drawn, so that its log-probability stays exact.

    Args:
        mean: (batch, size).
        log_std: (batch, size), or (size,) where it is the same in every state.
    """

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        return torch.addcmul(self.mean, self.log_std.exp(), self.noise(generator))

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density of actions (..., batch, size), (..., batch)."""
        constant = 0.5 * LOG_TWO_PI * self.mean.shape[-1]
        if self.log_std.dim() == 1:
            # One precision for all states: a product with a vector, quicker than repeating it row by row.
            squares = (actions - self.mean).square() @ (-2 * self.log_std).exp()
            return -0.5 * squares - (self.log_std.sum() + constant)
        standard = (actions - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * standard.square() - self.log_std).sum(-1) - constant

    def mode(self) -> Tensor:
        """The mean, (batch, size): the action used when acting deterministically."""
        return self.mean

    def entropy(self, generator: torch.Generator | None = None) -> Tensor:
        """Differential entropy before clipping, (batch,), in closed form; below 0 for narrow policies."""
        per_entry = self.log_std + 0.5 * (1 + LOG_TWO_PI)
        return per_entry.expand_as(self.mean).sum(-1)

    def kl(self, other: DiagonalGaussian) -> Tensor:
        """KL(self || other), (batch,), in closed form."""
        log_ratio = other.log_std - self.log_std
        scaled = torch.exp(-2 * log_ratio) + ((self.mean - other.mean) * torch.exp(-other.log_std)).square()
        return (log_ratio + 0.5 * (scaled - 1)).sum(-1)


def draw_few(mean: np.ndarray, log_std: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """``mean + exp(log_std) noise``, as `DiagonalGaussian.sample`, by NumPy: for few numbers in main memory.

    Args:
        mean: (..., size), float32.
        log_std: broadcastable to ``mean``.
        generator: source of the draws, on the CPU.

    Returns:
        the shape of ``mean``.
    """
    action: np.ndarray = torch.randn(mean.shape, generator=generator).numpy()
    action *= np.exp(log_std)
    action += mean
    return action
