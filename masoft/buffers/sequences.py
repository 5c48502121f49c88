"""Stretches of steps out of a replay buffer, for agents that remember."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from masoft.buffers.replay import Normalizer, TeamBatch, TeamReplayBuffer
from masoft.errors import ConfigurationError, explain
from masoft.networks.walk import Walk, WalkOn

LENGTH, BURN_IN = 16, 16


@dataclass(frozen=True)
class Stretch:
    """How long replayed stretches are.

    Args:
        sequence_length: steps that are learnt from, >= 1; None: 16.
        burn_in: steps before them that only fill the memory, >= 0; None: 16.
        remembers: whether there is a memory at all.

    Raises:
        ConfigurationError: a number out of range, or one where nobody remembers.
    """

    sequence_length: int | None
    burn_in: int | None
    remembers: bool

    def __post_init__(self) -> None:
        for name, least in (("sequence_length", 1), ("burn_in", 0)):
            value = getattr(self, name)
            if value is None:
                continue
            if not self.remembers:
                cure = "Policies with a memory are 'RnnPolicy' (a GRU) and 'MlpLstmPolicy'."
                raise ConfigurationError(explain(name, "left out where no agent remembers", value, cure))
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(explain(name, f"an integer >= {least}", value))

    @property
    def length(self) -> int:
        """Steps that are learnt from."""
        return LENGTH if self.sequence_length is None else self.sequence_length

    @property
    def before(self) -> int:
        """Steps of burn-in."""
        return BURN_IN if self.burn_in is None else self.burn_in


class SequenceSampler:
    """Draws stretches of consecutive steps of one environment each, whatever episodes they belong to.

    Every row of a stretch is a transition that is learnt from, so minibatches have one size; where an episode starts
    within it, memories do as well.

    Args:
        buffer: the transitions.
        stretch: how long the stretches are.
        with_states: whether states are walks too, for a critic that remembers.
    """

    def __init__(self, buffer: TeamReplayBuffer, stretch: Stretch, with_states: bool = True) -> None:
        self.buffer, self.stretch, self.with_states = buffer, stretch, with_states

    def sample(self, batch_size: int, normalizer: Normalizer | None = None) -> TeamBatch:
        """A minibatch, row ``t * n + s`` of it step t of stretch s; observations and states are walks.

        Args:
            batch_size: transitions, at most; at least one stretch is drawn. As long as less is stored than a stretch,
                stretches are shorter.
            normalizer: applied to observations and rewards; None leaves them raw.
        """
        buffer = self.buffer
        stored = buffer.size() // buffer.n_envs
        if stored == 0:
            raise ConfigurationError("The replay buffer is empty: step the environment before sampling.")
        length = min(self.stretch.length, stored)
        n, device = max(batch_size // length, 1), buffer.device
        drawn = buffer.rule.checked((stored - length + 1) * buffer.n_envs, n, buffer.generator)
        first, env = drawn // buffer.n_envs, drawn % buffer.n_envs
        oldest = (buffer.pos + 1) % buffer.rows if buffer.full else 0

        def places(times: Tensor) -> Tensor:
            """Flat places of rows counted from the oldest."""
            return (oldest + times) % buffer.rows * buffer.n_envs + env

        steps = torch.arange(-self.stretch.before, length + buffer.n_steps - 1, device=device)
        times = first + steps.unsqueeze(1)
        walked = places(times.clamp(0, stored - 1))
        previous = places((times - 1).clamp(0, stored - 1))
        ended = buffer.final_slots.view(-1).index_select(0, previous.flatten()).view_as(previous) >= 0
        starts = ((times <= 0) | ended).float()
        learnt = places(first + torch.arange(length, device=device).unsqueeze(1)).flatten()
        batch, last = buffer.gather_places(learnt, normalizer)
        taken = torch.div(last - learnt, buffer.n_envs, rounding_mode="floor") % buffer.rows
        after = torch.arange(self.stretch.before * n, (self.stretch.before + length) * n, device=device) + taken * n
        return self._as_walks(batch, buffer.seen_at(walked.flatten(), normalizer), starts, length, after)

    def _as_walks(
        self, batch: TeamBatch, seen: tuple[Tensor, tuple[Tensor, ...]], starts: Tensor, length: int, after: Tensor
    ) -> TeamBatch:
        """The minibatch with the steps before its rows."""
        state, observations = seen
        walks = [Walk(values, starts, self.stretch.before, length) for values in (state, *observations)]
        ons: list[Any] = [
            WalkOn(walk, after, following)
            for walk, following in zip(walks, (batch.next_state, *batch.next_observations), strict=True)
        ]
        now: list[Any] = [*walks]
        batch = replace(batch, observations=tuple(now[1:]), next_observations=tuple(ons[1:]))
        return replace(batch, state=now[0], next_state=ons[0]) if self.with_states else batch
