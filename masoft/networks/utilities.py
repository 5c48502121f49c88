"""Soft utilities of FOP: independent networks that value one agent's own actions from what it sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from masoft.functional.observations import as_rows
from masoft.networks.action_values import ActionValueNet
from masoft.networks.critic import Turns
from masoft.networks.joint_critic import JointCritic
from masoft.networks.torso import plain_torso
from masoft.spec import AgentSpec


class ChoiceUtility(nn.Module):
    """Utilities of every action of a categorical agent.

    Args:
        agent: the agent's specification.
        net_arch: widths of the hidden layers.
        activation_fn: module after each of them.
        n_critics: number of independent networks.
    """

    def __init__(
        self, agent: AgentSpec, net_arch: Sequence[int], activation_fn: type[nn.Module], n_critics: int
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            [ActionValueNet(agent, plain_torso(net_arch, activation_fn)(agent)) for _ in range(n_critics)]
        )

    def forward(self, observation: Tensor) -> Tensor:
        """(batch, *shape) to (n_critics, batch, prod(nvec)), the last categorical part fastest."""
        return torch.stack([network(observation).values for network in self.networks])


class BoxUtility(nn.Module):
    """Utility of a given action of a Box agent.

    Args:
        agent: the agent's specification; observations are flattened.
        net_arch: widths of the hidden layers.
        activation_fn: module after each of them.
        layer_norm: normalise hidden layers.
        n_critics: number of independent networks.
    """

    def __init__(
        self,
        agent: AgentSpec,
        net_arch: Sequence[int],
        activation_fn: type[nn.Module],
        layer_norm: bool,
        n_critics: int,
    ) -> None:
        super().__init__()
        sizes = (math.prod(agent.observation_shape), agent.action.size)
        self.critic = JointCritic(*sizes, net_arch, activation_fn, layer_norm, n_critics)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Observations (batch, *shape) and actions (batch, size) in [-1, 1] to (n_critics, batch)."""
        values: Tensor = self.critic(as_rows(observation).float(), action)
        return values

    def turns(self, observation: Tensor, action: Tensor) -> Turns:
        """Its weights at rest, for the actor's turn."""
        return self.critic.turns(as_rows(observation).float(), action)
