"""The equations against numbers worked out by hand, and against each other."""

from __future__ import annotations

import math

import pytest
import torch

from masoft.distributions import Categoricals
from masoft.functional import soft


def test_soft_value_adds_each_agents_entropy_by_its_own_temperature() -> None:
    value = soft.soft_value(torch.tensor([1.0]), torch.tensor([[0.5, 0.25]]), torch.tensor([2.0, 4.0]))
    assert value.tolist() == [1 + 2 * 0.5 + 4 * 0.25]


def test_soft_target_bootstraps_past_a_time_limit_but_not_past_the_end() -> None:
    target = soft.soft_target(
        rewards=torch.tensor([1.0, 1.0]),
        discounts=torch.tensor([0.9**3, 0.9]),
        terminated=torch.tensor([0.0, 1.0]),
        next_q=torch.tensor([10.0, 10.0]),
        next_entropy_bonus=torch.tensor([2.0, 2.0]),
    )
    torch.testing.assert_close(target, torch.tensor([1 + 0.9**3 * 12, 1.0]))


def test_actor_losses_agree_in_expectation() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 4, generator=generator, dtype=torch.float64)
    policy = Categoricals(logits, (4,))
    q = torch.randn(1, 4, generator=generator, dtype=torch.float64)
    exact = soft.expected_actor_loss(q, policy.joint_log_probs(), 0.7)
    draws = Categoricals(logits.expand(200_000, 4), (4,)).sample(generator)
    log_prob = policy.log_probs[0][draws[:, 0]]
    sampled = soft.sampled_actor_loss(q[0][draws[:, 0]], log_prob, 0.7)
    assert abs(float(exact - sampled)) < 0.02


def test_expected_actor_loss_has_a_boltzmann_minimum() -> None:
    q = torch.tensor([[1.0, 0.0, -3.0]], dtype=torch.float64)
    best = soft.boltzmann_log_probs(q, 0.5)
    logits = best.clone().requires_grad_()
    policy = Categoricals(logits, (3,))
    (gradient,) = torch.autograd.grad(soft.expected_actor_loss(q, policy.joint_log_probs(), 0.5), logits)
    assert gradient.abs().max() < 1e-15


def test_an_illegal_action_changes_nothing_and_gets_no_gradient() -> None:
    mask = torch.tensor([[1, 0, 1]])
    logits = torch.tensor([[0.3, 5.0, -0.2]], requires_grad=True)
    loss = soft.expected_actor_loss(
        torch.tensor([[1.0, 1e6, 2.0]]), Categoricals(logits, (3,), mask).joint_log_probs(), 0.2
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    without = soft.expected_actor_loss(
        torch.tensor([[1.0, 2.0]]), Categoricals(logits[:, [0, 2]], (2,)).joint_log_probs(), 0.2
    )
    torch.testing.assert_close(loss, without)
    assert gradient[0, 1] == 0
    assert soft.boltzmann_log_probs(torch.tensor([[1.0, 1e6]]), 1.0, torch.tensor([[True, False]])).tolist() == [
        [0.0, -math.inf]
    ]


@pytest.mark.parametrize("log_prob, sign", [(-3.0, 1), (-0.1, -1)])
def test_temperature_falls_when_the_policy_is_more_random_than_asked(log_prob: float, sign: int) -> None:
    alpha = torch.tensor(0.5, requires_grad=True)
    soft.temperature_loss(alpha, torch.tensor([log_prob]), 1.0).backward()
    assert alpha.grad is not None
    # A gradient step subtracts the gradient: entropy 3 > target 1 must lower alpha, so the gradient is positive.
    assert math.copysign(1, float(alpha.grad)) == sign


def test_inactive_states_do_not_count() -> None:
    q, log_prob = torch.tensor([1.0, 100.0]), torch.tensor([-1.0, -50.0])
    loss = soft.sampled_actor_loss(q, log_prob, 0.5, active=torch.tensor([1.0, 0.0]))
    assert loss.item() == -0.5 - 1
    assert soft.sampled_actor_loss(q, log_prob, 0.5, active=torch.zeros(2)).item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_kept(dtype: torch.dtype) -> None:
    one = torch.ones(2, dtype=dtype)
    assert soft.soft_target(one, one, 0 * one, one, one).dtype == dtype
    assert soft.sampled_actor_loss(one, one, 0.1, one).dtype == dtype
