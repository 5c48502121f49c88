"""Returns, lengths and wins of recent episodes: stable-baselines3's windows, also of steps that stay on a device."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

from masoft.infos import DeviceInfos, LazyInfos


class EpisodeTally:
    """The last episodes that ended, kept as tensors until somebody asks.

    Args:
        window: so many are kept.
        device: where.
    """

    def __init__(self, window: int, device: torch.device) -> None:
        self.window, self.device = window, device
        self._began = time.time()
        # One row more than the window takes what is written for episodes that go on.
        self._kept = torch.zeros(window + 1, 3, device=device)
        self._n = torch.zeros((), dtype=torch.long, device=device)
        self._n_counted = torch.zeros((), dtype=torch.long, device=device)
        self._knows_wins = False

    def count(self, dones: Tensor, infos: DeviceInfos) -> None:
        """Note the episodes that a vector step has ended, without a look from the host."""
        ranks = dones.cumsum(0)
        self._n_counted += ranks[-1]
        if infos.returns is None:
            return
        window, wins = self.window, infos.tensors[5]
        # Of more than the window's number only the last: no place is written twice.
        is_kept = dones & (ranks > ranks[-1] - window)
        places = torch.where(is_kept, (self._n + ranks - 1) % window, window)
        self._knows_wins = wins is not None
        won = infos.returns if wins is None else wins.float()
        rows = torch.stack([infos.returns.float(), infos.lengths.float(), won.float()], dim=1)
        self._kept.index_copy_(0, places, rows)
        self._n += ranks[-1]

    def read(self) -> tuple[list[dict[str, Any]], list[bool]]:
        """Returns and lengths, and wins where they are known, of what was noted since the last call, oldest first."""
        n = int(self._n)
        self._n.zero_()
        if n == 0:
            return [], []
        kept, now = self._kept.cpu().numpy(), round(time.time() - self._began, 6)
        rows = [kept[k % self.window] for k in range(max(n - self.window, 0), n)]
        episodes = [{"r": row[0], "l": int(row[1]), "t": now} for row in rows]
        return episodes, [bool(row[2]) for row in rows] if self._knows_wins else []

    def n_since(self) -> int:
        """Number of episodes that have ended since the last call."""
        n = int(self._n_counted)
        self._n_counted.zero_()
        return n


class CountsEpisodes:
    """Abstract mixin: stable-baselines3's two windows over recent episodes."""

    stats_window_size: int
    _stats_window_size: int
    _tally: EpisodeTally | None = None
    _recent: deque[dict[str, Any]] | None = None
    _recent_wins: deque[Any] | None = None

    @property
    def ep_info_buffer(self) -> deque[dict[str, Any]] | None:
        """Returns ``"r"`` and lengths ``"l"`` of recent episodes; looking brings here what a device has counted."""
        self._look_at_tally()
        return self._recent

    @ep_info_buffer.setter
    def ep_info_buffer(self, episodes: deque[dict[str, Any]] | None) -> None:
        self._recent, self._tally = episodes, None

    @property
    def ep_success_buffer(self) -> deque[Any] | None:
        """Whether recent episodes were won, where that is known."""
        self._look_at_tally()
        return self._recent_wins

    @ep_success_buffer.setter
    def ep_success_buffer(self, wins: deque[Any] | None) -> None:
        self._recent_wins, self._tally = wins, None

    def _look_at_tally(self) -> None:
        if self._tally is not None and self._recent is not None and self._recent_wins is not None:
            episodes, wins = self._tally.read()
            self._recent.extend(episodes)
            self._recent_wins.extend(wins)

    def _update_info_buffer(self, infos: list[dict[str, Any]], dones: Any = None) -> None:
        base: Any = super()
        if isinstance(infos, DeviceInfos) and isinstance(dones, Tensor):
            self._tally_of(dones.device).count(dones, infos)
        elif not isinstance(infos, LazyInfos):
            base._update_info_buffer(infos, dones)
        elif len(infos.ended):
            ended = infos.ended.tolist()
            base._update_info_buffer([infos.told(env) for env in ended], np.ones(len(ended), bool))

    def _tally_of(self, device: torch.device) -> EpisodeTally:
        if self._tally is None or self._tally.device != device:
            self._look_at_tally()
            self._tally = EpisodeTally(self._stats_window_size, device)
        return self._tally

    def _n_ended(self, dones: Any) -> int:
        """Number of episodes that a vector step has ended; 0 where that is counted on a device."""
        return 0 if isinstance(dones, Tensor) else int(np.count_nonzero(dones))

    def _n_ended_on_device(self) -> int:
        """Number of episodes that have ended there since the last call: a look from the host."""
        return 0 if self._tally is None else self._tally.n_since()

    def _resize_statistics(self) -> None:
        """Let the windows over recent episodes have their new length."""
        episodes, wins = self.ep_info_buffer, self.ep_success_buffer
        self._stats_window_size = self.stats_window_size
        if episodes is not None and wins is not None:
            self.ep_info_buffer = deque(episodes, maxlen=self.stats_window_size)
            self.ep_success_buffer = deque(wins, maxlen=self.stats_window_size)
