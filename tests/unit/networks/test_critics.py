"""The joint critic and its frozen view, against the critic itself under plain autograd."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from masoft.fast.smallest import has_written_out_gradient
from masoft.fast.written_out import ScalarLinear
from masoft.networks.joint_critic import JointCritic
from masoft.networks.mlp import make_activation, mlp

WHERE = slice(2, 5)


def critic_of(activation: type[nn.Module] = nn.ReLU, layer_norm: bool = True, n_critics: int = 2) -> JointCritic:
    return JointCritic(4, 6, [8, 7], activation, layer_norm, n_critics).double()


def inputs(n: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    state = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    return state, torch.randn(n, 6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("n_critics", [1, 2, 3])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.SiLU])
def test_smallest_value_and_its_slope(activation: type[nn.Module], layer_norm: bool, n_critics: int) -> None:
    critic = critic_of(activation, layer_norm, n_critics)
    state, actions = inputs()
    own = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    frozen = critic.turns(state, actions)
    values = frozen.value(WHERE, own)
    slopes = torch.autograd.grad((values * torch.arange(20.0)).sum(), own)[0]
    joint = torch.cat([actions[:, :2], own, actions[:, 5:]], dim=-1)
    expected = critic(state, joint).amin(dim=0)
    expected_slopes = torch.autograd.grad((expected * torch.arange(20.0)).sum(), own)[0]
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(slopes, expected_slopes)
    assert all(weight.requires_grad and weight.grad is None for weight in critic.parameters())


def test_the_written_out_gradient_is_taken_where_it_can_be() -> None:
    for activation, expected in ((nn.ReLU, True), (nn.Tanh, False)):
        layers = [*critic_of(activation).networks[0].children()][1:]
        assert has_written_out_gradient(layers) is expected


@pytest.mark.parametrize("chunk", [1, 2**20])
def test_values_of_each_own_action(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masoft.fast.saved_first_layer.CHUNK_BYTES", chunk)
    critic = critic_of()
    state, actions = inputs()
    own = torch.eye(3, dtype=torch.float64)
    found = critic.turns(state, actions).value_of_each(WHERE, own)
    assert found.shape == (20, 3)
    for k in range(3):
        joint = actions.clone()
        joint[:, WHERE] = own[k]
        torch.testing.assert_close(found[:, k], critic(state, joint).amin(dim=0))


def test_replaced_actions_are_seen_by_the_next_agent() -> None:
    critic = critic_of()
    state, actions = inputs()
    frozen = critic.turns(state, actions)
    new = torch.ones(20, 3, dtype=torch.float64)
    frozen.replace(WHERE, new)
    joint = actions.clone()
    joint[:, WHERE] = new
    torch.testing.assert_close(frozen.actions, joint)
    torch.testing.assert_close(frozen.value(slice(0, 2), joint[:, :2]), critic(state, joint).amin(dim=0))
    torch.testing.assert_close(actions, inputs()[1])  # the caller's own stays


def test_follow_moves_a_share_of_the_way() -> None:
    critic, target = critic_of(), critic_of()
    before = copy.deepcopy(target)
    target.follow(critic, 0.25)
    for new, old, aim in zip(target.parameters(), before.parameters(), critic.parameters(), strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * aim)
    copied = copy.deepcopy(target)
    copied.follow(critic, 1.0)  # a copy moves its own weights
    for new, aim in zip(copied.parameters(), critic.parameters(), strict=True):
        torch.testing.assert_close(new, aim)


def test_a_relu_writes_over_its_input_and_others_are_as_usual() -> None:
    activation = make_activation(nn.ReLU)
    assert isinstance(activation, nn.ReLU) and activation.inplace
    assert isinstance(make_activation(nn.Tanh), nn.Tanh)


def test_layers_of_an_mlp() -> None:
    kinds = [type(layer) for layer in mlp(3, [4, 5], nn.ReLU, nn.Tanh, layer_norm=True)]
    assert kinds == [nn.Linear, nn.LayerNorm, nn.ReLU, nn.Linear, nn.LayerNorm, nn.Tanh]


def test_a_scalar_layer_is_a_linear_layer() -> None:
    layer = ScalarLinear(4)
    values = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(values), nn.functional.linear(values, layer.weight, layer.bias)[:, 0])
