"""For which agents an expectation over their own actions is taken exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from masoft.functional.actions import encoded_choices
from masoft.spec import TeamSpec

EXACT_LIMIT = 64
"""Largest number of own actions for which ``discrete_gradient="auto"`` takes the exact expectation."""


def exact_choices(team: TeamSpec, discrete_gradient: str, device: torch.device | str) -> tuple[Tensor | None, ...]:
    """Every encoded action of each agent that is enumerated, (n_joint, encoded_size); None for the others.

    Args:
        team: the team's specification.
        discrete_gradient: ``"exact"``: all categorical agents; ``"auto"``: those with few enough actions;
            ``"gumbel"``: nobody.
        device: where the tensors go.
    """
    found: list[Tensor | None] = []
    for agent in team.agents:
        n_joint = agent.action.n_joint
        affordable = discrete_gradient == "exact" or (discrete_gradient == "auto" and n_joint <= EXACT_LIMIT)
        found.append(encoded_choices(agent.action, device) if n_joint and affordable else None)
    return tuple(found)
