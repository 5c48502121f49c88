"""Mixers: the sum, the monotonic mixture, the factorised soft value."""

from __future__ import annotations

import pytest
import torch

from masoft.errors import ConfigurationError
from masoft.networks.mixers import FactoredMixer, MonotonicMixer, SumMixer


def test_the_sum_is_a_sum() -> None:
    assert SumMixer()(torch.tensor([[1.0, 2.0, 4.0]]), torch.zeros(1, 5)).tolist() == [7.0]


@pytest.mark.parametrize("hypernet_width", [0, 16])
def test_the_mixture_never_falls_when_a_utility_rises(hypernet_width: int) -> None:
    torch.manual_seed(0)
    mixer = MonotonicMixer(3, 5, mixing_width=8, hypernet_width=hypernet_width)
    utilities = torch.randn(200, 3, requires_grad=True)
    mixed = mixer(utilities, torch.randn(200, 5))
    assert mixed.shape == (200,)
    slopes = torch.autograd.grad(mixed.sum(), utilities)[0]
    assert bool((slopes >= 0).all()) and bool((slopes > 0).any())


def test_the_mixture_depends_on_the_state() -> None:
    torch.manual_seed(0)
    mixer = MonotonicMixer(2, 3)
    utilities = torch.ones(1, 2)
    assert not torch.allclose(mixer(utilities, torch.zeros(1, 3)), mixer(utilities, torch.ones(1, 3)))


@pytest.mark.parametrize("hypernet_width", [0, 16])
def test_the_gain_scales_what_the_hypernetworks_make_of_the_state(hypernet_width: int) -> None:
    def mixer(gain: float) -> MonotonicMixer:
        torch.manual_seed(0)
        return MonotonicMixer(2, 6, hypernet_width=hypernet_width, hypernet_gain=gain)

    state = 8 * torch.rand(50, 6)
    full, tenth, none = mixer(1.0), mixer(0.1), mixer(0.0)
    for name in ("first_weight", "first_bias", "second_weight", "value"):
        constant = getattr(none, name)(state)
        assert torch.equal(constant, constant[:1].expand_as(constant))
        whole, part = (getattr(one, name)(state) - constant for one in (full, tenth))
        torch.testing.assert_close(part, 0.1 * whole)
    for gain in (-1, "small"):
        with pytest.raises(ConfigurationError, match="hypernet_gain must be a number in"):
            mixer(gain)  # type: ignore[arg-type]


def test_the_factored_weight_is_positive_and_starts_near_1() -> None:
    torch.manual_seed(0)
    for n_heads in (1, 4):
        mixer = FactoredMixer(2, 3, 4, n_heads=n_heads)
        weights = mixer.weights(0.1 * torch.randn(50, 3), 0.1 * torch.randn(50, 4))
        assert weights.shape == (50, 2) and bool((weights > 0).all())
        assert 0.5 < float(weights.mean().detach()) < 1.6


def test_the_factored_value_follows_its_formula_and_its_gradient_the_authors() -> None:
    torch.manual_seed(0)
    mixer = FactoredMixer(2, 3, 4)
    state = torch.randn(5, 3)
    utilities, soft = torch.randn(5, 2, requires_grad=True), torch.randn(5, 2, requires_grad=True)
    weights = torch.rand(5, 2, requires_grad=True)
    joint = mixer(utilities, soft, weights, state)
    expected = mixer.bias(state).squeeze(-1) + (soft + weights * (utilities - soft)).sum(-1)
    torch.testing.assert_close(joint, expected)
    of_utilities, of_weights, of_soft = torch.autograd.grad(joint.sum(), (utilities, weights, soft), allow_unused=True)
    torch.testing.assert_close(of_utilities, torch.ones(5, 2))
    torch.testing.assert_close(of_weights, (utilities - soft).detach())
    assert of_soft is None
