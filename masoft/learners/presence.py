"""Agents that are not always there: their steps weigh as much as the rows in which they are.

An optimiser like Adam takes a step of full length however few rows a gradient was averaged over. An agent that is
in one of two hundred rows would so follow the noise of single rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@contextmanager
def weighed(optimizer: Optimizer, share: float) -> Iterator[None]:
    """While steps are taken: the step size times the share of rows that count, in (0, 1]."""
    rates = [group["lr"] for group in optimizer.param_groups]
    if share != 1.0:
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * share
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def step_by_presence(optimizer: Optimizer, modules: Sequence[nn.Module], shares: Sequence[float]) -> None:
    """One step of an optimiser over everybody's weights, in which each agent's move weighs as much as its rows.

    An agent without rows is left as it is, its moments included.

    Args:
        optimizer: its gradients are there.
        modules: one an agent; agents that share weights have the same one, and weigh as often as any of them is there.
        shares: of the rows in which each agent is there, in [0, 1].
    """
    largest: dict[nn.Module, float] = {}
    for module, share in zip(modules, shares, strict=True):
        largest[module] = max(share, largest.get(module, 0.0))
    partial = [(list[Tensor](module.parameters()), share) for module, share in largest.items() if share < 1.0]
    for parameters, share in partial:
        if share == 0:
            for parameter in parameters:
                parameter.grad = None
    before = [([parameter.detach().clone() for parameter in parameters], share) for parameters, share in partial]
    optimizer.step()
    with torch.no_grad():
        for (parameters, share), (old, _) in zip(partial, before, strict=True):
            if share > 0:
                torch._foreach_lerp_(old, parameters, share)
                torch._foreach_copy_(parameters, old)


def shares_of(active: Tensor | None, n_agents: int) -> list[float]:
    """Share of the rows (n_rows, n_agents) in which each agent is there; 1 where nobody ever leaves."""
    return [1.0] * n_agents if active is None else active.float().mean(0).tolist()
