"""Whole episodes out of a replay buffer, for agents with a memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from masoft.buffers.replay import Normalizer, TeamBatch, TeamReplayBuffer
from masoft.errors import ConfigurationError, explain


@dataclass(frozen=True)
class EpisodeBatch:
    """Complete episodes side by side, the shorter ones padded at the end.

    Args:
        steps: one-step transitions; row ``t * n + s`` is step t of episode s.
        n: number of episodes.
        valid: (longest * n,), 1 where the row is a step, 0 where it is padding.
    """

    steps: TeamBatch
    n: int
    valid: Tensor


class EpisodeSampler:
    """Draws complete episodes from a replay buffer, each with the same probability.

    It reads the buffer's new rows before each draw, so that nothing needs to be told to it; episodes of which the
    buffer has overwritten a part are left out, and so is the one that is still running.

    Args:
        buffer: one-step transitions (``n_steps`` is 1).

    Raises:
        ConfigurationError: the buffer sums rewards over several steps.
    """

    def __init__(self, buffer: TeamReplayBuffer) -> None:
        if buffer.n_steps != 1:
            must = "1 where agents have a memory, since their targets need what is remembered one step later"
            raise ConfigurationError(explain("n_steps", must, buffer.n_steps))
        self.buffer = buffer
        self._scanned = self._oldest()
        # The first row of the running episode of each environment; unknown where its beginning has been overwritten.
        self._begun = np.full(buffer.n_envs, 0 if self._scanned == 0 else -1)
        self._episodes = np.zeros((0, 3), dtype=np.int64)  # environment, first row, length; rows count from the start

    def n_episodes(self) -> int:
        """Number of episodes that can be drawn."""
        self._read()
        return len(self._episodes)

    def sample(self, n: int, normalizer: Normalizer | None = None) -> EpisodeBatch:
        """Draw episodes, with replacement.

        Args:
            n: how many.
            normalizer: applied to observations and rewards; None leaves them raw.

        Raises:
            ConfigurationError: no episode has ended yet.
        """
        if self.n_episodes() == 0:
            raise ConfigurationError("The replay buffer holds no complete episode: play one before sampling.")
        device = self.buffer.device
        drawn = self.buffer.rule.checked(len(self._episodes), n, self.buffer.generator)
        envs, first, lengths = torch.as_tensor(self._episodes, device=device)[drawn].unbind(-1)
        time = torch.arange(int(lengths.max()), device=device).unsqueeze(1)
        rows = (first + torch.minimum(time, lengths - 1)) % self.buffer.rows
        steps = self.buffer.gather(rows.flatten(), envs.expand_as(rows).flatten(), normalizer)
        return EpisodeBatch(steps, n, (time < lengths).float().flatten())

    def _oldest(self) -> int:
        """Number of the oldest row that the buffer still holds."""
        return max(self.buffer.n_added - (self.buffer.rows - 1), 0)

    def _read(self) -> None:
        """Note the episodes that have ended since the last call, forget those that are gone."""
        oldest, newest = self._oldest(), self.buffer.n_added - 1
        # The newest row is looked at again next time: its episode may yet be cut there.
        rows = np.arange(max(self._scanned - 1, oldest), newest + 1)
        ends = (self.buffer.final_slots[torch.as_tensor(rows % self.buffer.rows)] >= 0).cpu().numpy()
        found = []
        for k, env in zip(*np.nonzero(ends), strict=True):
            begun, end = int(self._begun[env]), int(rows[k])
            if end < begun:
                continue  # seen before
            if begun >= 0:
                found.append((env, begun, end - begun + 1))
            self._begun[env] = end + 1
        self._scanned = newest + 1
        if found:
            self._episodes = np.concatenate([self._episodes, np.array(found, dtype=np.int64)])
        if len(self._episodes) and self._episodes[:, 1].min() < oldest:
            self._episodes = self._episodes[self._episodes[:, 1] >= oldest]
