"""FusedAdam is PyTorch's Adam."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from torch import nn

from masoft.fast.adam import FusedAdam


def twins() -> tuple[nn.Module, nn.Module]:
    generator = torch.Generator().manual_seed(0)
    one, other = nn.Linear(4, 3), nn.Linear(4, 3)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.normal_(generator=generator)
    other.load_state_dict(one.state_dict())
    return one, other


def take_steps(module: nn.Module, optimizer: torch.optim.Optimizer, n: int, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n):
        inputs = torch.randn(8, 4, generator=generator)
        optimizer.zero_grad()
        module(inputs).square().sum().backward()
        optimizer.step()


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"eps": 1e-3, "betas": (0.5, 0.9)}, {"weight_decay": 0.1}])
def test_steps_are_those_of_pytorch(settings: dict) -> None:
    one, other = twins()
    take_steps(one, FusedAdam(one.parameters(), lr=0.05, **settings), 7)
    take_steps(other, torch.optim.Adam(other.parameters(), lr=0.05, **settings), 7)
    assert_same(one, other)


def test_learning_rate_may_change_between_steps() -> None:
    one, other = twins()
    for module, make in ((one, FusedAdam), (other, torch.optim.Adam)):
        optimizer = make(module.parameters(), lr=0.05)
        take_steps(module, optimizer, 2)
        optimizer.param_groups[0]["lr"] = 0.001
        take_steps(module, optimizer, 2, seed=2)
    assert_same(one, other)


def test_state_goes_to_pytorch_and_back() -> None:
    one, other = twins()
    fused, plain = FusedAdam(one.parameters()), torch.optim.Adam(other.parameters())
    take_steps(one, fused, 3)
    take_steps(other, plain, 3)
    fused.load_state_dict(copy.deepcopy(plain.state_dict()))
    one.load_state_dict(other.state_dict())
    take_steps(one, fused, 3, seed=2)
    take_steps(other, plain, 3, seed=2)
    assert_same(one, other)


def test_a_parameter_without_gradient_stays_and_does_not_count() -> None:
    layer = nn.Linear(4, 3)
    optimizer = FusedAdam(layer.parameters(), lr=0.1)
    bias = layer.bias.detach().clone()
    layer.weight.grad = torch.ones_like(layer.weight)
    optimizer.step()
    assert torch.equal(layer.bias, bias)
    assert optimizer.state[layer.weight]["step"] == 1
    assert layer.bias not in optimizer.state or not optimizer.state[layer.bias]


def test_hooks_and_closures_run() -> None:
    layer = nn.Linear(4, 3)
    optimizer = FusedAdam(layer.parameters())
    calls: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    def closure() -> float:
        calls.append("closure")
        optimizer.zero_grad()
        loss = layer(torch.ones(1, 4)).sum()
        loss.backward()
        return loss.item()

    assert isinstance(optimizer.step(closure), float)
    assert sorted(calls) == ["after", "before", "closure"] and calls[-1] == "after"
    optimizer.zero_grad()
    assert layer.weight.grad is None


@pytest.mark.parametrize("make", [FusedAdam, functools.partial(torch.optim.Adam, fused=True)])
def test_a_step_that_found_infinity_changes_nothing(make: Any) -> None:
    module, twin = twins()
    optimizer, other = make(module.parameters(), lr=0.05), make(twin.parameters(), lr=0.05)
    take_steps(module, optimizer, 2)
    before = copy.deepcopy(optimizer.state_dict())
    optimizer.found_inf = torch.ones(())
    take_steps(module, optimizer, 1, seed=5)
    assert all(
        torch.equal(kept[name], now[name])
        for kept, now in zip(before["state"].values(), optimizer.state_dict()["state"].values(), strict=True)
        for name in ("step", "exp_avg", "exp_avg_sq")
    )
    optimizer.found_inf = torch.zeros(())
    take_steps(module, optimizer, 1, seed=2)
    take_steps(twin, other, 2)
    take_steps(twin, other, 1, seed=2)
    for one, two in zip(module.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, two)
