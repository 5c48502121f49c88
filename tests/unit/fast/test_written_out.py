"""Layers whose gradient is written out, against the same layers under autograd."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from masoft.fast.written_out import ScalarLinear, is_written_out, linear, pass_through
from masoft.networks.mlp import mlp


def layers_of(last: str, depth: int = 2, activation: type[nn.Module] = nn.ReLU) -> list[nn.Module]:
    torch.manual_seed(0)
    top = ScalarLinear(7) if last == "scalar" else nn.Linear(7, 3)
    return [layer.double() for layer in (*mlp(4, [9, 8, 7][-depth:], activation).children(), top)]


def slopes(layers: list[nn.Module], inputs: Tensor, written_out: bool) -> tuple[Tensor, list[Tensor | None]]:
    weights = [weight for layer in layers for weight in layer.parameters()]
    outputs = pass_through(inputs, layers) if written_out else nn.Sequential(*layers)(inputs)
    (outputs * torch.arange(outputs.numel(), dtype=inputs.dtype).view_as(outputs)).sum().backward()  # type: ignore[no-untyped-call]
    return outputs, [inputs.grad, *(weight.grad for weight in weights)]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("asks", ["weights", "inputs", "both", "some"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("last", ["linear", "scalar"])
def test_values_and_slopes(last: str, depth: int, asks: str, activation: type[nn.Module]) -> None:
    layers = layers_of(last, depth, activation)
    assert is_written_out(layers)
    if asks == "inputs":
        for layer in layers:
            layer.requires_grad_(False)
    if asks == "some":
        layers[0].requires_grad_(False)
    inputs = torch.randn(20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    inputs.requires_grad_(asks in ("inputs", "both"))
    twins, twin_inputs = copy.deepcopy(layers), inputs.detach().clone().requires_grad_(inputs.requires_grad)
    found, of_found = slopes(layers, inputs, written_out=True)
    expected, of_expected = slopes(twins, twin_inputs, written_out=False)
    torch.testing.assert_close(found, expected)
    for mine, other in zip(of_found, of_expected, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("needs_inputs", [True, False])
def test_second_slopes(activation: type[nn.Module], needs_inputs: bool) -> None:
    layers = layers_of("linear", 2, activation)
    names = [f"{k}.{name}" for k in (0, 2, 4) for name in ("weight", "bias")]
    weights = [weight for layer in layers for weight in layer.parameters()]
    inputs = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    inputs.requires_grad_(needs_inputs)

    def outputs(inputs: Tensor, *weights: Tensor) -> Tensor:
        twins = copy.deepcopy(layers)
        for name, weight in zip(names, weights, strict=True):
            k, which = name.split(".")
            del twins[int(k)]._parameters[which]
            setattr(twins[int(k)], which, weight)
        return pass_through(inputs, twins).pow(2)

    assert torch.autograd.gradcheck(outputs, (inputs, *weights))
    assert torch.autograd.gradgradcheck(outputs, (inputs, *weights))


def test_other_layers_take_autograd() -> None:
    mixed = layers_of("linear")
    mixed[1] = nn.Tanh()
    for layers in (layers_of("linear", activation=nn.ELU), mixed, layers_of("linear")[:-1], layers_of("linear")[:1]):
        assert not is_written_out(layers)
        inputs = torch.ones(5, 4, dtype=torch.float64)
        torch.testing.assert_close(pass_through(inputs, layers), nn.Sequential(*copy.deepcopy(layers))(inputs))


def test_weights_that_moved_before_the_way_back_are_noticed() -> None:
    layers = layers_of("linear")
    loss = pass_through(torch.ones(5, 4, dtype=torch.float64), layers).sum()
    with torch.no_grad():
        for layer in layers:
            for weight in layer.parameters():
                weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # type: ignore[no-untyped-call]


def test_a_linear_layer_without_gradient_is_the_same() -> None:
    layer, inputs = nn.Linear(3, 4), torch.randn(6, 3)
    with torch.no_grad():
        torch.testing.assert_close(linear(inputs, layer), layer(inputs))
        torch.testing.assert_close(linear(inputs[0], layer), layer(inputs[0]))
