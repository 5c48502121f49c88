"""Observations as rows of numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def as_rows(observation: Tensor) -> Tensor:
    """Flatten each observation; bytes, as pictures have them, come out between 0 and 1.

    A critic that saw bytes as numbers up to 255 beside others of size 1 would see little else.

    Args:
        observation: (batch, *shape), any number type.

    Returns:
        (batch, prod(shape)), float32, or the observation's own floating type.
    """
    flat = observation.flatten(1)
    if flat.dtype == torch.uint8:
        return flat.float() / 255
    return flat if flat.is_floating_point() else flat.float()
