"""For which agents an expectation over their own actions is taken exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from masoft.errors import SpaceError, explain
from masoft.functional.actions import encoded_choices
from masoft.mirror.discrete_gradient import DiscreteGradient
from masoft.spec import TeamSpec

ENUMERATION_LIMIT = 4096
"""Largest number of own actions of an agent that is valued by one output an action."""


def check_enumerable(team: TeamSpec, owner: str) -> None:
    """Refuse categorical agents with more actions than one output each can be spent on.

    Args:
        team: the team's specification.
        owner: the algorithm's name.

    Raises:
        SpaceError: names the agent, its number of actions and the cure.
    """
    for agent in team.agents:
        if agent.action.n_joint > ENUMERATION_LIMIT:
            which = f"The number of actions of agent {agent.name!r}"
            must = f"at most {ENUMERATION_LIMIT} for {owner}, which values each combination of parts by itself"
            cure = "HASAC and HATD3 with discrete_gradient='gumbel' take any number."
            raise SpaceError(explain(which, must, agent.action.n_joint, cure))


def exact_choices(
    team: TeamSpec, discrete_gradient: DiscreteGradient, device: torch.device | str
) -> tuple[Tensor | None, ...]:
    """Every encoded action of each agent that is enumerated, (n_joint, encoded_size); None for the others.

    Args:
        team: the team's specification.
        discrete_gradient: says who enumerates.
        device: where the tensors go.
    """
    found: list[Tensor | None] = []
    for agent in team.agents:
        n_joint = agent.action.n_joint
        enumerates = n_joint and discrete_gradient.enumerates(n_joint)
        found.append(encoded_choices(agent.action, device) if enumerates else None)
    return tuple(found)
