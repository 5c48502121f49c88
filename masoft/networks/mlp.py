"""Plain multi-layer perceptrons, and the encoders that turn an observation of any shape into a vector."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from masoft.fast.written_out import pass_through

IMAGE_DIMENSIONS = 3


class Stack(nn.Sequential):
    """Layers one after the other, without what PyTorch does around the call of a module, see `pass_through`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Pass the inputs through all layers."""
        return pass_through(inputs, self.children())


def mlp(
    n_inputs: int,
    net_arch: Sequence[int],
    activation_fn: type[nn.Module] = nn.ReLU,
    final_activation: type[nn.Module] | None = None,
    layer_norm: bool = False,
) -> Stack:
    """Hidden layers only: linear, (LayerNorm,) activation, and so on.

    Args:
        n_inputs: length of the input vector.
        net_arch: widths of the hidden layers.
        activation_fn: module after each hidden layer.
        final_activation: module after the last hidden layer instead of ``activation_fn``; None keeps that one.
        layer_norm: normalise each hidden layer before its activation.
    """
    layers: list[nn.Module] = []
    for depth, width in enumerate(net_arch):
        is_last = depth == len(net_arch) - 1
        activation = final_activation if is_last and final_activation is not None else activation_fn
        norms = [nn.LayerNorm(width)] if layer_norm else []
        layers += [nn.Linear(n_inputs, width), *norms, make_activation(activation)]
        n_inputs = width
    return Stack(*layers)


def make_activation(activation_fn: type[nn.Module]) -> nn.Module:
    """An activation module; a ReLU writes over its input, which nothing else of an `mlp` needs."""
    return nn.ReLU(inplace=True) if activation_fn is nn.ReLU else activation_fn()


class ImageEncoder(nn.Module):
    """Two strided convolutions for channel-first images, for grids as small as 7 x 7.

    Args:
        shape: (channels, height, width).
        scale: factor applied first, 1/255 for byte images.
    """

    def __init__(self, shape: tuple[int, ...], scale: float = 1.0) -> None:
        super().__init__()
        channels, height, width = shape
        self.scale = scale
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.n_features = 64 * math.ceil(height / 4) * math.ceil(width / 4)

    def forward(self, observations: Tensor) -> Tensor:
        """Encode images (batch, channels, height, width) to (batch, n_features)."""
        features: Tensor = self.layers(_floating(observations) * self.scale)
        return features


class VectorEncoder(nn.Module):
    """Flattens whatever is no image.

    Args:
        shape: shape of one observation.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.n_features = math.prod(shape)

    def forward(self, observations: Tensor) -> Tensor:
        """Flatten (batch, *shape) to (batch, n_features)."""
        return _floating(observations.flatten(1))


def make_encoder(shape: tuple[int, ...], is_bytes: bool = False) -> ImageEncoder | VectorEncoder:
    """The encoder for observations of a given shape: convolutions for three dimensions, else flattening.

    Args:
        shape: shape of one observation; three dimensions mean (channels, height, width).
        is_bytes: whether the values are bytes 0 to 255.
    """
    if len(shape) == IMAGE_DIMENSIONS:
        return ImageEncoder(shape, 1 / 255 if is_bytes else 1.0)
    return VectorEncoder(shape)


def _floating(values: Tensor) -> Tensor:
    """Integers as float32; floating point numbers of any precision stay what they are."""
    return values if values.is_floating_point() else values.float()
