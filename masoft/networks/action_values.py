"""Networks that value each of an agent's own actions from what it sees."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from masoft.functional.action_values import ActionValues
from masoft.networks.mlp import make_encoder, mlp
from masoft.networks.recurrent import Memory, Sequences
from masoft.spec import AgentSpec


class ActionValueNet(nn.Module):
    """Encoder, hidden layers, memory where there is one, and one output an action of a categorical agent.

    Args:
        agent: the agent's specification.
        net_arch: widths of the hidden layers; none: the values are linear in what the encoder gives.
        activation_fn: module after each hidden layer.
        dueling: split the output into ``V(o) + A(o, a) - mean_a A(o, a)`` (Wang et al., 2016).
        hidden_size: length of what the agent remembers; 0: it has no memory.
    """

    def __init__(
        self,
        agent: AgentSpec,
        net_arch: Sequence[int],
        activation_fn: type[nn.Module] = nn.ReLU,
        dueling: bool = False,
        hidden_size: int = 0,
    ) -> None:
        super().__init__()
        self.nvec = agent.action.nvec
        self.encoder = make_encoder(agent.observation_shape, agent.observes_bytes)
        self.body = mlp(self.encoder.n_features, net_arch, activation_fn)
        width = net_arch[-1] if net_arch else self.encoder.n_features
        self.memory = Memory(width, hidden_size) if hidden_size else None
        width = hidden_size or width
        self.head = nn.Linear(width, agent.action.n_joint)
        self.state_value = nn.Linear(width, 1) if dueling else None

    def forward(self, observation: Tensor, mask: Tensor | None = None) -> ActionValues:
        """Values at observations (batch, *shape) under masks (batch, sum(nvec)) or None; without memory only."""
        return self._values(self.body(self.encoder(observation)), mask)

    def remember(self, observation: Tensor, mask: Tensor | None, sequences: Sequences) -> tuple[ActionValues, Tensor]:
        """Values along sequences, and what is remembered after each step (steps, n, hidden_size); with memory only.

        Args:
            observation: (steps * n, *shape), rows as in `Sequences`.
            mask: (steps * n, sum(nvec)) or None.
            sequences: where episodes start, and what was remembered before.
        """
        assert self.memory is not None
        features, remembered = self.memory(self.body(self.encoder(observation)), sequences)
        return self._values(features, mask), remembered

    def _values(self, features: Tensor, mask: Tensor | None) -> ActionValues:
        values: Tensor = self.head(features)
        if self.state_value is not None:
            values = self.state_value(features) + values - values.mean(-1, keepdim=True)
        return ActionValues(values, self.nvec, mask)
