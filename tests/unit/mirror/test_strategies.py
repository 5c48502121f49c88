"""Drifts, neighborhoods, orders and improvers on policies small enough to check by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from masoft.distributions import Categoricals, SquashedGaussian
from masoft.errors import ConfigurationError
from masoft.mirror import (
    ClipDrift,
    Everywhere,
    FixedOrder,
    GradientSteps,
    Greedy,
    KLBall,
    KLDrift,
    Linear,
    NaturalGradient,
    NoDrift,
    ParameterBall,
    PolicyChange,
    RandomPermutation,
    RandomSubset,
    Simultaneous,
    SquaredRatioDrift,
    TotalVariationBall,
    TotalVariationDrift,
    WassersteinDrift,
)
from masoft.mirror import __dict__ as names

OLD = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
NEW = torch.tensor([[0.25, 0.45, 0.3]], dtype=torch.float64)


def finite(new: Tensor = NEW, **fields) -> PolicyChange:  # type: ignore[no-untyped-def]
    return PolicyChange(Categoricals(OLD.log(), (3,)), Categoricals(new.log(), (3,)), **fields)


def test_closed_forms_by_hand() -> None:
    change = finite()
    ratio = NEW / OLD
    torch.testing.assert_close(KLDrift(2.0)(change), 2 * (NEW * ratio.log()).sum(-1))
    torch.testing.assert_close(KLDrift(1.0, direction="forward")(change), -(OLD * ratio.log()).sum(-1))
    torch.testing.assert_close(SquaredRatioDrift(0.5)(change), 0.5 * (OLD * (ratio - 1) ** 2).sum(-1))
    torch.testing.assert_close(TotalVariationBall().distance(change), torch.tensor(0.25, dtype=torch.float64))
    close_to_variation = TotalVariationDrift(1.0, smoothing=1e-9)(change)
    torch.testing.assert_close(close_to_variation, torch.tensor([0.25], dtype=torch.float64), atol=1e-8, rtol=0)
    assert NoDrift()(change).tolist() == [0.0]


def test_the_old_policy_is_outside_the_graph() -> None:
    old, new = OLD.log().requires_grad_(), NEW.log().requires_grad_()
    change = PolicyChange(Categoricals(old, (3,)), Categoricals(new, (3,)), actions=torch.tensor([[1]]))
    (KLDrift()(change) + KLDrift(direction="forward")(change) + SquaredRatioDrift()(change) + change.ratio()).backward()
    assert old.grad is None and float(new.grad.abs().max()) > 0


def test_the_clip_drift_leaves_ppos_minimum() -> None:
    advantage = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    change, ratio = finite(advantage=advantage), NEW / OLD
    clipped = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    left = (OLD * ratio * advantage).sum(-1) - ClipDrift(0.2)(change)
    torch.testing.assert_close(left, (OLD * clipped).sum(-1))
    actions = torch.tensor([[2]])
    at_one = finite(advantage=torch.tensor([3.0], dtype=torch.float64), actions=actions)
    torch.testing.assert_close(ClipDrift(0.2)(at_one), (ratio[:, 2] - 1.2) * 3)


def test_wasserstein_by_hand() -> None:
    old = SquashedGaussian(torch.zeros(1, 2), torch.zeros(1, 2))
    new = SquashedGaussian(torch.tensor([[3.0, 4.0]]), torch.full((1, 2), 2.0).log())
    torch.testing.assert_close(WassersteinDrift(1.0)(PolicyChange(old, new)), torch.tensor([25.0 + 2.0]))


@pytest.mark.parametrize(
    "call, field",
    [
        (lambda c: ClipDrift()(c), "advantage"),
        (lambda c: ParameterBall().distance(c), "parameter_change"),
        (lambda c: c.ratio(), "actions"),
    ],
)
def test_a_missing_field_is_refused_by_name(call, field: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError, match=f"'{field}' of a policy change must be given, since"):
        call(finite())


def test_means_count_active_states_by_their_weights() -> None:
    two = torch.tensor([1.0, 5.0])
    gaussian = SquashedGaussian(torch.zeros(2, 1), torch.zeros(2, 1))
    assert PolicyChange(gaussian, gaussian, state_weights=torch.tensor([3.0, 1.0])).mean(two).item() == 2.0
    only_first = PolicyChange(gaussian, gaussian, active=torch.tensor([1.0, 0.0]))
    infinite = torch.tensor([1.0, float("inf")])
    assert only_first.mean(infinite).item() == 1.0 and only_first.max(infinite).item() == 1.0
    assert PolicyChange(gaussian, gaussian, active=torch.zeros(2)).mean(two).item() == 0.0


@pytest.mark.parametrize(
    "part",
    [
        KLDrift(Linear(1.0, 0.0)) + 2 * ClipDrift(0.1),
        KLBall(0.1) & TotalVariationBall(0.2, over="max"),
        Everywhere(),
        FixedOrder((1, 0)),
        RandomSubset(3),
        NaturalGradient(step_kl=0.01),
    ],
    ids=str,
)
def test_a_repr_rebuilds_the_object(part: object) -> None:
    assert eval(repr(part), dict(names)) == part


def test_schedules_are_filled_in_and_refused_while_open() -> None:
    drift = KLDrift(Linear(1.0, 0.0)) + 2 * ClipDrift(0.1)
    assert drift.at(0.25) == KLDrift(0.25) + 2 * ClipDrift(0.1)
    assert (KLBall(lambda p: p) & Everywhere()).at(0.5) == KLBall(0.5) & Everywhere()
    with pytest.raises(ConfigurationError, match="KLDrift's weight must be a number here"):
        drift(finite(advantage=torch.zeros(1, 3, dtype=torch.float64)))


def test_wrong_hyper_parameters_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="'weight' parameter of KLDrift"):
        KLDrift(-1.0)
    with pytest.raises(ConfigurationError, match="'direction' parameter of KLDrift"):
        KLDrift(1.0, direction="sideways")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'factor' parameter of ScaledDrift"):
        -1 * KLDrift()
    with pytest.raises(ConfigurationError, match="'over' parameter of KLBall"):
        KLBall(0.1, over="median")  # type: ignore[arg-type]


def test_orders() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = {RandomPermutation().draw(3, generator) for _ in range(100)}
    assert len(drawn) == 6
    parts = {RandomSubset(2).draw(3, generator) for _ in range(100)}
    assert len(parts) == 6 and all(len(set(part)) == 2 for part in parts)
    alike = (torch.Generator().manual_seed(1) for _ in range(2))
    assert RandomSubset(9).draw(3, next(alike)) == RandomPermutation().draw(3, next(alike))
    with pytest.raises(ConfigurationError, match="size of RandomSubset must be an integer >= 1"):
        RandomSubset(0)
    assert FixedOrder((2, 0, 1)).draw(3) == (2, 0, 1) and FixedOrder().draw(3) == (0, 1, 2)
    assert Simultaneous().draw(2) == (0, 1) and not Simultaneous().sequential
    assert Greedy().draw(3, improvements=[1.0, 3.0, 3.0]) == (1, 2, 0)
    with pytest.raises(ConfigurationError, match="order of FixedOrder must be each of 0 to 2 once"):
        FixedOrder((0, 1)).draw(3)
    with pytest.raises(ConfigurationError, match="improvements must be given, since Greedy needs them"):
        Greedy().draw(3)


def test_a_greedy_walk_looks_again_after_each_update() -> None:
    looks = []

    def improvements(agents: tuple[int, ...]) -> list[float]:
        looks.append(agents)
        return [float(agent == (2 if len(looks) == 1 else 0)) for agent in agents]

    assert list(Greedy().walk(3, improvements=improvements)) == [2, 0, 1]
    assert looks == [(0, 1, 2), (0, 1), (1,)]


@pytest.fixture
def task():  # type: ignore[no-untyped-def]
    """A linear Gaussian policy and a surrogate loss at fixed actions."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 2, generator=generator).mul_(0.1).requires_grad_()
    log_std = torch.zeros(2, requires_grad=True)
    states = torch.randn(64, 3, generator=generator)

    def policy() -> SquashedGaussian:
        return SquashedGaussian(states @ weight, log_std.expand(64, 2))

    old = policy().keep()  # detached, its log_std would be the weight itself and move along
    actions, advantage = old.sample(generator), torch.randn(64, generator=generator)

    def change() -> PolicyChange:
        return PolicyChange(old, policy(), actions=actions)

    return [weight, log_std], lambda: -(change().ratio() * advantage).mean(), change


def test_natural_gradient_improves_within_the_ball(task: Any) -> None:
    parameters, loss, change = task
    done = NaturalGradient().improve(parameters, loss, change, KLBall(0.01))
    assert done.accepted == 1 and done.loss_after < done.loss_before
    assert 0 < KLBall().distance(change()).item() <= 0.01


def test_a_full_natural_step_has_the_kl_that_it_aims_at(task: Any) -> None:
    parameters, loss, change = task
    full = NaturalGradient(iterations=50, damping=0.0, backtracks=1, accept_ratio=0.0, step_kl=1e-4)
    assert full.improve(parameters, loss, change, Everywhere()).accepted == 1
    assert KLBall().distance(change()).item() == pytest.approx(1e-4, rel=0.1)


@pytest.mark.parametrize("improver", [GradientSteps(3), NaturalGradient()], ids=str)
def test_a_rejected_step_restores_the_old_parameters_bit_by_bit(task, improver) -> None:  # type: ignore[no-untyped-def]
    parameters, loss, change = task
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.Adam(parameters, lr=0.1)
    done = improver.improve(parameters, loss, change, KLBall(0.0), optimizer)
    assert done.accepted == 0
    assert all(torch.equal(old, new) for old, new in zip(before, parameters, strict=True))


def test_gradient_steps_shorten_what_would_leave_the_ball(task: Any) -> None:
    parameters, loss, change = task
    optimizer = torch.optim.SGD(parameters, lr=5.0)
    done = GradientSteps(1, backtracks=20).improve(parameters, loss, change, KLBall(1e-3), optimizer)
    assert done.accepted == 1 and 0 < KLBall().distance(change()).item() <= 1e-3


def test_improvers_say_what_they_lack(task: Any) -> None:
    parameters, loss, change = task
    with pytest.raises(ConfigurationError, match="optimizer must be given, since GradientSteps"):
        GradientSteps().improve(parameters, loss, change, Everywhere())
    with pytest.raises(ConfigurationError, match="neighborhood must be one with a KL radius.*step_kl"):
        NaturalGradient().improve(parameters, loss, change, Everywhere())
