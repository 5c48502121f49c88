"""stable-baselines3's Monitor without its memory of every episode that ever was."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.monitor import Monitor

KEPT = 10_000


class Recent(list[Any]):
    """A list that forgets its oldest entries when it is appended to; it holds the last `KEPT` to twice as many."""

    def append(self, value: Any) -> None:
        """Add one, and drop the older half where there are twice too many."""
        super().append(value)
        if len(self) >= 2 * KEPT:
            del self[:-KEPT]


class RecentMonitor(Monitor[Any, Any]):
    """A Monitor whose ``get_episode_rewards()``, ``-lengths()`` and ``-times()`` give the last episodes only.

    stable-baselines3's keeps them all, 72 bytes an episode, which is a gigabyte in a long run of short games.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.episode_returns, self.episode_lengths, self.episode_times = Recent(), Recent(), Recent()
