"""The critic that masoft's off-policy methods have by default: independent Q-networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from masoft.fast import is_plain
from masoft.fast.saved_first_layer import SavedFirstLayer
from masoft.fast.written_out import ScalarLinear
from masoft.networks.critic import Critic, Turns, has_hooks
from masoft.networks.mlp import Stack, VectorEncoder, mlp
from masoft.networks.recurrent import GruTorso
from masoft.networks.torso import MlpTorso, first_steps
from masoft.networks.walk import Walk, WalkOn


class JointCritic(Critic):
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
        n_inputs = state_size + action_size
        hidden = [mlp(n_inputs, net_arch, activation_fn, layer_norm=layer_norm) for _ in range(n_critics)]
        self.networks = nn.ModuleList([Stack(*layers, ScalarLinear(net_arch[-1])) for layers in hidden])
        self._weights = tuple(self.parameters())

    def forward(self, state: Tensor, joint_action: Tensor) -> Tensor:
        """Q-values of each network, (n_critics, batch)."""
        inputs = torch.cat([state, joint_action], dim=-1)
        return torch.stack([network(inputs) for network in self.networks])

    def turns(self, state: Tensor, joint_action: Tensor) -> Turns:
        """The plain turns, or their equal with a saved first layer."""
        if is_plain() or type(self).judged is not Critic.judged or has_hooks(self):
            return super().turns(state, joint_action)
        layers = [[*network.children()] for network in self.networks]
        return SavedFirstLayer(layers, self._weights, state, joint_action)

    @torch.no_grad()
    def follow(self, critic: JointCritic, share: float) -> None:
        """As for any critic, without walking the modules."""
        torch._foreach_lerp_(self._weights, critic._weights, share)


class RememberingCritic(Critic):
    """A critic for teams that remember: a GRU along the states, beside the state itself.

    Where agents have to remember, what they see says little of how good their actions are, and so does the state where
    it is made of what they see.

    Args:
        state_size: length of the state vector.
        hidden_size: length of what is remembered.
        critic: over the state with what is remembered behind it, and the joint action.
    """

    def __init__(self, state_size: int, hidden_size: int, critic: JointCritic) -> None:
        super().__init__()
        self.torso = GruTorso(MlpTorso(VectorEncoder((state_size,)), nn.Identity(), state_size), hidden_size)
        self.critic = critic
        self.n_critics = critic.n_critics

    def forward(self, state: Tensor | Walk | WalkOn, joint_action: Tensor) -> Tensor:
        """Q-values of each network, (n_critics, batch), at states of which a `Walk` tells how they were reached."""
        values: Tensor = self.critic(self._known(state), joint_action)
        return values

    def turns(self, state: Tensor | Walk | WalkOn, joint_action: Tensor) -> Turns:
        """The inner critic's turns; what is remembered does not change in them."""
        with torch.no_grad():
            known = self._known(state)
        return self.critic.turns(known, joint_action)

    def _known(self, state: Tensor | Walk | WalkOn) -> Tensor:
        """The state, and what is remembered, side by side."""
        if isinstance(state, Walk | WalkOn):
            return torch.cat([state.rows, state.features(self.torso)], dim=-1)
        features, _ = self.torso.along(state, first_steps(len(state), self.torso, state.device))
        return torch.cat([state, features], dim=-1)
