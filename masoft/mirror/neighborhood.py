"""Neighborhood operators (Definition 5): hard limits on how far an update may move a policy.

A neighborhood is a distance and a radius. To write your own, subclass `Neighborhood` as a frozen dataclass with a
``radius`` and define ``distance``; `masoft.testing.check_neighborhood` tells whether Definition 5 holds for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.functional import divergence
from masoft.mirror.change import PolicyChange
from masoft.mirror.drift import Direction, check_direction
from masoft.mirror.schedule import Schedulable, Scheduled, check_scheduled, number
from masoft.validation import OneOf, check_parameters

Over = Literal["mean", "max"]


@dataclass(frozen=True)
class Neighborhood(Schedulable, ABC):
    """A set of policies around the old one: those at most ``radius`` away.

    ``a & b`` is the intersection.

    Class attributes:
        undoes: whether a gradient step that leaves it is shortened or undone. One that sets this False bends the
            objective instead, see ``first_price``, ``priced`` and ``next_price``.

    Reference:
        Liu et al., Maximum Entropy Heterogeneous-Agent Reinforcement Learning, 2024, Definition 5.
    """

    undoes: ClassVar[bool] = True
    radius: Scheduled

    @abstractmethod
    def distance(self, change: PolicyChange) -> Tensor:
        """How far the new policy is from the old one, scalar >= 0, zero at the old policy."""

    def contains(self, change: PolicyChange) -> bool:
        """Whether the new policy is a member: its distance is at most ``radius`` (a NaN distance is no member)."""
        return bool(self.holds(change))

    @torch.no_grad()
    def holds(self, change: PolicyChange) -> Tensor:
        """The same as a tensor (scalar), for which no device has to be waited for."""
        return self.distance(change) <= number(self.radius, f"{type(self).__name__}'s radius")

    @property
    def needs(self) -> frozenset[str]:
        """Optional fields of `PolicyChange` that this neighborhood cannot do without."""
        return frozenset()

    @property
    def limits(self) -> tuple[Neighborhood, ...]:
        """The neighborhoods of which this one is the intersection; none where everything is a member."""
        return (self,)

    @property
    def kl_radius(self) -> float | None:
        """Size of the mean KL(old || new) to aim a step at; whether it is a member is checked apart. None: unknown."""
        return None

    @property
    def first_price(self) -> float | None:
        """What being outside costs at first; None where nothing is priced. Each agent learns a price of its own."""
        return None

    def priced(self, objective: Tensor, change: PolicyChange, price: Tensor) -> Tensor:
        """What gradient steps minimise instead of the objective; (batch,), like the latter.

        Args:
            objective: (batch,), of each state.
            change: to the policy whose objective that is.
            price: scalar, the agent's own.
        """
        return objective

    def next_price(self, price: Tensor, change: PolicyChange) -> Tensor:
        """The price after an agent's turn, scalar > 0.

        Args:
            price: scalar, the one before.
            change: what the turn made, outside the graph.
        """
        return price

    def __and__(self, other: object) -> Neighborhood:
        if not isinstance(other, Neighborhood):
            return NotImplemented
        return Intersection(parts=_parts(self) + _parts(other))


@dataclass(frozen=True)
class Everywhere(Neighborhood):
    """The whole policy space: no limit."""

    radius: Scheduled = float("inf")

    def __post_init__(self) -> None:
        if self.radius != float("inf"):
            raise ConfigurationError(explain("The radius of Everywhere", "infinite", self.radius, "Use KLBall."))

    def distance(self, change: PolicyChange) -> Tensor:
        return torch.zeros_like(change.mean(change.kl_new_old()).detach())

    def contains(self, change: PolicyChange) -> bool:
        return True

    @property
    def limits(self) -> tuple[Neighborhood, ...]:
        return ()

    def __repr__(self) -> str:
        return "Everywhere()"


@dataclass(frozen=True)
class StatewiseNeighborhood(Neighborhood, ABC):
    """A neighborhood whose distance is made of one distance a state: their average, or the worst of them.

    Subclass this one where you can: the exact solver of finite games then treats the states apart.

    Args:
        radius: >= 0, or a schedule.
        over: "mean" averages over states by their weights, "max" takes the worst state.
    """

    over: Over = "mean"

    def __post_init__(self) -> None:
        check_scheduled(self, "radius")
        check_parameters(type(self).__name__, {"over": (OneOf(("mean", "max")),)}, {"over": self.over})

    @abstractmethod
    def per_state(self, change: PolicyChange) -> Tensor:
        """How far the new policy is from the old one at each state, (batch,), >= 0."""

    @property
    def bends(self) -> tuple[float, ...]:
        """Ratios new / old at which the slope of `per_state` may jump: a hint, as `Drift.bends` is."""
        return ()

    def distance(self, change: PolicyChange) -> Tensor:
        per_state = self.per_state(change)
        return change.mean(per_state) if self.over == "mean" else change.max(per_state)


@dataclass(frozen=True)
class KLBall(StatewiseNeighborhood):
    """Policies whose KL divergence from the old one is at most ``radius`` nats.

    Args:
        radius: >= 0, or a schedule.
        over: "mean" averages over states by their weights, "max" takes the worst state.
        direction: "forward" is KL(old || new), that of TRPO and HATRPO; "reverse" is KL(new || old).
    """

    radius: Scheduled = 0.01
    direction: Direction = "forward"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_direction(self, self.direction)

    @property
    def kl_radius(self) -> float | None:
        # To second order both directions agree.
        return number(self.radius, "KLBall's radius")

    def per_state(self, change: PolicyChange) -> Tensor:
        return change.kl_old_new() if self.direction == "forward" else change.kl_new_old()


@dataclass(frozen=True)
class TotalVariationBall(StatewiseNeighborhood):
    """Policies whose total variation distance from the old one is at most ``radius``, in [0, 1].

    Exact for finite action sets; for Gaussians the mean of ``|r - 1| / 2`` over the carried actions.

    Args:
        radius: >= 0, or a schedule.
        over: "mean" averages over states by their weights, "max" takes the worst state.
    """

    radius: Scheduled = 0.1

    @property
    def kl_radius(self) -> float | None:
        # Pinsker: TV <= sqrt(KL / 2), and the mean of TV is at most the root of half the mean KL.
        return 2 * number(self.radius, "TotalVariationBall's radius") ** 2

    @property
    def bends(self) -> tuple[float, ...]:
        return (1.0,)

    def per_state(self, change: PolicyChange) -> Tensor:
        if change.is_finite:
            return divergence.total_variation(change.new.joint_log_probs(), change.old.joint_log_probs())
        return change.expect_old(divergence.ratio_total_variation)


@dataclass(frozen=True)
class ParameterBall(Neighborhood):
    """Policies whose parameters are at most ``radius`` from the old ones in Euclidean length.

    In a finite game the parameters are the action probabilities themselves.

    Args:
        radius: >= 0, or a schedule.
    """

    radius: Scheduled = 0.1

    def __post_init__(self) -> None:
        check_scheduled(self, "radius")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"parameter_change"})

    def distance(self, change: PolicyChange) -> Tensor:
        step: Tensor = change.require("parameter_change", "ParameterBall")
        length: Tensor = torch.linalg.vector_norm(step)
        return length


@dataclass(frozen=True)
class Intersection(Neighborhood):
    """Policies that are members of every part, as ``a & b`` makes it.

    Args:
        parts: one neighborhood or more.
        radius: always 1: the distance is the largest of the parts' distances, each in units of its own radius.
    """

    radius: Scheduled = 1.0
    parts: tuple[Neighborhood, ...] = ()

    def __post_init__(self) -> None:
        if not self.parts or not all(isinstance(part, Neighborhood) for part in self.parts):
            raise ConfigurationError(explain("The parts of an Intersection", "one neighborhood or more", self.parts))
        if not all(part.undoes for part in self.parts):
            must = "neighborhoods that undo steps, since one that bends the objective stands alone"
            raise ConfigurationError(explain("The parts of an Intersection", must, self.parts, "Use KLBall."))
        if self.radius != 1.0:
            raise ConfigurationError(explain("The radius of an Intersection", "1", self.radius, "Set the parts' own."))

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(part.needs for part in self.parts))

    @property
    def kl_radius(self) -> float | None:
        known = [part.kl_radius for part in self.parts if part.kl_radius is not None]
        return min(known) if known else None

    @property
    def limits(self) -> tuple[Neighborhood, ...]:
        return tuple(limit for part in self.parts for limit in part.limits)

    def distance(self, change: PolicyChange) -> Tensor:
        return torch.stack([_relative(part, change) for part in self.parts]).max()

    def contains(self, change: PolicyChange) -> bool:
        return all(part.contains(change) for part in self.parts)

    def holds(self, change: PolicyChange) -> Tensor:
        return torch.stack([part.holds(change) for part in self.parts]).all()


def _relative(part: Neighborhood, change: PolicyChange) -> Tensor:
    """Distance in units of the radius; a ball of radius 0 has infinite distance everywhere but at the old policy."""
    distance, radius = part.distance(change), number(part.radius, "The radius of a part")
    if radius > 0:
        return distance / radius
    return torch.where(distance > 0, float("inf"), 0.0).to(distance.dtype)


def _parts(neighborhood: Neighborhood) -> tuple[Neighborhood, ...]:
    return neighborhood.parts if isinstance(neighborhood, Intersection) else (neighborhood,)
