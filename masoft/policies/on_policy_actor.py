"""One agent's on-policy actor: its own observation in, and where it has a memory its past, its policy out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from masoft.distributions import Distribution
from masoft.networks.gaussian import DiagonalGaussianHead
from masoft.networks.heads import CategoricalHead, Head, Heads, SquashedGaussianHead, own_head
from masoft.networks.hidden import Architecture
from masoft.networks.mlp import make_encoder
from masoft.networks.recurrent import Memory, Sequences
from masoft.spec import AgentSpec

HEAD_GAIN = 0.01
"""A fresh policy is close to the same in every state, as in SB3's PPO."""


class OnPolicyActor(nn.Module):
    """Encoder, hidden layers, memory and head for one agent (or for several of equal spaces that share it).

    Args:
        agent: the agent's specification.
        arch: of the hidden layers and the memory.
        squash_output: for a Box, tanh of a Gaussian with state-dependent deviation instead of a plain one.
        log_std_init: of the plain Gaussian.
        initial_probabilities: starting probabilities of a categorical agent, see `CategoricalHead`.
        heads: of a user's own, see `own_head`.
    """

    def __init__(
        self,
        agent: AgentSpec,
        arch: Architecture,
        squash_output: bool = False,
        log_std_init: float = 0.0,
        initial_probabilities: Sequence[float] | None = None,
        heads: Heads = None,
    ) -> None:
        super().__init__()
        self.encoder = make_encoder(agent.observation_shape, agent.observes_bytes)
        self.body = arch.build(self.encoder.n_features)
        self.hidden_size = arch.hidden_size
        self.memory = Memory(self.body.n_outputs, arch.hidden_size) if arch.hidden_size else None
        width = arch.hidden_size or self.body.n_outputs
        own = own_head(agent, heads, width)
        self.head: Head
        if own is not None:
            self.head = own
        elif not agent.action.is_box:
            self.head = CategoricalHead(width, agent.action.nvec)
        elif squash_output:
            self.head = SquashedGaussianHead(width, agent.action.size)
        else:
            self.head = DiagonalGaussianHead(width, agent.action.size, log_std_init)
        arch.start(self, self.head, HEAD_GAIN)
        if own is None and not agent.action.is_box and initial_probabilities is not None:
            self.head = CategoricalHead(width, agent.action.nvec, initial_probabilities)

    def forward(self, observation: Tensor, mask: Tensor | None = None) -> Distribution:
        """The policy at observations (batch, *shape) under masks (batch, sum(nvec)); with memory, at a first step."""
        return self.remember(observation, mask, self.fresh(len(observation), observation.device))[0]

    def remember(
        self, observation: Tensor, mask: Tensor | None, sequences: Sequences | None
    ) -> tuple[Distribution, Tensor | None]:
        """The policy along sequences, and what is remembered after each step (steps, n, hidden_size).

        Args:
            observation: (steps * n, *shape), rows as in `Sequences`.
            mask: (steps * n, sum(nvec)) or None.
            sequences: only for actors with memory.
        """
        features = self.encoder(observation)
        if self.memory is None:
            return self.head.read(self.body.then(features, self.head.linear), mask), None
        assert sequences is not None
        features, remembered = self.memory(self.body(features), sequences)
        policy: Distribution = self.head(features, mask)
        return policy, remembered

    def fresh(self, n: int, device: torch.device) -> Sequences | None:
        """One first step of ``n`` episodes; None without memory."""
        if self.memory is None:
            return None
        return Sequences(torch.ones(1, n, device=device), torch.zeros(n, self.hidden_size, device=device))
