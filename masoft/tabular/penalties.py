"""Drifts and neighborhoods as the exact solver meets them: called as they are, with slopes by autograd.

The solver knows none of them by name. It hands each an exact record of the change and reads off one number a state;
what bends sharply is measured on both sides of the bend and set apart as a kink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from masoft.mirror import Drift, Neighborhood, PolicyChange, StatewiseNeighborhood
from masoft.mirror.schedule import number
from masoft.tabular.finite import FinitePolicy, Slopes, slopes
from masoft.tabular.game import Array
from masoft.tabular.kinks import Kink, kinks_at, without_kinks

Measure = Callable[[PolicyChange], Tensor]
"""From a policy change to one number a state, (n_states,)."""


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
        """The policy change that drifts and neighborhoods see.

        Args:
            log_new: log-probabilities (n_states, n_actions), or those of several new policies one below the other.
        """
        old, advantage, weights = self._tensors(len(log_new) // len(self.log_old))
        return PolicyChange(
            old,
            FinitePolicy(log_new),
            advantage=advantage,
            state_weights=weights,
            updated=self.updated,
            parameter_change=(log_new.exp() - old.probs).reshape(-1),
        )

    @cache  # noqa: B019 - as short-lived as the reference itself
    def _tensors(self, copies: int) -> tuple[FinitePolicy, Tensor, Tensor]:
        tables = torch.from_numpy(np.tile([self.log_old, self.advantage], (1, copies, 1)))
        return FinitePolicy(tables[0]), tables[1], torch.from_numpy(np.tile(self.weights, copies))


@dataclass(frozen=True, eq=False)
class Penalty:
    """A measure of one agent's change, and its kinks; penalties can be added and multiplied.

    Args:
        reference: where the change starts.
        measure: one number a state, kinks included.
        kinks: those that are known.
        statewise: whether each state's value depends on that state's policy only.
    """

    reference: Reference
    measure: Measure
    kinks: tuple[Kink, ...] = ()
    statewise: bool = True

    @classmethod
    def bent(cls, reference: Reference, measure: Measure, bends: tuple[float, ...]) -> Penalty:
        """A statewise penalty whose slope may jump at ratios new / old."""
        plain = cls(reference, measure)
        return cls(reference, measure, kinks_at(plain.smooth, bends, reference.log_old))

    def __add__(self, other: Penalty) -> Penalty:
        return Penalty(
            self.reference,
            lambda change: self.measure(change) + other.measure(change),
            self.kinks + other.kinks,
            self.statewise and other.statewise,
        )

    def __mul__(self, factor: Array) -> Penalty:
        """The penalty times numbers >= 0 a state, (n_states, 1)."""
        scale = torch.from_numpy(factor[:, 0])
        kinks = tuple(Kink(kink.at, factor * kink.jump) for kink in self.kinks)

        def measure(change: PolicyChange) -> Tensor:
            return (scale * self.measure(change).view(-1, len(scale))).view(-1)

        return Penalty(self.reference, measure, kinks, self.statewise)

    def value(self, log_new: Array) -> Array:
        """(n_states,), kinks included."""
        with torch.no_grad():
            measured: Array = self.measure(self.reference.change(torch.from_numpy(log_new))).numpy()
        return measured

    def smooth(self, log_new: Array) -> Slopes:
        """What is left of it without the known kinks, near policies (..., n_states, n_actions)."""
        return without_kinks(self._slopes, self.kinks, log_new)

    def _slopes(self, log_new: Array) -> Slopes:
        """Kinks included; several policies are one long record where no state looks at another."""
        if log_new.ndim > 2 and not self.statewise:
            each = [self._slopes(one) for one in log_new]
            return Slopes(np.stack([one.value for one in each]), np.stack([one.slope for one in each]))
        rows = log_new.reshape(-1, log_new.shape[-1])
        weights = np.tile(self.reference.weights, len(rows) // log_new.shape[-2])
        found = slopes(lambda x: self.measure(self.reference.change(x)), rows, weights)
        return Slopes(found.value.reshape(log_new.shape[:-1]), found.slope.reshape(log_new.shape))


@dataclass(frozen=True, eq=False)
class Limit:
    """One constraint: the weighted mean over states of a distance, or each state's own, is at most ``radius``.

    Args:
        radius: > 0.
        shared: whether the mean is meant, and so one multiplier serves all states.
        distance: of each state.
    """

    radius: float
    shared: bool
    distance: Penalty


def drift_penalty(drift: Drift, reference: Reference) -> Penalty | None:
    """What a drift takes off, None where it is zero everywhere.

    Args:
        drift: without schedules, see `Schedulable.at`.
        reference: where the update starts.
    """
    return Penalty.bent(reference, drift, drift.bends) if drift.terms else None


def neighborhood_limits(neighborhood: Neighborhood, reference: Reference) -> tuple[Limit, ...]:
    """A neighborhood as limits; none for `Everywhere`.

    Args:
        neighborhood: without schedules and with positive radii.
        reference: where the update starts.
    """
    return tuple(_limit(part, reference) for part in neighborhood.limits)


def has_zero_radius(neighborhood: Neighborhood) -> bool:
    """Whether the old policy is the only member."""
    return any(number(part.radius, "radius") == 0 for part in neighborhood.limits)


def _limit(part: Neighborhood, reference: Reference) -> Limit:
    radius = number(part.radius, "radius")
    if isinstance(part, StatewiseNeighborhood):
        return Limit(radius, part.over == "mean", Penalty.bent(reference, part.per_state, part.bends))
    # A distance of all states together: its square, which is smoother at the old policy, spread over the states.
    share = torch.from_numpy(1 / (len(reference.weights) * reference.weights))
    squared = Penalty(reference, lambda change: share * part.distance(change).square(), statewise=False)
    return Limit(radius**2, True, squared)
