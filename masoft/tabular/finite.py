"""A finite policy as drifts and neighborhoods see it, and the slopes of what they say about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masoft.functional.divergence import categorical_kl
from masoft.tabular.game import Array

LOG_FLOOR = -575.0
"""No legal action falls below probability e^-575, about 1e-250: the eta of Assumption 1, and no division by zero."""

ILLEGAL = -1e9

Penalty: TypeAlias = Callable[[Tensor], Tensor]
"""From log-probabilities (n_states, n_actions) to one number a state, (n_states,)."""


@dataclass(frozen=True)
class FinitePolicy:
    """One categorical choice a state, given by log-probabilities that need not sum to one.

    Offers what `Categoricals` offers; it leaves out the normalisation, so that slopes are those along each single
    probability.

    Args:
        log_probs: (n_states, n_actions); about -1e9 for an illegal action.
    """

    log_probs: Tensor

    @property
    def nvec(self) -> tuple[int, ...]:
        """One part, of n_actions choices."""
        return (int(self.log_probs.shape[-1]),)

    @property
    def probs(self) -> Tensor:
        """(n_states, n_actions); exactly 0 for an illegal action."""
        return self.log_probs.exp()

    @property
    def mask(self) -> Tensor:
        """(n_states, n_actions), true where an action is legal."""
        return self.log_probs > ILLEGAL / 2

    def joint_log_probs(self) -> Tensor:
        """The log-probabilities themselves."""
        return self.log_probs

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probability of choice numbers (..., n_states, 1): (..., n_states)."""
        index = actions.long()
        return self.log_probs.expand(*index.shape[:-1], -1).gather(-1, index)[..., 0]

    def entropy(self) -> Tensor:
        """(n_states,), nats."""
        return -(self.probs * self.log_probs).sum(-1)

    def kl(self, other: FinitePolicy) -> Tensor:
        """KL(self || other), (n_states,)."""
        return categorical_kl(self.log_probs, other.log_probs)

    def detach(self) -> FinitePolicy:
        """The same policy outside the graph."""
        return FinitePolicy(self.log_probs.detach())


@dataclass(frozen=True, eq=False)
class Slopes:
    """What a penalty says near one policy, or near several side by side, (..., n_states, n_actions).

    Args:
        value: (..., n_states).
        slope: (..., n_states, n_actions), derivative along each probability p.
    """

    value: Array
    slope: Array


SmoothPart: TypeAlias = Callable[[Array], Slopes]
"""From log-probabilities (..., n_states, n_actions) to what a penalty says there."""


def log_policy(policy: Array, legal: NDArray[np.bool_]) -> Array:
    """Log-probabilities, not below the floor for a legal action and -1e9 for an illegal one."""
    safe = np.where(policy > 0, policy, 1.0)
    logs = np.where(policy > 0, np.log(safe), LOG_FLOOR)
    return np.where(legal, np.maximum(logs, LOG_FLOOR), ILLEGAL)


def slopes(penalty: Penalty, log_probs: Array, weights: Array) -> Slopes:
    """Value and slope of a penalty by automatic differentiation.

    Args:
        penalty: differentiable almost everywhere.
        log_probs: (n_states, n_actions).
        weights: (n_states,), > 0; a penalty that mixes the states counts by its weighted sum.
    """
    x = torch.from_numpy(log_probs).requires_grad_()
    with torch.enable_grad():
        value = penalty(x)
        if not value.requires_grad:
            return Slopes(value.numpy(), np.zeros_like(log_probs))
        (gradient,) = torch.autograd.grad(value, x, torch.from_numpy(weights))
    # With x = log p: D' = D_x / p.
    scale = weights[:, None] * np.exp(log_probs)
    slope = np.divide(gradient.numpy(), scale, out=np.zeros_like(scale), where=scale > 0)
    return Slopes(value.detach().numpy(), slope)
