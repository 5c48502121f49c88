"""Slopes of the smooth drifts and distances: written out for the built-in ones, by automatic differentiation else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from masoft.mirror import Drift, KLDrift, SquaredRatioDrift, TotalVariationDrift
from masoft.mirror.schedule import number
from masoft.tabular.finite import Penalty, Slopes, SmoothPart, slopes
from masoft.tabular.game import Array

Profile = Callable[[Array], tuple[Array, Array, Array]]
"""From ratios r to f(r), f'(r) and f''(r) of a penalty ``sum_a old(a) f(r_a)``."""


def kl_old_new_profile(ratio: Array) -> tuple[Array, Array, Array]:
    """``f = -log r``, whose mean under the old policy is KL(old || new)."""
    inverse = 1 / ratio
    return -np.log(ratio), -inverse, inverse * inverse


def squared_ratio_profile(ratio: Array) -> tuple[Array, Array, Array]:
    """``f = (r - 1)^2``."""
    gap = ratio - 1
    return gap * gap, 2 * gap, np.full_like(ratio, 2.0)


def smoothed_variation_profile(smoothing: float) -> Profile:
    """``f = (sqrt((r - 1)^2 + c^2) - c) / 2``."""

    def profile(ratio: Array) -> tuple[Array, Array, Array]:
        gap = ratio - 1
        root = np.hypot(gap, smoothing)
        return 0.5 * gap * gap / (root + smoothing), 0.5 * gap / root, 0.5 * (smoothing / root) ** 2 / root

    return profile


def drift_profile(drift: Drift) -> tuple[float, Profile] | None:
    """Weight and profile of a built-in drift; None for any other."""
    if isinstance(drift, KLDrift) and drift.direction == "forward":
        return number(drift.weight, "weight"), kl_old_new_profile
    if isinstance(drift, SquaredRatioDrift):
        return number(drift.weight, "weight"), squared_ratio_profile
    if isinstance(drift, TotalVariationDrift):
        return number(drift.weight, "weight"), smoothed_variation_profile(number(drift.smoothing, "smoothing"))
    return None


def ratio_part(factor: Array | float, profile: Profile, log_old: Array) -> SmoothPart:
    """``factor * sum_a old(a) f(new(a) / old(a))`` with its slopes.

    Args:
        factor: >= 0, scalar or (n_states, 1).
        profile: f and its derivatives.
        log_old: (n_states, n_actions).
    """
    old = np.exp(log_old)

    def part(log_probs: Array) -> Slopes:
        ratio = np.exp(log_probs - log_old)
        value, slope, curve = profile(ratio)
        return Slopes((factor * old * value).sum(-1), factor * slope, factor * ratio * curve)

    return part


def squared_step_part(factor: Array, log_old: Array) -> SmoothPart:
    """``factor * |new - old|^2`` with its slopes.

    Args:
        factor: (n_states, 1), >= 0.
        log_old: (n_states, n_actions).
    """
    old = np.exp(log_old)

    def part(log_probs: Array) -> Slopes:
        probs = np.exp(log_probs)
        gap = probs - old
        return Slopes((factor * gap * gap).sum(-1), 2 * factor * gap, 2 * factor * probs)

    return part


def traced_part(penalty: Penalty, weights: Array) -> SmoothPart:
    """Any penalty, with slopes by automatic differentiation.

    Args:
        penalty: from log-probabilities to one number a state.
        weights: (n_states,), > 0.
    """
    return lambda log_probs: slopes(penalty, log_probs, weights)
