"""Drift functionals (Definition 4): soft constraints that hold a new policy near the old one.

To write your own, subclass `Drift` as a frozen dataclass and define ``__call__``; `masoft.testing.check_drift` then
tells whether Definition 4 holds for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from masoft.distributions import Gaussian
from masoft.errors import ConfigurationError, explain
from masoft.functional import divergence
from masoft.mirror.change import PolicyChange
from masoft.mirror.schedule import Schedulable, Scheduled, check_scheduled, number
from masoft.validation import OneOf, check_parameters

Direction = Literal["forward", "reverse"]


@dataclass(frozen=True)
class Drift(Schedulable, ABC):
    """A drift functional D(new | s): at least zero, with zero value and zero slope at ``new = old``.

    Drifts form a cone: ``a + b`` and ``2 * a`` are drifts again.

    Reference:
        Liu et al., Maximum Entropy Heterogeneous-Agent Reinforcement Learning, 2024, Definition 4.
    """

    @abstractmethod
    def __call__(self, change: PolicyChange) -> Tensor:
        """The drift at each state, (batch,), differentiable in ``change.new``."""

    @property
    def needs(self) -> frozenset[str]:
        """Optional fields of `PolicyChange` that this drift cannot do without."""
        return frozenset()

    @property
    def terms(self) -> tuple[Drift, ...]:
        """The drifts of which this one is the sum; none where it is zero everywhere."""
        return (self,)

    @property
    def bends(self) -> tuple[float, ...]:
        """Ratios new / old at which the slope may jump, away from 1.

        Only a hint to the exact solver, which measures the jumps itself: one that is missing costs it time, one too
        many changes nothing.
        """
        return ()

    def __add__(self, other: object) -> Drift:
        if not isinstance(other, Drift):
            return NotImplemented
        return SumDrift(_parts(self) + _parts(other))

    def __mul__(self, factor: object) -> Drift:
        if not isinstance(factor, (int, float)) or isinstance(factor, bool):
            return NotImplemented
        return ScaledDrift(float(factor), self)

    __rmul__ = __mul__


@dataclass(frozen=True)
class NoDrift(Drift):
    """D = 0: the trivial drift. With `Everywhere` it makes the template plain soft policy iteration (HASAC)."""

    @property
    def terms(self) -> tuple[Drift, ...]:
        return ()

    def __call__(self, change: PolicyChange) -> Tensor:
        return torch.zeros_like(change.kl_new_old().detach())


@dataclass(frozen=True)
class KLDrift(Drift):
    """``weight * KL``, in closed form for Gaussians and (masked) categoricals.

    Args:
        weight: >= 0, or a schedule.
        direction: "reverse" is KL(new || old), that of mirror descent; "forward" is KL(old || new), that of TRPO.
    """

    weight: Scheduled = 1.0
    direction: Direction = "reverse"

    def __post_init__(self) -> None:
        check_scheduled(self, "weight")
        check_direction(self, self.direction)

    def __call__(self, change: PolicyChange) -> Tensor:
        kl = change.kl_old_new() if self.direction == "forward" else change.kl_new_old()
        return number(self.weight, "KLDrift's weight") * kl


@dataclass(frozen=True)
class ClipDrift(Drift):
    """``E_old[ReLU((r - clip(r, 1 - c, 1 + c)) A)]``: subtracted from ``E_old[r A]`` it leaves PPO's clipped minimum.

    With the advantage at the carried actions (batch,) it is the value at these, times the ratio of the agents already
    updated where one is carried; with the advantage over all own actions (batch, n_joint) it is the exact mean.

    Args:
        clip_range: c >= 0, or a schedule; at 0, where a schedule may end, nobody moves.

    Reference:
        Kuba et al., Heterogeneous-Agent Mirror Learning, 2022.
    """

    clip_range: Scheduled = 0.2

    def __post_init__(self) -> None:
        check_scheduled(self, "clip_range")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"advantage"})

    @property
    def bends(self) -> tuple[float, ...]:
        clip_range = number(self.clip_range, "ClipDrift's clip_range")
        return 1 - clip_range, 1 + clip_range

    def __call__(self, change: PolicyChange) -> Tensor:
        clip_range = number(self.clip_range, "ClipDrift's clip_range")
        advantage = change.require("advantage", "ClipDrift")
        if advantage.dim() == 2:
            return change.expect_old(lambda ratio: divergence.clip_gap(ratio, advantage, clip_range))
        change.require("actions", "ClipDrift with the advantage at single actions")
        weighted = advantage if change.joint_ratio is None else change.joint_ratio * advantage
        gap = divergence.clip_gap(change.ratio(), weighted, clip_range)
        return gap if gap.dim() == 1 else gap.mean(0)


@dataclass(frozen=True)
class TotalVariationDrift(Drift):
    """``weight * E_old[(sqrt((r - 1)^2 + c^2) - c) / 2]``: total variation with the kink at the old policy rounded.

    Args:
        weight: >= 0, or a schedule.
        smoothing: c > 0; how far from 1 the ratio must be for the drift to grow linearly.
    """

    weight: Scheduled = 1.0
    smoothing: Scheduled = 0.1

    def __post_init__(self) -> None:
        check_scheduled(self, "weight")
        check_scheduled(self, "smoothing", open_low=True)

    def __call__(self, change: PolicyChange) -> Tensor:
        smoothing = number(self.smoothing, "TotalVariationDrift's smoothing")
        variation = change.expect_old(lambda ratio: divergence.smoothed_ratio_variation(ratio, smoothing))
        return number(self.weight, "TotalVariationDrift's weight") * variation


@dataclass(frozen=True)
class SquaredRatioDrift(Drift):
    """``weight * E_old[(r - 1)^2]``: the chi-square divergence of the new policy from the old.

    Args:
        weight: >= 0, or a schedule.
    """

    weight: Scheduled = 1.0

    def __post_init__(self) -> None:
        check_scheduled(self, "weight")

    def __call__(self, change: PolicyChange) -> Tensor:
        weight = number(self.weight, "SquaredRatioDrift's weight")
        return weight * change.expect_old(lambda ratio: (ratio - 1).square())


@dataclass(frozen=True)
class WassersteinDrift(Drift):
    """``weight * (|m - m'|^2 + |s - s'|^2)`` of two Gaussians before squashing: their squared 2-Wasserstein distance.

    Args:
        weight: >= 0, or a schedule.

    Raises:
        ConfigurationError: on call, where the policies are no Gaussians; finite action sets have no distance between
            actions.
    """

    weight: Scheduled = 1.0

    def __post_init__(self) -> None:
        check_scheduled(self, "weight")

    def __call__(self, change: PolicyChange) -> Tensor:
        old, new = change.old, change.new
        if not (isinstance(old, Gaussian) and isinstance(new, Gaussian)):
            got = type(new).__name__
            cure = "It measures distances between actions, which a finite action set has not: use KLDrift there."
            raise ConfigurationError(explain("The policy under WassersteinDrift", "a Gaussian", got, cure))
        distance = divergence.squared_wasserstein(new.mean, new.log_std, old.mean, old.log_std)
        return number(self.weight, "WassersteinDrift's weight") * distance


@dataclass(frozen=True)
class SumDrift(Drift):
    """The sum of drifts, as ``a + b`` makes it.

    Args:
        parts: one drift or more.
    """

    parts: tuple[Drift, ...]

    def __post_init__(self) -> None:
        if not self.parts or not all(isinstance(part, Drift) for part in self.parts):
            raise ConfigurationError(explain("The parts of a SumDrift", "one drift or more", self.parts))

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(part.needs for part in self.parts))

    @property
    def terms(self) -> tuple[Drift, ...]:
        return tuple(term for part in self.parts for term in part.terms)

    @property
    def bends(self) -> tuple[float, ...]:
        return tuple(sorted({bend for part in self.parts for bend in part.bends}))

    def __call__(self, change: PolicyChange) -> Tensor:
        total = self.parts[0](change)
        for part in self.parts[1:]:
            total = total + part(change)
        return total


@dataclass(frozen=True)
class ScaledDrift(Drift):
    """A drift times a number, as ``2 * a`` makes it.

    Args:
        factor: >= 0 (a negative one would break Definition 4), or a schedule.
        drift: what is scaled.
    """

    factor: Scheduled
    drift: Drift

    def __post_init__(self) -> None:
        check_scheduled(self, "factor")
        if not isinstance(self.drift, Drift):
            raise ConfigurationError(explain("The 'drift' parameter of ScaledDrift", "a Drift", self.drift))

    @property
    def needs(self) -> frozenset[str]:
        return self.drift.needs

    @property
    def terms(self) -> tuple[Drift, ...]:
        return tuple(ScaledDrift(self.factor, term) for term in self.drift.terms)

    @property
    def bends(self) -> tuple[float, ...]:
        return self.drift.bends

    def __call__(self, change: PolicyChange) -> Tensor:
        return number(self.factor, "ScaledDrift's factor") * self.drift(change)


def check_direction(owner: object, direction: object) -> None:
    """Refuse a direction of the KL divergence that is neither "forward" nor "reverse".

    Raises:
        ConfigurationError: names the class and the choices.
    """
    constraint = {"direction": (OneOf(("forward", "reverse")),)}
    check_parameters(type(owner).__name__, constraint, {"direction": direction})


def _parts(drift: Drift) -> tuple[Drift, ...]:
    return drift.parts if isinstance(drift, SumDrift) else (drift,)
