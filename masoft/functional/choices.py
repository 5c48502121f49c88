"""Choices of categorical parts: one-hot vectors, and all that an agent can do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def one_hot_parts(actions: Tensor, nvec: Sequence[int]) -> Tensor:
    """One-hot vectors of categorical parts, side by side.

    Args:
        actions: (..., len(nvec)), choice numbers.
        nvec: number of choices of each part.

    Returns:
        (..., sum(nvec)), true at each choice.
    """
    # Comparing needs no look at the largest number, for which a GPU would have to be waited for.
    parts = [actions[..., k : k + 1] == torch.arange(n, device=actions.device) for k, n in enumerate(nvec)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def enumerate_actions(nvec: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Every action of an agent with categorical parts, (prod(nvec), len(nvec)); the last part varies fastest."""
    choices = [torch.arange(n, device=device) for n in nvec]
    return torch.cartesian_prod(*choices).reshape(-1, len(nvec))
