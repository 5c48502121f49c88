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
    """What a penalty says near one policy.

    Args:
        value: (n_states,).
        slope: (n_states, n_actions), derivative along each probability p.
        curve: (n_states, n_actions), p times the second derivative, >= 0; row sums stand in for the diagonal.
    """

    value: Array
    slope: Array
    curve: Array

    def __add__(self, other: Slopes) -> Slopes:
        return Slopes(self.value + other.value, self.slope + other.slope, self.curve + other.curve)


SmoothPart: TypeAlias = Callable[[Array], Slopes]
"""From log-probabilities (n_states, n_actions) to what a penalty says there."""


def log_policy(policy: Array, legal: NDArray[np.bool_]) -> Array:
    """Log-probabilities, not below the floor for a legal action and -1e9 for an illegal one."""
    safe = np.where(policy > 0, policy, 1.0)
    logs = np.where(policy > 0, np.log(safe), LOG_FLOOR)
    return np.where(legal, np.maximum(logs, LOG_FLOOR), ILLEGAL)


def slopes(penalty: Penalty, log_probs: Array, weights: Array) -> Slopes:
    """Value, slope and curvature of a penalty by automatic differentiation.

    Args:
        penalty: at least twice differentiable almost everywhere.
        log_probs: (n_states, n_actions).
        weights: (n_states,), > 0; a penalty that mixes the states counts by its weighted sum.
    """
    x = torch.from_numpy(log_probs).requires_grad_()
    scale = torch.from_numpy(weights)
    with torch.enable_grad():
        value = penalty(x)
        if not value.requires_grad:
            zeros = np.zeros_like(log_probs)
            return Slopes(value.numpy(), zeros, zeros)
        (first,) = torch.autograd.grad((scale * value).sum(), x, create_graph=True)
        first = first / scale[:, None]
        if first.requires_grad:
            (second,) = torch.autograd.grad(first.sum(), x)
        else:
            second = torch.zeros_like(x)
    probs = np.exp(log_probs)
    inverse = np.divide(1.0, probs, out=np.zeros_like(probs), where=probs > 0)
    slope = first.detach().numpy()
    # With x = log p: D' = D_x / p and p D'' = (D_xx - D_x) / p.
    curve = np.nan_to_num((second.numpy() - slope) * inverse, nan=0.0, posinf=0.0, neginf=0.0)
    return Slopes(value.detach().numpy(), slope * inverse, np.maximum(curve, 0.0))
