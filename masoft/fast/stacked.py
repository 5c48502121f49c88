"""Several networks of one shape as a single network with a leading dimension: one product a layer for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

ENTRYWISE = (nn.ReLU, nn.Tanh, nn.ELU, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.Sigmoid, nn.Softplus, nn.Identity)
"""Activations that treat each number by itself."""

FEW = 2**18
"""A product of at most so many multiplications counts as small: NumPy's libraries do not split it among threads."""


class StackedParameters:
    """The parameters of equal modules as slices of one tensor each.

    The modules keep their parameters, but these live inside the stack: stacking costs nothing, and whatever changes a
    parameter in place (an optimiser, ``load_state_dict``) changes the stack. Where one has been moved or replaced (to
    another device, by ``deepcopy``), the stack is made anew when it is next asked for.

    Args:
        modules: two or more with the same parameters by name and shape.
        recurse: whether parameters of their submodules belong to them.
    """

    def __init__(self, modules: Sequence[nn.Module], recurse: bool = True) -> None:
        self._names = tuple(name for name, _ in modules[0].named_parameters(recurse=recurse))
        self._tables = [_tables(module, recurse) for module in modules]
        self._places: list[int] = []
        self._stacked: dict[str, Tensor] = {}

    def current(self) -> dict[str, Tensor]:
        """Each parameter by name, (n_modules, *shape), outside the graph; the same dict until the stack is remade."""
        if [table[name].data_ptr() for table, name in self._each()] != self._places:
            self._stack()
        return self._stacked

    def _each(self) -> list[tuple[dict[str, Tensor], str]]:
        return [pair for tables in self._tables for pair in tables]

    @torch.inference_mode(False)
    @torch.no_grad()
    def _stack(self) -> None:
        """Move all parameters into fresh shared tensors."""
        self._stacked = {}
        for k, name in enumerate(self._names):
            own = [tables[k][0][tables[k][1]] for tables in self._tables]
            stacked = torch.stack([parameter.detach() for parameter in own])
            for parameter, place in zip(own, stacked, strict=True):
                parameter.data = place
            self._stacked[name] = stacked
        self._places = [table[name].data_ptr() for table, name in self._each()]


class StackedLayers:
    """Linear layers, LayerNorms and activations of several equal networks, for one input each.

    Args:
        networks: the layers of each network, see `can_be_stacked`.
    """

    def __init__(self, networks: Sequence[Sequence[nn.Module]]) -> None:
        self._layers = tuple(networks[0])
        self.parameters = StackedParameters([nn.ModuleList(layers) for layers in networks])
        self._read: dict[str, Tensor] | None = None
        self._steps: list[tuple[nn.Module, Tensor | None, Tensor | None]] = []
        self._few_steps: list[tuple[np.ndarray, np.ndarray, type[nn.Module] | None]] = []
        self._widest = 0

    def __call__(self, inputs: Tensor) -> Tensor:
        """(n_networks, batch, n_inputs) to (n_networks, batch, n_outputs), outside the graph.

        Raises:
            RuntimeError: the inputs have another shape.
        """
        if self.parameters.current() is not self._read:
            self._read_parameters()
        for layer, weight, bias in self._steps:
            if weight is None or bias is None:
                inputs = layer.forward(inputs)
            elif isinstance(layer, nn.LayerNorm):
                inputs = torch.addcmul(bias, F.layer_norm(inputs, layer.normalized_shape, eps=layer.eps), weight)
            else:
                inputs = torch.baddbmm(bias, inputs, weight)
        return inputs

    def of_few(self, inputs: np.ndarray) -> np.ndarray | None:
        """The same by NumPy, whose small products cost half of PyTorch's where other code has emptied the caches.

        Args:
            inputs: (n_networks, batch, n_inputs).

        Returns:
            (n_networks, batch, n_outputs); None for large batches, and for layers or weights that NumPy does not do.
        """
        if inputs.dtype != np.float32 or not self.does_few(inputs.shape[1]):
            return None
        # Batches as columns: the weights lie in memory as this product reads them fastest.
        outputs = inputs.transpose(0, 2, 1)
        for weight, bias, activation in self._few_steps:
            outputs = np.matmul(weight, outputs)
            outputs += bias
            if activation is nn.Tanh:
                np.tanh(outputs, out=outputs)
            elif activation is nn.ReLU:
                np.maximum(outputs, 0, out=outputs)
        return outputs.transpose(0, 2, 1)

    def does_few(self, n: int) -> bool:
        """Whether `of_few` does batches of n."""
        if self.parameters.current() is not self._read:
            self._read_parameters()
        return bool(self._few_steps) and n * self._widest <= FEW

    def _read_parameters(self) -> None:
        """Windows into the stack as the products need them: transposed weights, one bias for all rows."""
        self._read, self._steps = self.parameters.current(), []
        for k, layer in enumerate(self._layers):
            weight, bias = self._read.get(f"{k}.weight"), self._read.get(f"{k}.bias")
            if weight is not None and bias is not None:
                weight, bias = weight.mT if weight.dim() == 3 else weight.unsqueeze(1), bias.unsqueeze(1)
            self._steps.append((layer, weight, bias))
        self._few_steps, self._widest = _few_steps(self._steps), 0
        if self._few_steps:
            self._widest = max(weight[0].size for weight, _, _ in self._few_steps)


def can_be_stacked(layers: Sequence[nn.Module]) -> bool:
    """Whether `StackedLayers` knows all these: linear layers, LayerNorms over vectors, and entrywise activations."""
    return all(
        (type(layer) is nn.Linear and layer.bias is not None)
        or (type(layer) is nn.LayerNorm and len(layer.normalized_shape) == 1 and layer.elementwise_affine)
        or type(layer) in ENTRYWISE
        for layer in layers
    )


def _few_steps(
    steps: Sequence[tuple[nn.Module, Tensor | None, Tensor | None]],
) -> list[tuple[np.ndarray, np.ndarray, type[nn.Module] | None]]:
    """Weight, bias and activation of each linear layer as NumPy sees them; none where it does not know them all."""
    found: list[tuple[np.ndarray, np.ndarray, type[nn.Module] | None]] = []
    for layer, weight, bias in steps:
        if weight is not None and bias is not None:
            if type(layer) is not nn.Linear or not weight.is_cpu or weight.dtype != torch.float32:
                return []
            found.append((weight.mT.numpy(), bias.mT.numpy(), None))
        elif type(layer) in (nn.Tanh, nn.ReLU) and found and found[-1][2] is None:
            found[-1] = (*found[-1][:2], type(layer))
        else:
            return []
    return found


def _tables(module: nn.Module, recurse: bool) -> list[tuple[dict[str, Tensor], str]]:
    """Where each parameter of a module is registered, and under which name there."""
    return [
        (owner._parameters, name)  # type: ignore[misc]
        for owner in (module.modules() if recurse else [module])
        for name, parameter in owner._parameters.items()
        if parameter is not None
    ]
