"""A policy that always does the same thing, in the form of a distribution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.distributions.base import Distribution


@dataclass(frozen=True)
class FixedAction(Distribution):
    """All probability on one action.

    Args:
        action: (batch, size), entries in [-1, 1].
    """

    action: Tensor

    def mode(self) -> Tensor:
        """The action, (batch, size)."""
        return self.action

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The action, (batch, size); nothing is drawn."""
        return self.action

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """The action, (batch, size)."""
        return self.action

    def log_prob(self, actions: Tensor) -> Tensor:
        """0 for any actions (..., batch, size): whatever was done is what this policy does; (..., batch)."""
        return torch.zeros(actions.shape[:-1], device=actions.device)

    def entropy(self, generator: torch.Generator | None = None) -> Tensor:
        """0 at each state, (batch,)."""
        return self.action.new_zeros(len(self.action))
