"""Mixing networks: agents' utilities and the state in, one joint value out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from masoft.errors import ConfigurationError, explain
from masoft.validation import Real


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
        hypernet_gain: factor on what the last layer of these networks makes of the state, when learning starts. Weights
            and values start as large as the state is. Where returns are smaller than that, bootstrapping keeps the
            start alive for long, and the largest of wrong values is chosen; 0.1 then lets them start near 0.

    Raises:
        ConfigurationError: the gain is no number >= 0.

    Reference:
        Rashid et al., QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning, 2018.
    """

    def __init__(
        self,
        n_agents: int,
        state_size: int,
        mixing_width: int = 32,
        hypernet_width: int = 64,
        hypernet_gain: float = 1.0,
    ) -> None:
        if not Real(0).accepts(hypernet_gain):
            raise ConfigurationError(explain("hypernet_gain", Real(0).describe(), hypernet_gain))
        super().__init__()
        self.n_agents, self.width = n_agents, mixing_width
        self.first_weight = _hypernet(state_size, n_agents * mixing_width, hypernet_width)
        self.first_bias = nn.Linear(state_size, mixing_width)
        self.second_weight = _hypernet(state_size, mixing_width, hypernet_width)
        self.value = _hypernet(state_size, 1, mixing_width)
        with torch.no_grad():
            for made in (self.first_weight, self.first_bias, self.second_weight, self.value):
                last = made[-1] if isinstance(made, nn.Sequential) else made
                assert isinstance(last, nn.Linear)
                last.weight.mul_(hypernet_gain)

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


class FactoredMixer(nn.Module):
    """``Q(s, a) = b(s) + sum_i V_i + sum_i lambda_i(s, a) (Q_i - V_i)``: FOP's joint soft value.

    ``lambda_i > 0`` is the joint temperature over the agent's own, times a learned weight that starts close to 1.
    Gradients reach ``Q_i`` as if its weight were 1, and the weight through ``Q_i - V_i`` taken as a number; this is
    how the authors keep the utilities from being scaled away.

    Args:
        n_agents: number of utilities.
        state_size: length of the state.
        action_size: length of the encoded joint action.
        n_heads: terms of the weight.
        width: units of the hidden layer of ``b``.

    Reference:
        Zhang et al., FOP: Factorizing Optimal Joint Policy of Maximum-Entropy Multi-Agent Reinforcement Learning, 2021.
    """

    def __init__(self, n_agents: int, state_size: int, action_size: int, n_heads: int = 4, width: int = 64) -> None:
        super().__init__()
        self.shape = (n_heads, n_agents)
        self.key = nn.Linear(state_size, n_heads)
        self.by_state = nn.Linear(state_size, n_heads * n_agents)
        self.by_action = nn.Linear(state_size + action_size, n_heads * n_agents)
        self.bias = _hypernet(state_size, 1, width)
        with torch.no_grad():
            self.key.weight.zero_()
            self.key.bias.fill_(4 / n_heads)  # each head's two sigmoids start near a quarter

    def forward(self, utilities: Tensor, soft_values: Tensor, weights: Tensor, state: Tensor) -> Tensor:
        """Joint soft value.

        Args:
            utilities: (batch, n_agents), ``Q_i`` of the actions; 0 for an agent that has left.
            soft_values: (batch, n_agents), ``V_i``; 0 for an agent that has left.
            weights: (batch, n_agents), ``lambda_i``.
            state: (batch, state_size).

        Returns:
            (batch,).
        """
        gains = (utilities - soft_values).detach()
        joint: Tensor = self.bias(state).squeeze(-1) + (utilities + (weights - 1) * gains).sum(-1)
        return joint

    def weights(self, state: Tensor, actions: Tensor) -> Tensor:
        """``sum_h |k_h(s)| sigmoid(u_hi(s)) sigmoid(w_hi(s, a))``, (batch, n_agents), positive.

        Args:
            state: (batch, state_size).
            actions: (batch, action_size), encoded.
        """
        keys = self.key(state).abs().unsqueeze(-1) + 1e-10
        by_state = torch.sigmoid(self.by_state(state).view(-1, *self.shape))
        by_action = torch.sigmoid(self.by_action(torch.cat([state, actions], dim=-1)).view(-1, *self.shape))
        learned: Tensor = (keys * by_state * by_action).sum(1)
        return learned
