"""Linear layers with ReLUs between them: the same numbers as layer by layer, in fewer passes over memory.

PyTorch writes the bias into fresh memory before each product, and makes a new array of each ReLU's gradient. Here the
bias is added to a product that the cache still holds, and a gradient that nobody else sees is masked where it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from masoft.functional.observations import TaggedRows


class ScalarLinear(nn.Linear):
    """A linear layer with one output: a product with a vector, which is cheaper than one with a thin matrix.

    Args:
        n_inputs: length of the input vector.
    """

    def __init__(self, n_inputs: int) -> None:
        super().__init__(n_inputs, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, n_inputs) to (batch,)."""
        return torch.addmv(self.bias, inputs, self.weight[0])


def pass_through(inputs: Tensor | TaggedRows, layers: Iterable[nn.Module]) -> Tensor:
    """Layers one after the other, without what PyTorch does around the call of a module: hooks on single layers.

    Args:
        inputs: (batch, n_inputs), outside the graph where they are tagged rows.
        layers: any modules; linear layers with ReLUs between them have their gradient written out.
    """
    layers = [*layers]
    helps = isinstance(inputs, TaggedRows) or (inputs.dim() == 2 and torch.is_grad_enabled())
    if helps and is_written_out(layers):
        weights = [weight for layer in layers[::2] for weight in (layer.weight, layer.bias)]
        outputs: Tensor = _LinearReluLinear.apply(inputs, *weights)  # type: ignore[no-untyped-call]
        return outputs.squeeze(1) if type(layers[-1]) is ScalarLinear else outputs
    if isinstance(inputs, TaggedRows):
        inputs = inputs.written_out()
    for layer in layers:
        inputs = linear(inputs, layer) if type(layer) is nn.Linear else layer.forward(inputs)
    return inputs


def is_written_out(layers: Sequence[nn.Module]) -> bool:
    """Whether these are a linear layer, a ReLU, a linear layer and so on, up to a linear one; three or more."""
    if len(layers) < 3 or len(layers) % 2 == 0:
        return False
    *lower, last = layers[::2]
    if type(last) not in (nn.Linear, ScalarLinear) or any(type(layer) is not nn.Linear for layer in lower):
        return False
    return all(type(layer) is nn.ReLU for layer in layers[1::2]) and all(
        layer.bias is not None for layer in (*lower, last)
    )


def linear(inputs: Tensor, layer: nn.Linear) -> Tensor:
    """``layer(inputs)``, where nothing needs a gradient in one pass less."""
    if torch.is_grad_enabled() or inputs.dim() != 2 or layer.bias is None:
        return layer.forward(inputs)
    return torch.mm(inputs, layer.weight.t()).add_(layer.bias)


class _LinearReluLinear(torch.autograd.Function):
    """What `pass_through` computes, given each layer's weight and bias; the gradient goes to whatever asks for it."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor | TaggedRows, *weights: Tensor) -> Tensor:
        product = inputs.times(weights[0]) if isinstance(inputs, TaggedRows) else torch.mm(inputs, weights[0].t())
        kept = []
        for bias, weight in zip(weights[1:-2:2], weights[2::2], strict=True):
            kept.append(product.add_(bias).relu_())
            product = torch.mm(kept[-1], weight.t())
        ctx.tagged, first = (inputs, kept[0]) if isinstance(inputs, TaggedRows) else (None, inputs)
        ctx.save_for_backward(first, *kept, *weights[::2])
        return product.add_(weights[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        half = len(ctx.saved_tensors) // 2
        kept, weights = ctx.saved_tensors[:half], ctx.saved_tensors[half:]
        of_weights: list[Tensor | None] = []
        for k in reversed(range(half)):
            needs_input, needs_weight = k > 0 or ctx.needs_input_grad[0], ctx.needs_input_grad[1 + 2 * k]
            if needs_weight:
                is_tagged = k == 0 and ctx.tagged is not None
                of_weights += [gradient.sum(0), ctx.tagged.slope(gradient) if is_tagged else gradient.t() @ kept[k]]
            else:
                of_weights += [None, None]
            if not needs_input:
                return None, *reversed(of_weights)
            gradient = gradient @ weights[k]
            if k > 0:
                torch.ops.aten.threshold_backward.grad_input(gradient, kept[k], 0, grad_input=gradient)
        return gradient, *reversed(of_weights)
