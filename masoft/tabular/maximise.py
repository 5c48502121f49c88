"""The exact argmax of one agent's mirror step, without neighborhood: a convex problem on a product of simplexes.

Each state's problem is ``max_p <p, q> + alpha H(p) - penalty(p)``. Near a policy p the penalty is replaced by a model
with its slope and its curvature in the geometry of the entropy, ``c (z log(z / p) - z + p)``; the model's maximiser is
``z = p exp((mu - slope) / c)`` with mu from the normalisation. Without a drift, or with KL(new || old), the model is
the problem itself and one step ends at the Boltzmann policy; else the steps converge quadratically, as Newton's do.
Kinks that are known enter the model as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from masoft.errors import NumericalFault, explain
from masoft.tabular.finite import ILLEGAL, LOG_FLOOR, Slopes, SmoothPart
from masoft.tabular.game import Array
from masoft.tabular.kinks import Kink, find_kink, without_kinks
from masoft.tabular.penalties import Penalty, Reference

TOLERANCE = 1e-13
ROUNDING = 1e-15
NEARLY = 1e-2
CURVE_STEP = 1e-5
"""By how much log-probabilities move where a curvature is measured."""

CONSTANT = 1e-7
"""Curvatures that differ by this share count as equal, and the model has a closed form."""

MAX_STEPS = 500
MAX_DAMPING = 4.0**12
MAX_KINKS = 12
SMALLEST_CURVE = 1e-9
ENOUGH = 1e-14
_CEILING = 50.0


@dataclass(frozen=True, eq=False)
class Near:
    """The loss around a policy, its kinks left out of slope and curvature.

    Args:
        loss: (n_states,).
        slope: (n_states, n_actions), derivative along each probability p.
        curve: (n_states, n_actions), p times the second derivative, > 0; row sums stand in for the diagonal. It
            decides how fast the steps converge, not where to, so a difference of slopes is exact enough.
        noise: (n_states, 1), below which a slope is rounding, and a change of the loss too.
    """

    loss: Array
    slope: Array
    curve: Array
    noise: Array


@dataclass(frozen=True, eq=False)
class Problem:
    """One agent's step: maximise ``<p, linear> - ent_coef sum p log p - kinks - smooth`` in each state.

    Args:
        linear: (n_states, n_actions).
        ent_coef: alpha >= 0.
        kinks: piecewise linear parts.
        smooth: the rest of the penalty, None where it is zero.
        statewise: whether ``smooth`` treats the states apart.
        legal: (n_states, n_actions).
        weights: (n_states,), > 0.
    """

    linear: Array
    ent_coef: float
    kinks: tuple[Kink, ...]
    smooth: SmoothPart | None
    statewise: bool
    legal: NDArray[np.bool_]
    weights: Array

    def loss(self, log_probs: Array, smooth_value: Array) -> Array:
        """What is minimised, (n_states,); the weighted total everywhere if the smooth part mixes the states."""
        probs = np.where(self.legal, np.exp(log_probs), 0.0)
        logs = np.where(self.legal, log_probs, 0.0)
        total = (probs * (self.ent_coef * logs - np.where(self.legal, self.linear, 0.0))).sum(-1)
        for kink in self.kinks:
            total = total + kink.value(probs)
        total = total + smooth_value
        return total if self.statewise else np.full_like(total, (self.weights * total).sum())

    def near(self, log_probs: Array) -> Near:
        """Loss, slope and curvature at a policy."""
        if self.smooth is None:
            value, smooth_slope, curve = np.zeros(len(log_probs)), 0.0, np.zeros_like(log_probs)
        else:
            found = self.smooth(np.stack([log_probs, log_probs + CURVE_STEP]))
            value, smooth_slope = found.value[0], found.slope[0]
            # With x = log p, p D'' is the derivative of D' along x.
            with np.errstate(over="ignore", invalid="ignore"):
                curve = (found.slope[1] - smooth_slope) / CURVE_STEP
        slope = smooth_slope + self.ent_coef * (np.where(self.legal, log_probs, 0.0) + 1) - self.linear
        known = np.where((curve > 0) & (curve < np.inf), curve, 0.0)
        noise = ROUNDING * (np.abs(smooth_slope) + np.abs(self.linear)).max(-1, keepdims=True)
        return Near(self.loss(log_probs, value), slope, np.maximum(known + self.ent_coef, SMALLEST_CURVE), noise)


def make_problem(
    reference: Reference, ent_coef: float, penalties: Sequence[Penalty], legal: NDArray[np.bool_]
) -> Problem:
    """The problem of one agent: the advantage, whose argmax is that of Q but which keeps the digits that Q shares."""
    linear, weights = reference.advantage, reference.weights
    if not penalties:
        return Problem(linear, ent_coef, (), None, True, legal, weights)
    total = penalties[0]
    for penalty in penalties[1:]:
        total = total + penalty
    return Problem(linear, ent_coef, total.kinks, total.smooth, total.statewise, legal, weights)


def maximise(problem: Problem, start: Array) -> Array:
    """Log-probabilities (n_states, n_actions) of the maximiser.

    Args:
        problem: one agent's step.
        start: log-probabilities to start from.

    Raises:
        NumericalFault: the penalty is not convex or not piecewise smooth, so that the argmax is out of reach.
    """
    if problem.smooth is None and problem.ent_coef > 0:
        return _softmax(problem.linear / problem.ent_coef, problem.legal)
    log_probs, settled = _model_steps(problem, start)
    for _ in range(MAX_KINKS):
        if settled:
            return log_probs
        easier = _declare_kink(problem, log_probs)
        if easier is None:
            break
        problem = easier
        log_probs, settled = _model_steps(problem, log_probs)
    must = "convex in each probability, and twice differentiable but for a few kinks"
    got = "one whose argmax was not found to 1e-10"
    raise NumericalFault(explain("A drift or neighborhood in the exact solver", must, got))


def _declare_kink(problem: Problem, log_probs: Array) -> Problem | None:
    """The same problem with a kink near the given point declared; None where there is none."""
    legal, smooth = problem.legal, problem.smooth
    if smooth is None:
        return None
    for reach in (1e-6, 1e-3, 0.3):
        low = np.where(legal, np.maximum(log_probs - reach, LOG_FLOOR), ILLEGAL)
        kink = find_kink(smooth, low, np.where(legal, log_probs + reach, ILLEGAL), legal)
        if kink is not None:

            def rest(x: Array, kink: Kink = kink) -> Slopes:
                return without_kinks(smooth, [kink], x)

            return replace(problem, kinks=(*problem.kinks, kink), smooth=rest)
    return None


def _softmax(scores: Array, legal: NDArray[np.bool_]) -> Array:
    """Log-probabilities proportional to exp(scores)."""
    legal_scores = np.where(legal, scores, -np.inf)
    shifted = legal_scores - legal_scores.max(-1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return np.where(legal, np.maximum(log_probs, LOG_FLOOR), ILLEGAL)


def _model_steps(problem: Problem, start: Array) -> tuple[Array, bool]:
    """Steps to the model's maximiser, damped where they do not lower the loss; and whether they settled."""
    x, here = start, problem.near(start)
    damping = np.ones((len(x), 1))
    for _ in range(MAX_STEPS):
        curve = here.curve * damping
        moved = model_maximiser(x, here.slope, curve, problem.kinks, problem.legal)
        there = problem.near(moved)
        # A steep penalty rounds by more than the loss that it nearly cancels in.
        good = there.loss <= here.loss + 1e-14 * (1 + np.abs(here.loss)) + here.noise[:, 0]
        if not problem.statewise:
            good[:] = good.all()
        if good.all() and _is_settled(problem, here.slope + curve * (moved - x), moved, there):
            return moved, True
        damping = np.where(good[:, None], np.maximum(damping / 4, 1.0), damping * 4)
        if damping.max() > MAX_DAMPING:
            break
        if good.all():
            x, here = moved, there
        elif good.any():
            x = np.where(good[:, None], moved, x)
            here = problem.near(x)
    return x, False


def _is_settled(problem: Problem, expected: Array, log_probs: Array, found: Near) -> bool:
    """Whether the slopes are those that the model had at its maximiser: then it is the problem's maximiser, too."""
    gap = np.where(problem.legal, np.abs(found.slope - expected), 0.0)
    # Of a rare action every step is small; it has arrived where the next one would hardly change its logarithm either.
    near = (gap <= NEARLY * found.curve) | (log_probs <= LOG_FLOOR)
    # Without entropy there are flat directions, along which nothing but rounding moves a policy.
    return bool(((np.exp(log_probs) * gap <= TOLERANCE * found.curve) & near | (gap <= found.noise)).all())


def model_maximiser(
    log_probs: Array, slope: Array, curve: Array, kinks: Sequence[Kink], legal: NDArray[np.bool_]
) -> Array:
    """``z = p exp((mu - slope) / curve)``, stopped at kinks whose jump holds it there, with ``sum z = 1``.

    Args:
        log_probs: of p, (n_states, n_actions).
        slope: of the loss at p, without kinks.
        curve: > 0.
        kinks: piecewise linear parts.
        legal: (n_states, n_actions).

    Returns:
        log z; -1e9 where illegal.
    """
    largest = np.where(legal, curve, 0.0).max(-1, keepdims=True)
    if not kinks and np.allclose(np.where(legal, curve, largest), largest, rtol=CONSTANT, atol=0.0):
        return _softmax(log_probs - slope / largest, legal)
    at, shifts = _sorted_kinks(kinks, slope.shape)
    base = [np.where(legal, log_probs - (slope + shift) / curve, -np.inf) for shift in shifts]

    def rise(mu: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Log z and where it moves with mu."""
        steep = mu / curve
        z = base[0] + steep
        free = np.ones_like(legal)
        for position, intercept in zip(at, base[1:], strict=True):
            beyond = intercept + steep
            stopped = (z > position) & (beyond <= position)
            z = np.where(stopped, position, np.where(z > position, beyond, z))
            free &= ~stopped
        low = z <= LOG_FLOOR
        return np.where(legal, np.clip(z, LOG_FLOOR, _CEILING), -np.inf), free & ~low & legal

    low = np.where(legal, -curve * (np.log(legal.sum(-1, keepdims=True)) + base[0]), np.inf).min(-1, keepdims=True)
    high = np.where(legal, -curve * base[-1], np.inf).min(-1, keepdims=True)
    # Where the model's centre is its maximiser, mu is the mean slope: the best first guess near the end.
    probs = np.where(legal, np.exp(log_probs), 0.0)
    guess = (probs * np.where(legal, slope, 0.0)).sum(-1, keepdims=True) / probs.sum(-1, keepdims=True)
    z = _normalise(rise, 1 / curve, low - 1e-12 * np.abs(low), high + 1e-12 * np.abs(high), guess)
    return np.where(legal, z, ILLEGAL)


def _normalise(
    rise: Callable[[Array], tuple[Array, NDArray[np.bool_]]], rate: Array, low: Array, high: Array, guess: Array
) -> Array:
    """Find mu in [low, high] with ``sum exp(rise(mu)) = 1``: Newton's steps on the logarithm, or else bisection."""
    mu = np.where((guess > low) & (guess < high), guess, high)
    z, free = rise(mu)
    for _ in range(200):
        weight = np.exp(z)
        total = weight.sum(-1, keepdims=True)
        excess = np.log(total)
        done = np.abs(excess) <= ENOUGH
        low, high = np.where(excess < 0, mu, low), np.where(excess > 0, mu, high)
        done |= high - low <= 2e-16 * np.maximum(np.abs(low), np.abs(high))
        if done.all():
            break
        growth = (weight * free * rate).sum(-1, keepdims=True) / total
        step = mu - np.divide(excess, growth, out=np.full_like(excess, np.inf), where=growth > 0)
        middle = (low + high) / 2
        mu = np.where(done, mu, np.where((step > low) & (step < high), step, middle))
        z, free = rise(mu)
    normalised: Array = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return normalised


def _sorted_kinks(kinks: Sequence[Kink], shape: tuple[int, ...]) -> tuple[list[Array], list[Array]]:
    """Kink positions in rising order (as logarithms), and the slope before the first and after each."""
    shifts = [np.zeros(shape)]
    if not kinks:
        return [], shifts
    with np.errstate(divide="ignore"):
        positions = np.log(np.stack([np.broadcast_to(kink.at, shape) for kink in kinks]))
    jumps = np.stack([np.broadcast_to(kink.jump, shape) for kink in kinks])
    order = np.argsort(positions, axis=0, kind="stable")
    positions, jumps = np.take_along_axis(positions, order, 0), np.take_along_axis(jumps, order, 0)
    for jump in jumps:
        shifts.append(shifts[-1] + jump)
    return list(positions), shifts
