"""The slow and sure way to one agent's argmax: nested bisection, for penalties with kinks that nobody declared.

It needs a penalty that is a sum over actions (as any ``change.expect_old(...)`` is); then each probability follows from
the multiplier mu of the normalisation by a scalar monotone equation, kinks or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from masoft.tabular.finite import ILLEGAL, LOG_FLOOR, SmoothPart
from masoft.tabular.game import Array
from masoft.tabular.penalties import Kink

HALVINGS = 64


def is_separable(smooth: SmoothPart, log_probs: Array, legal: NDArray[np.bool_]) -> bool:
    """Whether the slope along each probability depends on that probability alone, tried at one point.

    Args:
        smooth: the penalty.
        log_probs: (n_states, n_actions), where to try.
        legal: (n_states, n_actions).
    """
    at = np.where(legal, np.maximum(log_probs, -20.0) + 0.1, ILLEGAL)
    here = smooth(at).slope
    for action in range(at.shape[1]):
        moved = at.copy()
        moved[:, action] += np.where(legal[:, action], 0.05, 0.0)
        other = smooth(moved).slope.copy()
        other[:, action] = here[:, action]
        if not np.allclose(other, here, rtol=1e-9, atol=1e-12):
            return False
    return True


def bisect_actions(
    linear: Array, entropy_weight: Array, kinks: Sequence[Kink], smooth: SmoothPart, legal: NDArray[np.bool_]
) -> Array:
    """Log-probabilities of the maximiser of ``<p, linear> - entropy_weight sum p log p - kinks - smooth``.

    Args:
        linear: (n_states, n_actions).
        entropy_weight: (n_states, 1).
        kinks: piecewise linear parts.
        smooth: a sum over actions of convex functions.
        legal: (n_states, n_actions).

    Returns:
        (n_states, n_actions); -1e9 where illegal.
    """

    def marginal(x: Array) -> Array:
        """What a little more of each probability brings, (n_states, n_actions); falls with it."""
        probs = np.exp(x)
        gain = linear - entropy_weight * (x + 1) - smooth(np.where(legal, x, ILLEGAL)).slope
        for kink in kinks:
            gain = gain - (kink.jump * (probs > kink.at) if kink.above else -kink.jump * (probs < kink.at))
        return gain

    floor, ceiling = np.full(linear.shape, LOG_FLOOR), np.zeros(linear.shape)
    least, most = marginal(ceiling), marginal(floor)
    low = np.where(legal, least, np.inf).min(-1, keepdims=True)
    high = np.where(legal, most, -np.inf).max(-1, keepdims=True)
    at_low, at_high = ceiling, floor
    for _ in range(HALVINGS):
        mu = (low + high) / 2
        x = _invert(marginal, mu, floor, ceiling)
        full = np.where(legal, np.exp(x), 0.0).sum(-1, keepdims=True) >= 1
        low, high = np.where(full, mu, low), np.where(full, high, mu)
        at_low, at_high = np.where(full, x, at_low), np.where(full, at_high, x)
    return _between(at_low, at_high, legal)


def _invert(marginal, mu: Array, low: Array, high: Array) -> Array:  # type: ignore[no-untyped-def]
    """The x of each action at which its marginal gain is mu; an end of the range where none is."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        more = marginal(middle) > mu
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return (low + high) / 2


def _between(at_low: Array, at_high: Array, legal: NDArray[np.bool_]) -> Array:
    """The mixture of two solutions of the same mu, one too large and one too small, that sums to one."""
    large, small = np.where(legal, np.exp(at_low), 0.0), np.where(legal, np.exp(at_high), 0.0)
    over, under = large.sum(-1, keepdims=True), small.sum(-1, keepdims=True)
    share = np.divide(1 - under, over - under, out=np.zeros_like(over), where=over > under)
    probs = small + share * (large - small)
    probs = probs / probs.sum(-1, keepdims=True)
    return np.where(legal, np.log(np.maximum(probs, np.exp(LOG_FLOOR))), ILLEGAL)
