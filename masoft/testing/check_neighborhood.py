"""Does a neighborhood satisfy Definition 5, and does mirror learning within it keep the promises of Theorem 3?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.mirror import GradientSteps, Neighborhood
from masoft.mirror.schedule import number
from masoft.testing.game_checks import check_on_games
from masoft.testing.mirror_cases import BATCH, FAR, NEAR, STEPS, Case, attempt, cases, directions, fail

ROUNDING = 1e-10


@dataclass(frozen=True)
class NeighborhoodReport:
    """What `check_neighborhood` tried.

    Args:
        ball: for each kind of policy on which every condition holds, the radius (in parameters) of the largest tried
            ball around the old policy that lies inside.
        refused: for each other kind, the sentence with which the neighborhood refused it.
    """

    ball: dict[str, float]
    refused: dict[str, str]


def check_neighborhood(neighborhood: Neighborhood, *, games: int = 4, seed: int = 0) -> NeighborhoodReport:
    """Try a neighborhood on categorical, masked, and Gaussian policies, then on random finite games.

    The conditions: the distance is one finite number, at least zero, and zero at the old policy; the old policy is a
    member and so is a whole ball around it; a policy is a member exactly if its distance is at most the radius; undoing
    the change at one state never makes the distance larger (Lemma G.2 needs this); illegal actions have no influence;
    steps that an improver keeps are members, and one that it undoes leaves the old policy bit by bit (of
    a neighborhood that undoes none: at the old policy the objective counts as it is, and its first price is above
    zero). On random games J must not fall and the end must be a quantal response equilibrium.

    Args:
        neighborhood: the neighborhood; schedules are taken at the start of training.
        games: number of random games.
        seed: of policies, actions and games.

    Returns:
        the size of the ball found for each kind of policy, and which kinds the neighborhood refused by name.

    Raises:
        AssertionError: names the broken condition and shows numbers.

    Example:
        >>> from masoft.mirror import KLBall
        >>> check_neighborhood(KLBall(0.1), games=1).refused
        {}

    Reference:
        Liu et al., Maximum Entropy Heterogeneous-Agent Reinforcement Learning, 2024, Definition 5.
    """
    neighborhood = neighborhood.at(1.0)
    balls: dict[str, float] = {}
    refused: dict[str, str] = {}
    for case in cases(seed):
        value = attempt(lambda case=case: neighborhood.distance(case.change(case.old)))  # type: ignore[misc]
        if isinstance(value, str):
            refused[case.name] = value
            continue
        for check in (_at_old, _distances, _undoing_a_state, _masks, _steps):
            check(neighborhood, case, seed)
        balls[case.name] = _ball(neighborhood, case, seed)
    if not balls:
        fail(neighborhood, "it works for some kind of policy", "; ".join(refused.values()))
    refusal = check_on_games(neighborhood, None, neighborhood, games, seed) if games else None
    if refusal is not None:
        refused["finite game"] = refusal
    return NeighborhoodReport(balls, refused)


def _at_old(neighborhood: Neighborhood, case: Case, seed: int) -> None:
    """Zero distance; a member."""
    change = case.change(case.old)
    distance = neighborhood.distance(change)
    if distance.dim() != 0:
        fail(neighborhood, "the distance is one number", f"shape {tuple(distance.shape)} ({case.name})")
    if not abs(float(distance)) <= ROUNDING:
        fail(neighborhood, "zero distance at the old policy", f"{float(distance):.3g} ({case.name})")
    if not neighborhood.contains(change):
        fail(neighborhood, "the old policy is a member (Definition 5)", f"it is not ({case.name})")


def _distances(neighborhood: Neighborhood, case: Case, seed: int) -> None:
    """Finite, at least zero, and the test of membership."""
    radius = number(neighborhood.radius, "radius")
    for size in (0.3 * NEAR, NEAR, 3 * NEAR, 5 * NEAR, FAR):
        for direction in directions(case, seed):
            change = case.change(case.old + size * direction)
            distance = float(neighborhood.distance(change))
            if not -ROUNDING <= distance < float("inf"):
                fail(neighborhood, "distances are finite and at least zero", f"{distance:.3g} ({case.name})")
            if neighborhood.contains(change) != (distance <= radius):
                found = f"distance {distance:.6g}, radius {radius:.6g}, contains says {neighborhood.contains(change)}"
                fail(neighborhood, "members are the policies at most the radius away", found)


def _ball(neighborhood: Neighborhood, case: Case, seed: int) -> float:
    """The largest tried size at which every direction stays inside."""
    for size in (1.0, 0.1, *STEPS):
        changes = [case.change(case.old + size * direction) for direction in directions(case, seed)]
        if all(neighborhood.contains(change) for change in changes):
            return size
    outside = max(float(neighborhood.distance(change)) for change in changes)
    found = f"distance {outside:.3g} at a step of {STEPS[-1]:.0e}, radius {neighborhood.radius} ({case.name})"
    fail(neighborhood, "a closed ball around the old policy lies inside (Definition 5)", found)
    return 0.0


def _undoing_a_state(neighborhood: Neighborhood, case: Case, seed: int) -> None:
    """Putting the old policy back at one state never makes the distance larger."""
    for direction in directions(case, seed, count=2):
        moved = case.old + NEAR * direction
        whole = float(neighborhood.distance(case.change(moved)))
        for state in range(BATCH):
            undone = moved.clone()
            undone[state] = case.old[state]
            part = float(neighborhood.distance(case.change(undone)))
            if not part <= whole + ROUNDING:
                found = f"{part:.6g} with state {state} undone, {whole:.6g} before ({case.name})"
                condition = "state-wise monotone: undoing one state never makes the distance larger (Definition 5)"
                fail(neighborhood, condition, found)


def _masks(neighborhood: Neighborhood, case: Case, seed: int) -> None:
    """What the parameters say about illegal actions changes nothing, unless the parameters themselves are measured."""
    if not case.illegal or "parameter_change" in neighborhood.needs:
        return
    moved = case.old + NEAR * next(directions(case, seed))
    shifted = moved.clone()
    shifted[:, list(case.illegal)] += 3.0
    gap = float(neighborhood.distance(case.change(moved)) - neighborhood.distance(case.change(shifted)))
    if not abs(gap) <= ROUNDING:
        found = f"a difference of {gap:.3g} when only the logit of an illegal action moved"
        fail(neighborhood, "illegal actions have no influence", found)


def _steps(neighborhood: Neighborhood, case: Case, seed: int) -> None:
    """Steps that an improver keeps are members; undone ones leave nothing behind. Or the objective is bent at most."""
    if not neighborhood.undoes:
        _priced_outside(neighborhood, case)
        return
    goal = case.old + FAR * next(directions(case, seed))
    for length in (1e-4, 0.05, 50.0):
        parameters = case.old.clone().requires_grad_()
        optimizer = torch.optim.SGD([parameters], lr=length)

        def loss(parameters: Tensor = parameters) -> Tensor:
            return (parameters - goal).square().sum()

        def change(parameters: Tensor = parameters):  # type: ignore[no-untyped-def]
            return case.change(parameters)

        done = GradientSteps(3).improve([parameters], loss, change, neighborhood, optimizer)
        with torch.no_grad():
            if not neighborhood.contains(case.change(parameters.detach())):
                distance = float(neighborhood.distance(case.change(parameters.detach())))
                found = f"distance {distance:.6g}, radius {neighborhood.radius} ({case.name})"
                fail(neighborhood, "an accepted step is a member", found)
            if done.accepted == 0 and not torch.equal(parameters, case.old):
                fail(neighborhood, "a rejected step restores the old policy exactly", f"it did not ({case.name})")


def _priced_outside(neighborhood: Neighborhood, case: Case) -> None:
    """At the old policy, a member, nothing but the objective counts; and there is a price."""
    if not (neighborhood.first_price or 0) > 0:
        fail(neighborhood, "one that undoes no steps has a first price above zero", f"{neighborhood.first_price}")
    objective = torch.arange(1.0, BATCH + 1, dtype=case.old.dtype)
    priced = neighborhood.priced(objective, case.change(case.old), torch.ones((), dtype=case.old.dtype))
    if not torch.equal(priced, objective):
        fail(neighborhood, "at the old policy the objective counts as it is", f"{priced.tolist()} ({case.name})")
