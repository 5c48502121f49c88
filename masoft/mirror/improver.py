"""How the argmax of the mirror step is sought when the policy is a network: gradient steps, or a natural gradient.

An improver sees a list of parameters and two closures: ``loss()`` gives the scalar to minimise (the drift is part of
it), ``change()`` gives the `PolicyChange` from the old policy to the one that the parameters make now.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.fast.recording import is_recordable
from masoft.mirror.change import PolicyChange
from masoft.mirror.neighborhood import Everywhere, Neighborhood
from masoft.mirror.schedule import Schedulable, Scheduled, check_scheduled, number
from masoft.validation import Constraint, Integer, Nothing, Real, check_parameters

LossClosure: TypeAlias = Callable[[], Tensor]
ChangeClosure: TypeAlias = Callable[[], PolicyChange]


@dataclass(frozen=True)
class Improvement:
    """What one search did.

    Args:
        steps: steps tried.
        accepted: steps that stayed; a scalar where nobody may wait for the number.
        loss_before: loss at the parameters it began with, scalar.
        loss_after: loss at the parameters of the last step tried, scalar; of the accepted one for `NaturalGradient`.
    """

    steps: int
    accepted: int | Tensor
    loss_before: Tensor
    loss_after: Tensor

    @property
    def accepted_share(self) -> Tensor:
        """Share of steps that stayed, from 0 to 1, scalar."""
        if isinstance(self.accepted, Tensor):
            return self.accepted / self.steps
        return torch.full((), self.accepted / self.steps if self.steps else 0.0, device=self.loss_before.device)


@dataclass(frozen=True)
class Improver(Schedulable, ABC):
    """A way to seek the argmax within a neighborhood."""

    @abstractmethod
    def improve(
        self,
        parameters: Sequence[Tensor],
        loss: LossClosure,
        change: ChangeClosure,
        neighborhood: Neighborhood,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> Improvement:
        """Move the parameters in place; whatever is not accepted is undone bit by bit.

        Args:
            parameters: leaves that require gradients, of one agent.
            loss: scalar to minimise, drift included; called anew for each step.
            change: the change from the old policy to the present one; called only where the neighborhood asks.
            neighborhood: what a step may not leave.
            optimizer: over the same parameters, for improvers that take gradient steps.
        """


@dataclass(frozen=True)
class GradientSteps(Improver):
    """A number of the optimizer's steps; one that leaves the neighborhood is shortened, and undone if that fails.

    The optimizer's own moments are kept: they are statistics of gradients, not the policy.

    Args:
        steps: steps a call (the paper's mini-epochs), >= 1.
        max_grad_norm: gradients longer than this are scaled down to it; None leaves them.
        backtracks: how often a step that leaves the neighborhood is halved before it is undone, >= 0.
    """

    steps: int = 1
    max_grad_norm: float | None = None
    backtracks: int = 5

    def __post_init__(self) -> None:
        constraints: dict[str, tuple[Constraint, ...]] = {
            "steps": (Integer(1),),
            "max_grad_norm": (Real(0, open_low=True), Nothing()),
            "backtracks": (Integer(0),),
        }
        check_parameters("GradientSteps", constraints, vars(self))

    def improve(
        self,
        parameters: Sequence[Tensor],
        loss: LossClosure,
        change: ChangeClosure,
        neighborhood: Neighborhood,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> Improvement:
        if optimizer is None:
            raise ConfigurationError(explain("The optimizer", "given, since GradientSteps needs one", None))
        bounded = neighborhood.undoes and not isinstance(neighborhood, Everywhere)
        backtrack = _backtrack_unseen if is_recordable() else _backtrack
        losses: list[Tensor] = []
        accepted: int | Tensor = 0
        for _ in range(self.steps):
            before = _snapshot(parameters) if bounded else []
            losses.append(self._step(parameters, loss, optimizer))
            accepted = accepted + (
                backtrack(parameters, before, change, neighborhood, self.backtracks) if bounded else True
            )
        return Improvement(self.steps, accepted, losses[0], losses[-1])

    def _step(self, parameters: Sequence[Tensor], loss: LossClosure, optimizer: torch.optim.Optimizer) -> Tensor:
        value = loss()
        optimizer.zero_grad()
        value.backward()
        if self.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm, foreach=True)
        optimizer.step()
        return value.detach()


@dataclass(frozen=True)
class NaturalGradient(Improver):
    """The step ``sqrt(2 d / g^T H^-1 g) H^-1 g``, H the Hessian of the mean KL, found by conjugate gradients.

    A line search halves it until the loss falls by at least ``accept_ratio`` of what the slope promises and the new
    policy is a member of the neighborhood; if none does, the old parameters come back bit by bit.

    Args:
        iterations: conjugate gradient iterations, >= 1.
        damping: multiple of the identity added to H, >= 0.
        backtracks: candidates of the line search, >= 1.
        shrink: factor between candidates, in (0, 1).
        accept_ratio: share of the promised fall that a candidate must bring, in [0, 1).
        step_kl: KL d that the full step may make to second order; None takes the neighborhood's own radius.

    Reference:
        Schulman et al., Trust Region Policy Optimization, 2015, Appendix C; Kuba et al., 2022 (HATRPO).
    """

    iterations: int = 10
    damping: float = 0.1
    backtracks: int = 10
    shrink: float = 0.8
    accept_ratio: float = 0.5
    step_kl: Scheduled | None = None

    def __post_init__(self) -> None:
        constraints: dict[str, tuple[Constraint, ...]] = {
            "iterations": (Integer(1),),
            "damping": (Real(0),),
            "backtracks": (Integer(1),),
            "shrink": (Real(0, 1, open_low=True, open_high=True),),
            "accept_ratio": (Real(0, 1, open_high=True),),
        }
        check_parameters("NaturalGradient", constraints, vars(self))
        if self.step_kl is not None:
            check_scheduled(self, "step_kl")

    def improve(
        self,
        parameters: Sequence[Tensor],
        loss: LossClosure,
        change: ChangeClosure,
        neighborhood: Neighborhood,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> Improvement:
        step_kl = self._step_kl(neighborhood)
        before = _snapshot(parameters)
        start = loss()
        gradient = _flat(torch.autograd.grad(start, parameters, allow_unused=True), parameters)
        start = start.detach()
        found = None if step_kl == 0 else self._direction(gradient, parameters, change)
        if found is None:
            return Improvement(1, 0, start, start)
        direction, length = found
        step = direction * torch.sqrt(2 * step_kl / length)
        promised = -(gradient @ step)
        for k in range(self.backtracks):
            share = self.shrink**k
            _move(parameters, before, step, share)
            with torch.no_grad():
                value = loss().detach()
            falls = bool(start - value >= self.accept_ratio * share * promised) and bool(value < start)
            if falls and neighborhood.contains(change()):
                return Improvement(1, 1, start, value)
        _restore(parameters, before)
        return Improvement(1, 0, start, start)

    def _step_kl(self, neighborhood: Neighborhood) -> float:
        if self.step_kl is not None:
            return number(self.step_kl, "NaturalGradient's step_kl")
        radius = neighborhood.kl_radius
        if radius is None:
            cure = "Use KLBall or TotalVariationBall, or give NaturalGradient(step_kl=0.01)."
            must = "one with a KL radius, since NaturalGradient takes its step length from it"
            raise ConfigurationError(explain("The neighborhood", must, neighborhood, cure))
        return radius

    def squared_slope(self, parameters: Sequence[Tensor], loss: LossClosure, change: ChangeClosure) -> float:
        """The squared length ``g^T H^-1 g`` of the loss's slope g where parameters are: what a `Budget` asks for."""
        gradient = _flat(torch.autograd.grad(loss(), parameters, allow_unused=True), parameters)
        found = self._direction(gradient, parameters, change)
        return 0.0 if found is None else float(found[1])

    def _direction(
        self, gradient: Tensor, parameters: Sequence[Tensor], change: ChangeClosure
    ) -> tuple[Tensor, Tensor] | None:
        """``-H^-1 g``, and its squared length as H measures it, a scalar; None where there is nowhere to go."""
        if not bool(gradient.any()):
            return None
        now = change()
        slope = torch.autograd.grad(now.mean(now.kl_old_new()), parameters, create_graph=True, allow_unused=True)
        slopes = _flat(slope, parameters)

        def curvature(vector: Tensor) -> Tensor:
            product = torch.autograd.grad(slopes @ vector, parameters, retain_graph=True, allow_unused=True)
            return _flat(product, parameters) + self.damping * vector

        direction = conjugate_gradient(curvature, -gradient, self.iterations)
        length = direction @ curvature(direction)
        return (direction, length) if bool(length > 0) else None


def conjugate_gradient(
    matrix: Callable[[Tensor], Tensor], target: Tensor, iterations: int, tolerance: float = 1e-10
) -> Tensor:
    """Approximately solve ``matrix(x) = target`` for a symmetric positive matrix.

    Args:
        matrix: product of the matrix with a vector (n,).
        target: (n,).
        iterations: at most this many.
        tolerance: stop once the squared residual is below this share of the target's own.

    Returns:
        (n,).
    """
    solution = torch.zeros_like(target)
    residual, direction = target.clone(), target.clone()
    squared = residual @ residual
    enough = tolerance * squared
    for _ in range(iterations):
        if bool(squared <= enough):
            break
        product = matrix(direction)
        curve = direction @ product
        if not bool(curve > 0):
            break
        length = squared / curve
        solution = solution + length * direction
        residual = residual - length * product
        smaller = residual @ residual
        direction = residual + (smaller / squared) * direction
        squared = smaller
    return solution


def _snapshot(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def _restore(parameters: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)


def _backtrack(
    parameters: Sequence[Tensor],
    before: Sequence[Tensor],
    change: ChangeClosure,
    neighborhood: Neighborhood,
    halvings: int,
) -> bool:
    """Whether the step, or a shortened one, stays; else the parameters are as before, bit by bit."""
    if neighborhood.contains(change()):
        return True
    after = _snapshot(parameters)
    for k in range(1, halvings + 1):
        with torch.no_grad():
            for parameter, old, new in zip(parameters, before, after, strict=True):
                parameter.copy_(torch.lerp(old, new, 0.5**k))
        if neighborhood.contains(change()):
            return True
    _restore(parameters, before)
    return False


def _backtrack_unseen(
    parameters: Sequence[Tensor],
    before: Sequence[Tensor],
    change: ChangeClosure,
    neighborhood: Neighborhood,
    halvings: int,
) -> Tensor:
    """`_backtrack` with the same outcome, for recordings: all halvings are tried, and nobody reads which one stays."""
    stays = _holds(neighborhood, change())
    after = _snapshot(parameters)
    for k in range(1, halvings + 1):
        with torch.no_grad():
            for parameter, old, new in zip(parameters, before, after, strict=True):
                parameter.copy_(torch.where(stays, parameter, torch.lerp(old, new, 0.5**k)))
        stays = stays | _holds(neighborhood, change())
    with torch.no_grad():
        for parameter, old in zip(parameters, before, strict=True):
            parameter.copy_(torch.where(stays, parameter, old))
    return stays


def _holds(neighborhood: Neighborhood, change: PolicyChange) -> Tensor:
    """Whether a policy is a member; who has defined ``contains`` anew is asked by that."""
    kind = type(neighborhood)
    if kind.holds is Neighborhood.holds and kind.contains is not Neighborhood.contains:
        return torch.full((), neighborhood.contains(change), device=change.mean(change.kl_old_new()).device)
    return neighborhood.holds(change)


def _move(parameters: Sequence[Tensor], before: Sequence[Tensor], step: Tensor, share: float) -> None:
    start = 0
    with torch.no_grad():
        for parameter, old in zip(parameters, before, strict=True):
            part = step[start : start + old.numel()].view_as(old)
            parameter.copy_(old + share * part)
            start += old.numel()


def _flat(gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """One vector of all gradients; an unused parameter has zeros."""
    parts = [
        torch.zeros_like(parameter).reshape(-1) if gradient is None else gradient.reshape(-1)
        for gradient, parameter in zip(gradients, parameters, strict=True)
    ]
    return torch.cat(parts)
