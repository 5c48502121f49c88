"""Linear layers with ReLUs or tanhs between them: the same numbers as layer by layer, in fewer passes over memory.

PyTorch writes the bias into fresh memory before each product, and makes a new array of each activation and each of its
gradients. Here bias and activation are applied to a product that the cache still holds, and a gradient that nobody else
sees is changed where it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from masoft.fast import is_plain
from masoft.fast.precision import full
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
        return torch.addmv(self.bias, inputs.to(self.weight.dtype), self.weight[0])


def pass_through(inputs: Tensor | TaggedRows, layers: Iterable[nn.Module]) -> Tensor:
    """Layers one after the other, without what PyTorch does around the call of a module, unless a hook waits there.

    Args:
        inputs: (batch, n_inputs), outside the graph where they are tagged rows.
        layers: any modules; linear layers with ReLUs or tanhs between them have their gradient written out.
    """
    layers = [*layers]
    if is_plain() or any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers):
        plain: Tensor = inputs.written_out() if isinstance(inputs, TaggedRows) else inputs
        for layer in layers:
            plain = layer(plain)
        return full(plain)
    helps = isinstance(inputs, TaggedRows) or (inputs.dim() == 2 and torch.is_grad_enabled())
    if helps and is_written_out(layers):
        weights = [weight for layer in layers[::2] for weight in (layer.weight, layer.bias)]
        outputs: Tensor = _Perceptron.apply(type(layers[1]), inputs, *weights)  # type: ignore[no-untyped-call]
        return outputs.squeeze(1) if type(layers[-1]) is ScalarLinear else outputs
    if isinstance(inputs, TaggedRows):
        inputs = inputs.written_out()
    for layer in layers:
        inputs = linear(inputs, layer) if type(layer) is nn.Linear else layer.forward(inputs)
    return inputs


def is_written_out(layers: Sequence[nn.Module]) -> bool:
    """Whether these are a linear layer, an activation, a linear layer and so on, up to a linear one; three or more.

    The activations are all ReLUs or all tanhs.
    """
    if len(layers) < 3 or len(layers) % 2 == 0:
        return False
    *lower, last = layers[::2]
    if type(last) not in (nn.Linear, ScalarLinear) or any(type(layer) is not nn.Linear for layer in lower):
        return False
    activations = {type(layer) for layer in layers[1::2]}
    return activations in ({nn.ReLU}, {nn.Tanh}) and all(layer.bias is not None for layer in (*lower, last))


def linear(inputs: Tensor, layer: nn.Linear) -> Tensor:
    """``layer(inputs)``, where nothing needs a gradient in one pass less."""
    if torch.is_grad_enabled() or inputs.dim() != 2 or layer.bias is None:
        return layer.forward(inputs)
    return torch.mm(inputs, layer.weight.t()).add_(layer.bias)


class _Perceptron(torch.autograd.Function):
    """What `pass_through` computes, given each layer's weight and bias; the gradient goes to whatever asks for it.

    Where the gradient is to be differentiated again, PyTorch takes it layer by layer instead.
    """

    @staticmethod
    def forward(ctx: Any, activation: type[nn.Module], inputs: Tensor | TaggedRows, *weights: Tensor) -> Tensor:
        product = inputs.times(weights[0]) if isinstance(inputs, TaggedRows) else torch.mm(inputs, weights[0].t())
        kept = []
        for bias, weight in zip(weights[1:-2:2], weights[2::2], strict=True):
            product.add_(bias)
            kept.append(product.tanh_() if activation is nn.Tanh else product.relu_())
            product = torch.mm(kept[-1], weight.t())
        ctx.tagged, first = (inputs, kept[0]) if isinstance(inputs, TaggedRows) else (None, inputs)
        ctx.activation, ctx.n_layers = activation, len(weights) // 2
        ctx.save_for_backward(first, *kept, *weights)
        return product.add_(weights[-1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        kept, weights = ctx.saved_tensors[: ctx.n_layers], ctx.saved_tensors[ctx.n_layers :]
        if torch.is_grad_enabled():
            inputs = kept[0] if ctx.tagged is None else ctx.tagged.written_out()
            return None, *_differentiable_gradients(ctx.activation, inputs, weights, gradient, ctx.needs_input_grad[1:])
        of_weights: list[Tensor | None] = []
        for k in reversed(range(ctx.n_layers)):
            needs_input, needs_weight = k > 0 or ctx.needs_input_grad[1], ctx.needs_input_grad[2 + 2 * k]
            if needs_weight:
                is_tagged = k == 0 and ctx.tagged is not None
                of_weights += [gradient.sum(0), ctx.tagged.slope(gradient) if is_tagged else gradient.t() @ kept[k]]
            else:
                of_weights += [None, None]
            if not needs_input:
                return None, None, *reversed(of_weights)
            gradient = gradient @ weights[2 * k]
            if k > 0:
                _go_back(ctx.activation, gradient, kept[k])
        return None, gradient, *reversed(of_weights)


def _go_back(activation: type[nn.Module], gradient: Tensor, outputs: Tensor) -> None:
    """Turn the gradient of an activation's outputs into that of its inputs, in place."""
    if activation is nn.Tanh:
        torch.ops.aten.tanh_backward.grad_input(gradient, outputs, grad_input=gradient)
    else:
        torch.ops.aten.threshold_backward.grad_input(gradient, outputs, 0, grad_input=gradient)


def _differentiable_gradients(
    activation: type[nn.Module],
    inputs: Tensor,
    weights: Sequence[Tensor],
    gradient: Tensor,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of inputs and weights as functions that can be differentiated, from a second pass."""
    outputs = inputs
    for k in range(0, len(weights), 2):
        outputs = outputs if k == 0 else outputs.tanh() if activation is nn.Tanh else outputs.relu()
        outputs = F.linear(outputs, weights[k], weights[k + 1])
    sources = [inputs, *weights]
    wanted = [source for source, needs in zip(sources, needed, strict=True) if needs]
    found = iter(torch.autograd.grad(outputs, wanted, gradient, create_graph=True))
    return [next(found) if needs else None for needs in needed]
