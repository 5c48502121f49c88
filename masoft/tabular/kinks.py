"""Kinks of a penalty: places where its slope along one probability jumps, set apart so that the rest is smooth.

Drifts such as ``E_old[ReLU(|r - 1| - c)]`` are smooth but for a few points, and the maximiser likes to sit on those.
Some kinks are expected (`Drift.bends`); the others are found where the exact solver's steps jam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masoft.tabular.finite import ILLEGAL, LOG_FLOOR, Slopes, SmoothPart
from masoft.tabular.game import Array

HALVINGS = 60
SMALLEST_JUMP = 1e-7
NUDGE = 2e-12
"""Within this share of a kink the slope is read just below it, where no rounding decides on which side it counts."""


@dataclass(frozen=True, eq=False)
class Kink:
    """``jump * ReLU(p - at)`` for each probability p apart.

    Args:
        at: (n_states, n_actions).
        jump: (n_states, n_actions), >= 0.
    """

    at: Array
    jump: Array

    def value(self, probs: Array) -> Array:
        """Its sum over actions, (n_states,)."""
        total: Array = (self.jump * np.maximum(probs - self.at, 0.0)).sum(-1)
        return total


def kinks_at(smooth: SmoothPart, bends: Sequence[float], log_old: Array) -> tuple[Kink, ...]:
    """The kinks at given ratios to the old policy, each jump measured from just below to just above.

    Args:
        smooth: a penalty that is convex in each probability.
        bends: ratios new / old; those at or below 0 are never reached.
        log_old: (n_states, n_actions).
    """
    reached = [bend for bend in bends if bend > 0]
    if not reached:
        return ()
    positions = log_old + np.log(reached)[:, None, None]
    slope = smooth(np.concatenate([positions - NUDGE, positions + NUDGE])).slope
    jumps = np.where(log_old > ILLEGAL / 2, np.maximum(slope[len(reached) :] - slope[: len(reached)], 0.0), 0.0)
    return tuple(Kink(np.exp(at), jump) for at, jump in zip(positions, jumps, strict=True) if jump.any())


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
    return Kink(np.exp(high), np.where(real, jump, 0.0)) if real.any() else None


def without_kinks(smooth: SmoothPart, kinks: Sequence[Kink], log_probs: Array) -> Slopes:
    """What a penalty says near a policy, less kinks of its own.

    Args:
        smooth: the penalty.
        kinks: as `kinks_at` and `find_kink` give them.
        log_probs: of the policy, (..., n_states, n_actions).
    """
    positions = [np.log(np.maximum(kink.at, np.exp(LOG_FLOOR))) for kink in kinks]
    x = log_probs
    for kink, position in zip(kinks, positions, strict=True):
        near = (np.abs(x - position) <= NUDGE) & (kink.jump > 0)
        x = np.where(near, position - NUDGE, x)
    found, probs = smooth(x), np.exp(x)
    value, slope = found.value, found.slope
    for kink, position in zip(kinks, positions, strict=True):
        value, slope = value - kink.value(probs), slope - kink.jump * (x > position)
    if kinks:
        # The value belongs to where the policy is, not to where the slope was read.
        value = value + (slope * (np.exp(log_probs) - probs)).sum(-1)
    return Slopes(value, slope)
