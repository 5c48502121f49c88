"""Kinks that nobody declared: found where the exact solver's steps jam, then taken out of the smooth part.

Drifts such as ``E_old[ReLU(|r - 1| - c)]`` are smooth but for a few points, and the maximiser likes to sit on those.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from masoft.tabular.finite import LOG_FLOOR, Slopes, SmoothPart
from masoft.tabular.game import Array
from masoft.tabular.penalties import Kink

HALVINGS = 60
SMALLEST_JUMP = 1e-7
NUDGE = 2e-12
"""Within this share of a kink the slope is read just below it, where no rounding decides on which side it counts."""


def find_kink(smooth: SmoothPart, low: Array, high: Array, legal: NDArray[np.bool_]) -> Kink | None:
    """For each action the place between ``low`` and ``high`` where the slope jumps, all actions at once.

    Args:
        smooth: a penalty that is convex in each probability.
        low, high: log-probabilities (n_states, n_actions), low < high.
        legal: (n_states, n_actions).

    Returns:
        the jumps found (0 for actions without), or None where no action has one.
    """
    at_low, at_high = smooth(low).slope, smooth(high).slope
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        here = smooth(middle).slope
        left = np.abs(here - at_low) >= np.abs(at_high - here)
        low, at_low = np.where(left, low, middle), np.where(left, at_low, here)
        high, at_high = np.where(left, middle, high), np.where(left, here, at_high)
    jump = at_high - at_low
    real = legal & (jump > SMALLEST_JUMP * (1 + np.abs(at_low)))
    return Kink(np.exp(high), np.where(real, jump, 0.0), above=True) if real.any() else None


def without_kink(smooth: SmoothPart, kink: Kink) -> SmoothPart:
    """The penalty less a kink of its own.

    Args:
        smooth: the penalty.
        kink: as `find_kink` gives it.
    """
    position = np.log(np.maximum(kink.at, np.exp(LOG_FLOOR)))

    def part(log_probs: Array) -> Slopes:
        near = (np.abs(log_probs - position) <= NUDGE) & (kink.jump > 0)
        x = np.where(near, position - NUDGE, log_probs)
        found = smooth(x)
        slope = found.slope - kink.jump * (x > position)
        return Slopes(found.value - kink.value(np.exp(x)), slope, found.curve)

    return part
