"""Mixing networks: agents' utilities and the state in, one joint value out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Mixer(nn.Module, ABC):
    """Abstract: the joint value of chosen utilities, monotonic in each of them.

    Monotonicity lets every agent choose its own best action by itself (Individual-Global-Max).
    """

    @abstractmethod
    def forward(self, utilities: Tensor, state: Tensor) -> Tensor:
        """Joint value.

        Args:
            utilities: (batch, n_agents), each agent's value of its chosen action; 0 for one that has left.
            state: (batch, state_size).

        Returns:
            (batch,).
        """


class SumMixer(Mixer):
    """``Q_tot = sum_i Q_i`` (VDN); the state plays no part.

    Reference:
        Sunehag et al., Value-Decomposition Networks for Cooperative Multi-Agent Learning, 2017.
    """

    def forward(self, utilities: Tensor, state: Tensor) -> Tensor:
        return utilities.sum(-1)


class MonotonicMixer(Mixer):
    """``Q_tot = |w_2(s)|^T elu(|W_1(s)|^T q + b_1(s)) + v(s)``: two layers whose weights are functions of the state.

    The weights on utilities are absolute values, so that ``Q_tot`` never falls when a utility rises.

    Args:
        n_agents: number of utilities.
        state_size: length of the state.
        mixing_width: units of the hidden mixing layer.
        hypernet_width: units of the hidden layer in the networks that make the weights; 0: these are linear.

    Reference:
        Rashid et al., QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning, 2018.
    """

    def __init__(self, n_agents: int, state_size: int, mixing_width: int = 32, hypernet_width: int = 64) -> None:
        super().__init__()
        self.n_agents, self.width = n_agents, mixing_width
        self.first_weight = _hypernet(state_size, n_agents * mixing_width, hypernet_width)
        self.first_bias = nn.Linear(state_size, mixing_width)
        self.second_weight = _hypernet(state_size, mixing_width, hypernet_width)
        self.value = _hypernet(state_size, 1, mixing_width)

    def forward(self, utilities: Tensor, state: Tensor) -> Tensor:
        first = self.first_weight(state).abs().view(-1, self.n_agents, self.width)
        hidden = F.elu(torch.baddbmm(self.first_bias(state).unsqueeze(1), utilities.unsqueeze(1), first)).squeeze(1)
        mixed: Tensor = (hidden * self.second_weight(state).abs()).sum(-1) + self.value(state).squeeze(-1)
        return mixed


def _hypernet(n_inputs: int, n_outputs: int, width: int) -> nn.Module:
    """A network that makes weights: one hidden layer, or none."""
    if width == 0:
        return nn.Linear(n_inputs, n_outputs)
    return nn.Sequential(nn.Linear(n_inputs, width), nn.ReLU(), nn.Linear(width, n_outputs))
