"""Action distributions against torch.distributions and against enumeration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, Normal, TransformedDistribution, kl_divergence
from torch.distributions.transforms import TanhTransform

from masoft.distributions import Categoricals, SquashedGaussian
from masoft.functional.choices import enumerate_actions, one_hot_parts


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(seed: int) -> SquashedGaussian:
    draw = generator(seed)
    return SquashedGaussian(torch.randn(6, 3, generator=draw), 0.4 * torch.randn(6, 3, generator=draw))


def categoricals(seed: int, mask: torch.Tensor | None = None) -> Categoricals:
    return Categoricals(torch.randn(7, 8, generator=generator(seed)), (3, 5), mask)


def legal_mask() -> torch.Tensor:
    mask = torch.rand(7, 8, generator=generator(5)) > 0.4
    mask[:, 0] = mask[:, 4] = True
    return mask


def test_log_prob_of_a_squashed_gaussian_equals_torchs() -> None:
    policy = gaussian(0)
    actions, log_prob = policy.sample_with_log_prob(generator())
    normal = Normal(policy.mean, policy.log_std.exp())
    reference = Independent(TransformedDistribution(normal, [TanhTransform()]), 1)
    torch.testing.assert_close(policy.log_prob(actions), reference.log_prob(actions), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(log_prob, policy.log_prob(actions), rtol=1e-3, atol=1e-3)


def test_density_integrates_to_one() -> None:
    policy = SquashedGaussian(torch.tensor([[0.3]]), torch.tensor([[-0.5]]))
    grid = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[1:-1]
    double = SquashedGaussian(policy.mean.double(), policy.log_std.double())
    density = double.log_prob(grid.reshape(-1, 1, 1)).exp().flatten()
    assert float(torch.trapezoid(density, grid)) == pytest.approx(1.0, abs=1e-3)


def test_kl_of_gaussians_equals_torchs_and_is_zero_only_at_equality() -> None:
    one, two = gaussian(1), gaussian(2)
    normal_one = Independent(Normal(one.mean, one.log_std.exp()), 1)
    normal_two = Independent(Normal(two.mean, two.log_std.exp()), 1)
    torch.testing.assert_close(one.kl(two), kl_divergence(normal_one, normal_two), rtol=1e-4, atol=1e-5)
    assert (one.kl(one) == 0).all()
    near = SquashedGaussian(one.mean + 1e-3, one.log_std)
    assert (one.kl(near) > 0).all()


def test_samples_follow_the_seed_and_never_an_illegal_choice() -> None:
    policy = categoricals(0, legal_mask())
    assert torch.equal(policy.sample(generator(1)), policy.sample(generator(1)))
    for seed in range(200):
        hot = one_hot_parts(policy.sample(generator(seed)), policy.nvec).bool()
        assert not (hot & ~legal_mask()).any()
    assert (policy.probs[~legal_mask()] == 0).all()


def test_frequencies_equal_probabilities() -> None:
    policy = Categoricals(torch.log(torch.tensor([[0.7, 0.2, 0.1]])).expand(20_000, 3), (3,))
    counts = torch.bincount(policy.sample(generator()).flatten(), minlength=3) / 20_000
    np.testing.assert_allclose(counts, [0.7, 0.2, 0.1], atol=0.02)


def test_entropy_log_prob_and_kl_agree_with_enumeration() -> None:
    policy, other = categoricals(0, legal_mask()), categoricals(1, legal_mask())
    actions = enumerate_actions((3, 5))
    joint = policy.joint_log_probs()
    at_each = torch.stack([policy.log_prob(action.expand(7, 2)) for action in actions], dim=-1)
    torch.testing.assert_close(joint.exp(), at_each.exp())
    torch.testing.assert_close(joint.exp().sum(-1), torch.ones(7))
    entropy = -(joint.exp() * joint).nan_to_num().sum(-1)
    torch.testing.assert_close(policy.entropy(), entropy, rtol=1e-4, atol=1e-5)
    gap = torch.where(joint.exp() > 0, joint - other.joint_log_probs(), 0.0)
    torch.testing.assert_close(policy.kl(other), (joint.exp() * gap).sum(-1), rtol=1e-4, atol=1e-5)


def test_kl_counts_mass_that_only_the_second_has() -> None:
    one = Categoricals(torch.tensor([[0.0, -500.0]]), (2,))
    two = Categoricals(torch.tensor([[0.0, 0.0]]), (2,))
    expected = kl_divergence(Categorical(logits=one.logits), Categorical(logits=two.logits))
    torch.testing.assert_close(one.kl(two), expected)


def test_straight_through_is_one_hot_with_a_gradient() -> None:
    logits = torch.randn(7, 8, generator=generator(), requires_grad=True)
    relaxed, log_prob = Categoricals(logits, (3, 5), legal_mask()).straight_through(generator())
    assert torch.allclose(relaxed.detach().sum(-1), torch.full((7,), 2.0))
    assert torch.isfinite(log_prob).all()
    (relaxed * torch.arange(8.0)).sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


def test_modes() -> None:
    assert torch.equal(gaussian(0).mode(), torch.tanh(gaussian(0).mean))
    policy = categoricals(3)
    assert torch.equal(policy.mode()[:, 1], policy.logits[:, 3:].argmax(-1))
