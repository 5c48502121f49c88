"""Legal random actions, for warm-up and for comparison."""

from __future__ import annotations

import numpy as np
import torch

from masoft.functional.distributions import Categoricals
from masoft.spec import TeamSpec


def uniform_actions(
    team: TeamSpec, n: int, masks: np.ndarray | None = None, generator: torch.Generator | None = None
) -> np.ndarray:
    """Joint actions drawn uniformly from what is legal.

    Args:
        team: the team's specification.
        n: how many.
        masks: joint masks, (n, mask_size), or None.
        generator: source of the draws, on the CPU.

    Returns:
        (n, action_size): Box entries in [-1, 1], categorical parts as choice numbers.
    """
    parts = []
    for agent, where in zip(team.agents, team.mask_slices, strict=True):
        if agent.action.is_box:
            parts.append(torch.rand((n, agent.action.size), generator=generator) * 2 - 1)
        else:
            mask = None if masks is None else torch.as_tensor(masks[:, where])
            logits = torch.zeros(n, agent.action.mask_size)
            parts.append(Categoricals(logits, agent.action.nvec, mask).sample(generator).float())
    return torch.cat(parts, dim=-1).numpy()
