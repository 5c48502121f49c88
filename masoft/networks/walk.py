"""What somebody with a memory is shown when experience is replayed: the steps before, too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.networks.torso import Sequences, Torso


@dataclass(frozen=True)
class Walk:
    """Observations along stretches of steps; row ``t * n + s`` is step t of stretch s.

    The first ``burn_in`` steps only fill the memory, without gradient; the ``n_learnt`` after them are the rows of the
    minibatch; those behind are where returns of several steps end.

    Args:
        seen: (steps * n, *shape).
        starts: (steps, n), 1 where an episode starts with that step, or what was before is not known.
        burn_in, n_learnt: numbers of steps.

    Reference:
        Kapturowski et al., Recurrent Experience Replay in Distributed Reinforcement Learning, 2019.
    """

    seen: Tensor
    starts: Tensor
    burn_in: int
    n_learnt: int

    @property
    def rows(self) -> Tensor:
        """Observations of the minibatch's rows, (n_learnt * n, *shape)."""
        n = self.starts.shape[1]
        return self.seen[self.burn_in * n : (self.burn_in + self.n_learnt) * n]

    def features(self, torso: Torso) -> Tensor:
        """A torso's features at the minibatch's rows, (n_learnt * n, n_features)."""
        if not torso.memory_size:
            features: Tensor = torso(self.rows)
            return features
        n, end = self.starts.shape[1], self.burn_in + self.n_learnt
        hidden = torch.zeros(n, torso.memory_size, device=self.starts.device)
        if self.burn_in:
            with torch.no_grad():
                before = Sequences(self.starts[: self.burn_in], hidden)
                _, remembered = torso.along(self.seen[: self.burn_in * n], before)
                assert remembered is not None
                hidden = remembered[-1]
        return torso.along(self.rows, Sequences(self.starts[self.burn_in : end], hidden))[0]


@dataclass(frozen=True)
class WalkOn:
    """Where returns bootstrap: observations that follow steps of a walk.

    Args:
        walk: the steps before.
        after: (batch,), the walk's row that each follows.
        rows: (batch, *shape), the observations.
    """

    walk: Walk
    after: Tensor
    rows: Tensor

    @torch.no_grad()
    def features(self, torso: Torso) -> Tensor:
        """A torso's features at them, (batch, n_features); outside the graph, as targets are."""
        if not torso.memory_size:
            features: Tensor = torso(self.rows)
            return features
        starts = self.walk.starts
        hidden = torch.zeros(starts.shape[1], torso.memory_size, device=starts.device)
        _, remembered = torso.along(self.walk.seen, Sequences(starts, hidden))
        assert remembered is not None
        hidden = remembered.flatten(0, 1).index_select(0, self.after)
        return torso.along(self.rows, Sequences(torch.zeros(1, len(hidden), device=hidden.device), hidden))[0]
