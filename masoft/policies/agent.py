"""One agent's actor: its own observation in, its own action distribution out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from masoft.distributions import Distribution
from masoft.fast.written_out import pass_through
from masoft.functional.observations import TaggedRows
from masoft.networks.heads import CategoricalHead, Head, Heads, SquashedGaussianHead, own_head
from masoft.networks.mlp import make_encoder, mlp
from masoft.spec import AgentSpec


class Actor(nn.Module):
    """Encoder, hidden layers and head for one agent (or for several of equal spaces that share it).

    Args:
        agent: the agent's specification.
        net_arch: widths of the hidden layers.
        activation_fn: module after each hidden layer.
        final_activation: module after the last hidden layer; None: ``activation_fn``.
        initial_probabilities: starting probabilities of a categorical agent, see `CategoricalHead`.
        heads: of a user's own, see `own_head`.
    """

    def __init__(
        self,
        agent: AgentSpec,
        net_arch: Sequence[int],
        activation_fn: type[nn.Module] = nn.ReLU,
        final_activation: type[nn.Module] | None = None,
        initial_probabilities: Sequence[float] | None = None,
        heads: Heads = None,
    ) -> None:
        super().__init__()
        self.encoder = make_encoder(agent.observation_shape, agent.observes_bytes)
        self.body = mlp(self.encoder.n_features, net_arch, activation_fn, final_activation)
        width = net_arch[-1] if net_arch else self.encoder.n_features
        own = own_head(agent, heads, width)
        self.head: Head
        if own is not None:
            self.head = own
        elif agent.action.is_box:
            self.head = SquashedGaussianHead(width, agent.action.size)
        else:
            self.head = CategoricalHead(width, agent.action.nvec, initial_probabilities)

    def forward(self, observation: Tensor | TaggedRows, mask: Tensor | None = None) -> Distribution:
        """The agent's policy at observations (batch, *shape) under masks (batch, sum(nvec)) or None."""
        if isinstance(observation, Tensor):
            observation = self.encoder.forward(observation)
        layers = (*self.body.children(), self.head.linear)
        return self.head.read(pass_through(observation, layers), mask)
