"""Distances between an old and a new policy, per state: what drifts and neighborhoods are made of.

Each takes tensors and gives one number a state; each is at least zero, and zero where old and new agree.
"""

from __future__ import annotations

import torch
from torch import Tensor


def categorical_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """``KL(p || q) = sum_a p(a) (log p(a) - log q(a))``; an action with ``p(a) = 0`` counts nothing.

    Args:
        log_p: (..., n_actions), log-probabilities; minus infinity and the -1e9 of a mask are zero probabilities.
        log_q: (..., n_actions).

    Returns:
        (...), nats.
    """
    p = log_p.exp()
    gap = torch.where(p > 0, log_p - log_q, 0.0)
    return (p * gap).sum(-1)


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """``1/2 sum_a |p(a) - q(a)|``, in [0, 1].

    Args:
        log_p: (..., n_actions), log-probabilities.
        log_q: (..., n_actions).

    Returns:
        (...).
    """
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)


def ratio_total_variation(ratio: Tensor) -> Tensor:
    """``1/2 |r - 1|``, whose mean under the old policy is the total variation distance.

    Args:
        ratio: any shape, new probability over old, >= 0.

    Returns:
        the same shape.
    """
    return 0.5 * (ratio - 1).abs()


def smoothed_ratio_variation(ratio: Tensor, smoothing: float) -> Tensor:
    """``1/2 (sqrt((r - 1)^2 + c^2) - c)``: like half of ``|r - 1|`` far from 1, with zero slope at ``r = 1``.

    The plain total variation has a kink at the old policy, so it breaks the second condition of Definition 4.

    Args:
        ratio: any shape, >= 0.
        smoothing: c > 0; the smaller, the sharper the bend.

    Returns:
        the same shape; between ``1/2 |r - 1| - c / 2`` and ``1/2 |r - 1|``.
    """
    # The difference of the two roots loses every digit near 1; the quotient is the same number without that loss.
    square = (ratio - 1).square()
    return 0.5 * square / (torch.sqrt(square + smoothing**2) + smoothing)


def clip_gap(ratio: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """``ReLU((r - clip(r, 1 - c, 1 + c)) A)``: what PPO's clipped minimum takes off ``r A``.

    ``r A - clip_gap(r, A, c) = min(r A, clip(r, 1 - c, 1 + c) A)`` for every r and A.

    Args:
        ratio: new probability over old.
        advantage: broadcastable to ``ratio``.
        clip_range: c > 0.

    Returns:
        the broadcast shape, >= 0, zero wherever ``|r - 1| <= c``.

    Reference:
        Kuba et al., Heterogeneous-Agent Mirror Learning, 2022, where HAPPO is this drift.
    """
    return torch.relu((ratio - ratio.clamp(1 - clip_range, 1 + clip_range)) * advantage)


def squared_wasserstein(mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor) -> Tensor:
    """``|m - m'|^2 + |s - s'|^2``: the squared 2-Wasserstein distance of two diagonal Gaussians.

    Args:
        mean, log_std, other_mean, other_log_std: (..., size).

    Returns:
        (...).
    """
    spread = (log_std.exp() - other_log_std.exp()).square()
    return ((mean - other_mean).square() + spread).sum(-1)
