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
from masoft.tabular.kinks import find_kink, without_kink
from masoft.tabular.penalties import Kink, Pieces

TOLERANCE = 1e-13
MAX_STEPS = 500
MAX_DAMPING = 4.0**12
MAX_KINKS = 12
SMALLEST_CURVE = 1e-9
ENOUGH = 1e-14
_CEILING = 50.0


@dataclass(frozen=True, eq=False)
class Problem:
    """One agent's step: maximise ``<p, linear> - entropy_weight sum p log p - kinks - smooth`` in each state.

    Args:
        linear: (n_states, n_actions).
        entropy_weight: (n_states, 1), >= 0.
        kinks: piecewise linear parts.
        smooth: the other parts.
        statewise: whether ``smooth`` treats the states apart.
        legal: (n_states, n_actions).
        weights: (n_states,), > 0.
    """

    linear: Array
    entropy_weight: Array
    kinks: tuple[Kink, ...]
    smooth: tuple[SmoothPart, ...]
    statewise: bool
    legal: NDArray[np.bool_]
    weights: Array

    def loss(self, log_probs: Array, smooth_value: Array) -> Array:
        """What is minimised, (n_states,); the weighted total everywhere if the smooth part mixes the states."""
        probs = np.where(self.legal, np.exp(log_probs), 0.0)
        logs = np.where(self.legal, log_probs, 0.0)
        total = (probs * (self.entropy_weight * logs - np.where(self.legal, self.linear, 0.0))).sum(-1)
        for kink in self.kinks:
            total = total + kink.value(probs)
        total = total + smooth_value
        return total if self.statewise else np.full_like(total, (self.weights * total).sum())


def make_problem(
    advantage: Array, ent_coef: float, pieces: Pieces, log_old: Array, legal: NDArray[np.bool_], weights: Array
) -> Problem:
    """The problem of one agent, the multiple of KL(new || old) folded into the entropy and the linear part."""
    kl_weight = np.broadcast_to(np.asarray(pieces.kl_weight, dtype=np.float64), (len(weights), 1))
    linear = advantage + kl_weight * np.where(legal, log_old, 0.0)
    weight = ent_coef + kl_weight
    return Problem(linear, weight, pieces.kinks, pieces.smooth, pieces.statewise, legal, weights)


def maximise(problem: Problem, start: Array) -> Array:
    """Log-probabilities (n_states, n_actions) of the maximiser.

    Args:
        problem: one agent's step.
        start: log-probabilities to start from.

    Raises:
        NumericalFault: the penalty is not convex or not piecewise smooth, so that the argmax is out of reach.
    """
    if not problem.smooth and not problem.kinks and (problem.entropy_weight > 0).all():
        return _boltzmann(problem)
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
    legal = problem.legal

    def smooth(x: Array) -> Slopes:
        return _slopes(problem, x)

    for reach in (1e-6, 1e-3, 0.3):
        low = np.where(legal, np.maximum(log_probs - reach, LOG_FLOOR), ILLEGAL)
        kink = find_kink(smooth, low, np.where(legal, log_probs + reach, ILLEGAL), legal)
        if kink is not None:
            return replace(problem, kinks=(*problem.kinks, kink), smooth=(without_kink(smooth, kink),))
    return None


def _boltzmann(problem: Problem) -> Array:
    """The closed form ``p = exp(linear / weight) / sum``."""
    scores = np.where(problem.legal, problem.linear / problem.entropy_weight, -np.inf)
    scores = scores - scores.max(-1, keepdims=True)
    log_probs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return np.where(problem.legal, np.maximum(log_probs, LOG_FLOOR), ILLEGAL)


def _model_steps(problem: Problem, start: Array) -> tuple[Array, bool]:
    """Steps to the model's maximiser, damped where they do not lower the loss; and whether they settled."""
    x = start
    here = _slopes(problem, x)
    loss = problem.loss(x, here.value)
    damping = np.ones((len(x), 1))
    for _ in range(MAX_STEPS):
        slope = here.slope + problem.entropy_weight * (np.where(problem.legal, x, 0.0) + 1) - problem.linear
        curve = np.maximum(here.curve + problem.entropy_weight, SMALLEST_CURVE) * damping
        moved = model_maximiser(x, slope, curve, problem.kinks, problem.legal)
        there = _slopes(problem, moved)
        new_loss = problem.loss(moved, there.value)
        good = new_loss <= loss + 1e-14 * (1 + np.abs(loss))
        if not problem.statewise:
            good[:] = good.all()
        distance = (np.abs(np.exp(moved) - np.exp(x)) * damping).max(-1)
        if (good & (distance <= TOLERANCE)).all():
            return moved, True
        damping = np.where(good[:, None], np.maximum(damping / 4, 1.0), damping * 4)
        if damping.max() > MAX_DAMPING:
            break
        if good.all():
            x, here, loss = moved, there, new_loss
        elif good.any():
            x = np.where(good[:, None], moved, x)
            here = _slopes(problem, x)
            loss = np.where(good, new_loss, loss)
    return x, False


def _slopes(problem: Problem, log_probs: Array) -> Slopes:
    zeros = np.zeros_like(log_probs)
    total = Slopes(zeros[:, 0], zeros, zeros)
    for part in problem.smooth:
        total = total + part(log_probs)
    return total


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
    shift = np.zeros(shape)
    for kink in kinks:
        if not kink.above:
            shift = shift - kink.jump
    if not kinks:
        return [], [shift]
    with np.errstate(divide="ignore"):
        positions = np.log(np.stack([np.broadcast_to(kink.at, shape) for kink in kinks]))
    jumps = np.stack([np.broadcast_to(kink.jump, shape) for kink in kinks])
    order = np.argsort(positions, axis=0, kind="stable")
    positions, jumps = np.take_along_axis(positions, order, 0), np.take_along_axis(jumps, order, 0)
    shifts = [shift]
    for jump in jumps:
        shifts.append(shifts[-1] + jump)
    return list(positions), shifts
