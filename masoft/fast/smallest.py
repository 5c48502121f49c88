"""The smallest of several networks' values, with a gradient that runs through that one network only.

Autograd would send every row through every network and multiply most of the work by zero. Here each row goes back
through the network that was the smallest there: the same gradient for a share of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from masoft.fast.recording import whole
from masoft.fast.written_out import ScalarLinear, linear


def smallest_value(
    change: Tensor, hidden: Sequence[Tensor], columns: Sequence[Tensor], layers: Sequence[Sequence[nn.Module]]
) -> Tensor:
    """``min_k network_k(hidden_k + change @ columns_k)``, differentiable in ``change``; all else is constant.

    Args:
        change: (batch, size), how an agent's action differs from the one that ``hidden`` has.
        hidden: what each network's first linear layer gives, (batch, width).
        columns: each network's first weights of these entries, (size, width).
        layers: each network's layers above the first linear one, see `has_written_out_gradient`.

    Returns:
        (batch,).
    """
    value: Tensor = _SmallestValue.apply(change, hidden, columns, layers)  # type: ignore[no-untyped-call]
    return value


class _SmallestValue(torch.autograd.Function):
    """`smallest_value` with its gradient written out."""

    @staticmethod
    def forward(
        ctx: Any,
        change: Tensor,
        hidden: Sequence[Tensor],
        columns: Sequence[Tensor],
        layers: Sequence[Sequence[nn.Module]],
    ) -> Tensor:
        passes = [
            _forward(torch.mm(change, weights).add_(start), stack)
            for start, weights, stack in zip(hidden, columns, layers, strict=True)
        ]
        values, choice = torch.stack([value for value, _ in passes]).min(dim=0)
        ctx.columns, ctx.layers, ctx.choice = columns, layers, choice
        ctx.memories = [memory for _, memory in passes]
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        found = whole(_back_through_smallest, gradient, ctx.choice, ctx.columns, ctx.layers, ctx.memories)
        return found, None, None, None


def _back_through_smallest(
    gradient: Tensor,
    choice: Tensor,
    columns: Sequence[Tensor],
    layers: Sequence[Sequence[nn.Module]],
    memories: Sequence[Sequence[tuple[Tensor, ...]]],
) -> Tensor:
    """The gradient of ``change``, each row's through the network that was the smallest there, (batch, size)."""
    found = gradient.new_empty(gradient.shape[0], columns[0].shape[0])
    for k, (own, stack, memory) in enumerate(zip(columns, layers, memories, strict=True)):
        rows = (choice == k).nonzero().squeeze(1)
        hidden = _backward(gradient.index_select(0, rows), stack, memory, rows)
        found.index_copy_(0, rows, hidden @ own.t())
    return found


def has_written_out_gradient(layers: Sequence[nn.Module]) -> bool:
    """Whether `smallest_value` knows all these layers: linear ones, LayerNorms and ReLUs below one `ScalarLinear`."""
    *lower, last = layers
    return type(last) is ScalarLinear and all(type(layer) in (nn.Linear, nn.LayerNorm, nn.ReLU) for layer in lower)


def _forward(hidden: Tensor, layers: Sequence[nn.Module]) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """The value (batch,) and what each layer's gradient will need. ``hidden`` is written over."""
    memory: list[tuple[Tensor, ...]] = []
    for layer in layers:
        if isinstance(layer, nn.LayerNorm):
            raw = hidden
            hidden, *moments = torch.native_layer_norm(raw, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
            memory.append((raw, *moments))
        elif isinstance(layer, nn.ReLU):
            hidden = hidden.relu_()
            memory.append((hidden,))
        else:
            hidden = linear(hidden, layer) if type(layer) is nn.Linear else layer.forward(hidden)
            memory.append(())
    return hidden, memory


def _backward(
    gradient: Tensor, layers: Sequence[nn.Module], memory: Sequence[tuple[Tensor, ...]], rows: Tensor
) -> Tensor:
    """From the gradient of the values of some rows, (k,), to that of the first hidden layer, (k, width)."""
    for layer, kept in zip(reversed(layers), reversed(memory), strict=True):
        picked = [tensor.index_select(0, rows) for tensor in kept]
        if isinstance(layer, ScalarLinear):
            gradient = torch.outer(gradient, layer.weight[0])
        elif isinstance(layer, nn.LayerNorm):
            gradient = torch.ops.aten.native_layer_norm_backward(
                gradient, picked[0], layer.normalized_shape, *picked[1:], layer.weight, layer.bias, (True, False, False)
            )[0]
        elif isinstance(layer, nn.ReLU):
            torch.ops.aten.threshold_backward.grad_input(gradient, picked[0], 0, grad_input=gradient)
        else:
            assert isinstance(layer, nn.Linear)
            gradient = gradient @ layer.weight
    return gradient
