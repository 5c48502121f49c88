"""One agent's exact mirror step: the argmax of the MEHAMO (Definition 2) over a neighborhood (Definition 5).

A limit on the distance enters with a multiplier; the smallest multiplier that keeps the limit is found by a bracketed
secant search, one for all states where the limit is on their mean, one a state where it is on each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from masoft.mirror import Drift, Neighborhood
from masoft.tabular.finite import ILLEGAL
from masoft.tabular.game import Array
from masoft.tabular.maximise import make_problem, maximise
from masoft.tabular.penalties import (
    Limit,
    Reference,
    drift_penalty,
    has_zero_radius,
    neighborhood_limits,
)

SLACK = 1e-12
"""A limit that holds counts as reached within this share of its radius."""

REACHED = 1e-9
"""A limit with a price counts as reached within this share of its radius."""

STILL = 1e-8
"""Multipliers that change by less than this share in a round stay, as where a policy sits at a bend of a distance."""

MAX_ROUNDS = 60
MAX_TRIALS = 120


@dataclass(frozen=True, eq=False)
class Task:
    """One agent's argmax.

    Args:
        ent_coef: alpha >= 0.
        legal: (n_states, n_actions).
        reference: where the update starts, and the advantages of the agent's actions there.
    """

    ent_coef: float
    legal: NDArray[np.bool_]
    reference: Reference


def respond(task: Task, drift: Drift, neighborhood: Neighborhood) -> Array:
    """Log-probabilities (n_states, n_actions) of the argmax; always a member of the neighborhood.

    Args:
        task: what is maximised.
        drift: without schedules.
        neighborhood: without schedules; radius 0 leaves the old policy.
    """
    reference = task.reference
    if has_zero_radius(neighborhood):
        return reference.log_old
    penalty = drift_penalty(drift, reference)
    limits = neighborhood_limits(neighborhood, reference)

    def solve(multipliers: list[Array], start: Array) -> Array:
        penalties = [] if penalty is None else [penalty]
        penalties += [limit.distance * by for limit, by in zip(limits, multipliers, strict=True) if by.any()]
        return maximise(make_problem(reference, task.ent_coef, penalties, task.legal), start)

    log_new = _with_limits(solve, limits, reference)
    return _pull_inside(log_new, neighborhood, reference) if limits else log_new


def _with_limits(
    solve: Callable[[list[Array], Array], Array], limits: tuple[Limit, ...], reference: Reference
) -> Array:
    """The maximiser within all limits: each multiplier in turn, until none has to change.

    That is coordinate ascent of the dual, which is concave; it ends where every limit holds and every limit that has
    a price is reached.
    """
    n_states = len(reference.weights)
    multipliers = [np.zeros((n_states, 1)) for _ in limits]
    log_new = solve(multipliers, reference.log_old)
    for _ in range(MAX_ROUNDS):
        if all(_is_settled(limit, by, log_new, reference) for limit, by in zip(limits, multipliers, strict=True)):
            break
        before = [each.copy() for each in multipliers]
        for k, limit in enumerate(limits):

            def solve_one(multiplier: Array, start: Array, k: int = k) -> Array:
                return solve([*multipliers[:k], multiplier, *multipliers[k + 1 :]], start)

            multipliers[k], log_new = _smallest_multiplier(solve_one, limit, multipliers[k], log_new, reference)
        if all(np.allclose(now, was, rtol=STILL, atol=0) for now, was in zip(multipliers, before, strict=True)):
            break
    return log_new


def _is_settled(limit: Limit, multiplier: Array, log_new: Array, reference: Reference) -> bool:
    """Whether a limit holds, and is reached wherever its multiplier is above 0."""
    excess = _excess(limit, log_new, reference)
    has_price = multiplier[: len(excess)] > 0
    return bool(((excess <= SLACK) & ~(has_price & (excess < -REACHED))).all())


def _excess(limit: Limit, log_new: Array, reference: Reference) -> Array:
    """Distance over radius, less one: (1, 1) for a shared limit and (n_states, 1) else; > 0 where it is broken."""
    distance = limit.distance.value(log_new)
    if limit.shared:
        distance = (reference.weights * distance).sum(keepdims=True)
    return distance[:, None] / limit.radius - 1


def _smallest_multiplier(
    solve: Callable[[Array, Array], Array], limit: Limit, guess: Array, start: Array, reference: Reference
) -> tuple[Array, Array]:
    """The smallest multipliers (n_states, 1) that keep the limit, and the maximiser with them."""
    shape = (1, 1) if limit.shared else guess.shape
    latest = [start]

    def excess(multiplier: Array) -> Array:
        latest[0] = solve(np.broadcast_to(multiplier, guess.shape).copy(), latest[0])
        # The root of radius over distance is nearly linear in the multiplier of a squared distance such as the KL;
        # bounded, for a distance of zero would pull every secant to the other end.
        relative = np.maximum(_excess(limit, latest[0], reference) + 1, 1 / 16)
        return 1 - 1 / np.sqrt(relative)

    multiplier = _smallest_root(excess, np.maximum(guess[: shape[0]] * 2, 1.0))
    spread = np.broadcast_to(multiplier, guess.shape).copy()
    return spread, solve(spread, latest[0])


def _smallest_root(excess: Callable[[Array], Array], guess: Array) -> Array:
    """Elementwise the smallest x >= 0 with ``excess(x) <= 0``, approached from that side.

    Args:
        excess: falling in each element.
        guess: where to look first, > 0.
    """
    low = np.zeros_like(guess)
    at_low = excess(low)
    free = at_low <= 0
    high = np.where(free, 0.0, guess)
    at_high = excess(high)
    for _ in range(MAX_TRIALS):
        broken = at_high > 0
        if not broken.any():
            break
        low, at_low = np.where(broken, high, low), np.where(broken, at_high, at_low)
        high = np.where(broken, high * 8, high)
        at_high = excess(high)
    weight_low, weight_high, side = at_low, at_high, np.zeros_like(guess)
    for trial in range(MAX_TRIALS):
        done = free | (at_high >= -SLACK) | (high - low <= 1e-15 * high)
        if done.all():
            break
        inner = (low + high) / 2 if trial % 4 == 3 else _secant(low, high, weight_low, weight_high)
        middle = np.where(done, high, inner)
        here = excess(middle)
        to_high, to_low = ~done & (here <= 0), ~done & (here > 0)
        # Illinois: an end that stays twice is weighed half, so that both ends move.
        weight_low = np.where(to_low, here, np.where(to_high & (side > 0), weight_low / 2, weight_low))
        weight_high = np.where(to_high, here, np.where(to_low & (side < 0), weight_high / 2, weight_high))
        low, high = np.where(to_low, middle, low), np.where(to_high, middle, high)
        at_high = np.where(to_high, here, at_high)
        side = np.where(to_high, 1.0, np.where(to_low, -1.0, side))
    return high


def _secant(low: Array, high: Array, at_low: Array, at_high: Array) -> Array:
    """Where the line through both ends crosses zero; the middle where that is no inner point."""
    gap = at_low - at_high
    guess = low + (high - low) * np.divide(at_low, gap, out=np.full_like(gap, 0.5), where=gap > 0)
    inner = (guess > low) & (guess < high)
    return np.where(inner, guess, (low + high) / 2)


def _pull_inside(log_new: Array, neighborhood: Neighborhood, reference: Reference) -> Array:
    """The new policy, mixed with as little of the old one as makes it a member despite rounding."""
    old = np.exp(reference.log_old)
    candidate, share = log_new, 1e-13
    while share < 1:
        if neighborhood.contains(reference.change(torch.from_numpy(candidate))):
            return candidate
        probs = np.exp(log_new) + share * (old - np.exp(log_new))
        candidate = np.where(log_new > ILLEGAL / 2, np.log(np.maximum(probs, 1e-300)), ILLEGAL)
        share *= 4
    return reference.log_old
