"""One agent's actor: what it sees in, its own action distribution out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from masoft.distributions import Distribution
from masoft.functional.observations import TaggedRows
from masoft.networks.heads import Head
from masoft.networks.torso import Sequences, Torso
from masoft.networks.walk import Walk, WalkOn

WALKS = (Walk, WalkOn)


class Actor(nn.Module):
    """A torso and a head, for one agent or for several of equal spaces that share it.

    Args:
        torso: from observations to features.
        head: from features to a distribution.
        in_one_pass: whether the head's linear layer is taken together with the layers before it, see `Torso.then`,
            which rounds differently.
    """

    def __init__(self, torso: Torso, head: Head, in_one_pass: bool = True) -> None:
        super().__init__()
        self.torso, self.head, self.in_one_pass = torso, head, in_one_pass

    @property
    def memory_size(self) -> int:
        """Length of what the agent remembers; 0: nothing."""
        return self.torso.memory_size

    @property
    def encoder(self) -> Any:
        """The first layers, from observations to vectors, of those who have such."""
        return getattr(self.torso, "inner", self.torso).encoder

    @property
    def body(self) -> Any:
        """The hidden layers, of those who have such."""
        return getattr(self.torso, "inner", self.torso).body

    def forward(self, observation: Tensor | TaggedRows | Walk | WalkOn, mask: Tensor | None = None) -> Distribution:
        """The agent's policy.

        Args:
            observation: (batch, *shape), for who remembers at a first step; or where a replayed episode has led.
            mask: (batch, sum(nvec)), true where a choice is legal, or None.
        """
        if isinstance(observation, WALKS):
            policy: Distribution = self.head(observation.features(self.torso), mask)
            return policy
        if self.in_one_pass:
            return self.head.read(self.torso.then(observation, self.head.linear), mask)
        policy = self.head(self.torso(shown(observation)), mask)
        return policy

    def along(
        self, observation: Tensor, mask: Tensor | None, sequences: Sequences | None
    ) -> tuple[Distribution, Tensor | None]:
        """The policy along sequences, and what is remembered after each step (steps, n, memory_size) or None.

        Args:
            observation: (steps * n, *shape), rows as in `Sequences`.
            mask: (steps * n, sum(nvec)) or None.
            sequences: only for actors with memory; None: all rows are first steps.
        """
        if not self.memory_size:
            return self(observation, mask), None
        features, remembered = self.torso.along(observation, sequences)
        policy: Distribution = self.head(features, mask)
        return policy, remembered


def shown(observation: Tensor | TaggedRows | Walk | WalkOn) -> Tensor:
    """The rows of a minibatch's observations, (batch, *shape), for who does not remember."""
    if isinstance(observation, WALKS):
        return observation.rows
    return observation.written_out() if isinstance(observation, TaggedRows) else observation
