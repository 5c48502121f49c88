"""Joint critics: twin networks over the state and all agents' actions, held as stacked weights.

The two networks of a twin critic are one set of tensors with a leading critic axis, so that each layer is one call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class JointCritic(nn.Module):
    """``n_critics`` independent Q-networks over (state, encoded joint action).

    Args:
        state_size: length of the state vector.
        action_size: length of the encoded joint action (Box entries, one-hot categorical parts).
        net_arch: widths of the hidden layers, at least one.
        activation_fn: module after each hidden layer.
        layer_norm: normalise each hidden layer before its activation; steadies learning at one update per step.
        n_critics: number of networks; 2 for clipped double Q-learning.
    """

    def __init__(
        self,
        state_size: int,
        action_size: int,
        net_arch: Sequence[int],
        activation_fn: type[nn.Module] = nn.ReLU,
        layer_norm: bool = True,
        n_critics: int = 2,
    ) -> None:
        super().__init__()
        self.state_size = state_size
        self.n_critics = n_critics
        self.activation = activation_fn()
        self.layer_norm = layer_norm
        widths = [*net_arch]
        n_inputs = state_size + action_size
        self.first_weight = nn.Parameter(_uniform((n_inputs, n_critics * widths[0]), n_inputs))
        self.first_bias = nn.Parameter(_uniform((n_critics * widths[0],), n_inputs))
        fans = list(zip(widths, [*widths[1:], 1], strict=True))
        self.weights = nn.ParameterList([_uniform((n_critics, i, o), i) for i, o in fans])
        self.biases = nn.ParameterList([_uniform((n_critics, 1, o), i) for i, o in fans])
        self.gains = nn.ParameterList([torch.ones(n_critics, 1, w) for w in widths] if layer_norm else [])
        self.shifts = nn.ParameterList([torch.zeros(n_critics, 1, w) for w in widths] if layer_norm else [])

    def forward(self, state: Tensor, actions: Tensor) -> Tensor:
        """Q-values of each network.

        Args:
            state: (batch, state_size).
            actions: (batch, action_size), encoded.

        Returns:
            (n_critics, batch).
        """
        return self.after_first_layer(self.first_layer(torch.cat([state, actions], dim=-1)))

    def first_layer(self, inputs: Tensor) -> Tensor:
        """The first linear layer of all networks side by side: (batch, inputs) to (batch, n_critics * width)."""
        return torch.addmm(self.first_bias, inputs, self.first_weight)

    def after_first_layer(self, hidden: Tensor) -> Tensor:
        """Everything above the first linear layer: (batch, n_critics * width) to Q-values (n_critics, batch)."""
        hidden = hidden.view(hidden.shape[0], self.n_critics, -1).transpose(0, 1)
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if self.layer_norm:
                hidden = F.layer_norm(hidden, hidden.shape[-1:])
                hidden = torch.addcmul(self.shifts[depth], hidden, self.gains[depth])
            hidden = torch.baddbmm(bias, self.activation(hidden), weight)
        return hidden.squeeze(-1)

    def freeze(self, state: Tensor, actions: Tensor) -> FrozenCritic:
        """A view of this critic for the actors' turns, see `FrozenCritic`."""
        return FrozenCritic(self, state, actions)


class FrozenCritic:
    """A critic whose weights rest while the agents improve one after the other.

    The first layer over the state and all agents' current actions is computed once; an agent's turn only adds the
    difference that its own action makes. Gradients flow to the agent's action alone.

    Args:
        critic: the critic, used without gradients to its weights.
        state: (batch, state_size).
        actions: (batch, action_size), the current encoded joint action; not modified.
    """

    def __init__(self, critic: JointCritic, state: Tensor, actions: Tensor) -> None:
        self._critic = critic
        self._weights = [parameter for parameter in critic.parameters() if parameter.requires_grad]
        self._first_weight = critic.first_weight.detach()
        self._offset = critic.state_size
        self._actions = actions.detach().clone()
        with torch.no_grad():
            self._hidden = critic.first_layer(torch.cat([state, self._actions], dim=-1))

    @property
    def actions(self) -> Tensor:
        """The current encoded joint action, (batch, action_size)."""
        return self._actions

    def min_q(self, where: slice, action: Tensor) -> Tensor:
        """Smallest Q-value when one agent plays ``action`` and the others their current actions.

        Args:
            where: the agent's slice of the encoded joint action.
            action: (batch, size), may carry gradients.

        Returns:
            (batch,), differentiable in ``action``.
        """
        columns = self._columns(where)
        hidden = torch.addmm(self._hidden, action - self._actions[:, where], columns)
        return self._above(hidden).amin(dim=0)

    def q_of_each(self, where: slice, actions: Tensor) -> Tensor:
        """Smallest Q-value of each of an agent's own actions, the others playing their current ones.

        Args:
            where: the agent's slice of the encoded joint action.
            actions: (k, size), every encoded action of the agent.

        Returns:
            (batch, k), without gradient.
        """
        columns = self._columns(where)
        with torch.no_grad():
            rest = self._hidden - self._actions[:, where] @ columns
            hidden = rest.unsqueeze(1) + (actions.to(rest.dtype) @ columns)
            return self._critic.after_first_layer(hidden.flatten(0, 1)).amin(dim=0).view(-1, actions.shape[0])

    def replace(self, where: slice, action: Tensor) -> None:
        """Let one agent's current action be ``action`` (batch, size) from now on."""
        with torch.no_grad():
            self._hidden = torch.addmm(self._hidden, action - self._actions[:, where], self._columns(where))
            self._actions[:, where] = action

    def _columns(self, where: slice) -> Tensor:
        return self._first_weight[self._offset + where.start : self._offset + where.stop]

    def _above(self, hidden: Tensor) -> Tensor:
        for weight in self._weights:
            weight.requires_grad_(False)
        try:
            return self._critic.after_first_layer(hidden)
        finally:
            for weight in self._weights:
                weight.requires_grad_(True)


def _uniform(shape: tuple[int, ...], fan_in: int) -> Tensor:
    """PyTorch's default start of a linear layer: uniform in +-1/sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(shape).uniform_(-bound, bound)
