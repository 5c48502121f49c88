"""Does a drift satisfy Definition 4, and does mirror learning with it keep the promises of Theorem 3?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from masoft.mirror import Drift
from masoft.testing.game_checks import check_on_games
from masoft.testing.mirror_cases import BATCH, FAR, NEAR, STEPS, Case, attempt, cases, directions, fail

ROUNDING = 1e-10
BEND = 0.2


@dataclass(frozen=True)
class DriftReport:
    """What `check_drift` tried.

    Args:
        passed: kinds of policies on which every condition holds.
        refused: for each other kind, the sentence with which the drift refused it.
    """

    passed: tuple[str, ...]
    refused: dict[str, str]


def check_drift(drift: Drift, *, games: int = 4, seed: int = 0) -> DriftReport:
    """Try a drift on categorical, masked, and Gaussian policies, then on random finite games.

    The conditions: one finite number a state, which depends on that state alone; never negative; zero at the old
    policy, with zero slope in every direction (by automatic differentiation and by small steps to both sides, since a
    kink hides from the former); differentiable in the new policy; no gradient into the old one; illegal actions
    without influence. On random games J must not fall and the end must be a quantal response equilibrium.

    Args:
        drift: the drift; schedules are taken at the start of training.
        games: number of random games.
        seed: of policies, actions, advantages and games.

    Returns:
        which kinds of policies passed, and which the drift refused by name (at least one must pass).

    Raises:
        AssertionError: names the broken condition and shows numbers.

    Example:
        >>> from masoft.mirror import KLDrift
        >>> check_drift(KLDrift(0.5), games=1).refused
        {}

    Reference:
        Liu et al., Maximum Entropy Heterogeneous-Agent Reinforcement Learning, 2024, Definition 4.
    """
    drift = drift.at(1.0)
    passed, refused = [], {}
    for case in cases(seed):
        value = attempt(partial(drift, case.change(case.old)))
        if isinstance(value, str):
            refused[case.name] = value
            continue
        for check in (_shape, _at_old, _never_negative, _no_kink, _differentiable, _detached, _masks, _statewise):
            check(drift, case, seed)
        passed.append(case.name)
    if not passed:
        fail(drift, "it works for some kind of policy", "; ".join(refused.values()))
    refusal = check_on_games(drift, drift, None, games, seed) if games else None
    if refusal is not None:
        refused["finite game"] = refusal
    return DriftReport(tuple(passed), refused)


def _shape(drift: Drift, case: Case, seed: int) -> None:
    """One finite number a state."""
    value = drift(case.change(case.old + NEAR))
    if tuple(value.shape) != (BATCH,):
        fail(drift, f"it gives one number a state, shape ({BATCH},)", f"shape {tuple(value.shape)} ({case.name})")
    if not value.isfinite().all():
        fail(drift, "it is finite near the old policy", f"{value.tolist()} ({case.name})")


def _at_old(drift: Drift, case: Case, seed: int) -> None:
    """Zero value and zero gradient at the old policy."""
    new = case.old.clone().requires_grad_()
    value = drift(case.change(new))
    worst = float(value.detach().abs().max())
    if not worst <= ROUNDING:
        fail(drift, "zero value at the old policy (Definition 4, 1)", f"{worst:.3g} ({case.name})")
    if not value.requires_grad:
        return
    (gradient,) = torch.autograd.grad(value.sum(), new, allow_unused=True)
    steepest = 0.0 if gradient is None else float(gradient.abs().max())
    if not steepest <= 1e-7:
        found = f"a gradient entry of size {steepest:.3g} ({case.name})"
        fail(drift, "zero gradient at the old policy (Definition 4, 2)", found)


def _never_negative(drift: Drift, case: Case, seed: int) -> None:
    """At least zero, near and far."""
    for size in (NEAR, FAR, 5 * FAR):
        for k, direction in enumerate(directions(case, seed)):
            value = drift(case.change(case.old + size * direction))
            lowest = float(value.min())
            if not lowest >= -ROUNDING:
                found = f"{lowest:.3g} at distance {size} in direction {k} ({case.name})"
                fail(drift, "non-negative everywhere (Definition 4, 1)", found)


def _no_kink(drift: Drift, case: Case, seed: int) -> None:
    """``D(old + h v) / h`` goes to zero with h to both sides, in every state."""
    for direction in directions(case, seed, count=4):
        quotients = [drift(case.change(case.old + h * direction)) / h for h in STEPS]
        first, last = torch.stack(quotients[:-1]).amax(0), quotients[-1]
        kinked = (last > ROUNDING / STEPS[-1] * 1e-3) & (last > BEND * first)
        if kinked.any():
            state = int(kinked.int().argmax())
            there, back = (float(drift(case.change(case.old + s * STEPS[-1] * direction))[state]) for s in (1, -1))
            slopes = f"{there / STEPS[-1]:.3g} one way and {back / STEPS[-1]:.3g} the other"
            found = f"one-sided slopes at the old policy of {slopes} ({case.name})"
            fail(drift, "zero slope in every direction at the old policy (Definition 4, 2)", found)


def _differentiable(drift: Drift, case: Case, seed: int) -> None:
    """A drift that moves with the new policy has a gradient with respect to it."""
    direction = next(directions(case, seed))
    new = (case.old + FAR * direction).requires_grad_()
    value = drift(case.change(new))
    other = drift(case.change(case.old + 0.9 * FAR * direction))
    if float((value - other).detach().abs().max()) <= ROUNDING:
        return
    gradient = torch.autograd.grad(value.sum(), new, allow_unused=True)[0] if value.requires_grad else None
    if gradient is None or not gradient.isfinite().all() or not gradient.any():
        found = "none" if gradient is None else f"gradient {gradient[0].tolist()}"
        fail(drift, "differentiable in the new policy", f"{found} though the value changes ({case.name})")


def _detached(drift: Drift, case: Case, seed: int) -> None:
    """No gradient reaches the old policy or the advantage."""
    old = case.old.clone().requires_grad_()
    new = (case.old + NEAR * next(directions(case, seed))).requires_grad_()
    change = Case(case.name, case.policy, old, case.actions, case.advantage).change(new)
    value = drift(change)
    if not value.requires_grad:
        return
    # parameter_change is new - old by nature; a drift has no business with it.
    (leak,) = torch.autograd.grad(value.sum(), old, allow_unused=True)
    if leak is not None and bool(leak.any()):
        found = f"a gradient entry of size {float(leak.abs().max()):.3g} ({case.name})"
        fail(drift, "no gradient into the old policy", found)


def _masks(drift: Drift, case: Case, seed: int) -> None:
    """What the parameters say about illegal actions changes nothing."""
    if not case.illegal:
        return
    moved = case.old + NEAR * next(directions(case, seed))
    shifted = moved.clone()
    shifted[:, list(case.illegal)] += 3.0
    values: list[Tensor] = [drift(case.change(new)) for new in (moved, shifted)]
    gap = float((values[0] - values[1]).abs().max())
    if not gap <= ROUNDING:
        found = f"a difference of {gap:.3g} when only the logit of an illegal action moved"
        fail(drift, "illegal actions have no influence", found)


def _statewise(drift: Drift, case: Case, seed: int) -> None:
    """The drift at a state is the same when that state is alone in the batch."""
    moved = case.old + NEAR * next(directions(case, seed))
    together = drift(case.change(moved))
    for state in range(BATCH):
        alone = drift(case.only(state).change(moved[state : state + 1]))
        gap = float((alone[0] - together[state]).abs())
        if not gap <= ROUNDING * (1 + float(together[state].abs())):
            found = f"{float(together[state]):.6g} within the batch, {float(alone[0]):.6g} alone ({case.name})"
            fail(drift, "the drift at a state depends on that state alone", found)
