"""One step of an optimiser down a loss."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer


def descend(optimizer: Optimizer, loss: Tensor) -> None:
    """Forget the old gradients, take those of the loss (scalar), and step."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
