"""Drifts and neighborhoods taken apart into the pieces that the exact solver can treat best.

A drift is a sum of: a multiple of KL(new || old), whose maximiser is known in closed form; piecewise linear parts with
known kinks; and smooth parts, seen only through their slopes. A neighborhood is a list of such limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from masoft.mirror import (
    ClipDrift,
    Drift,
    Everywhere,
    Intersection,
    KLBall,
    KLDrift,
    Neighborhood,
    NoDrift,
    ParameterBall,
    PolicyChange,
    ScaledDrift,
    StatewiseNeighborhood,
    SumDrift,
    TotalVariationBall,
)
from masoft.mirror.schedule import number
from masoft.tabular.finite import FinitePolicy, SmoothPart
from masoft.tabular.game import Array
from masoft.tabular.smooth import (
    drift_profile,
    kl_old_new_profile,
    ratio_part,
    squared_step_part,
    traced_part,
)


@dataclass(frozen=True, eq=False)
class Kink:
    """``jump * ReLU(p - at)`` where ``above``, else ``jump * ReLU(at - p)``, for each probability p apart.

    Args:
        at: (n_states, n_actions).
        jump: (n_states, n_actions), >= 0.
        above: on which side of ``at`` it grows.
    """

    at: Array
    jump: Array
    above: bool

    def value(self, probs: Array) -> Array:
        """Its sum over actions, (n_states,)."""
        gap = probs - self.at if self.above else self.at - probs
        total: Array = (self.jump * np.maximum(gap, 0.0)).sum(-1)
        return total


@dataclass(frozen=True, eq=False)
class Pieces:
    """A penalty on one agent's policy: ``kl_weight * KL(new || old) + sum of kinks + sum of smooth parts``.

    Args:
        kl_weight: >= 0, scalar or (n_states, 1).
        kinks: piecewise linear parts.
        smooth: parts seen through their slopes.
        statewise: whether each state's value depends on that state's policy only.
    """

    kl_weight: Array | float = 0.0
    kinks: tuple[Kink, ...] = ()
    smooth: tuple[SmoothPart, ...] = ()
    statewise: bool = True

    def __add__(self, other: Pieces) -> Pieces:
        return Pieces(
            self.kl_weight + other.kl_weight,
            self.kinks + other.kinks,
            self.smooth + other.smooth,
            self.statewise and other.statewise,
        )


@dataclass(frozen=True, eq=False)
class Reference:
    """Where an update starts from, and what its penalties may look at.

    Args:
        log_old: (n_states, n_actions), log-probabilities of the old policy.
        advantage: (n_states, n_actions), ``E[Q] - E_old[Q]`` of the agent's own actions, others averaged out.
        weights: (n_states,), the sampling distribution beta, sums to 1.
        updated: agents that were already updated.
    """

    log_old: Array
    advantage: Array
    weights: Array
    updated: tuple[int, ...]

    def change(self, log_new: Tensor) -> PolicyChange:
        """The policy change that drifts and neighborhoods see."""
        old = torch.from_numpy(self.log_old)
        step = (log_new.exp() - old.exp()).reshape(-1)
        return PolicyChange(
            FinitePolicy(old),
            FinitePolicy(log_new),
            advantage=torch.from_numpy(self.advantage),
            state_weights=torch.from_numpy(self.weights),
            updated=self.updated,
            parameter_change=step,
        )


@dataclass(frozen=True, eq=False)
class Limit:
    """One constraint: the weighted mean over states of a distance, or each state's own, is at most ``radius``.

    Args:
        radius: > 0.
        shared: whether the mean is meant, and so one multiplier serves all states.
        value: from log-probabilities to the distance of each state, (n_states,).
        pieces: the distance times multipliers (n_states, 1), as a penalty.
    """

    radius: float
    shared: bool
    value: Callable[[Array], Array]
    pieces: Callable[[Array], Pieces] = field(repr=False)


def drift_pieces(drift: Drift, reference: Reference, factor: float = 1.0) -> Pieces:
    """A drift as pieces.

    Args:
        drift: without schedules, see `Schedulable.at`.
        reference: where the update starts.
        factor: what it is multiplied by, >= 0.
    """
    if isinstance(drift, NoDrift):
        return Pieces()
    if isinstance(drift, ScaledDrift):
        return drift_pieces(drift.drift, reference, factor * number(drift.factor, "factor"))
    if isinstance(drift, SumDrift):
        total = Pieces()
        for part in drift.parts:
            total = total + drift_pieces(part, reference, factor)
        return total
    if isinstance(drift, KLDrift) and drift.direction == "reverse":
        return Pieces(kl_weight=factor * number(drift.weight, "weight"))
    if isinstance(drift, ClipDrift):
        return Pieces(kinks=_clip_kinks(reference, number(drift.clip_range, "clip_range"), factor))
    known = drift_profile(drift)
    if known is not None:
        return Pieces(smooth=(ratio_part(factor * known[0], known[1], reference.log_old),))
    return Pieces(smooth=(traced_part(lambda log_new: factor * drift(reference.change(log_new)), reference.weights),))


def neighborhood_limits(neighborhood: Neighborhood, reference: Reference) -> tuple[Limit, ...]:
    """A neighborhood as limits; none for `Everywhere`.

    Args:
        neighborhood: without schedules and with positive radii.
        reference: where the update starts.
    """
    if isinstance(neighborhood, Everywhere):
        return ()
    if isinstance(neighborhood, Intersection):
        return tuple(limit for part in neighborhood.parts for limit in neighborhood_limits(part, reference))
    radius = number(neighborhood.radius, "radius")
    if isinstance(neighborhood, ParameterBall):
        return (_parameter_limit(radius, reference),)
    if not isinstance(neighborhood, StatewiseNeighborhood):
        return (_other_limit(neighborhood, radius, reference),)
    per_state = neighborhood.per_state

    def value(log_new: Array) -> Array:
        distances: Array = per_state(reference.change(torch.from_numpy(log_new))).numpy()
        return distances

    def pieces(multipliers: Array) -> Pieces:
        if isinstance(neighborhood, KLBall):
            if neighborhood.direction == "reverse":
                return Pieces(kl_weight=multipliers)
            return Pieces(smooth=(ratio_part(multipliers, kl_old_new_profile, reference.log_old),))
        if isinstance(neighborhood, TotalVariationBall):
            old = np.exp(reference.log_old)
            half = np.broadcast_to(multipliers / 2, old.shape)
            return Pieces(kinks=(Kink(old, half, True), Kink(old, half, False)))
        scale = torch.from_numpy(multipliers[:, 0])
        traced = traced_part(lambda log_new: scale * per_state(reference.change(log_new)), reference.weights)
        return Pieces(smooth=(traced,))

    return (Limit(radius, neighborhood.over == "mean", value, pieces),)


def has_zero_radius(neighborhood: Neighborhood) -> bool:
    """Whether the old policy is the only member."""
    if isinstance(neighborhood, Intersection):
        return any(has_zero_radius(part) for part in neighborhood.parts)
    return number(neighborhood.radius, "radius") == 0


def _clip_kinks(reference: Reference, clip_range: float, factor: float) -> tuple[Kink, ...]:
    """ReLU((r - clip(r)) A) times the old probability: it grows above 1 + c where A > 0, below 1 - c where A < 0."""
    old, advantage = np.exp(reference.log_old), reference.advantage
    upper = Kink(old * (1 + clip_range), factor * np.maximum(advantage, 0.0), True)
    lower = Kink(old * max(0.0, 1 - clip_range), factor * np.maximum(-advantage, 0.0), False)
    return (upper, lower)


def _parameter_limit(radius: float, reference: Reference) -> Limit:
    """The squared length of the step in probabilities, as a weighted mean over states."""
    old, weights = np.exp(reference.log_old), reference.weights

    def value(log_new: Array) -> Array:
        distances: Array = np.square(np.exp(log_new) - old).sum(-1) / weights
        return distances

    def pieces(multipliers: Array) -> Pieces:
        return Pieces(smooth=(squared_step_part(multipliers / weights[:, None], reference.log_old),))

    return Limit(radius**2, True, value, pieces)


def _other_limit(neighborhood: Neighborhood, radius: float, reference: Reference) -> Limit:
    """A distance of unknown make: its square, which is smoother at the old policy, spread over the states."""
    n_states = len(reference.weights)
    weights = torch.from_numpy(reference.weights)

    def spread(log_new: Tensor) -> Tensor:
        return neighborhood.distance(reference.change(log_new)).square() / (n_states * weights)

    def value(log_new: Array) -> Array:
        distances: Array = spread(torch.from_numpy(log_new)).detach().numpy()
        return distances

    def pieces(multipliers: Array) -> Pieces:
        scale = torch.from_numpy(multipliers[:, 0])
        traced = traced_part(lambda log_new: scale * spread(log_new), reference.weights)
        return Pieces(smooth=(traced,), statewise=False)

    return Limit(radius**2, True, value, pieces)
