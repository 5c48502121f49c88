"""What an agent improves on a rollout: advantages, weighed by the ratios of its own and of the others' policies."""

from __future__ import annotations

import torch
from torch import Tensor

STANDARD_EPSILON = 1e-8
FEWEST_ROWS = 16
"""So few states have no statistics of their own."""


def surrogate(ratio: Tensor, advantage: Tensor, joint_ratio: Tensor | None = None) -> Tensor:
    """``r M`` with ``M = joint_ratio A``: the objective of agent i at taken actions (Appendix B of the paper).

    Args:
        ratio: (batch,), new probability over old of the agent's own action.
        advantage: (batch,), of the joint action.
        joint_ratio: (batch,), the same ratio of the agents that have already moved; None is 1.

    Returns:
        (batch,).

    Reference:
        Kuba et al., Trust Region Policy Optimisation in Multi-Agent Reinforcement Learning, 2022, Proposition 3.
    """
    weighted = ratio * advantage
    return weighted if joint_ratio is None else joint_ratio * weighted


def standardise(advantage: Tensor, active: Tensor | None = None, whole: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Advantages minus their mean, divided by their standard deviation, over the states where the agent is active.

    A mean of a handful is noise: below `FEWEST_ROWS` active states those of the whole rollout are taken.

    Args:
        advantage: (batch,).
        active: (batch,), 1 where it is; None means everywhere.
        whole: (n_rows,), the rollout's advantages where the agent is active; None: there are no others.

    Returns:
        the standardised advantages (batch,), and the deviation that they were divided by (scalar). Fewer than two
        states in all are left as they are.
    """
    counted = advantage if active is None else advantage[active.bool()]
    if active is not None and whole is not None and counted.numel() < FEWEST_ROWS:
        counted = whole
    if counted.numel() < 2:
        return advantage, torch.ones_like(advantage.sum())
    deviation, mean = torch.std_mean(counted)
    deviation = deviation + STANDARD_EPSILON
    return (advantage - mean) / deviation, deviation


def approximate_kl(ratio: Tensor) -> Tensor:
    """``r - 1 - log r`` at taken actions, the shape of ``r``: at least 0, and its mean under the old policy is its KL.

    Args:
        ratio: new probability over old.

    Reference:
        Schulman, Approximating KL Divergence, 2020, as in stable-baselines3's PPO.
    """
    return ratio - 1 - ratio.clamp_min(torch.finfo(ratio.dtype).tiny).log()


def clipped_square(values: Tensor, returns: Tensor, old_values: Tensor, clip_range: float | None) -> Tensor:
    """``(V' - R)^2`` with ``V' = V_old + clip(V - V_old, -c, c)``; without a range ``V' = V``.

    Args:
        values, returns, old_values: any one shape.
        clip_range: c > 0, in the values' units, or None.

    Returns:
        the same shape.
    """
    if clip_range is not None:
        values = old_values + (values - old_values).clamp(-clip_range, clip_range)
    return (values - returns).square()
