"""A KL ball that gradients keep, state by state, with a learned price: the trust region of REPPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from masoft.mirror.change import PolicyChange
from masoft.mirror.drift import Direction, check_direction
from masoft.mirror.neighborhood import Over, StatewiseNeighborhood
from masoft.mirror.schedule import Scheduled, check_scheduled, number
from masoft.validation import Real, check_parameters

LOG_BOUNDS = (-20.0, 20.0)
"""Logarithms of prices stay within these."""


@dataclass(frozen=True)
class SwitchedKLBall(StatewiseNeighborhood):
    """Policies whose KL divergence from the old one is at most ``radius`` nats at each state, kept by gradients.

    A gradient step minimises, state by state, the objective where ``KL(s) <= radius`` and ``price KL(s)`` elsewhere; no
    step is undone. The price is learned, one an agent: ``log price += rate min(mean KL / radius - 1, 1)``, so that it
    rises while policies are too far on average and falls while they are not.

    It promises less than `KLBall` in training: a policy may leave the ball, and comes back because nothing but its
    way back counts where it is outside. In an exact game the argmax is taken over the ball itself, as with
    ``KLBall(radius, over="max")``; there each state's price is the smallest that holds it. Off-policy only, `MEHAML`.

    Args:
        radius: > 0, or a schedule.
        over: of the distance that is reported; "max" takes the worst state, "mean" their average.
        direction: "forward" is KL(old || new), "reverse" is KL(new || old).
        price: the first one, > 0.
        rate: step size of the logarithm of the price, >= 0, or a schedule; 0 keeps the first.

    Reference:
        Voelcker et al., Relative Entropy Pathwise Policy Optimization, 2025: bound 0.1, first price 0.01, Adam.
    """

    undoes: ClassVar[bool] = False
    radius: Scheduled = 0.1
    over: Over = "max"
    direction: Direction = "forward"
    price: float = 1.0
    rate: Scheduled = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_direction(self, self.direction)
        check_scheduled(self, "radius", open_low=True)
        check_parameters("SwitchedKLBall", {"price": (Real(0, open_low=True),)}, {"price": self.price})
        check_scheduled(self, "rate")

    @property
    def first_price(self) -> float | None:
        return self.price

    def per_state(self, change: PolicyChange) -> Tensor:
        return change.kl_old_new() if self.direction == "forward" else change.kl_new_old()

    def priced(self, objective: Tensor, change: PolicyChange, price: Tensor) -> Tensor:
        distance = self.per_state(change)
        return torch.where(distance.detach() <= number(self.radius, "The radius"), objective, price * distance)

    def next_price(self, price: Tensor, change: PolicyChange) -> Tensor:
        distance = change.mean(self.per_state(change))
        excess = (distance / number(self.radius, "The radius") - 1).clamp_max(1.0)
        log_price = price.log() + number(self.rate, "SwitchedKLBall's rate") * excess
        return log_price.clamp(*LOG_BOUNDS).exp()
