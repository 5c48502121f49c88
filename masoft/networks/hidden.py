"""Hidden layers of on-policy actors and critics, and how their weights start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from masoft.fast.written_out import pass_through


class HiddenLayers(nn.Module):
    """Linear, activation, and so on; with LayerNorm on the inputs and after each activation where it is asked for.

    Args:
        n_inputs: length of the input vector.
        net_arch: widths of the hidden layers; none: the inputs go through.
        activation_fn: module after each linear layer.
        layer_norm: see above; makes the learner indifferent to the scale of observations.
    """

    def __init__(
        self, n_inputs: int, net_arch: Sequence[int], activation_fn: type[nn.Module], layer_norm: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.LayerNorm(n_inputs)] if layer_norm else []
        for width in net_arch:
            layers += [nn.Linear(n_inputs, width), activation_fn()]
            layers += [nn.LayerNorm(width)] if layer_norm else []
            n_inputs = width
        self.layers = nn.Sequential(*layers)
        self.n_outputs = n_inputs

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, n_inputs) to (batch, n_outputs)."""
        features: Tensor = self.layers(inputs)
        return features

    def then(self, inputs: Tensor, last: nn.Linear) -> Tensor:
        """The same and one linear layer more, (batch, n_inputs) to (batch, last.out_features), in one pass."""
        return pass_through(inputs, [*self.layers, last])


@dataclass(frozen=True)
class Architecture:
    """What the hidden layers of a network look like, whatever its inputs.

    Args:
        net_arch: widths of the hidden layers.
        activation_fn: module after each of them.
        layer_norm: see `HiddenLayers`.
        hidden_size: of the memory behind them; 0: none.
        ortho_init: whether weights start orthogonal.
    """

    net_arch: tuple[int, ...]
    activation_fn: type[nn.Module]
    layer_norm: bool = False
    hidden_size: int = 0
    ortho_init: bool = True

    def build(self, n_inputs: int) -> HiddenLayers:
        """The layers for a number of inputs."""
        return HiddenLayers(n_inputs, self.net_arch, self.activation_fn, self.layer_norm)

    def start(self, module: nn.Module, head: nn.Module, gain: float) -> None:
        """Give a finished network its starting weights; those of its head are orthogonal with the given gain."""
        if not self.ortho_init:
            return
        of_head = set(head.modules())
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.orthogonal_(layer.weight, gain if layer in of_head else math.sqrt(2))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
