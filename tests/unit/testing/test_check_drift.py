"""`check_drift` and `check_neighborhood` pass the built-in parts and catch planted wrong ones, by name and number."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from masoft import mirror
from masoft.mirror import (
    ClipDrift,
    Drift,
    Everywhere,
    KLBall,
    KLDrift,
    Linear,
    Neighborhood,
    NoDrift,
    ParameterBall,
    PolicyChange,
    SquaredRatioDrift,
    StatewiseNeighborhood,
    SwitchedKLBall,
    TotalVariationBall,
    TotalVariationDrift,
    WassersteinDrift,
)
from masoft.testing import check_drift, check_neighborhood

ALL_KINDS = ("categorical", "masked multi-categorical", "squashed Gaussian")

DRIFTS = [
    NoDrift(),
    KLDrift(0.5),
    KLDrift(2.0, direction="forward"),
    ClipDrift(0.2),
    TotalVariationDrift(1.0, smoothing=0.1),
    SquaredRatioDrift(0.5),
    KLDrift(0.2) + 2 * ClipDrift(0.1),
    KLDrift(Linear(1.0, 0.0)),
]

NEIGHBORHOODS = [
    Everywhere(),
    KLBall(0.05),
    KLBall(0.05, direction="reverse"),
    KLBall(0.1, over="max"),
    TotalVariationBall(0.1),
    TotalVariationBall(0.2, over="max"),
    ParameterBall(0.2),
    KLBall(0.05) & TotalVariationBall(0.1, over="max"),
    KLBall(Linear(0.05, 0.01)),
    SwitchedKLBall(0.1),
]


@pytest.mark.parametrize("drift", DRIFTS, ids=repr)
def test_built_in_drifts_pass_on_every_kind_of_policy(drift: Drift) -> None:
    report = check_drift(drift, games=2)
    assert report.passed == ALL_KINDS
    assert report.refused == {}


def test_a_distance_between_actions_refuses_finite_action_sets_by_name() -> None:
    report = check_drift(WassersteinDrift(0.3), games=1)
    assert report.passed == ("squashed Gaussian",)
    assert set(report.refused) == {"categorical", "masked multi-categorical", "finite game"}
    assert all("WassersteinDrift" in why and "KLDrift" in why for why in report.refused.values())


@pytest.mark.parametrize("neighborhood", NEIGHBORHOODS, ids=repr)
def test_built_in_neighborhoods_pass_on_every_kind_of_policy(neighborhood: Neighborhood) -> None:
    report = check_neighborhood(neighborhood, games=2)
    assert tuple(report.ball) == ALL_KINDS
    assert min(report.ball.values()) > 0
    assert report.refused == {}


def test_the_lists_above_leave_no_built_in_out() -> None:
    tried = {type(part) for part in [*DRIFTS, *NEIGHBORHOODS, WassersteinDrift(), 2 * NoDrift()]}
    public = {getattr(mirror, name) for name in mirror.__all__}
    concrete = {
        kind
        for kind in public
        if isinstance(kind, type)
        and issubclass(kind, (Drift, Neighborhood))
        and not getattr(kind, "__abstractmethods__", None)
    }
    assert concrete <= tried


@dataclass(frozen=True)
class SquaredRatio(Drift):
    """The ten lines of the tutorial."""

    weight: float = 1.0

    def __call__(self, change: PolicyChange) -> Tensor:
        return self.weight * change.expect_old(lambda ratio: (ratio - 1) ** 2)


@dataclass(frozen=True)
class DeadZone(Drift):
    """Nothing up to a ratio of 1 +- width, then linear: valid, though it has kinks that nobody declares."""

    width: float = 0.1

    def __call__(self, change: PolicyChange) -> Tensor:
        return change.expect_old(lambda ratio: torch.relu((ratio - 1).abs() - self.width))


def test_a_users_drift_passes() -> None:
    assert check_drift(SquaredRatio(0.5)).passed == ALL_KINDS


def test_a_users_drift_with_undeclared_kinks_passes() -> None:
    assert check_drift(DeadZone(), games=1).passed == ALL_KINDS


@dataclass(frozen=True)
class SometimesNegative(Drift):
    def __call__(self, change: PolicyChange) -> Tensor:
        kl = change.kl_new_old()
        return kl * (1 - kl)


@dataclass(frozen=True)
class NotZeroAtOld(Drift):
    def __call__(self, change: PolicyChange) -> Tensor:
        return change.kl_new_old() + 0.25


@dataclass(frozen=True)
class Sloped(Drift):
    """Non-negative and zero at old, but its automatic derivative there is not."""

    def __call__(self, change: PolicyChange) -> Tensor:
        return torch.sqrt(change.kl_new_old().clamp_min(1e-24)) - 1e-12


@dataclass(frozen=True)
class Kinked(Drift):
    """Plain total variation: automatic differentiation says slope 0 at the kink, small steps say otherwise."""

    def __call__(self, change: PolicyChange) -> Tensor:
        return change.expect_old(lambda ratio: 0.5 * (ratio - 1).abs())


@dataclass(frozen=True)
class OneSided(Drift):
    """Asymmetric at zero: no slope where the first action gets likelier, a slope where it gets rarer."""

    def __call__(self, change: PolicyChange) -> Tensor:
        actions = torch.zeros_like(change.require("actions", "OneSided"))
        return torch.relu(change.old.log_prob(actions) - change.new.log_prob(actions))


@dataclass(frozen=True)
class Undifferentiable(Drift):
    def __call__(self, change: PolicyChange) -> Tensor:
        return change.kl_new_old().detach()


@dataclass(frozen=True)
class AveragedOverStates(Drift):
    def __call__(self, change: PolicyChange) -> Tensor:
        kl = change.kl_new_old()
        return kl.mean().expand_as(kl)


@dataclass(frozen=True)
class Scalar(Drift):
    def __call__(self, change: PolicyChange) -> Tensor:
        return change.kl_new_old().mean()


@dataclass(frozen=True)
class SeesIllegalActions(Drift):
    def __call__(self, change: PolicyChange) -> Tensor:
        if not hasattr(change.new, "logits"):
            return change.kl_new_old()
        return (change.new.logits - change.old.logits).square().sum(-1)


@dataclass(frozen=True)
class NeedsTheMoon(Drift):
    def __call__(self, change: PolicyChange) -> Tensor:
        return change.require("joint_ratio", "x") if False else WassersteinDrift()(PolicyChange(_Nothing(), _Nothing()))


class _Nothing:
    def detach(self) -> _Nothing:
        return self


@pytest.mark.parametrize(
    "drift, message",
    [
        (SometimesNegative(), r"SometimesNegative\(\) breaks .*non-negative everywhere.*Found: -\d"),
        (NotZeroAtOld(), r"zero value at the old policy.*Found: 0\.25 \(categorical\)"),
        (Kinked(), r"zero slope in every direction.*one-sided slopes at the old policy of 0\.\d+ one way and 0\.\d+"),
        (OneSided(), r"zero (slope in every direction.* and 0 the other|gradient at the old policy.*size \d)"),
        (Sloped(), r"zero (slope in every direction|gradient) at the old policy.*\d"),
        (Undifferentiable(), r"differentiable in the new policy.*none though the value changes"),
        (AveragedOverStates(), r"depends on that state alone.*within the batch, .* alone"),
        (Scalar(), r"one number a state, shape \(6,\).*shape \(\)"),
        (SeesIllegalActions(), r"illegal actions have no influence.*difference of \d"),
        (NeedsTheMoon(), r"works for some kind of policy.*WassersteinDrift"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Drift) else "",
)
def test_planted_wrong_drifts_are_caught_by_name_and_number(drift: Drift, message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_drift(drift)
    assert re.search(message, str(caught.value)), str(caught.value)


@dataclass(frozen=True)
class Rewarding(Drift):
    """Fine near the old policy, and still no drift: it pays for going far."""

    def __call__(self, change: PolicyChange) -> Tensor:
        kl = change.kl_new_old()
        return kl.square() * torch.where(kl > 2, -40.0, 1e-4)


def test_a_drift_that_is_negative_only_far_away_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"non-negative everywhere.*Found: -\d.* at distance 10"):
        check_drift(Rewarding())


@dataclass(frozen=True)
class OpenAtOld(StatewiseNeighborhood):
    """Distance 1 for whatever is not the old policy itself: contains no ball."""

    radius: float = 0.5

    def per_state(self, change: PolicyChange) -> Tensor:
        return (change.kl_new_old() > 0).double()


@dataclass(frozen=True)
class Shifted(StatewiseNeighborhood):
    radius: float = 0.5

    def per_state(self, change: PolicyChange) -> Tensor:
        return change.kl_new_old() + 0.1


@dataclass(frozen=True)
class OpenBall(KLBall):
    """Says no at random to members."""

    def contains(self, change: PolicyChange) -> bool:
        return bool(self.distance(change) <= 0.5 * self.radius)  # type: ignore[operator]


@dataclass(frozen=True)
class Spread(Neighborhood):
    """The variance of the KL over states: undoing one state can make it larger."""

    radius: float = 0.5

    def distance(self, change: PolicyChange) -> Tensor:
        return change.kl_new_old().var()


@pytest.mark.parametrize(
    "neighborhood, message",
    [
        (OpenAtOld(), r"closed ball around the old policy lies inside.*distance 1 at a step of 1e-06, radius 0.5"),
        (Shifted(), r"zero distance at the old policy.*0\.1"),
        (OpenBall(0.05), r"members are the policies at most the radius away.*contains says False"),
        (Spread(), r"state-wise monotone.*with state \d undone"),
        (KLBall(0.0), r"closed ball around the old policy lies inside"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Neighborhood) else "",
)
def test_planted_wrong_neighborhoods_are_caught(neighborhood: Neighborhood, message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_neighborhood(neighborhood)
    assert re.search(message, str(caught.value)), str(caught.value)
